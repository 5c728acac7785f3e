/* The stories. Each is cast when it begins, with whoever is free then, and written down as steps
 * and as plans of those who are called. */
#include "mix.h"

#define RING_MS 1000, 15000
#define TALK_MS 2000, 60000
#define MOMENT  800, 5000

/* ---- casting --------------------------------------------------------------------------------- */

static struct phone *some_phone(struct mix *m, bool (*fits)(const struct phone *p),
                                const struct phone *not_this)
{
    unsigned first = (unsigned)mix_dice(m, m->n_phones);
    for (unsigned i = 0; i < m->n_phones; i++) {
        struct phone *p = &m->phone[(first + i) % m->n_phones];
        if (p != not_this && fits(p))
            return p;
    }
    return NULL;
}

static bool is_plain(const struct phone *p)
{
    return !p->forward_always && !p->forward_busy && !p->forward_no_answer && !p->voicemail;
}

/* Its hands are free, and no other story counts on it. */
static bool is_free(const struct phone *p)
{
    bool wanted = p->wanted && !p->wanted->over;
    return is_plain(p) && !wanted && !phone_busy(p, NULL);
}

/* Now and then somebody is called who talks. */
static bool is_there(const struct phone *p)
{
    return mix_chance(p->mix, 8) ? is_plain(p) : is_free(p);
}

static bool sends_on(const struct phone *p)
{
    return p->forward_always || p->forward_busy || p->forward_no_answer;
}

static bool has_voicemail(const struct phone *p)
{
    return p->voicemail;
}

static struct phone *some_trunk(struct mix *m)
{
    return &m->phone[m->n_phones + mix_dice(m, m->n_trunks)];
}

static struct str fresh_number(struct play *p, const char *prefix)
{
    struct mix *m = p->mix;
    return ua_text(&m->w, "%s%04u%04u", prefix, (unsigned)mix_dice(m, 10000),
                   (unsigned)(++m->numbers));
}

static struct str caller_number(struct play *p)
{
    struct mix *m = p->mix;
    return m->n_callers ? m->caller[mix_dice(m, m->n_callers)] : fresh_number(p, "010");
}

/* ---- writing --------------------------------------------------------------------------------- */

static void plan(struct play *p, const struct phone *who, enum deed deed, uint32_t ms)
{
    p->plan[p->n_plans++] = (struct plan){.who = who, .deed = deed, .status = 486, .ms = ms};
    p->mix->phone[who->index].wanted = p;
}

static struct step *step(struct play *p, enum when when, enum role of, uint32_t ms, enum verb verb)
{
    BUG_ON(p->n_steps == PLAY_STEPS);
    struct step *s = &p->step[p->n_steps++];
    *s = (struct step){.when = when, .of = of, .ms = ms, .verb = verb, .who = of};
    return s;
}

static uint32_t ring(struct play *p)
{
    return mix_ms(p->mix, RING_MS);
}

static uint32_t talk(struct play *p)
{
    return mix_ms(p->mix, TALK_MS);
}

static uint32_t moment(struct play *p)
{
    return mix_ms(p->mix, MOMENT);
}

/* A calls `number`. */
static void calls(struct play *p, struct phone *a, struct str number)
{
    p->phone[ROLE_A] = a;
    a->wanted = p;
    p->from = caller_number(p);
    step(p, WHEN_NOW, ROLE_A, 0, DO_CALL)->number = number;
}

/* From outside by its DID, or from another phone by its number. */
static bool calls_phone(struct play *p, struct phone *b, bool inside)
{
    struct phone *a = inside ? some_phone(p->mix, is_free, b) : some_trunk(p->mix);
    if (!a || !b)
        return false;
    p->phone[ROLE_B] = b;
    calls(p, a, inside ? b->number : b->did);
    return true;
}

static bool somebody_calls(struct play *p)
{
    return calls_phone(p, some_phone(p->mix, is_there, NULL), mix_chance(p->mix, 35));
}

/* A talks with who has answered, until one of them hangs up. */
static void talk_and_end(struct play *p)
{
    step(p, WHEN_UP, ROLE_A, talk(p), DO_HANG_UP)->who = mix_chance(p->mix, 50) ? ROLE_A : ROLE_B;
}

/* ---- the stories ----------------------------------------------------------------------------- */

static bool answered(struct play *p)
{
    if (!somebody_calls(p))
        return false;
    plan(p, p->phone[ROLE_B], DEED_ANSWER, ring(p));
    talk_and_end(p);
    return true;
}

static bool outside(struct play *p)
{
    struct phone *a = some_phone(p->mix, is_free, NULL), *trunk = some_trunk(p->mix);
    if (!a)
        return false;
    p->phone[ROLE_B] = trunk;
    calls(p, a, fresh_number(p, trunk->ua.host.addr.ip[3] == 78 ? "02" : "01"));
    plan(p, trunk, mix_chance(p->mix, 80) ? DEED_ANSWER : DEED_REFUSE, ring(p));
    talk_and_end(p);
    return true;
}

static bool refused(struct play *p)
{
    static const uint16_t statuses[] = {486, 486, 480, 603, 500};
    if (!somebody_calls(p))
        return false;
    plan(p, p->phone[ROLE_B], DEED_REFUSE, mix_chance(p->mix, 50) ? 100 : ring(p));
    p->plan[0].status = statuses[mix_dice(p->mix, ARRAY_LEN(statuses))];
    return true;
}

static bool nobody_there(struct play *p)
{
    struct phone *a =
        mix_chance(p->mix, 50) ? some_trunk(p->mix) : some_phone(p->mix, is_free, NULL);
    if (!a)
        return false;
    calls(p, a, a->trunk ? STR("07086669999") : STR("1999"));
    return true;
}

static bool cancelled(struct play *p)
{
    if (!somebody_calls(p))
        return false;
    plan(p, p->phone[ROLE_B], DEED_RING, UINT32_MAX);
    step(p, WHEN_RINGS, ROLE_A, ring(p), DO_HANG_UP);
    return true;
}

static bool not_answered(struct play *p)
{
    if (!somebody_calls(p))
        return false;
    plan(p, p->phone[ROLE_B], DEED_RING, UINT32_MAX);
    step(p, WHEN_UP, ROLE_A, 0, DO_HANG_UP);
    return true;
}

static bool held(struct play *p)
{
    if (!somebody_calls(p))
        return false;
    enum role who = mix_chance(p->mix, 70) || p->phone[ROLE_A]->trunk ? ROLE_B : ROLE_A;
    plan(p, p->phone[ROLE_B], DEED_ANSWER, ring(p));
    for (unsigned i = 1 + (unsigned)mix_dice(p->mix, 2); i; i--) {
        step(p, WHEN_UP, ROLE_A, talk(p) / 2, DO_HOLD)->who = who;
        step(p, WHEN_UP, who, moment(p), DO_RESUME);
    }
    talk_and_end(p);
    return true;
}

/* B calls somebody else on a second line, the first one on hold. */
static bool consults(struct play *p, enum deed deed)
{
    if (!somebody_calls(p))
        return false;
    struct phone *d = some_phone(p->mix, is_free, p->phone[ROLE_B]);
    if (!d || d == p->phone[ROLE_A])
        return false;
    plan(p, p->phone[ROLE_B], DEED_ANSWER, ring(p));
    plan(p, d, deed, ring(p));
    p->phone[ROLE_C] = p->phone[ROLE_B];
    step(p, WHEN_UP, ROLE_A, talk(p) / 2, DO_HOLD)->who = ROLE_B;
    struct step *s = step(p, WHEN_UP, ROLE_B, moment(p), DO_CALL);
    s->who = ROLE_C;
    s->number = d->number;
    return true;
}

static bool blind(struct play *p)
{
    if (!somebody_calls(p))
        return false;
    struct phone *to = some_phone(p->mix, is_free, p->phone[ROLE_B]);
    if (!to || to == p->phone[ROLE_A])
        return false;
    plan(p, p->phone[ROLE_B], DEED_ANSWER, ring(p));
    plan(p, to, mix_chance(p->mix, 80) ? DEED_ANSWER : DEED_REFUSE, ring(p));
    if (mix_chance(p->mix, 60))
        step(p, WHEN_UP, ROLE_A, talk(p) / 2, DO_HOLD)->who = ROLE_B;
    struct step *s = step(p, WHEN_UP, ROLE_A, moment(p), DO_REFER);
    s->who = ROLE_B;
    s->number = to->number;
    step(p, WHEN_NOTIFIED, ROLE_A, mix_ms(p->mix, 10, 800), DO_AFTER_REFER);
    step(p, WHEN_UP, ROLE_A, talk(p), DO_HANG_UP)->who = mix_chance(p->mix, 50) ? ROLE_A : ROLE_B;
    return true;
}

static bool attended(struct play *p)
{
    if (!consults(p, DEED_ANSWER))
        return false;
    step(p, WHEN_UP, ROLE_C, talk(p) / 2, DO_REFER_REPLACES)->who = ROLE_B;
    step(p, WHEN_NOTIFIED, ROLE_A, mix_ms(p->mix, 10, 800), DO_AFTER_REFER);
    step(p, WHEN_UP, ROLE_A, talk(p), DO_HANG_UP)->who = mix_chance(p->mix, 50) ? ROLE_A : ROLE_D;
    return true;
}

static bool blond(struct play *p)
{
    if (!consults(p, DEED_ANSWER))
        return false;
    p->plan[1].ms = 4000 + ring(p);
    step(p, WHEN_PROGRESS, ROLE_C, mix_ms(p->mix, 300, 3000), DO_REFER_REPLACES)->who = ROLE_B;
    step(p, WHEN_NOTIFIED, ROLE_A, mix_ms(p->mix, 10, 800), DO_AFTER_REFER);
    step(p, WHEN_UP, ROLE_A, talk(p), DO_HANG_UP);
    return true;
}

/* Asks somebody and goes back to the caller. */
static bool asks(struct play *p)
{
    if (!consults(p, DEED_ANSWER))
        return false;
    step(p, WHEN_UP, ROLE_C, talk(p) / 2, DO_HANG_UP);
    step(p, WHEN_UP, ROLE_B, moment(p), DO_RESUME);
    talk_and_end(p);
    return true;
}

static bool phone_mixes(struct play *p)
{
    if (!consults(p, DEED_ANSWER))
        return false;
    step(p, WHEN_UP, ROLE_C, moment(p), DO_RESUME)->who = ROLE_B;
    step(p, WHEN_UP, ROLE_C, talk(p), DO_HANG_UP)->who = mix_chance(p->mix, 50) ? ROLE_D : ROLE_C;
    step(p, WHEN_UP, ROLE_B, moment(p), DO_HANG_UP)->who = mix_chance(p->mix, 50) ? ROLE_A : ROLE_B;
    return true;
}

static bool picked_up_by(struct play *p, struct str code)
{
    if (!somebody_calls(p))
        return false;
    plan(p, p->phone[ROLE_B], DEED_RING, UINT32_MAX);
    struct step *s = step(p, WHEN_RINGS, ROLE_A, mix_ms(p->mix, 1000, 8000), DO_PICK_UP);
    s->who = ROLE_K;
    s->number = code;
    step(p, WHEN_UP, ROLE_A, talk(p), DO_HANG_UP)->who = mix_chance(p->mix, 50) ? ROLE_A : ROLE_K;
    return true;
}

static bool picked_up(struct play *p)
{
    return picked_up_by(p, mix_chance(p->mix, 85) ? STR("*8") : STR("%2A8"));
}

static bool picked_directly(struct play *p)
{
    return picked_up_by(p, mix_chance(p->mix, 50) ? STR("**?") : STR("*8?"));
}

static bool replaced(struct play *p)
{
    return picked_up_by(p, STR_NONE);
}

/* Two calls ring in one group at once, and somebody dials *8: the question is whose call that
 * takes. */
static bool rush(struct play *p)
{
    struct mix *m = p->mix;
    if (!picked_up(p))
        return false;
    struct phone *b = p->phone[ROLE_B], *other = b;
    for (unsigned i = 0; i < m->n_phones && other == b; i++) {
        struct phone *o = &m->phone[(b->index + 1 + i) % m->n_phones];
        if (o->group == b->group && is_free(o) && o != p->phone[ROLE_A])
            other = o;
    }
    plan(p, other, DEED_RING, UINT32_MAX);
    p->phone[ROLE_M] = some_trunk(m);
    p->from_2 = caller_number(p);
    /* Between the call of A and the pickup. */
    memmove(&p->step[2], &p->step[1], (p->n_steps - 1) * sizeof(p->step[0]));
    p->n_steps++;
    p->step[1] = (struct step){.when = WHEN_NOW,
                               .ms = mix_chance(m, 60) ? mix_ms(m, 0, 100) : moment(p),
                               .verb = DO_CALL,
                               .who = ROLE_M,
                               .number = other->did};
    return true;
}

/* Members dial a room, talk, and leave one after the other. */
static bool server_mixes(struct play *p)
{
    struct mix *m = p->mix;
    unsigned members = 2 + (unsigned)mix_dice(m, 3), room = m->rooms_used;
    if (room == MIX_ROOMS)
        return false;
    struct phone *taken = NULL;
    for (unsigned i = 0; i < members; i++) {
        bool trunk = i == 1 && mix_chance(m, 50);
        struct phone *who = trunk ? some_trunk(m) : some_phone(m, is_free, taken);
        for (unsigned k = 0; k < i; k++)
            if (!who || (!trunk && who == p->phone[ROLE_M + k]))
                return false;
        if (!who)
            return false;
        p->phone[ROLE_M + i] = taken = who;
        who->wanted = p;
        struct step *s = step(p, WHEN_NOW, ROLE_M + i, i ? moment(p) : 0, DO_CALL);
        s->number = ua_text(&m->w, trunk ? "070800300%u" : "300%u", room);
    }
    p->from = caller_number(p);
    m->rooms_used++;
    p->room = true;
    uint32_t ms = talk(p);
    for (unsigned i = members; i--; ms = moment(p))
        step(p, WHEN_NOW, ROLE_M + i, ms, DO_HANG_UP);
    return true;
}

/* Calls the group of somebody: some refuse, some let it ring, one answers or nobody. */
static bool hunted(struct play *p, bool parallel)
{
    struct mix *m = p->mix;
    struct phone *member = some_phone(m, is_free, NULL);
    struct phone *a = mix_chance(m, 70) ? some_trunk(m) : some_phone(m, is_free, member);
    if (!member || !a || (!a->trunk && a->group == member->group))
        return false;
    unsigned group = 2 * member->group + parallel;
    calls(p, a, ua_text(&m->w, a->trunk ? "07080020%02u" : "20%02u", group));
    plan(p, member, mix_chance(m, 90) ? DEED_ANSWER : DEED_REFUSE, parallel ? ring(p) : moment(p));
    for (unsigned i = 0; i < m->n_phones && p->n_plans < PLAY_PLANS; i++)
        if (m->phone[i].group == member->group && &m->phone[i] != member && mix_chance(m, 60))
            plan(p, &m->phone[i], DEED_REFUSE, mix_chance(m, 50) ? 50 : moment(p));
    talk_and_end(p);
    return true;
}

static bool hunt_in_turn(struct play *p)
{
    return hunted(p, false);
}

static bool hunt_at_once(struct play *p)
{
    return hunted(p, true);
}

static bool forwarded(struct play *p)
{
    struct phone *b = some_phone(p->mix, sends_on, NULL);
    if (!calls_phone(p, b, mix_chance(p->mix, 35)))
        return false;
    struct phone *to = b->forward_always ? b->forward_always
                       : b->forward_busy ? b->forward_busy
                                         : b->forward_no_answer;
    if (to == p->phone[ROLE_A])
        return false;
    plan(p, b, b->forward_busy ? DEED_REFUSE : DEED_RING, b->forward_busy ? 200 : UINT32_MAX);
    plan(p, to, mix_chance(p->mix, 85) ? DEED_ANSWER : DEED_RING, ring(p));
    talk_and_end(p);
    return true;
}

static bool redirected(struct play *p)
{
    if (!somebody_calls(p))
        return false;
    struct phone *to = some_phone(p->mix, is_free, p->phone[ROLE_B]);
    if (!to || to == p->phone[ROLE_A])
        return false;
    plan(p, p->phone[ROLE_B], DEED_REDIRECT, 100);
    p->plan[0].to = to->number;
    plan(p, to, DEED_ANSWER, ring(p));
    talk_and_end(p);
    return true;
}

static bool leaves_message(struct play *p)
{
    struct phone *b = some_phone(p->mix, has_voicemail, NULL);
    if (!calls_phone(p, b, mix_chance(p->mix, 35)))
        return false;
    bool refuses = mix_chance(p->mix, 50);
    plan(p, b, refuses ? DEED_REFUSE : DEED_RING, refuses ? 300 : UINT32_MAX);
    step(p, WHEN_UP, ROLE_A, 3000 + moment(p), DO_HANG_UP);
    return true;
}

static const struct kind {
    const char *name;
    unsigned weight;
    bool (*cast)(struct play *p);
} kinds[] = {
    {"answered", 4, answered},
    {"outside", 2, outside},
    {"refused", 2, refused},
    {"nobody-there", 1, nobody_there},
    {"cancelled", 2, cancelled},
    {"not-answered", 1, not_answered},
    {"held", 2, held},
    {"blind", 2, blind},
    {"attended", 2, attended},
    {"blond", 1, blond},
    {"asks", 1, asks},
    {"phone-mixes", 2, phone_mixes},
    {"picked-up", 4, picked_up},
    {"rush", 3, rush},
    {"picked-directly", 1, picked_directly},
    {"replaced", 1, replaced},
    {"server-mixes", 2, server_mixes},
    {"hunt-in-turn", 2, hunt_in_turn},
    {"hunt-at-once", 2, hunt_at_once},
    {"forwarded", 2, forwarded},
    {"redirected", 1, redirected},
    {"leaves-message", 1, leaves_message},
};

bool kind_cast(struct play *p)
{
    unsigned all = 0, k = 0;
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
        all += kinds[i].weight;
    uint64_t dice = mix_dice(p->mix, all);
    while (dice >= kinds[k].weight)
        dice -= kinds[k++].weight;
    p->kind = kinds[k].name;
    return kinds[k].cast(p);
}

/* How a story is played: one step after the other, each when what it waits for has happened and a
 * human while has passed. A story that cannot go on ends: everybody in it hangs up. */
#include "mix.h"

#define TRIES       6
#define PATIENCE_MS 55000 /* nobody waits longer for anything */

static void proceed(struct play *p);

static struct world *world_of(const struct play *p)
{
    return &p->mix->w;
}

/* ---- endings --------------------------------------------------------------------------------- */

static void drop(void *arg, uint64_t n)
{
    struct line *l = arg;
    if (l->state != LINE_OVER && l->state != LINE_ENDING)
        line_hang_up(l);
}

/* Whoever is left hangs up, one after the other. */
static void end(struct play *p)
{
    struct mix *m = p->mix;
    uint32_t ms = 0;
    if (p->over)
        return;
    p->over = true;
    for (unsigned i = 0; i < m->n_phones + m->n_trunks; i++)
        list_each(node, &m->phone[i].lines)
        {
            struct line *l = container_of(node, struct line, node);
            bool ours = l->play == p && (l->state == LINE_OUT || line_live(l));
            if (ours)
                world_wake(world_of(p), (ms += mix_ms(m, 300, 3000)) * USEC_MS, drop, l, 0);
        }
}

static void impatient(void *arg, uint64_t at)
{
    struct play *p = arg;
    if (!p->over && !p->waits && p->at == at)
        end(p);
}

/* ---- deeds ----------------------------------------------------------------------------------- */

/* Somebody of the group in which it rings, whose hands are free. */
static struct phone *picker(struct play *p)
{
    struct mix *m = p->mix;
    const struct phone *rings = p->ringing ? p->ringing->phone : NULL;
    unsigned first = (unsigned)mix_dice(m, m->n_phones);
    for (unsigned i = 0; rings && i < m->n_phones; i++) {
        struct phone *k = &m->phone[(first + i) % m->n_phones];
        if (k != rings && k != p->phone[ROLE_A] && k->group == rings->group && !phone_busy(k, NULL))
            return k;
    }
    return NULL;
}

static bool pick_up(struct play *p, const struct step *s)
{
    struct phone *k = picker(p);
    struct ua_edit header = {'=', STR("Replaces"), STR_NONE};
    struct str number = s->number;
    if (!k || p->ringing->state != LINE_IN)
        return false;
    if (!number.n) {
        header.value = line_replaces(p->ringing, false);
        number = p->ringing->phone->number;
    } else if (number.n > 1 && number.p[number.n - 1] == '?') {
        number = ua_text(world_of(p), "%.*s" STR_FMT, (int)number.n - 1, number.p,
                         STR_ARG(p->ringing->phone->number));
    }
    p->phone[ROLE_K] = k;
    p->line[ROLE_K] = phone_call(k, p, ROLE_K, number, header.value.n ? &header : NULL);
    return p->line[ROLE_K] != NULL;
}

static bool call(struct play *p, const struct step *s)
{
    struct phone *who = p->phone[s->who];
    struct ua_edit key = {'=', STR("X-xfer-pressed"), STR("True")};
    bool consults = s->who == ROLE_C;
    if (!who || phone_busy(who, p))
        return false;
    p->dial[s->who] = s->number;
    p->consulted |= consults;
    p->line[s->who] = phone_call(who, p, s->who, s->number, consults && p->xfer_key ? &key : NULL);
    return p->line[s->who] != NULL;
}

static bool refer(struct play *p, const struct step *s, struct line *l)
{
    struct line *c = p->line[ROLE_C];
    struct str to = s->number;
    if (s->verb == DO_REFER_REPLACES) {
        if (!c || c->state == LINE_OVER || !c->had_provisional)
            return false;
        struct str replaces = line_replaces(c, true);
        to = ua_text(world_of(p), "<sip:" STR_FMT "@pbx.test?Replaces=" STR_FMT ">",
                     STR_ARG(p->dial[ROLE_C]), STR_ARG(replaces));
    } else {
        to = ua_text(world_of(p), "<sip:" STR_FMT "@pbx.test>", STR_ARG(to));
    }
    p->line[ROLE_T] = l;
    line_refer(l, to);
    return true;
}

static void after_refer(struct play *p)
{
    struct line *l = p->line[ROLE_T];
    if (!line_live(l))
        return;
    if (l->notified < 300)
        line_hang_up(l);
    else if (l->held)
        line_hold(l, false);
}

/* False: it cannot be done, and the story is over. */
static bool act(struct play *p, const struct step *s)
{
    struct line *l = p->line[s->who];
    switch (s->verb) {
    case DO_CALL:
        return call(p, s);
    case DO_PICK_UP:
        return pick_up(p, s);
    case DO_HOLD:
    case DO_RESUME:
        if (!line_live(l) || l->reinviting)
            return false;
        if (s->verb == DO_HOLD) {
            p->held = true;
            p->held_line = l;
        }
        p->mixed |= s->verb == DO_RESUME && line_live(p->line[ROLE_C]);
        line_hold(l, s->verb == DO_HOLD);
        return true;
    case DO_REFER:
    case DO_REFER_REPLACES:
        return line_live(l) && refer(p, s, l);
    case DO_AFTER_REFER:
        after_refer(p);
        return true;
    case DO_HANG_UP:
        if (l && l->state != LINE_OVER)
            line_hang_up(l);
        return true;
    }
    return false;
}

/* ---- the way through the steps --------------------------------------------------------------- */

static bool has_happened(const struct play *p, const struct step *s)
{
    const struct line *l = p->line[s->of];
    switch (s->when) {
    case WHEN_NOW:
        return true;
    case WHEN_RINGS:
        return p->ringing && p->ringing->state == LINE_IN;
    case WHEN_UP:
        return l && l->state == LINE_UP;
    case WHEN_PROGRESS:
        return l && l->state == LINE_OUT && l->rang;
    case WHEN_NOTIFIED:
        return p->line[ROLE_T] &&
               (p->line[ROLE_T]->notified >= 200 || p->line[ROLE_T]->state == LINE_OVER);
    }
    return false;
}

/* What it waits for will not happen any more. */
static bool is_vain(const struct play *p, const struct step *s)
{
    const struct line *a = p->line[ROLE_A], *l = p->line[s->of];
    if (s->when == WHEN_RINGS)
        return a && a->state != LINE_OUT;
    return s->when != WHEN_NOW && l && (l->state == LINE_OVER || l->state == LINE_ENDING);
}

static void wake(void *arg, uint64_t at)
{
    struct play *p = arg;
    p->waits = false;
    if (p->over)
        return;
    if (!act(p, &p->step[at])) {
        end(p);
        return;
    }
    p->at++;
    if (p->at < p->n_steps)
        world_wake(world_of(p), PATIENCE_MS * USEC_MS, impatient, p, p->at);
    proceed(p);
}

static void proceed(struct play *p)
{
    if (p->over || p->waits)
        return;
    if (p->at == p->n_steps) {
        end(p);
        return;
    }
    const struct step *s = &p->step[p->at];
    if (has_happened(p, s)) {
        p->waits = true;
        world_wake(world_of(p), s->ms * USEC_MS, wake, p, p->at);
    } else if (is_vain(p, s)) {
        end(p);
    }
}

void story_event(struct line *l)
{
    struct play *p = l->play;
    if (!p)
        return;
    if (l->state == LINE_IN && l->rang && l->role == ROLE_A)
        p->ringing = l;
    proceed(p);
}

static void begin(void *arg, uint64_t n)
{
    struct play *p = arg;
    if (!kind_cast(p)) {
        p->n_steps = p->n_plans = 0;
        p->room = false;
        if (++p->tries < TRIES)
            world_wake(world_of(p), mix_ms(p->mix, 2000, 9000) * USEC_MS, begin, p, 0);
        else
            p->over = true;
        return;
    }
    proceed(p);
}

void story_begin(struct play *p)
{
    world_wake(world_of(p), p->start, begin, p, 0);
}

/* ---- being called ---------------------------------------------------------------------------- */

static const struct plan *plan_of(const struct play *p, const struct phone *who)
{
    for (unsigned i = 0; i < p->n_plans; i++)
        if (p->plan[i].who == who)
            return &p->plan[i];
    return NULL;
}

static void do_as_planned(void *arg, uint64_t gen)
{
    struct line *l = arg;
    const struct plan *plan = plan_of(l->play, l->phone);
    if (gen != l->gen || l->state != LINE_IN)
        return;
    if (plan->deed == DEED_REDIRECT) {
        line_refuse(l, 302, plan->to);
    } else if (plan->deed == DEED_REFUSE) {
        line_refuse(l, plan->status, STR_NONE);
    } else if (phone_busy(l->phone, l->play) || l->play->over) {
        line_refuse(l, 486, STR_NONE);
    } else {
        l->play->line[l->role == ROLE_C ? ROLE_D : ROLE_B] = l;
        line_answer(l);
    }
}

static void rings(void *arg, uint64_t n)
{
    struct line *l = arg;
    if (l->state == LINE_IN)
        line_ring(l);
}

static void respond(struct line *l)
{
    struct mix *m = l->play->mix;
    const struct plan *plan = plan_of(l->play, l->phone);
    uint32_t ring_ms = mix_ms(m, 10, 150);
    if (phone_busy(l->phone, l->play) && mix_chance(m, 60)) {
        line_refuse(l, 486, STR_NONE);
        return;
    }
    if (!plan || plan->ms > ring_ms)
        world_wake(&m->w, ring_ms * USEC_MS, rings, l, 0);
    if (plan && plan->deed != DEED_RING)
        world_wake(&m->w, plan->ms * USEC_MS, do_as_planned, l, ++l->gen);
}

/* The carrier knows a call by the number that it is for, which is dialled once. */
static bool called_number(struct line *l, struct str number)
{
    struct mix *m = l->phone->mix;
    for (unsigned i = 0; i < m->n_plays; i++)
        for (unsigned r = 0; r < ROLES; r++)
            if (m->play[i].dial[r].n && str_eq(m->play[i].dial[r], number)) {
                l->play = &m->play[i];
                l->role = (uint8_t)(r == ROLE_T ? ROLE_A : r);
                return true;
            }
    return false;
}

/* A phone, by the help header that names the caller's leg; the analyser is not shown it. */
static bool called_for(struct line *l, struct str cid)
{
    struct line *from = cid.n ? mix_line_by_id(l->phone->mix, cid) : NULL;
    if (!from)
        return false;
    l->play = from->play;
    l->role = from->role;
    return true;
}

void story_called(struct line *l, const struct sip_msg *m)
{
    bool known = l->phone->trunk ? called_number(l, m->ruri.user)
                                 : called_for(l, sip_msg_get_name(m, STR("X-CID")));
    if (!known) {
        l->phone->mix->strays++;
        line_refuse(l, 480, STR_NONE);
        return;
    }
    respond(l);
}

/* What people do with the keys of their phones besides calling: transfer, pickup, groups, codes,
 * redirections, early acknowledgements. Everything may happen at any moment. */
#include "robot.h"
#include "wire/sip/multipart.h"

static bool chance(struct robot *r, unsigned percent)
{
    return robot_dice(r, 100) < percent;
}

static struct world *world_of(struct robot *r)
{
    return r->ua.host.w;
}

static struct str some_number(struct robot *r)
{
    return ua_text(world_of(r), "10%02u", (unsigned)robot_dice(r, r->n_others + 1));
}

struct str trick_target(struct robot *r)
{
    static const struct str numbers[] = {
        STR_INIT("2000"), STR_INIT("2001"), STR_INIT("2002"), STR_INIT("*8"),   STR_INIT("%2A8"),
        STR_INIT("*78"),  STR_INIT("*79"),  STR_INIT("*73"),  STR_INIT("*91"),  STR_INIT("*97"),
        STR_INIT("*97"),  STR_INIT("*98"),  STR_INIT("3000"), STR_INIT("3000"), STR_INIT("3001"),
        STR_INIT("3999"), STR_INIT("*3"),   STR_INIT("*3"),   STR_INIT("*43"),  STR_INIT("*55"),
        STR_INIT("5000"), STR_INIT("5000")};
    if (r->conf.trunk && chance(r, 10))
        return STR("07000003000");
    if (r->conf.trunk)
        return chance(r, 30) ? ua_text(world_of(r), "0700000%u", 2000 + (unsigned)robot_dice(r, 3))
                             : STR_NONE;
    if (!chance(r, 50))
        return STR_NONE;
    uint64_t dice = robot_dice(r, ARRAY_LEN(numbers) + 6);
    if (dice < ARRAY_LEN(numbers))
        return numbers[dice];
    const char *code = dice % 3 == 0 ? "**" : dice % 3 == 1 ? "*72" : "*90";
    return ua_text(world_of(r), "%s" STR_FMT, code, STR_ARG(some_number(r)));
}

static struct str tag_of(struct str nameaddr)
{
    ptrdiff_t at = str_ifind(nameaddr, STR(";tag="));
    return at < 0 ? STR_NONE : str_from(nameaddr, (size_t)at + 5);
}

/* One of its own calls is to become a room, or is one (RFC 3911). */
static void join(struct robot *r, struct ua_spec *spec)
{
    struct list *last = r->calls.prev;
    const struct rcall *c = last == &r->calls ? NULL : container_of(last, struct rcall, node);
    struct str remote = c ? tag_of(c->ua->remote) : STR_NONE;
    if (!remote.n || spec->n_edits == UA_EDITS)
        return;
    spec->edit[spec->n_edits++] = (struct ua_edit){
        '=', STR("Join"),
        ua_text(world_of(r), STR_FMT ";to-tag=" STR_FMT ";from-tag=" STR_FMT,
                STR_ARG(c->ua->call_id), STR_ARG(remote), STR_ARG(c->ua->local_tag))};
}

void trick_supported(struct robot *r, struct ua_spec *spec)
{
    if (chance(r, 6))
        join(r, spec);
    if (chance(r, 50) || spec->n_edits == UA_EDITS)
        return;
    static const char *const sets[] = {"100rel, timer, replaces", "timer, replaces",
                                       "100rel, early-session", "100rel, timer, early-session"};
    const char *set = sets[robot_dice(r, ARRAY_LEN(sets))];
    spec->edit[spec->n_edits++] = (struct ua_edit){'=', STR("Supported"), str_z(set)};
    if (chance(r, 5))
        spec->early = STR("PCMU");
}

static void in_dialog(struct ua_spec *s, struct rcall *c, struct str method)
{
    ua_spec_init(s);
    s->method = method;
    s->call = c->ua;
    s->in_dialog = true;
}

/* Another call of the robot that could be the other half of a transfer; NULL. */
static struct rcall *other_call(const struct rcall *c)
{
    for (struct list *node = c->r->calls.prev; node != &c->r->calls; node = node->prev) {
        struct rcall *o = container_of(node, struct rcall, node);
        if (o != c && (o->state == RCALL_UP || (o->state == RCALL_OUT && o->had_provisional)))
            return o;
    }
    return NULL;
}

static struct str with_replaces(struct rcall *c, const struct rcall *o)
{
    struct str remote = tag_of(o->ua->remote);
    bool swapped = chance(c->r, 20);
    if (!remote.n)
        return STR_NONE;
    return ua_text(world_of(c->r),
                   "<sip:1000@pbx.test?Replaces=" STR_FMT "%%3Bto-tag%%3D" STR_FMT
                   "%%3Bfrom-tag%%3D" STR_FMT ">",
                   STR_ARG(o->ua->call_id), STR_ARG(swapped ? o->ua->local_tag : remote),
                   STR_ARG(swapped ? remote : o->ua->local_tag));
}

static void refer(struct rcall *c)
{
    struct ua_spec s;
    struct robot *r = c->r;
    struct rcall *o = chance(r, 60) ? other_call(c) : NULL;
    struct str to = o ? with_replaces(c, o) : STR_NONE;
    if (!to.n)
        to = ua_text(world_of(r), "<sip:" STR_FMT "@pbx.test%s>",
                     STR_ARG(chance(r, 20)   ? STR("2001")
                             : chance(r, 15) ? STR("3000")
                             : chance(r, 10)
                                 ? ua_text(world_of(r), "0108%06u", (unsigned)robot_dice(r, 999999))
                                 : some_number(r)),
                     chance(r, 10) ? ";method=BYE" : "");
    in_dialog(&s, c, STR("REFER"));
    s.edit[s.n_edits++] = (struct ua_edit){'=', STR("Refer-To"), to};
    if (chance(r, 20))
        s.edit[s.n_edits++] = (struct ua_edit){'=', STR("Refer-Sub"), STR("false")};
    rtxn_request(r, c, &s);
    if (chance(r, 30))
        robot_hang_up(c);
}

static void update(struct rcall *c)
{
    struct ua_spec s;
    in_dialog(&s, c, STR("UPDATE"));
    if (chance(c->r, 70))
        s.sdp = STR("PCMU,te");
    if (chance(c->r, 30))
        s.dir = STR("sendonly");
    rtxn_request(c->r, c, &s);
}

/* Keys, which a room may understand. */
static void press(struct rcall *c)
{
    static const char *const keys[] = {"*1", "*2", "*3", "*4", "*0", "12#", "34#", "#", "7"};
    const char *key = keys[robot_dice(c->r, ARRAY_LEN(keys))];
    for (; *key; key++) {
        struct ua_spec s;
        in_dialog(&s, c, STR("INFO"));
        s.body = ua_text(world_of(c->r), "Signal=%c\r\nDuration=100\r\n", *key);
        s.type = STR("application/dtmf-relay");
        rtxn_request(c->r, c, &s);
    }
}

static void watch(struct rcall *c)
{
    struct ua_spec s;
    in_dialog(&s, c, STR("SUBSCRIBE"));
    s.expires = chance(c->r, 20) ? 0 : 60;
    s.edit[s.n_edits++] = (struct ua_edit){'=', STR("Event"), STR("conference")};
    rtxn_request(c->r, c, &s);
}

bool trick_while_up(struct rcall *c)
{
    uint64_t dice = robot_dice(c->r, 100);
    if (dice < 45)
        refer(c);
    else if (dice < 70)
        press(c);
    else if (dice < 80)
        watch(c);
    else
        update(c);
    return true;
}

bool trick_while_ringing(struct rcall *c)
{
    struct ua_spec s;
    struct robot *r = c->r;
    ua_spec_init(&s);
    if (chance(r, 15)) { /* an early session by UPDATE, in a dialog that may not be there yet */
        in_dialog(&s, c, STR("UPDATE"));
        s.early = chance(r, 50) ? STR("PCMU") : STR("PCMA,te");
        rtxn_request(r, c, &s);
        return true;
    }
    if (r->conf.trunk || chance(r, 50)) { /* reliable, whether it is wanted or not */
        s.status = chance(r, 50) ? 180 : 183;
        if (chance(r, 60))
            s.sdp = STR("PCMU");
        if (chance(r, 40)) /* an early session, with the answer or alone: RFC 3959 */
            s.early = chance(r, 50) ? STR("PCMU,te") : STR("PCMA");
        s.edit[s.n_edits++] = (struct ua_edit){'=', STR("Require"), STR("100rel")};
        s.edit[s.n_edits++] = (struct ua_edit){
            '=', STR("RSeq"), ua_text(world_of(r), "%u", 1 + (unsigned)robot_dice(r, 3))};
        rtxn_respond(r, c, STR("INVITE"), &s);
        return true;
    }
    s.status = 302;
    s.edit[s.n_edits++] = (struct ua_edit){
        '=', STR("Contact"),
        ua_text(world_of(r), "<sip:" STR_FMT "@pbx.test>", STR_ARG(some_number(r)))};
    rtxn_respond(r, c, STR("INVITE"), &s);
    c->state = RCALL_OVER;
    r->refused++;
    return true;
}

void trick_acknowledge(struct rcall *c, const struct sip_msg *m)
{
    struct ua_spec s;
    struct str rseq = sip_msg_get(m, SIP_H_RSEQ);
    if (!rseq.n || str_eq(rseq, c->rseq))
        return;
    c->rseq = arena_dup(&world_of(c->r)->arena, rseq);
    in_dialog(&s, c, STR("PRACK"));
    s.edit[s.n_edits++] = (struct ua_edit){
        '=', STR("RAck"),
        ua_text(world_of(c->r), STR_FMT " %u INVITE", STR_ARG(rseq), (unsigned)m->cseq.number)};
    if (sip_body_early(m, STR("application/sdp")).n && chance(c->r, 80))
        s.early = STR("PCMU");
    if (s.early.n && chance(c->r, 15))
        s.early_port = 0;
    rtxn_request(c->r, c, &s);
}

#include "robot.h"

static void decide(void *arg, uint64_t gen);
static void live(void *arg, uint64_t n);
static void do_register(struct robot *r, bool auth, bool leave);

uint64_t robot_dice(struct robot *r, uint64_t n)
{
    return rand_below(&r->ua.host.w->rand, n);
}

static bool chance(struct robot *r, unsigned percent)
{
    return robot_dice(r, 100) < percent;
}

static usec_t in_ms(struct robot *r, uint64_t low, uint64_t high)
{
    return (low + robot_dice(r, high - low + 1)) * USEC_MS;
}

static struct world *world_of(struct robot *r)
{
    return r->ua.host.w;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static struct rcall *call_new(struct robot *r, struct ua_call *ua, enum rcall_state state)
{
    struct rcall *c = arena_zero(&world_of(r)->arena, sizeof(*c));
    BUG_ON(!c);
    c->r = r;
    c->ua = ua;
    c->state = state;
    ua->user = c;
    list_append(&r->calls, &c->node);
    return c;
}

static void later(struct rcall *c, usec_t in)
{
    world_wake(world_of(c->r), in, decide, c, ++c->gen);
}

static void over(struct rcall *c)
{
    if (c->state == RCALL_OVER)
        return;
    c->state = RCALL_OVER;
    c->gen++;
    c->ok = STR_NONE;
    c->r->ended++;
}

static void spec_in(struct ua_spec *s, struct rcall *c, struct str method)
{
    ua_spec_init(s);
    s->method = method;
    s->call = c->ua;
    s->in_dialog = true;
}

static void answer(struct rcall *c, struct str method, unsigned status, struct str sdp)
{
    struct ua_spec s;
    ua_spec_init(&s);
    s.status = status;
    s.sdp = sdp;
    rtxn_respond(c->r, c, method, &s);
}

void robot_hang_up(struct rcall *c)
{
    struct ua_spec s;
    spec_in(&s, c, STR("BYE"));
    c->state = RCALL_ENDING;
    rtxn_request(c->r, c, &s);
}

static void hang_up(struct rcall *c)
{
    robot_hang_up(c);
}

static void cancel(struct rcall *c)
{
    struct ua_spec s;
    spec_in(&s, c, STR("CANCEL"));
    if (c->cancelled || !c->had_provisional)
        return;
    c->cancelled = true;
    c->r->cancelled++;
    rtxn_request(c->r, c, &s);
}

static struct str codecs(struct robot *r)
{
    static const struct str lists[] = {STR_INIT("PCMU,PCMA,te"), STR_INIT("PCMU"),
                                       STR_INIT("PCMA,PCMU"),    STR_INIT("opus,PCMU,te"),
                                       STR_INIT("G722,PCMU"),    STR_INIT("PCMA,te"),
                                       STR_INIT("opus,te"),      STR_INIT("G722,opus")};
    return lists[robot_dice(r, r->conf.faithful ? 2 : ARRAY_LEN(lists))];
}

/* What the phone has of what it is offered; now and then it answers what it likes. */
static struct str codecs_of(struct robot *r, struct str offer)
{
    static const struct str known[] = {STR_INIT("PCMU"), STR_INIT("PCMA"), STR_INIT("G722"),
                                       STR_INIT("opus")};
    if (!offer.n || chance(r, 10))
        return codecs(r);
    unsigned first = (unsigned)robot_dice(r, ARRAY_LEN(known));
    for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
        struct str one = known[(first + i) % ARRAY_LEN(known)];
        struct str map = ua_text(world_of(r), " " STR_FMT "/", STR_ARG(one));
        if (str_ifind(offer, map) >= 0)
            return chance(r, 50) ? ua_text(world_of(r), STR_FMT ",te", STR_ARG(one)) : one;
    }
    return codecs(r);
}

static void reinvite(struct rcall *c)
{
    struct ua_spec s;
    spec_in(&s, c, STR("INVITE"));
    c->held = !c->held;
    c->reinviting = true;
    s.sdp = chance(c->r, 70) ? STR("PCMU,te") : codecs(c->r);
    s.dir = c->held ? STR("sendonly") : STR("sendrecv");
    rtxn_request(c->r, c, &s);
}

static void die(struct robot *r);

static void while_up(struct rcall *c)
{
    struct robot *r = c->r;
    struct ua_spec s;
    if (!r->quiet && r->conf.tricks && chance(r, 40) && trick_while_up(c)) {
        if (c->state == RCALL_UP)
            later(c, in_ms(r, 500, 20000));
        return;
    }
    uint64_t dice = robot_dice(r, 100);
    if (r->quiet || dice < 45) {
        if (!c->reinviting) {
            hang_up(c);
            return;
        }
    } else if (dice < 65 && !c->reinviting) {
        reinvite(c);
    } else if (dice < 75) {
        spec_in(&s, c, STR("INFO"));
        static const char keys[] = "*1*15";
        s.body = ua_text(world_of(r), "Signal=%c\r\nDuration=160\r\n",
                         keys[robot_dice(r, sizeof(keys) - 1)]);
        s.type = STR("application/dtmf-relay");
        rtxn_request(r, c, &s);
    } else if (dice < 79 && !r->conf.faithful && !r->conf.trunk) {
        die(r);
    }
    later(c, in_ms(r, 500, 20000));
}

static void while_ringing(struct rcall *c)
{
    struct robot *r = c->r;
    static const uint16_t refusals[] = {486, 480, 603, 404, 500, 486};
    if (r->conf.tricks && chance(r, 20) && trick_while_ringing(c)) {
        if (c->state == RCALL_IN)
            later(c, in_ms(r, 100, 9000));
        return;
    }
    uint64_t dice = robot_dice(r, 100);
    if (dice < 60) {
        answer(c, STR("INVITE"), 200, codecs_of(r, c->offer));
        c->state = RCALL_ANSWERED;
        r->taken++;
        return;
    }
    if (dice < 75) {
        answer(c, STR("INVITE"), refusals[robot_dice(r, ARRAY_LEN(refusals))], STR_NONE);
        r->refused++;
        over(c);
        return;
    }
    if (dice < 85)
        answer(c, STR("INVITE"), dice & 1 ? 180 : 183,
               dice & 2 ? codecs_of(r, c->offer) : STR_NONE);
    later(c, in_ms(r, 100, 9000));
}

/* What now? Asked again and again while a call lives. */
static void decide(void *arg, uint64_t gen)
{
    struct rcall *c = arg;
    if (gen != c->gen || c->r->ua.host.deaf)
        return;
    if (c->state == RCALL_UP)
        while_up(c);
    else if (c->state == RCALL_IN)
        while_ringing(c);
    else if (c->state == RCALL_OUT) {
        if (c->r->quiet || chance(c->r, 40))
            cancel(c);
        later(c, in_ms(c->r, 1000, 20000));
    }
}

/* ---- beginning a call ------------------------------------------------------------------------ */

static struct str fresh_number(struct robot *r)
{
    return ua_text(world_of(r), "010%s%06llu", r->conf.trunk ? "7" : "8",
                   (unsigned long long)++r->next_number + 1000 * (r->ua.host.addr.ip[3] % 100));
}

static struct str somebody(struct robot *r)
{
    const struct robot *o = r->others[robot_dice(r, r->n_others)];
    if (o->conf.trunk)
        return STR_NONE;
    return o->ua.user;
}

static void begin(struct robot *r)
{
    struct ua_spec s;
    ua_spec_init(&s);
    s.method = STR("INVITE");
    s.sdp = chance(r, 8) ? STR_NONE : codecs(r);
    s.target = chance(r, 4) ? STR("4040404") : somebody(r);
    if (r->conf.trunk) {
        s.from =
            ua_text(world_of(r), "<sip:" STR_FMT "@127.0.0.77:5080>", STR_ARG(fresh_number(r)));
        if (s.target.n == 4)
            s.target = ua_text(world_of(r), "0700000" STR_FMT, STR_ARG(s.target));
    }
    struct str trick = r->conf.tricks ? trick_target(r) : STR_NONE;
    s.target = trick.n ? trick : s.target;
    if (r->conf.tricks)
        trick_supported(r, &s);
    bool out = !s.target.n;
    if (out)
        s.target = fresh_number(r);
    struct str number = s.target;
    struct rtxn *t = rtxn_request(r, NULL, &s);
    if (!t)
        return;
    struct rcall *c = call_new(r, s.call, RCALL_OUT);
    c->key = out ? number : s.call->call_id;
    t->call = c;
    s.call->sdp = s.sdp;
    r->made++;
    later(c, in_ms(r, 200, 30000));
}

static void begin_again(struct rcall *c)
{
    struct ua_spec s;
    ua_spec_init(&s);
    s.method = STR("INVITE");
    s.call_id = c->ua->call_id;
    s.ruri = c->ua->ruri;
    ptrdiff_t tag = str_ifind(c->ua->local, STR(";tag="));
    s.from = str_sub(c->ua->local, 0, tag < 0 ? c->ua->local.n : (size_t)tag);
    s.sdp = c->ua->sdp;
    s.same_sdp = true;
    s.auth = STR("yes");
    c->authorized = true;
    if (c->r->conf.tricks)
        trick_supported(c->r, &s);
    if (!rtxn_request(c->r, c, &s))
        over(c);
}

/* ---- registering ----------------------------------------------------------------------------- */

static void reregister(void *arg, uint64_t gen)
{
    struct robot *r = arg;
    if (gen == r->reg_gen && !r->quiet && !r->ua.host.deaf)
        do_register(r, r->ua.challenge.n > 0, r->registered && chance(r, 5));
}

static void register_later(struct robot *r, usec_t in)
{
    world_wake(world_of(r), in, reregister, r, ++r->reg_gen);
}

static void do_register(struct robot *r, bool auth, bool leave)
{
    struct ua_spec s;
    if (r->conf.trunk)
        return;
    ua_spec_init(&s);
    s.method = STR("REGISTER");
    s.expires = leave ? 0 : (int64_t)(60 + robot_dice(r, 240));
    s.auth = auth ? STR("yes") : STR_NONE;
    r->registering = true;
    rtxn_request(r, NULL, &s);
}

/* Asks for the messages of its own mailbox, with the challenge of the registrar. Who lets a
 * subscription run out has forgotten it. */
static void subscribe(struct robot *r)
{
    struct ua_spec s;
    ua_spec_init(&s);
    bool room = r->conf.tricks && chance(r, 40);
    s.method = STR("SUBSCRIBE");
    s.target = room ? STR("3000") : r->ua.user;
    s.expires = chance(r, 20) ? 0 : (int64_t)(60 + robot_dice(r, 180));
    s.auth = STR("yes");
    s.edit[s.n_edits++] =
        (struct ua_edit){.op = '+',
                         .name = STR("Event"),
                         .value = room ? STR("conference") : STR("message-summary")};
    rtxn_request(r, NULL, &s);
}

/* What a phone says to a NOTIFY of its own subscription, or of one it knows nothing about. */
static unsigned judge_notify(struct robot *r)
{
    uint64_t dice = robot_dice(r, 100);
    return dice < 85 ? 200 : dice < 95 ? 481 : 500;
}

static void registered(struct robot *r, const struct sip_msg *m)
{
    r->registering = false;
    if (m->status == 401 && !r->registered) {
        r->registered = true;
        do_register(r, true, false);
    } else if (m->status == 401) {
        do_register(r, true, false);
    } else if (m->status == 200) {
        r->registered = sip_msg_has(m, SIP_H_CONTACT);
        register_later(r, in_ms(r, 20000, 55000));
        if (r->registered && !r->quiet && chance(r, 30))
            subscribe(r);
    } else {
        register_later(r, in_ms(r, 2000, 20000));
    }
}

/* ---- responses ------------------------------------------------------------------------------- */

static void acknowledge(struct rcall *c, struct rtxn *t, const struct sip_msg *m)
{
    static struct sip_msg offer; /* too large for the stack; written before it is read */
    struct ua_spec s;
    struct robot *r = c->r;
    struct str bytes;
    spec_in(&s, c, STR("ACK"));
    bool late = m->status / 100 == 2 &&
                sip_msg_parse(&offer, t->bytes.p, t->bytes.n, false) == SIP_OK && !offer.body.n;
    if (late)
        s.sdp = codecs_of(r, m->body);
    if (ua_build(&r->ua, &s, &bytes))
        return;
    t->ack = bytes;
    world_tx(&r->ua.host, t->proto, bytes);
}

static void reinvited(struct rcall *c, struct rtxn *t, const struct sip_msg *m)
{
    if (m->status < 200)
        return;
    acknowledge(c, t, m);
    c->reinviting = false;
    if (m->status == 481 || m->status == 408)
        over(c);
}

static void invited(struct rcall *c, struct rtxn *t, const struct sip_msg *m)
{
    if (m->status < 200) {
        c->had_provisional = true;
        if (c->r->conf.tricks)
            trick_acknowledge(c, m);
        return;
    }
    acknowledge(c, t, m);
    if (m->status / 100 == 2) {
        c->state = RCALL_UP;
        if (c->cancelled)
            hang_up(c);
        else
            later(c, in_ms(c->r, 100, 20000));
    } else if (m->status == 407 && !c->authorized && !c->r->quiet) {
        begin_again(c);
    } else {
        over(c);
    }
}

static void rx_response(struct robot *r, const struct sip_msg *m)
{
    struct rtxn *t = rtxn_find(r, m, true);
    if (!t)
        return;
    if (m->method == SIP_REGISTER) {
        if (m->status >= 200)
            registered(r, m);
        return;
    }
    struct rcall *c = t->call;
    if (!c || c->state == RCALL_OVER) {
        if (c && m->method == SIP_INVITE && m->status >= 200)
            acknowledge(c, t, m);
        return;
    }
    if (m->method == SIP_INVITE && c->state == RCALL_OUT)
        invited(c, t, m);
    else if (m->method == SIP_INVITE)
        reinvited(c, t, m);
    else if (m->method == SIP_BYE && m->status >= 200)
        over(c);
    else if (m->status == 481 && m->method != SIP_CANCEL)
        over(c);
}

void robot_timeout(struct rtxn *t)
{
    struct rcall *c = t->call;
    if (t->method == SIP_REGISTER) {
        t->r->registering = false;
        register_later(t->r, in_ms(t->r, 1000, 20000));
    } else if (c && t->method != SIP_CANCEL) {
        if (t->method == SIP_INVITE && c->state != RCALL_OUT && c->state != RCALL_OVER &&
            c->state != RCALL_ENDING) {
            c->reinviting = false;
            hang_up(c);
        } else {
            over(c);
        }
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

/* What both ends of a call know: the Call-ID of the caller's leg, which the PBX tells phones in
 * X-CID, or the number dialled at the trunk, which is dialled once only. */
static struct str key_of(struct robot *r, const struct sip_msg *m)
{
    struct str cid = sip_msg_get_name(m, STR("X-CID"));
    struct str key = r->conf.trunk ? m->ruri.user : cid;
    return arena_dup(&world_of(r)->arena, key.p ? key : STR("?"));
}

static void rx_invite(struct robot *r, struct ua_call *ua, const struct sip_msg *m)
{
    struct rcall *c = call_new(r, ua, RCALL_IN);
    c->key = key_of(r, m);
    c->offer = arena_dup(&world_of(r)->arena, m->body);
    uint64_t dice = robot_dice(r, 100);
    if (r->quiet) {
        answer(c, STR("INVITE"), 480, STR_NONE);
        over(c);
        return;
    }
    if (dice < 8 && !r->conf.faithful)
        return; /* says nothing at all */
    if (dice < 30)
        answer(c, STR("INVITE"), 100, STR_NONE);
    if (dice < 90)
        answer(c, STR("INVITE"), 180, STR_NONE);
    later(c, in_ms(r, 0, 15000));
}

static void rx_reinvite(struct rcall *c, const struct sip_msg *m)
{
    uint64_t dice = robot_dice(c->r, 100);
    unsigned status = c->reinviting ? 491 : dice < 85 ? 200 : dice < 95 ? 488 : 500;
    answer(c, STR("INVITE"), status, status == 200 ? codecs_of(c->r, m->body) : STR_NONE);
}

static void rx_cancel(struct rcall *c)
{
    answer(c, STR("CANCEL"), 200, STR_NONE);
    if (c->state != RCALL_IN)
        return;
    answer(c, STR("INVITE"), 487, STR_NONE);
    over(c);
}

static void rx_request(struct robot *r, const struct sip_msg *m)
{
    struct ua_call *ua = ua_call_by_id(&r->ua, m->call_id);
    struct rcall *c = ua ? ua->user : NULL;
    struct ua_spec s;
    if (m->method == SIP_ACK) {
        if (c && c->ok.n && c->ok_cseq == m->cseq.number) {
            c->ok = STR_NONE;
            if (c->state == RCALL_ANSWERED) {
                c->state = RCALL_UP;
                later(c, in_ms(r, 100, 30000));
            }
        }
        return;
    }
    ua_spec_init(&s);
    s.status = c && c->state != RCALL_OVER ? 200 : 481;
    if (m->method == SIP_INVITE && !m->to.tag.n && ua) {
        rx_invite(r, ua, m);
    } else if (m->method == SIP_INVITE && s.status == 200) {
        rx_reinvite(c, m);
    } else if (m->method == SIP_CANCEL && c) {
        rx_cancel(c);
    } else {
        if (m->method == SIP_OPTIONS && !m->to.tag.n)
            s.status = 200;
        if (m->method == SIP_NOTIFY && !c)
            s.status = judge_notify(r);
        rtxn_respond(r, c, sip_method_name(m->method), &s);
        if (m->method == SIP_BYE && c)
            over(c);
    }
}

void robot_rx(struct ua *ua, const struct ua_rx *rx)
{
    static struct sip_msg m; /* too large for the stack; written before it is read */
    struct robot *r = container_of(ua, struct robot, ua);
    if (sip_msg_parse(&m, rx->bytes.p, rx->bytes.n, false) != SIP_OK)
        return;
    if (m.is_request)
        rx_request(r, &m);
    else
        rx_response(r, &m);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void rise(void *arg, uint64_t n)
{
    struct robot *r = arg;
    r->ua.host.deaf = false;
    register_later(r, in_ms(r, 100, 3000));
    if (!r->quiet)
        live(r, 0);
}

/* Without a word to anybody. Some come back with nothing remembered. */
static void die(struct robot *r)
{
    r->died++;
    r->ua.host.deaf = true;
    list_each(node, &r->calls)
    {
        over(container_of(node, struct rcall, node));
    }
    if (chance(r, 60))
        world_wake(world_of(r), in_ms(r, 1000, 60000), rise, r, 0);
}

/* Garbage, keep-alives and questions, as every PBX gets them. */
static void noise(struct robot *r)
{
    static const char *const junk[] = {"\r\n\r\n", "hello", "INVITE sip:x SIP/2.0\r\n\r\n",
                                       "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.104\r\n\r\n"};
    struct ua_spec s;
    if (r->ua.proto == PROTO_TCP && !r->conf.faithful && chance(r, 50)) {
        world_break(&r->ua.host);
        register_later(r, in_ms(r, 100, 5000));
        return;
    }
    if (chance(r, 50) && r->ua.proto == PROTO_UDP) {
        world_tx(&r->ua.host, r->ua.proto, str_z(junk[robot_dice(r, ARRAY_LEN(junk))]));
        return;
    }
    ua_spec_init(&s);
    s.method = chance(r, 50) ? STR("OPTIONS") : STR("MESSAGE");
    rtxn_request(r, NULL, &s);
}

static unsigned busy(const struct robot *r)
{
    unsigned n = 0;
    list_each(node, &r->calls)
    {
        n += container_of(node, struct rcall, node)->state != RCALL_OVER;
    }
    return n;
}

static void live(void *arg, uint64_t n)
{
    struct robot *r = arg;
    if (r->quiet || r->ua.host.deaf)
        return;
    if (chance(r, 5))
        noise(r);
    else if (busy(r) < (r->conf.trunk ? 8 : 2))
        begin(r);
    world_wake(world_of(r), in_ms(r, 10, 2000ull * r->conf.calls_s), live, r, 0);
}

static void closed(struct world_host *h)
{
    struct robot *r = container_of(container_of(h, struct ua, host), struct robot, ua);
    if (!r->quiet && !h->deaf)
        register_later(r, in_ms(r, 100, 5000));
}

void robot_init(struct robot *r, struct world *w, const char *name, const struct addr *addr,
                enum proto proto, const struct robot_conf *conf)
{
    memset(r, 0, sizeof(*r));
    ua_init(&r->ua, w, name, addr, proto);
    r->ua.on_rx = robot_rx;
    r->ua.absorb = rtxn_absorb;
    r->ua.host.closed = closed;
    r->conf = *conf;
    list_init(&r->calls);
    list_init(&r->txns);
}

void robot_start(struct robot *r)
{
    if (!r->conf.trunk)
        register_later(r, in_ms(r, 0, 5000));
    world_wake(world_of(r), in_ms(r, 5000, 2000ull * r->conf.calls_s), live, r, 0);
}

void robot_quiet(struct robot *r)
{
    r->quiet = true;
    list_each(node, &r->calls)
    {
        struct rcall *c = container_of(node, struct rcall, node);
        if (c->state != RCALL_OVER)
            later(c, in_ms(r, 10, 3000));
    }
}

struct rcall *robot_call_at(struct robot *r, uint16_t rtp_port)
{
    for (struct list *node = r->calls.prev; node != &r->calls; node = node->prev) {
        struct rcall *c = container_of(node, struct rcall, node);
        if (c->ua->rtp_port == rtp_port || c->ua->rtp_port + UA_EARLY_PORT == rtp_port)
            return c;
    }
    return NULL;
}

bool rcall_talks(const struct rcall *c)
{
    return !c->r->ua.host.deaf && (c->state == RCALL_UP || c->state == RCALL_ANSWERED);
}

unsigned robot_calls_left(const struct robot *r)
{
    return busy(r);
}

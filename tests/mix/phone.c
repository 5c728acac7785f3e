/* A phone, or the carrier: its protocol is correct and decides nothing; what to do comes from the
 * story that a call belongs to. */
#include "ptxn.h"

static struct world *world_of(const struct phone *p)
{
    return p->ua.host.w;
}

static struct line *line_new(struct phone *p, struct ua_call *ua, struct play *play)
{
    struct line *l = arena_zero(&world_of(p)->arena, sizeof(*l));
    BUG_ON(!l);
    l->phone = p;
    l->ua = ua;
    l->play = play;
    l->role = ROLE_NONE;
    ua->user = l;
    list_append(&p->lines, &l->node);
    return l;
}

bool line_live(const struct line *l)
{
    return l && (l->state == LINE_UP || l->state == LINE_ANSWERED);
}

static void line_over(struct line *l)
{
    if (l->state == LINE_OVER)
        return;
    l->state = LINE_OVER;
    l->ok = STR_NONE;
    story_event(l);
}

bool phone_busy(const struct phone *p, const struct play *play)
{
    list_each(node, &p->lines)
    {
        const struct line *l = container_of(node, struct line, node);
        if (l->play != play && (l->state == LINE_OUT || line_live(l)))
            return !p->trunk;
    }
    return false;
}

struct line *mix_line_by_id(struct mix *mix, struct str call_id)
{
    for (unsigned i = 0; i < mix->n_phones + mix->n_trunks; i++) {
        struct ua_call *ua = ua_call_by_id(&mix->phone[i].ua, call_id);
        if (ua && ua->user)
            return ua->user;
    }
    return NULL;
}

/* ---- what it can do -------------------------------------------------------------------------- */

static struct str codecs(struct phone *p)
{
    static const struct str lists[] = {STR_INIT("PCMU,PCMA,te"), STR_INIT("PCMA,PCMU,te"),
                                       STR_INIT("PCMU,PCMA"), STR_INIT("PCMA,PCMU,G722,te")};
    return lists[p->index % ARRAY_LEN(lists)];
}

static void spec_in(struct ua_spec *s, struct line *l, struct str method)
{
    ua_spec_init(s);
    s->method = method;
    s->call = l->ua;
    s->in_dialog = true;
}

static void answer(struct line *l, struct str method, unsigned status, struct str sdp)
{
    struct ua_spec s;
    ua_spec_init(&s);
    s.status = status;
    s.sdp = sdp;
    ptxn_respond(l->phone, l, method, &s);
}

struct line *phone_call(struct phone *p, struct play *play, enum role role, struct str number,
                        const struct ua_edit *header)
{
    struct ua_spec s;
    ua_spec_init(&s);
    s.method = STR("INVITE");
    s.sdp = codecs(p);
    s.target = number;
    if (p->trunk)
        s.from = ua_text(world_of(p), "<sip:" STR_FMT "@127.0.0.%u:5080>",
                         STR_ARG(role >= ROLE_M && play->from_2.n ? play->from_2 : play->from),
                         (unsigned)p->ua.host.addr.ip[3]);
    if (header)
        s.edit[s.n_edits++] = *header;
    struct ptxn *t = ptxn_request(p, NULL, &s);
    if (!t)
        return NULL;
    struct line *l = line_new(p, s.call, play);
    l->role = (uint8_t)role;
    l->state = LINE_OUT;
    if (header && str_eq(header->name, STR("Replaces")))
        l->replaces = header->value;
    t->line = l;
    s.call->sdp = s.sdp;
    return l;
}

static void call_again(struct line *l)
{
    struct ua_spec s;
    ua_spec_init(&s);
    s.method = STR("INVITE");
    s.call_id = l->ua->call_id;
    s.ruri = l->ua->ruri;
    ptrdiff_t tag = str_ifind(l->ua->local, STR(";tag="));
    s.from = str_sub(l->ua->local, 0, tag < 0 ? l->ua->local.n : (size_t)tag);
    s.sdp = l->ua->sdp;
    s.same_sdp = true;
    s.auth = STR("yes");
    l->authorized = true;
    if (l->replaces.n)
        s.edit[s.n_edits++] = (struct ua_edit){'=', STR("Replaces"), l->replaces};
    if (!ptxn_request(l->phone, l, &s))
        line_over(l);
}

void line_answer(struct line *l)
{
    answer(l, STR("INVITE"), 200, STR("PCMU,PCMA,te"));
    l->state = LINE_ANSWERED;
}

void line_ring(struct line *l)
{
    answer(l, STR("INVITE"), 180, STR_NONE);
    l->rang = true;
    story_event(l);
}

void line_refuse(struct line *l, unsigned status, struct str contact)
{
    struct ua_spec s;
    ua_spec_init(&s);
    s.status = status;
    if (contact.n)
        s.contact = ua_text(world_of(l->phone), "<sip:" STR_FMT "@pbx.test>", STR_ARG(contact));
    ptxn_respond(l->phone, l, STR("INVITE"), &s);
    line_over(l);
}

void line_hang_up(struct line *l)
{
    struct ua_spec s;
    if (line_live(l)) {
        spec_in(&s, l, STR("BYE"));
        l->state = LINE_ENDING;
        ptxn_request(l->phone, l, &s);
    } else if (l->state == LINE_OUT && !l->cancelled) {
        l->cancelled = true;
        if (!l->had_provisional)
            return; /* as soon as there is one (RFC 3261 section 9.1) */
        spec_in(&s, l, STR("CANCEL"));
        ptxn_request(l->phone, l, &s);
    } else if (l->state == LINE_IN) {
        line_refuse(l, 486, STR_NONE);
    }
}

void line_hold(struct line *l, bool hold)
{
    struct ua_spec s;
    spec_in(&s, l, STR("INVITE"));
    s.sdp = STR("PCMU,PCMA,te");
    s.dir = !hold ? STR("sendrecv") : l->phone->index % 3 ? STR("sendonly") : STR("inactive");
    l->held = hold;
    l->reinviting = true;
    ptxn_request(l->phone, l, &s);
}

void line_refer(struct line *l, struct str target)
{
    struct ua_spec s;
    spec_in(&s, l, STR("REFER"));
    l->notified = 0;
    s.edit[s.n_edits++] = (struct ua_edit){'=', STR("Refer-To"), target};
    ptxn_request(l->phone, l, &s);
}

static struct str tag_of(struct str nameaddr)
{
    ptrdiff_t at = str_ifind(nameaddr, STR(";tag="));
    return at < 0 ? STR_NONE : str_from(nameaddr, (size_t)at + 5);
}

struct str line_replaces(const struct line *l, bool escaped)
{
    struct str remote = tag_of(l->ua->remote);
    return ua_text(world_of(l->phone),
                   escaped ? STR_FMT "%%3Bto-tag%%3D" STR_FMT "%%3Bfrom-tag%%3D" STR_FMT
                           : STR_FMT ";to-tag=" STR_FMT ";from-tag=" STR_FMT,
                   STR_ARG(l->ua->call_id), STR_ARG(remote), STR_ARG(l->ua->local_tag));
}

/* ---- registering ----------------------------------------------------------------------------- */

static void do_register(struct phone *p, bool auth)
{
    struct ua_spec s;
    ua_spec_init(&s);
    s.method = STR("REGISTER");
    s.expires = 120;
    s.auth = auth ? STR("yes") : STR_NONE;
    ptxn_request(p, NULL, &s);
}

static void reregister(void *arg, uint64_t gen)
{
    struct phone *p = arg;
    if (gen == p->reg_gen)
        do_register(p, p->ua.challenge.n > 0);
}

static void register_later(struct phone *p, usec_t in)
{
    world_wake(world_of(p), in, reregister, p, ++p->reg_gen);
}

static void registered(struct phone *p, const struct sip_msg *m)
{
    if (m->status == 401)
        do_register(p, true);
    else
        register_later(p, (m->status == 200 ? 80 : 3) * USEC_S);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void acknowledge(struct line *l, struct ptxn *t)
{
    struct ua_spec s;
    struct str bytes;
    spec_in(&s, l, STR("ACK"));
    if (ua_build(&l->phone->ua, &s, &bytes))
        return;
    t->ack = bytes;
    world_tx(&l->phone->ua.host, t->proto, bytes);
}

static void rx_provisional(struct line *l, const struct sip_msg *m)
{
    bool late = l->cancelled && !l->had_provisional;
    l->had_provisional = true;
    if (late) {
        l->cancelled = false;
        line_hang_up(l);
    }
    if (m->status > 100) {
        l->rang = true;
        story_event(l);
    }
}

static void invited(struct line *l, struct ptxn *t, const struct sip_msg *m)
{
    if (m->status < 200) {
        rx_provisional(l, m);
        return;
    }
    acknowledge(l, t);
    if (m->status / 100 == 2) {
        l->state = LINE_UP;
        if (l->cancelled)
            line_hang_up(l);
        else
            story_event(l);
    } else if (m->status == 407 && !l->authorized && !l->cancelled) {
        call_again(l);
    } else {
        line_over(l);
    }
}

static void reinvited(struct line *l, struct ptxn *t, const struct sip_msg *m)
{
    if (m->status < 200)
        return;
    acknowledge(l, t);
    l->reinviting = false;
    if (m->status == 481 || m->status == 408)
        line_over(l);
}

static void rx_response(struct phone *p, const struct sip_msg *m)
{
    struct ptxn *t = ptxn_find(p, m, true);
    if (!t)
        return;
    if (m->method == SIP_REGISTER) {
        if (m->status >= 200)
            registered(p, m);
        return;
    }
    struct line *l = t->line;
    if (!l)
        return;
    if (m->method == SIP_INVITE && l->state == LINE_OUT)
        invited(l, t, m);
    else if (m->method == SIP_INVITE)
        reinvited(l, t, m);
    else if (m->method == SIP_BYE && m->status >= 200)
        line_over(l);
    else if (m->method == SIP_REFER && m->status >= 300) {
        l->notified = m->status;
        story_event(l);
    }
}

void phone_timeout(struct ptxn *t)
{
    if (t->method == SIP_REGISTER)
        register_later(t->phone, USEC_S);
    else if (t->line && t->method != SIP_CANCEL)
        line_over(t->line);
}

/* RFC 3420: "SIP/2.0 200 OK". */
static void rx_notify(struct line *l, const struct sip_msg *m)
{
    uint32_t status;
    if (!str_starts(m->body, STR("SIP/2.0 ")) || m->body.n < 11 ||
        sip_delta_parse(&status, str_sub(m->body, 8, 3)))
        return;
    l->notified = (uint16_t)status;
    story_event(l);
}

static void rx_cancel(struct line *l)
{
    answer(l, STR("CANCEL"), 200, STR_NONE);
    if (l->state == LINE_IN)
        line_refuse(l, 487, STR_NONE);
}

static void rx_ack(struct line *l, const struct sip_msg *m)
{
    if (!l || !l->ok.n || l->ok_cseq != m->cseq.number)
        return;
    l->ok = STR_NONE;
    if (l->state == LINE_ANSWERED) {
        l->state = LINE_UP;
        story_event(l);
    }
}

static void rx_other(struct phone *p, struct line *l, const struct sip_msg *m)
{
    struct ua_spec s;
    ua_spec_init(&s);
    bool over = !l || l->state == LINE_OVER;
    s.status = over && m->to.tag.n && m->method != SIP_NOTIFY ? 481 : 200;
    if (m->method == SIP_INVITE)
        s.sdp = STR("PCMU,PCMA,te");
    ptxn_respond(p, l, sip_method_name(m->method), &s);
    if (over)
        return;
    if (m->method == SIP_BYE)
        line_over(l);
    else if (m->method == SIP_NOTIFY)
        rx_notify(l, m);
}

static void rx_request(struct phone *p, const struct sip_msg *m)
{
    struct ua_call *ua = ua_call_by_id(&p->ua, m->call_id);
    struct line *l = ua ? ua->user : NULL;
    if (m->method == SIP_ACK) {
        rx_ack(l, m);
    } else if (m->method == SIP_INVITE && !m->to.tag.n && ua && !l) {
        l = line_new(p, ua, NULL);
        l->state = LINE_IN;
        story_called(l, m);
    } else if (m->method == SIP_CANCEL && l) {
        rx_cancel(l);
    } else {
        rx_other(p, l, m);
    }
}

static void phone_rx(struct ua *ua, const struct ua_rx *rx)
{
    static struct sip_msg m; /* too large for the stack; written before it is read */
    struct phone *p = container_of(ua, struct phone, ua);
    if (sip_msg_parse(&m, rx->bytes.p, rx->bytes.n, false) != SIP_OK)
        return;
    if (m.is_request)
        rx_request(p, &m);
    else
        rx_response(p, &m);
}

void phone_init(struct phone *p, struct mix *mix, const char *name, const struct addr *addr,
                enum proto proto)
{
    ua_init(&p->ua, &mix->w, name, addr, proto);
    p->mix = mix;
    p->ua.on_rx = phone_rx;
    p->ua.absorb = ptxn_absorb;
    list_init(&p->lines);
    list_init(&p->txns);
}

void phone_start(struct phone *p)
{
    if (!p->trunk)
        register_later(p, mix_ms(p->mix, 0, 3000) * USEC_MS);
}

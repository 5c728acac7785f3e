#include "mrcp/agent.h"

#include <errno.h>

#include "base/mem.h"
#include "engine/sip/auth_client.h"
#include "wire/sdp/codec.h"

#define OFFER_BYTES 4096
#define TEXT_MAX    256

enum call_state { CALL_INVITING, CALL_UP, CALL_ENDING };

struct call {
    uint64_t id;
    enum call_state state;
    bool changing;  /* a re-INVITE of ours is under way */
    bool cancelled; /* given up before it was up */
    bool heard;     /* something came from this address */
    bool closed;    /* MEDIA_CLOSE was said */
    handle_t sip, mrcp;
    media_id media;
    struct flow to;
    struct addr addr[MRCP_AGENT_ADDRS];
    unsigned n_addrs, at;
    uint16_t status; /* of ENDED */
    int err;
    /* The answer of a reliable provisional (RFC 3262 section 5): the 2xx then has none. Owned. */
    char *early;
    size_t early_n;
    handle_t early_dialog;
    char ruri[TEXT_MAX], from[TEXT_MAX], user[TEXT_MAX], password[TEXT_MAX];
};

struct mrcp_agent {
    struct mrcp_agent_conf conf;
    struct slot_table calls;
    struct mrcp_agent_out *queue;
    uint32_t head, n, cap;
    uint32_t owed; /* of the queue's places: what each session that there is will need at its end */
    struct mrcp_telemetry telemetry;
};

struct mrcp_agent *mrcp_agent_new(const struct mrcp_agent_conf *conf)
{
    struct mrcp_agent *a = mem_zero(sizeof(*a));
    if (!a)
        return NULL;
    a->conf = *conf;
    if (slot_init(&a->calls, sizeof(struct call), conf->max_sessions ? conf->max_sessions : 256)) {
        mem_free(a);
        return NULL;
    }
    return a;
}

static void early_forget(struct call *call)
{
    mem_free(call->early);
    call->early = NULL;
}

void mrcp_agent_free(struct mrcp_agent *a)
{
    uint32_t at = 0;
    handle_t h;
    struct call *call;
    while ((call = slot_next(&a->calls, &at, &h)))
        early_forget(call);
    slot_done(&a->calls);
    mem_free(a->queue);
    mem_free(a);
}

/* The id is the handle, told from the numbers of other users of the core by its highest bit. */
static struct call *call_find(const struct mrcp_agent *a, uint64_t id)
{
    struct call *call = slot_find(&a->calls, id & ~MRCP_AGENT_USER);
    return call && call->id == id ? call : NULL;
}

/* ---- out ------------------------------------------------------------------------------------- */

/* Whoever is told of a session is told of its end, and its port pair comes back, also when there is
 * no memory left by then: ENDED and MEDIA_CLOSE have had their places since it began. */
#define OWED 2

static bool room_for(struct mrcp_agent *a, uint32_t more)
{
    uint32_t cap = a->cap ? a->cap : 16;
    while (cap < a->n + a->owed + more)
        cap *= 2;
    if (cap == a->cap)
        return true;
    struct mrcp_agent_out *bigger = mem_alloc(cap * sizeof(*bigger));
    if (!bigger)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        bigger[i] = a->queue[(a->head + i) % a->cap];
    mem_free(a->queue);
    a->queue = bigger;
    a->cap = cap;
    a->head = 0;
    return true;
}

static struct mrcp_agent_out *append(struct mrcp_agent *a, const struct call *call,
                                     enum mrcp_agent_out_kind kind)
{
    struct mrcp_agent_out *o = &a->queue[(a->head + a->n++) % a->cap];
    *o = (struct mrcp_agent_out){.kind = kind, .id = call->id};
    return o;
}

/* NULL: out of memory, and it is lost. */
static struct mrcp_agent_out *emit(struct mrcp_agent *a, const struct call *call,
                                   enum mrcp_agent_out_kind kind)
{
    return room_for(a, 1) ? append(a, call, kind) : NULL;
}

/* What it was owed. */
static struct mrcp_agent_out *pay(struct mrcp_agent *a, const struct call *call,
                                  enum mrcp_agent_out_kind kind)
{
    a->owed--;
    return append(a, call, kind);
}

bool mrcp_agent_out(struct mrcp_agent *a, struct mrcp_agent_out *ret)
{
    if (a->n == 0)
        return false;
    *ret = a->queue[a->head];
    a->head = (a->head + 1) % a->cap;
    a->n--;
    return true;
}

static void media(struct mrcp_agent *a, const struct call *call, const struct media_cmd *cmd)
{
    struct mrcp_agent_out *o = emit(a, call, MRCP_AGENT_MEDIA);
    if (o)
        o->media = *cmd;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Closing the stream sends RTCP BYE, for which some recognizers wait. */
static void release(struct mrcp_agent *a, usec_t now, struct call *call)
{
    if (!call->closed)
        pay(a, call, MRCP_AGENT_MEDIA)->media =
            (struct media_cmd){.kind = MEDIA_CLOSE, .id = call->media};
    call->closed = true;
    call->media = 0; /* an answer that is still to come opens nothing */
    mrcp_session_close(a->conf.client, now, call->mrcp);
    call->mrcp = 0;
}

static void ended(struct mrcp_agent *a, usec_t now, struct call *call)
{
    release(a, now, call);
    struct mrcp_agent_out *o = pay(a, call, MRCP_AGENT_ENDED);
    o->status = call->status;
    o->err = call->err;
    memset(call->password, 0, sizeof(call->password));
    early_forget(call);
    slot_put(&a->calls, call->id & ~MRCP_AGENT_USER);
}

static void finish(struct mrcp_agent *a, usec_t now, struct call *call, int err)
{
    if (call->state == CALL_ENDING)
        return;
    a->telemetry.sipByeSent += call->state == CALL_UP;
    call->cancelled = call->state == CALL_INVITING;
    call->err = err;
    release(a, now, call);
    call->state = CALL_ENDING;
    if (sip_hangup(a->conf.core, now, call->sip, STR_NONE))
        ended(a, now, call);
}

void mrcp_agent_close(struct mrcp_agent *a, usec_t now, uint64_t id)
{
    struct call *call = call_find(a, id);
    if (call)
        finish(a, now, call, 0);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static int offer(struct mrcp_agent *a, const struct call *call, char *mem, struct sip_content *ret)
{
    struct buf b;
    buf_init(&b, mem, OFFER_BYTES);
    int err = mrcp_session_offer(a->conf.client, call->mrcp, &b);
    *ret = (struct sip_content){.type = STR("application/sdp"), .body = buf_str(&b)};
    return err;
}

static int invite(struct mrcp_agent *a, usec_t now, struct call *call)
{
    char mem[OFFER_BYTES];
    struct sip_invite_cmd cmd = {.to = call->to,
                                 .ruri = str_z(call->ruri),
                                 .from = str_z(call->from),
                                 .to_hdr = str_z(call->ruri),
                                 .max_forwards = -1,
                                 .user = call->id,
                                 .no_early_session = true};
    char to[TEXT_MAX + 4];
    struct buf b;
    buf_init(&b, to, sizeof(to));
    buf_ch(&b, '<');
    buf_z(&b, call->ruri);
    buf_ch(&b, '>');
    cmd.to_hdr = buf_str(&b);
    cmd.to.peer = call->addr[call->at];
    call->heard = false;
    int err = offer(a, call, mem, &cmd.content);
    return err ? err : sip_invite(a->conf.core, now, &cmd, &call->sip);
}

static bool copy(char out[TEXT_MAX], struct str s)
{
    return s.n < TEXT_MAX && str_copy_z(out, TEXT_MAX, s) == s.n;
}

static int call_fill(struct call *call, const struct mrcp_agent_call *in)
{
    if (!in->n_addrs || in->n_addrs > MRCP_AGENT_ADDRS || !copy(call->ruri, in->ruri) ||
        !copy(call->from, in->from) || !copy(call->user, in->user) ||
        !copy(call->password, in->password))
        return -EINVAL;
    call->to =
        (struct flow){.proto = (uint8_t)in->proto, .listener = in->listener, .party = in->party};
    call->n_addrs = in->n_addrs;
    memcpy(call->addr, in->addr, sizeof(call->addr));
    return 0;
}

int mrcp_agent_open(struct mrcp_agent *a, usec_t now, const struct mrcp_agent_call *in,
                    uint64_t *ret)
{
    handle_t h;
    struct call *call = slot_take(&a->calls, &h);
    if (!call)
        return -ENOSPC;
    call->id = h | MRCP_AGENT_USER;
    struct mrcp_session_conf session = in->session;
    session.user = call->id;
    session.server = in->ruri;
    int err = room_for(a, OWED + 1) ? call_fill(call, in) : -ENOMEM;
    err = err ? err : mrcp_session_open(a->conf.client, now, &session, &call->mrcp);
    err = err ? err : invite(a, now, call);
    if (err) {
        mrcp_session_close(a->conf.client, now, call->mrcp);
        slot_put(&a->calls, h);
        return err;
    }
    call->media = in->media;
    struct media_cmd cmd = {
        .kind = MEDIA_OPEN, .id = in->media, .port = in->port, .family = in->session.rtp.family};
    append(a, call, MRCP_AGENT_MEDIA)->media = cmd;
    a->owed += OWED;
    *ret = call->id;
    return 0;
}

/* What comes of the one before is nobody's: the core takes back a late 2xx. */
bool mrcp_agent_next(struct mrcp_agent *a, usec_t now, uint64_t id, struct addr *ret)
{
    struct call *call = call_find(a, id);
    if (!call || call->state != CALL_INVITING || call->heard || call->at + 1 >= call->n_addrs)
        return false;
    handle_t before = call->sip;
    call->at++;
    if (invite(a, now, call)) {
        call->at--;
        return false;
    }
    *ret = call->addr[call->at - 1];
    a->telemetry.sipInviteTimeouts++;
    (void)sip_hangup(a->conf.core, now, before, STR_NONE);
    return true;
}

uint32_t mrcp_agent_sessions(const struct mrcp_agent *a)
{
    return a->calls.used;
}

int mrcp_agent_ask(struct mrcp_agent *a, usec_t now, uint64_t id, const struct mrcp_ask *ask,
                   uint64_t *request_id)
{
    const struct call *call = call_find(a, id);
    return call ? mrcp_request(a->conf.client, now, call->mrcp, ask, request_id) : -ENOENT;
}

int mrcp_agent_change(struct mrcp_agent *a, usec_t now, uint64_t id, enum mrcp_resource r, bool add)
{
    struct call *call = call_find(a, id);
    char mem[OFFER_BYTES];
    struct sip_content content;
    if (!call || call->state != CALL_UP)
        return -ENOENT;
    if (call->changing)
        return -EBUSY;
    int err = add ? mrcp_session_add(a->conf.client, call->mrcp, r)
                  : mrcp_session_remove(a->conf.client, call->mrcp, r);
    if (err)
        return err;
    err = offer(a, call, mem, &content);
    err = err ? err : sip_reinvite(a->conf.core, now, call->sip, &content);
    if (err)
        mrcp_session_refused(a->conf.client, call->mrcp);
    call->changing = err == 0;
    return err;
}

/* ---- what SIP brings ------------------------------------------------------------------------- */

static void format_of(struct media_format *f, const struct sdp_codec *c)
{
    *f = (struct media_format){.codec = (uint8_t)codec_find(c->name, c->clock),
                               .pt = c->pt,
                               .clock_hz = c->clock ? c->clock : 8000};
}

/* false: in nothing that was offered. */
static bool stream_set(struct mrcp_agent *a, const struct call *call, const struct sdp *d,
                       const struct sdp_media *m)
{
    struct sdp_codec list[SDP_MAX_FORMATS];
    struct media_cmd cmd = {.kind = MEDIA_FORMAT, .id = call->media};
    unsigned n = sdp_codec_list(list, ARRAY_LEN(list), m);
    bool any = false;
    for (unsigned i = 0; i < n && cmd.n_rx < MEDIA_MAX_FORMATS; i++) {
        bool speech = mrcp_session_offers(a->conf.client, call->mrcp, list[i].name);
        any |= speech;
        if (!speech && !str_ieq(list[i].name, STR("telephone-event"))) /* which is always offered */
            continue;
        format_of(&cmd.rx[cmd.n_rx], &list[i]);
        cmd.tx[cmd.n_rx] = cmd.rx[cmd.n_rx];
        cmd.n_tx = ++cmd.n_rx;
    }
    if (!any)
        return false;
    cmd.ptime_ms = (uint8_t)(m->ptime_ms > 60 ? 60 : m->ptime_ms);
    media(a, call, &cmd);
    cmd = (struct media_cmd){.kind = MEDIA_SET, .id = call->media, .latch = true};
    enum sdp_dir dir = sdp_media_dir(d, m);
    if (sdp_media_addr(&cmd.rtp, d, m) || addr_is_any(&cmd.rtp))
        cmd.rtp = (struct addr){0};
    if (sdp_media_rtcp(&cmd.rtcp, d, m) || addr_is_any(&cmd.rtcp))
        cmd.rtcp = (struct addr){0};
    cmd.receiving = dir == SDP_SENDRECV || dir == SDP_SENDONLY;
    cmd.sending = dir == SDP_SENDRECV || dir == SDP_RECVONLY;
    media(a, call, &cmd);
    return true;
}

/* The first audio of the answer that can be used; false: there is none. */
static bool stream_agree(struct mrcp_agent *a, const struct call *call, struct str text)
{
    struct arena arena;
    struct sdp d;
    bool found = false;
    arena_init(&arena, 256u << 10);
    if (sdp_parse(&d, text, &arena, NULL) == 0) {
        for (unsigned i = 0; i < d.n_media && !found; i++) {
            found = d.media[i].kind == SDP_AUDIO && d.media[i].port &&
                    stream_set(a, call, &d, &d.media[i]);
        }
    }
    arena_done(&arena);
    return found;
}

/* Whether the server leaves the channels as they are; its audio may move. */
static bool agrees(struct mrcp_agent *a, const struct call *call, struct str body)
{
    return mrcp_session_same(a->conf.client, call->mrcp, body) && stream_agree(a, call, body);
}

static void progress(struct mrcp_agent *a, usec_t now, struct call *call, const struct sip_out *o)
{
    static const struct sip_content nothing;
    struct sip_reliable which = {.dialog = o->dialog, .rseq = o->rseq};
    struct str body = o->msg ? o->msg->body : STR_NONE;
    call->heard = true;
    a->telemetry.sipProvisional++;
    if (!o->reliable)
        return;
    /* Without memory it is not acknowledged, and comes again. */
    char *copy = body.n ? mem_alloc(body.n) : NULL;
    if (body.n && !copy)
        return;
    if (copy) {
        early_forget(call);
        call->early = memcpy(copy, body.p, body.n);
        call->early_n = body.n;
        call->early_dialog = o->dialog;
    }
    (void)sip_prack(a->conf.core, now, call->sip, &which, &nothing);
}

static void answered(struct mrcp_agent *a, usec_t now, struct call *call, const struct sip_out *o)
{
    static const struct sip_content nothing;
    bool again = call->state == CALL_UP;
    (void)sip_ack(a->conf.core, now, call->sip, &nothing);
    call->state = CALL_UP;
    call->changing = false;
    struct str body = o->msg ? o->msg->body : STR_NONE;
    if (!again && !body.n && call->early && call->early_dialog == o->dialog)
        body = str_of(call->early, call->early_n);
    int err = mrcp_session_answer(a->conf.client, now, call->mrcp, body);
    if (err == 0 && !stream_agree(a, call, body))
        err = -ENOSTR; /* who can neither be heard nor hear is of no use */
    early_forget(call);
    if (err == 0)
        return;
    if (!again)
        finish(a, now, call, err);
    else
        emit(a, call, MRCP_AGENT_CHANGED);
}

/* 0: the INVITE was sent again with our credentials. */
static int authenticate(struct mrcp_agent *a, usec_t now, const struct call *call,
                        const struct sip_out *o)
{
    struct auth_challenge challenge;
    struct sip_msg sent;
    char mem[2048];
    struct buf value;
    struct str request = sip_txn_sent(a->conf.core, o->txn);
    if (!call->user[0] || !o->msg || (o->status != 401 && o->status != 407) ||
        auth_client_choose(&challenge, o->msg) || !request.p ||
        sip_msg_parse(&sent, request.p, request.n, true) != SIP_OK)
        return -ENOENT;
    struct auth_login login = {.user = str_z(call->user),
                               .password = str_z(call->password),
                               .method = sent.method_text,
                               .uri = sent.ruri_text,
                               .nc = 1};
    int err = auth_client_next(&login.attempt, &sent, &challenge);
    buf_init(&value, mem, sizeof(mem));
    err = err ? err : auth_client_answer(&value, a->conf.digest, a->conf.rand, &challenge, &login);
    struct sip_field field = {.id = challenge.answer_in, .value = buf_str(&value)};
    return err ? err : sip_retry(a->conf.core, now, o->txn, &field);
}

static void count_failure(struct mrcp_agent *a, const struct sip_out *o)
{
    struct mrcp_telemetry *t = &a->telemetry;
    t->sipInviteTimeouts += !o->msg && o->status == 408;
    t->sipError4xx += o->msg && o->status / 100 == 4;
    t->sipError5xx += o->msg && o->status / 100 == 5;
    t->sipError6xx += o->msg && o->status / 100 == 6;
}

/* RFC 3263 section 4.3: the next address after silence, a broken transport, or 503. */
static bool try_next(struct mrcp_agent *a, usec_t now, struct call *call, const struct sip_out *o)
{
    if ((o->msg && o->status != 503) || call->at + 1 >= call->n_addrs)
        return false;
    call->at++;
    return invite(a, now, call) == 0;
}

static int failure_of(const struct sip_out *o)
{
    if (!o->msg)
        return o->status == 408 ? -ETIMEDOUT : -EHOSTUNREACH;
    return o->status == 401 || o->status == 407 ? -EACCES : -EPROTO;
}

static void failed(struct mrcp_agent *a, usec_t now, struct call *call, const struct sip_out *o)
{
    if (call->state != CALL_ENDING && authenticate(a, now, call, o) == 0) {
        a->telemetry.sipAuthChallenges++;
        return;
    }
    if (call->state == CALL_UP && !o->ended) { /* the re-INVITE: RFC 6787 section 4.2 */
        mrcp_session_refused(a->conf.client, call->mrcp);
        call->changing = false;
        struct mrcp_agent_out *out = emit(a, call, MRCP_AGENT_CHANGED);
        if (out)
            out->status = o->status;
        return;
    }
    if (call->state != CALL_ENDING) {
        count_failure(a, o);
        if (try_next(a, now, call, o))
            return;
        call->status = o->status;
        call->err = failure_of(o);
    }
    ended(a, now, call);
}

static void over(struct mrcp_agent *a, usec_t now, struct call *call, const struct sip_out *o)
{
    /* A 2xx that crossed our CANCEL was ended by the core with a BYE (RFC 3261 section 15). */
    a->telemetry.sipByeSent += call->cancelled;
    if (call->state == CALL_ENDING)
        a->telemetry.sipByeAcksMissing += !o->msg && o->status == 408;
    else
        call->err = -ECONNABORTED;
    ended(a, now, call);
}

/* An INVITE or UPDATE of the server. It has nothing to change (RFC 6787 section 4.2), but it may
 * refresh the session, move its audio, or want to know what we offer. */
static void offered(struct mrcp_agent *a, usec_t now, struct call *call, const struct sip_out *o)
{
    char mem[OFFER_BYTES];
    struct str body = o->msg ? o->msg->body : STR_NONE;
    struct sip_answer answer = {.status = 488};
    bool is_invite = o->kind == SIP_OUT_REINVITE;
    bool busy = call->state != CALL_UP || call->changing;
    if (busy) /* an offer of ours is not answered yet: RFC 3311 section 5.2, RFC 3261 14.2 */
        answer.status = 491;
    else if (offer(a, call, mem, &answer.content) == 0 &&
             (body.n ? agrees(a, call, body) : is_invite))
        answer.status = 200;
    if (answer.status != 200)
        answer.content.body = answer.content.type = STR_NONE;
    if (!is_invite)
        (void)sip_respond(a->conf.core, now, o->txn, &answer);
    else if (answer.status == 200)
        (void)sip_accept(a->conf.core, now, call->sip, &answer);
    else
        (void)sip_reject(a->conf.core, now, call->sip, &answer);
}

/* What else there is in a dialog. */
static void asked(struct mrcp_agent *a, usec_t now, struct call *call, const struct sip_out *o)
{
    struct sip_answer answer = {.status = 405};
    bool update = o->msg && o->msg->method == SIP_UPDATE;
    if (update && o->msg->body.n) {
        offered(a, now, call, o);
        return;
    }
    if (update || (o->msg && o->msg->method == SIP_OPTIONS))
        answer.status = 200;
    (void)sip_respond(a->conf.core, now, o->txn, &answer);
}

void mrcp_agent_sip(struct mrcp_agent *a, usec_t now, const struct sip_out *o)
{
    struct call *call = call_find(a, o->user);
    if (!call || (o->session && o->session != call->sip))
        return;
    switch (o->kind) {
    case SIP_OUT_PROGRESS:
        progress(a, now, call, o);
        break;
    case SIP_OUT_ANSWERED:
        answered(a, now, call, o);
        break;
    case SIP_OUT_FAILED:
        failed(a, now, call, o);
        break;
    case SIP_OUT_REINVITE:
        offered(a, now, call, o);
        break;
    case SIP_OUT_ACKED: /* with the answer to the offer that we were asked for */
        if (o->msg && o->msg->body.n)
            (void)agrees(a, call, o->msg->body);
        break;
    case SIP_OUT_IN_DIALOG:
        asked(a, now, call, o);
        break;
    case SIP_OUT_RESPONSE: /* our BYE is challenged */
        if (authenticate(a, now, call, o) == 0)
            a->telemetry.sipAuthChallenges++;
        break;
    case SIP_OUT_BYE:
        call->err = call->state == CALL_ENDING ? call->err : -ECONNABORTED;
        ended(a, now, call);
        break;
    case SIP_OUT_ENDED:
        over(a, now, call, o);
        break;
    default:
        break;
    }
}

void mrcp_agent_client(struct mrcp_agent *a, usec_t now, const struct mrcp_out *o)
{
    struct call *call = call_find(a, o->user);
    if (!call)
        return;
    if (o->kind == MRCP_OUT_READY) {
        emit(a, call, MRCP_AGENT_READY);
    } else if (o->kind == MRCP_OUT_REFUSED) {
        struct mrcp_agent_out *out = emit(a, call, MRCP_AGENT_REFUSED);
        if (out)
            out->resource = o->resource;
    } else if (o->kind == MRCP_OUT_FAILED) {
        finish(a, now, call, o->err); /* RFC 6787 section 4.6 */
    }
}

void mrcp_agent_telemetry(const struct mrcp_agent *a, struct mrcp_telemetry *ret)
{
    *ret = a->telemetry;
}

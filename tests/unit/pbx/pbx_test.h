/* A whole PBX in a test: requests as text go in, what comes out is kept to look at. Time is
 * virtual; the network is a list of what was sent. */
#ifndef PBX_TEST_H
#define PBX_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/sip/auth_client.h"
#include "pbx/pbx_int.h"

#define RIG_OUTS 64
#define WALL_US  1767225600000000ull /* 1 January 2026, 00:00:00 GMT, a Thursday */

struct rig_sent {
    struct flow flow;
    bool after_commit;
    char text[16384];
    size_t n;
};

struct rig_row {
    uint16_t statement, n;
    struct row_value v[ROW_MAX];
    char mem[4096];
};

struct rig {
    struct pbx *pbx;
    usec_t now;
    struct digest *digest;
    struct rand rnd;
    unsigned branch;
    uint64_t live; /* blocks before the PBX was made */
    /* since the last rig_clear() */
    unsigned n_sent, n_rows, n_bans, n_keeps, n_aliases, n_asked;
    struct rig_sent sent[RIG_OUTS];
    struct rig_row row[RIG_OUTS];
    struct pbx_out ban[RIG_OUTS], keep[RIG_OUTS], alias[RIG_OUTS], asked[RIG_OUTS];
    char asked_name[256], party_name[256], client_name[256];
    struct pbx_out party, client; /* the last ones that were introduced */
    struct sip_msg msg;           /* of rig_msg() */
};

static inline void rig_fail(struct str got, const char *want)
{
    fail_msg("got '" STR_FMT "', want '%s'", STR_ARG(got), want);
}
#define assert_text(got, want)                                                                     \
    do {                                                                                           \
        struct str got_ = (got);                                                                   \
        if (!str_eq(got_, str_z(want)))                                                            \
            rig_fail(got_, (want));                                                                \
    } while (0)

static inline void rig_clear(struct rig *r)
{
    r->n_sent = r->n_rows = r->n_bans = r->n_keeps = r->n_aliases = r->n_asked = 0;
}

static inline void rig_keep_row(struct rig *r, const struct row_op *op)
{
    struct rig_row *row = &r->row[r->n_rows++];
    struct buf b;
    buf_init(&b, row->mem, sizeof(row->mem));
    row->statement = op->statement;
    row->n = op->n;
    for (unsigned i = 0; i < op->n; i++) {
        row->v[i] = op->v[i];
        if (op->v[i].type == ROW_TEXT) {
            row->v[i].s = str_of(b.p + b.n, op->v[i].s.n);
            buf_str_put(&b, op->v[i].s);
        }
    }
    assert_false(b.full);
}

static inline void rig_keep_out(struct rig *r, struct pbx_out *o)
{
    assert_true(r->n_sent < RIG_OUTS && r->n_rows < RIG_OUTS && r->n_bans < RIG_OUTS &&
                r->n_keeps < RIG_OUTS && r->n_aliases < RIG_OUTS && r->n_asked < RIG_OUTS);
    switch (o->kind) {
    case PBX_OUT_SEND: {
        struct rig_sent *s = &r->sent[r->n_sent++];
        s->flow = o->flow;
        s->after_commit = o->after_commit;
        s->n = str_copy_z(s->text, sizeof(s->text), blob_str(o->blob));
        blob_unref(o->blob);
        break;
    }
    case PBX_OUT_STORE:
        rig_keep_row(r, o->row);
        break;
    case PBX_OUT_BAN:
        r->ban[r->n_bans++] = *o;
        break;
    case PBX_OUT_KEEP:
        r->keep[r->n_keeps++] = *o;
        break;
    case PBX_OUT_ALIAS:
        r->alias[r->n_aliases++] = *o;
        break;
    case PBX_OUT_PARTY:
        r->party = *o;
        str_copy_z(r->party_name, sizeof(r->party_name), o->name);
        break;
    case PBX_OUT_CLIENT:
        r->client = *o;
        str_copy_z(r->client_name, sizeof(r->client_name), o->name);
        break;
    case PBX_OUT_RESOLVE:
        r->asked[r->n_asked++] = *o;
        str_copy_z(r->asked_name, sizeof(r->asked_name), o->question.name);
        break;
    default:
        break;
    }
}

static inline void rig_drain(struct rig *r)
{
    struct pbx_out o;
    while (pbx_out(r->pbx, &o))
        rig_keep_out(r, &o);
}

static inline struct config *rig_config(const char *yaml)
{
    static struct config_errors errs;
    struct config *c = NULL;
    if (config_load(&c, "test", str_z(yaml), &errs))
        fail_msg("%s", errs.n ? errs.v[0].text : "out of memory");
    return c;
}

static inline struct addr rig_addr(const char *text)
{
    struct addr a;
    if (addr_parse_port(&a, str_z(text)))
        fail_msg("not an address: %s", text);
    return a;
}

static inline struct rig *rig_new(const char *yaml)
{
    struct rig *r = calloc(1, sizeof(*r));
    r->live = mem_live();
    struct config *config = rig_config(yaml);
    struct pbx_conf conf = {.config = config, .n_listeners = 3, .wall_us = WALL_US};
    static const enum proto protos[] = {PROTO_UDP, PROTO_TCP, PROTO_WS};
    for (unsigned i = 0; i < 3; i++) {
        conf.listener[i].proto = (uint8_t)protos[i];
        conf.listener[i].bound = rig_addr("192.0.2.10:5060");
    }
    r->now = 1000 * USEC_S;
    rand_seed(&r->rnd, 3);
    r->pbx = pbx_new(&conf, r->now);
    assert_non_null(r->pbx);
    config_unref(config);
    r->digest = digest_new();
    rig_drain(r);
    return r;
}

static inline void rig_free(struct rig *r)
{
    pbx_free(r->pbx);
    digest_free(r->digest);
    assert_int_equal(mem_live(), r->live);
    free(r);
}

/* Goes on in time, from one deadline to the next. */
static inline void rig_wait(struct rig *r, usec_t in)
{
    usec_t end = r->now + in;
    for (unsigned i = 0; i < 100000; i++) {
        usec_t due = pbx_deadline(r->pbx);
        if (due > end)
            break;
        r->now = due > r->now ? due : r->now;
        pbx_tick(r->pbx, r->now);
        rig_drain(r);
    }
    r->now = end;
    pbx_tick(r->pbx, r->now);
    rig_drain(r);
}

/* "192.0.2.55:5060" over UDP. */
static inline struct flow rig_udp(const char *peer)
{
    return (struct flow){.proto = PROTO_UDP, .listener = 0, .peer = rig_addr(peer)};
}

static inline struct flow rig_tcp(const char *peer, uint32_t conn)
{
    return (struct flow){.proto = PROTO_TCP, .listener = 1, .conn = conn, .peer = rig_addr(peer)};
}

/* A message comes in; what the PBX says before are forgotten. */
static inline void rig_rx(struct rig *r, const struct flow *flow, const char *text)
{
    rig_clear(r);
    pbx_rx(r->pbx, r->now, flow, text, strlen(text));
    rig_drain(r);
}

/* The i-th message sent, parsed. */
static inline const struct sip_msg *rig_msg(struct rig *r, unsigned i)
{
    if (i >= r->n_sent)
        fail_msg("only %u messages were sent", r->n_sent);
    assert_int_equal(sip_msg_parse(&r->msg, r->sent[i].text, r->sent[i].n, true), SIP_OK);
    return &r->msg;
}

/* The status of the only message sent. */
static inline unsigned rig_status(struct rig *r)
{
    assert_int_equal(r->n_sent, 1);
    const struct sip_msg *m = rig_msg(r, 0);
    assert_false(m->is_request);
    return m->status;
}

/* ---- a phone -----------------------------------------------------------------------------------
 */

struct rig_phone {
    struct flow flow;
    const char *user, *password, *domain; /* digest */
    const char *aor;                      /* user part of From and To; NULL: user */
    const char *via;                      /* sent-by; NULL: the address of flow */
    const char *call_id;
    unsigned cseq;
};

static inline void rig_put_request(struct rig *r, const struct rig_phone *p, const char *method,
                                   const char *ruri, struct buf *b)
{
    char own[80];
    struct buf own_text;
    const char *user = p->aor ? p->aor : p->user;
    buf_init(&own_text, own, sizeof(own) - 1);
    addr_put(&own_text, &p->flow.peer);
    own[own_text.n] = '\0';
    buf_printf(b,
               "%s %s SIP/2.0\r\nVia: SIP/2.0/" STR_FMT " %s;branch=z9hG4bKt%u;rport\r\n"
               "Max-Forwards: 70\r\nFrom: <sip:%s@%s>;tag=f1\r\nTo: <sip:%s@%s>\r\n"
               "Call-ID: %s\r\nCSeq: %u %s\r\n",
               method, ruri, STR_ARG(proto_name((enum proto)p->flow.proto)), p->via ? p->via : own,
               ++r->branch, user, p->domain, user, p->domain,
               p->call_id ? p->call_id : "call@phone", p->cseq, method);
}

/* Sends the request once, with the credentials (a whole header field) if there are any. */
static inline void rig_send(struct rig *r, const struct rig_phone *p, const char *method,
                            const char *ruri, const char *headers, const char *credentials)
{
    static char mem[65536];
    struct buf b;
    buf_init(&b, mem, sizeof(mem) - 1);
    rig_put_request(r, p, method, ruri, &b);
    buf_z(&b, headers);
    buf_z(&b, credentials ? credentials : "");
    buf_lit(&b, "Content-Length: 0\r\n\r\n");
    assert_false(b.full);
    mem[b.n] = '\0';
    rig_rx(r, &p->flow, mem);
}

/* The answer to the challenge that was sent last, as a header field. */
static inline const char *rig_credentials(struct rig *r, const struct rig_phone *p,
                                          const char *method, const char *ruri, uint32_t nc)
{
    static char mem[2048];
    struct buf b;
    struct auth_challenge c;
    const struct sip_msg *m = rig_msg(r, 0);
    assert_int_equal(auth_client_choose(&c, m), 0);
    struct auth_login login = {.user = str_z(p->user),
                               .password = str_z(p->password),
                               .method = str_z(method),
                               .uri = str_z(ruri),
                               .nc = nc,
                               .attempt = 1};
    buf_init(&b, mem, sizeof(mem) - 1);
    buf_str_put(&b, sip_hdr_name(c.answer_in));
    buf_lit(&b, ": ");
    assert_int_equal(auth_client_answer(&b, r->digest, &r->rnd, &c, &login), 0);
    buf_lit(&b, "\r\n");
    mem[b.n] = '\0';
    return mem;
}

/* The request, and once more with an answer to the challenge. Returns the final status. */
static inline unsigned rig_request(struct rig *r, struct rig_phone *p, const char *method,
                                   const char *ruri, const char *headers)
{
    p->cseq++;
    rig_send(r, p, method, ruri, headers, NULL);
    unsigned status = rig_status(r);
    if (status != 401 && status != 407)
        return status;
    const char *credentials = rig_credentials(r, p, method, ruri, 1);
    p->cseq++;
    rig_send(r, p, method, ruri, headers, credentials);
    return rig_status(r);
}

static inline unsigned rig_register(struct rig *r, struct rig_phone *p, const char *headers)
{
    return rig_request(r, p, "REGISTER", "sip:pbx.test", headers);
}

/* The i-th Contact of the message sent last. */
static inline struct str rig_contact(struct rig *r, unsigned i)
{
    struct sip_values it = sip_values(rig_msg(r, 0), SIP_H_CONTACT);
    struct str v = STR_NONE;
    for (unsigned n = 0; n <= i; n++)
        if (!sip_values_next(&it, &v))
            return STR_NONE;
    return v;
}

#endif

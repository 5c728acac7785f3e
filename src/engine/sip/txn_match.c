/* How a message finds its transaction. RFC 3261 17.1.3 (client), 17.2.3 (server). */
#include "engine/sip/sip_int.h"

static const struct str COOKIE = STR_INIT("z9hG4bK");

/* A key that does not fit is cut, and two hashes of the whole stand for the rest. */
static struct str finish(struct sip_core *c, struct buf *b, char mem[TXN_KEY_BYTES])
{
    size_t n = b->n;
    if (n <= TXN_KEY_BYTES) {
        memcpy(mem, b->p, n);
        return str_of(mem, n);
    }
    uint64_t h[2] = {hash_str(&c->by_key, buf_str(b)), hash_str(&c->by_merge, buf_str(b))};
    memcpy(mem, b->p, TXN_KEY_BYTES - sizeof(h));
    memcpy(mem + TXN_KEY_BYTES - sizeof(h), h, sizeof(h));
    return str_of(mem, TXN_KEY_BYTES);
}

struct str txn_client_key(struct sip_core *c, struct str branch, enum sip_method method,
                          char mem[TXN_KEY_BYTES])
{
    char text[512];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    buf_ch(&b, (char)('A' + method));
    buf_str_put(&b, str_sub(branch, 0, sizeof(text) - 1));
    return finish(c, &b, mem);
}

/* Peers of RFC 2543 send no unique branch: the request is told by what RFC 3261 17.2.3 lists. */
static void old_key(struct buf *b, const struct sip_msg *m)
{
    buf_str_put(b, m->call_id);
    buf_ch(b, '|');
    buf_str_put(b, m->from.tag);
    buf_ch(b, '|');
    buf_u64(b, m->cseq.number);
    buf_ch(b, '|');
    buf_str_put(b, m->ruri_text);
    buf_ch(b, '|');
    buf_str_put(b, m->via.whole);
}

struct str txn_server_key(struct sip_core *c, const struct sip_msg *m, enum sip_method method,
                          char mem[TXN_KEY_BYTES])
{
    char text[2048];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    buf_ch(&b, (char)('a' + method));
    if (m->via.branch.n > COOKIE.n && str_istarts(m->via.branch, COOKIE)) {
        buf_str_put(&b, str_from(m->via.branch, COOKIE.n));
        buf_ch(&b, '|');
        buf_str_put(&b, m->via.host);
        buf_ch(&b, ':');
        buf_u64(&b, m->via.port);
    } else {
        old_key(&b, m);
    }
    return finish(c, &b, mem);
}

struct sip_txn *txn_by_key(const struct sip_core *c, struct str key, bool server)
{
    uint64_t h = hash_str(&c->by_key, key);
    hash_each(node, &c->by_key, h)
    {
        struct sip_txn *t = container_of(node, struct sip_txn, by_key);
        bool is_server = t->kind == TXN_IST || t->kind == TXN_NIST;
        if (is_server == server && str_eq(str_of(t->key, t->key_n), key))
            return t;
    }
    return NULL;
}

static uint64_t merge_hash(const struct sip_core *c, const struct sip_msg *m)
{
    uint64_t h = hash_str(&c->by_merge, m->call_id);
    h = h * 31 + hash_str(&c->by_merge, m->from.tag);
    return h * 31 + m->cseq.number * 16 + m->method;
}

bool txn_merged(struct sip_core *c, const struct sip_msg *m)
{
    return m->from.tag.n && hash_first(&c->by_merge, merge_hash(c, m)) != NULL;
}

void txn_merge_put(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    if (!m->from.tag.n)
        return;
    hash_put(&c->by_merge, &t->by_merge, merge_hash(c, m));
    t->in_merge = true;
}

/* All our branches have one length, so most of the others need not be looked up. */
/* The user part of the Request-URI of a request that we have sent. */
static struct str sent_user(const struct blob *sent)
{
    struct sip_uri uri;
    struct str line = blob_str(sent);
    ptrdiff_t space = str_chr(line, ' ');
    struct str rest = space < 0 ? STR_NONE : str_from(line, (size_t)space + 1);
    ptrdiff_t end = str_chr(rest, ' ');
    if (end < 0 || sip_uri_parse(&uri, str_sub(rest, 0, (size_t)end)))
        return STR_NONE;
    return uri.user;
}

/* One that comes back for another number is a spiral, and right: a call to a number of ours by way
 * of the provider (RFC 3261 16.3 draws the line in the same way). Max-Forwards bounds it. */
static bool is_sent_by_us(struct sip_core *c, const struct sip_via *via, const struct sip_msg *m)
{
    char mem[TXN_KEY_BYTES];
    if (via->branch.n != sizeof(struct req_branch))
        return false;
    const struct sip_txn *t = txn_by_key(c, txn_client_key(c, via->branch, m->method, mem), false);
    return t && str_eq(sent_user(t->last), m->ruri.user);
}

bool txn_loops(struct sip_core *c, const struct sip_msg *m)
{
    struct sip_values it = sip_values(m, SIP_H_VIA);
    struct str value;
    struct sip_via via;
    if (is_sent_by_us(c, &m->via, m))
        return true;
    (void)sip_values_next(&it, &value); /* the top one, which the parser has read already */
    while (sip_values_next(&it, &value))
        if (!sip_via_parse(&via, value) && is_sent_by_us(c, &via, m))
            return true;
    return false;
}

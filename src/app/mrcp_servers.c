#include "app/mrcp_servers.h"

#include <errno.h>

#include "base/mem.h"
#include "io/dns.h"
#include "io/entropy.h"

struct mrcp_servers {
    struct mrcp_servers_conf conf;
    struct dns *dns;
    struct mrcp_server v[MRCP_SERVERS];
};

static struct mrcp_server *find(struct mrcp_servers *s, struct str uri)
{
    for (unsigned i = 0; i < MRCP_SERVERS; i++)
        if (s->v[i].text[0] && str_eq(str_z(s->v[i].text), uri))
            return &s->v[i];
    return NULL;
}

/* A free place, or that of the one that was not called for the longest time. */
static struct mrcp_server *place(struct mrcp_servers *s)
{
    struct mrcp_server *oldest = NULL;
    for (unsigned i = 0; i < MRCP_SERVERS; i++) {
        struct mrcp_server *one = &s->v[i];
        if (!one->text[0])
            return one;
        if (!one->sessions && !one->asking && (!oldest || one->used_at < oldest->used_at))
            oldest = one;
    }
    return oldest;
}

static int add(struct mrcp_servers *s, struct str uri, struct mrcp_server **ret)
{
    struct sip_uri parsed;
    struct mrcp_server *one = place(s);
    if (uri.n >= MRCP_SERVER_URI || sip_uri_parse(&parsed, uri) || !parsed.host.n)
        return -EINVAL;
    if (!one)
        return -ENOSPC;
    uint32_t asked = one->asked;
    *one = (struct mrcp_server){.asked = asked};
    str_copy_z(one->text, sizeof(one->text), uri);
    int err = sip_uri_parse(&one->uri, str_z(one->text));
    err = err ? err : s->conf.introduce(s->conf.ctx, (unsigned)(one - s->v), one->uri.host);
    if (err)
        one->text[0] = '\0';
    *ret = one;
    return err;
}

static int resolve(struct mrcp_servers *s, struct mrcp_server *one)
{
    /* With a port nobody asks for SRV (RFC 3263 section 4.2). */
    uint16_t usual = s->conf.proto == PROTO_TLS ? 5061 : 5060;
    struct dns_question q = {.name = one->uri.host,
                             .port = one->uri.port ? one->uri.port
                                     : s->conf.srv ? 0
                                                   : usual,
                             .sips = one->uri.scheme == SIP_SCHEME_SIPS,
                             .proto = (uint8_t)s->conf.proto};
    int err = dns_resolve(s->dns, &q, (uint64_t)++one->asked << 32 | (uint64_t)(one - s->v));
    one->asking = err == 0;
    return err;
}

int mrcp_servers_reach(struct mrcp_servers *s, struct str uri, unsigned *at)
{
    struct mrcp_server *one = find(s, uri);
    int err = one ? 0 : add(s, uri, &one);
    if (err)
        return err;
    *at = (unsigned)(one - s->v);
    one->used_at = loop_now(s->conf.loop);
    if (one->n_addrs && one->used_at < one->until)
        return 0;
    err = one->asking ? 0 : resolve(s, one);
    return err ? err : -EINPROGRESS;
}

/* Our ports are of one family. */
static void addrs_take(const struct mrcp_servers *s, struct mrcp_server *one,
                       const struct dns_answer *a)
{
    one->n_addrs = 0;
    for (unsigned i = 0; i < a->n && one->n_addrs < MRCP_AGENT_ADDRS; i++)
        if (a->dest[i].addr.family == s->conf.family)
            one->addr[one->n_addrs++] = a->dest[i].addr;
}

/* Where it was before is still better than nowhere. */
static void on_resolved(void *ctx, usec_t now, const struct dns_answer *a)
{
    struct mrcp_servers *s = ctx;
    unsigned at = (uint32_t)a->token;
    struct mrcp_server *one = &s->v[at];
    if (!one->asking || one->asked != a->token >> 32)
        return;
    one->asking = false;
    if (!a->err && a->n)
        addrs_take(s, one, a);
    one->until = now + (a->ttl_s ? a->ttl_s : 1) * USEC_S;
    s->conf.resolved(s->conf.ctx, at, one->n_addrs ? 0 : a->err ? a->err : -ENOENT);
}

struct mrcp_server *mrcp_servers_at(struct mrcp_servers *s, unsigned at)
{
    return &s->v[at];
}

bool mrcp_servers_have(const struct mrcp_servers *s, const struct addr *from)
{
    for (unsigned i = 0; i < MRCP_SERVERS; i++)
        for (unsigned k = 0; s->v[i].text[0] && k < s->v[i].n_addrs; k++)
            if (addr_ip_eq(&s->v[i].addr[k], from))
                return true;
    return false;
}

void mrcp_server_moved(struct mrcp_server *s)
{
    s->until = 0;
}

void mrcp_server_silent(struct mrcp_server *s, const struct addr *silent)
{
    for (unsigned i = 0; i + 1 < s->n_addrs; i++) {
        if (!addr_eq(&s->addr[i], silent))
            continue;
        struct addr it = s->addr[i];
        s->addr[i] = s->addr[i + 1];
        s->addr[i + 1] = it;
    }
}

int mrcp_servers_new(struct mrcp_servers **ret, const struct mrcp_servers_conf *conf)
{
    struct mrcp_servers *s = mem_zero(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->conf = *conf;
    struct dns_config cfg = {
        .servers = conf->dns, .ipv6 = conf->family == ADDR_V6, .done = on_resolved, .ctx = s};
    int err = entropy_get(&cfg.seed, sizeof(cfg.seed));
    err = err ? err : dns_new(&s->dns, conf->loop, &cfg);
    if (err) {
        mem_free(s);
        return err;
    }
    *ret = s;
    return 0;
}

void mrcp_servers_free(struct mrcp_servers *s)
{
    if (!s)
        return;
    dns_free(s->dns);
    mem_free(s);
}

#include "app/mrcp_env.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/num.h"

unsigned mrcp_list(struct str *out, unsigned cap, struct str list)
{
    unsigned n = 0;
    while (list.n && n < cap) {
        ptrdiff_t comma = str_chr(list, ',');
        size_t end = comma < 0 ? list.n : (size_t)comma;
        struct str item = str_trim(str_sub(list, 0, end));
        if (item.n)
            out[n++] = item;
        list = str_from(list, end + (comma >= 0));
    }
    return n;
}

/* NULL, or what is wrong. A variable that is not set, or empty, leaves the default. */
static const char *env_number(usec_t *ret, const char *name, uint32_t least, uint32_t most)
{
    const char *z = getenv(name);
    uint64_t v;
    if (!z || !*z)
        return NULL;
    if (num_u64(&v, str_z(z), most) || v < least)
        return name;
    *ret = v;
    return NULL;
}

static const char *env_file(const char **ret, const char *name)
{
    *ret = getenv(name);
    return *ret && **ret && access(*ret, R_OK) ? name : NULL;
}

static const char *env_tls(struct tls_config *c)
{
    usec_t verify = 1;
    const char *pins = getenv("MRCP_SIP_TLS_PINS");
    struct str list[TLS_MAX_PINS];
    const char *wrong = env_file(&c->certificate, "MRCP_SIP_TLS_CERTIFICATE");
    wrong = wrong ? wrong : env_file(&c->private_key, "MRCP_SIP_TLS_KEY");
    wrong = wrong ? wrong : env_file(&c->ca, "MRCP_SIP_TLS_CA");
    wrong = wrong ? wrong : env_number(&verify, "MRCP_SIP_TLS_VERIFY", 0, 1);
    c->verify_peer = verify;
    c->n_pins = mrcp_list(list, TLS_MAX_PINS, str_z(pins));
    for (unsigned i = 0; i < c->n_pins; i++)
        if (tls_pin_parse(&c->pin[i], list[i]))
            return "MRCP_SIP_TLS_PINS";
    return wrong;
}

const char *mrcp_env_read(struct mrcp_host_conf *c)
{
    usec_t t1 = 500, t2 = 4000, sends = 7, srv = 0;
    const char *transport = getenv("MRCP_SIP_TRANSPORT");
    const char *wrong = env_number(&t1, "MRCP_SIP_RETRANS_T1_MS", 1, 60000);
    wrong = wrong ? wrong : env_number(&t2, "MRCP_SIP_RETRANS_T2_MS", 1, 600000);
    wrong = wrong ? wrong : env_number(&sends, "MRCP_SIP_INVITE_MAX_RETRANS", 1, 100);
    wrong = wrong ? wrong : env_number(&srv, "MRCP_SIP_DNS_SRV", 0, 1);
    c->t1 = t1 * USEC_MS;
    c->t2 = t2 * USEC_MS;
    c->invite_sends = (unsigned)sends;
    c->srv = srv;
    c->proto = PROTO_UDP;
    if (transport && *transport &&
        (proto_parse(&c->proto, str_z(transport)) ||
         (c->proto != PROTO_UDP && c->proto != PROTO_TCP && c->proto != PROTO_TLS)))
        return "MRCP_SIP_TRANSPORT";
    return wrong ? wrong : env_tls(&c->tls);
}

bool mrcp_env_off(void)
{
    const char *z = getenv("MRCP_ENABLE_SIP_V2");
    return z && strcmp(z, "0") == 0;
}

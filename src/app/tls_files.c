#include "app/tls_files.h"

#include <time.h>

#include "base/mem.h"

#define SOON_S (14 * 86400)

static const char *file_name(char mem[TLS_FILE_BYTES], struct str name)
{
    str_copy_z(mem, TLS_FILE_BYTES, name);
    return mem;
}

unsigned tls_pins_read(struct tls_pin *ret, const struct config_texts *pins)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < pins->n && n < TLS_MAX_PINS; i++)
        n += tls_pin_parse(&ret[n], pins->v[i]) == 0; /* the configuration has checked them */
    return n;
}

/* Is there a trunk that is known by the certificate of its client? */
static bool asks_clients(const struct config *config)
{
    for (uint32_t i = 0; i < config->n_trunks; i++)
        if (config->trunks[i].tls_name.n)
            return true;
    return false;
}

struct tls_files *tls_files_of(const struct config *config)
{
    const struct config_tls *t = &config->sip.tls;
    struct tls_files *f = mem_zero(sizeof(*f));
    if (!f)
        return NULL;
    f->cfg = (struct tls_config){.certificate = file_name(f->name[0], t->certificate),
                                 .private_key = file_name(f->name[1], t->private_key),
                                 .ca = file_name(f->name[2], t->ca),
                                 .more = f->more,
                                 .verify_peer = t->verify_peer,
                                 .verify_client = t->verify_client,
                                 .ask_client = asks_clients(config)};
    f->cfg.n_pins = tls_pins_read(f->cfg.pin, &t->pins);
    for (uint32_t i = 0; i < t->n_certificates && i < TLS_FILES_MORE; i++) {
        const struct config_tls_certificate *c = &t->certificates[i];
        f->more[i] =
            (struct tls_certificate){.certificate = file_name(f->name[3 + 2 * i], c->certificate),
                                     .private_key = file_name(f->name[4 + 2 * i], c->private_key),
                                     .name = c->names.v,
                                     .n_names = c->names.n};
        f->cfg.n_more++;
    }
    return f;
}

void tls_day_put(char day[32], int64_t until)
{
    time_t t = (time_t)until;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(day, 32, "%Y-%m-%d %H:%M UTC", &tm);
}

bool tls_ends_soon(const struct tls_certificate_view *v, int64_t now_s)
{
    return v->expires_s < now_s + SOON_S;
}

/* Who gave no domain has given phones an address; one that is an address may be behind a name. */
bool tls_lacks_domain(const struct tls_ctx *tls, const struct config *config)
{
    const struct config_sip *s = &config->sip;
    struct addr a;
    bool listens = false;
    for (uint32_t i = 0; i < s->listen.n; i++)
        listens |= s->listen.v[i].proto == PROTO_TLS || s->listen.v[i].proto == PROTO_WSS;
    return listens && config->line.domain && addr_parse(&a, s->domain, 0) != 0 &&
           !tls_ctx_names(tls, s->domain);
}

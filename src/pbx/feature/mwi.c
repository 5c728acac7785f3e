#include "pbx/feature/mwi.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "pbx/registrar.h"

#define DEFAULT_S    3600            /* RFC 3842 section 3.4 */
#define INTERVAL     USEC_S          /* RFC 3842 section 3.11: not more than one a second */
#define AFTER_200    (200 * USEC_MS) /* a phone hears of its registration first */
#define MAX_CONTACTS 64              /* as registrar.max_contacts */
#define BODY_MAX     512
#define URI_MAX      400

struct mailbox {
    struct hash_node by_number;
    struct list node;
    struct str number; /* owned */
    struct mwi_counts counts;
    struct pbx_timer tell; /* the phones that have not subscribed */
    usec_t not_before;     /* when they may be told next */
};

struct mwi {
    struct hash_table by_number;
    struct list all;
};

/* ---- mailboxes ------------------------------------------------------------------------------- */

static struct mailbox *find(const struct pbx *p, struct str number)
{
    const struct hash_table *t = &p->mwi->by_number;
    hash_each(node, t, hash_str(t, number))
    {
        struct mailbox *m = container_of(node, struct mailbox, by_number);
        if (str_eq(m->number, number))
            return m;
    }
    return NULL;
}

static void tell_phones(struct pbx *p, struct pbx_timer *t);

/* Made when there is something to remember, so there are at most as many as extensions. */
static struct mailbox *get(struct pbx *p, struct str number)
{
    struct mwi *all = p->mwi;
    struct mailbox *m = find(p, number);
    if (m)
        return m;
    m = mem_zero(sizeof(*m));
    if (!m || pbx_keep(p, &m->number, number)) {
        mem_free(m);
        return NULL;
    }
    m->tell.fire = tell_phones;
    hash_put(&all->by_number, &m->by_number, hash_str(&all->by_number, number));
    list_append(&all->all, &m->node);
    return m;
}

static void mailbox_free(struct pbx *p, struct mailbox *m)
{
    pbx_timer_stop(p, &m->tell);
    hash_remove(&p->mwi->by_number, &m->by_number);
    list_remove(&m->node);
    BUG_ON(pbx_keep(p, &m->number, STR_NONE)); /* freeing cannot fail */
    mem_free(m);
}

int mwi_init(struct pbx *p)
{
    struct mwi *all = mem_zero(sizeof(*all));
    if (!all)
        return -ENOMEM;
    list_init(&all->all);
    p->mwi = all;
    uint32_t n = p->config->n_extensions;
    return hash_init(&all->by_number, n < 64 ? 64 : n, rand_u64(&p->rand));
}

void mwi_done(struct pbx *p)
{
    struct mwi *all = p->mwi;
    if (!all)
        return;
    list_each(node, &all->all) mailbox_free(p, container_of(node, struct mailbox, node));
    if (all->by_number.bucket)
        hash_done(&all->by_number);
    mem_free(all);
    p->mwi = NULL;
}

/* The extension whose mailbox that is; NULL. */
static const struct config_extension *owner(const struct pbx *p, struct str number)
{
    const struct config_extension *e = config_find_extension(p->config, number);
    return e && e->voicemail ? e : NULL;
}

/* ---- the body -------------------------------------------------------------------------------- */

static void put_host(struct buf *b, const struct pbx *p)
{
    buf_ch(b, '@');
    buf_str_put(b, p->domain);
}

static void put_pair(struct buf *b, uint32_t new, uint32_t old)
{
    buf_u64(b, new);
    buf_ch(b, '/');
    buf_u64(b, old);
}

/* RFC 3842 section 5. The account is what a phone calls to hear the messages. */
static void put_summary(struct pbx *p, struct str number, struct buf *b)
{
    struct mwi_counts n = mwi_get(p, number);
    struct str code = p->config->features.voicemail;
    buf_lit(b, "Messages-Waiting: ");
    buf_z(b, n.new ? "yes" : "no");
    buf_lit(b, "\r\nMessage-Account: sip:");
    sip_escape_user(b, code.n ? code : number);
    put_host(b, p);
    buf_lit(b, "\r\nVoice-Message: ");
    put_pair(b, n.new, n.old);
    buf_lit(b, " (");
    put_pair(b, n.urgent_new, n.urgent_old);
    buf_lit(b, ")\r\n");
}

static void package_body(struct pbx *p, struct subscription_view *view, struct buf *b)
{
    put_summary(p, view->resource, b);
}

static unsigned package_accept(struct pbx *p, const struct config_extension *who,
                               const struct sip_uri *ruri, struct str *resource)
{
    const struct config *c = p->config;
    struct str user = sip_unescape(&p->turn, ruri->user.p ? ruri->user : STR(""));
    if (!user.p)
        return 400;
    if (ruri->scheme != SIP_SCHEME_TEL && !pbx_is_our_host(p, ruri))
        return 404;
    bool own = !user.n || str_eq(user, who->number) || str_eq(user, who->username) ||
               str_eq(user, c->features.voicemail);
    if (!own) /* what waits for somebody else is private: RFC 3842 section 6 */
        return config_find_extension(c, user) || config_find_user(c, user) ? 403 : 404;
    if (!who->voicemail)
        return 404;
    *resource = who->number;
    return 0;
}

const struct event_package mwi_package = {.name = STR_INIT("message-summary"),
                                          .type = STR_INIT("application/simple-message-summary"),
                                          .default_s = DEFAULT_S,
                                          .body_max = BODY_MAX,
                                          .interval = INTERVAL,
                                          .accept = package_accept,
                                          .body = package_body};

/* ---- phones that have not subscribed --------------------------------------------------------- */

/* Nothing comes of the answer. Subscription-State must be there (RFC 6665 section 8.2.3), and there
 * is no subscription. */
static void tell_phone(struct pbx *p, const struct config_extension *e, const struct binding *b)
{
    char self_mem[URI_MAX], body_mem[BODY_MAX];
    struct buf self, body;
    struct str route;
    handle_t h;
    buf_init(&self, self_mem, sizeof(self_mem));
    buf_lit(&self, "<sip:");
    sip_escape_user(&self, e->username);
    put_host(&self, p);
    buf_ch(&self, '>');
    buf_init(&body, body_mem, sizeof(body_mem));
    put_summary(p, e->number, &body);
    struct sip_field field[] = {
        {.id = SIP_H_EVENT, .value = mwi_package.name},
        {.id = SIP_H_SUBSCRIPTION_STATE, .value = STR("terminated")},
    };
    struct sip_request_cmd cmd = {.method = SIP_NOTIFY,
                                  .ruri = registrar_target(p, b, true),
                                  .from = buf_str(&self),
                                  .to_hdr = buf_str(&self),
                                  .contact = STR(""), /* no user, our address */
                                  .user = pbx_user(PBX_USER_SUBSCRIPTION, 0),
                                  .content = {.field = field,
                                              .n_fields = ARRAY_LEN(field),
                                              .type = mwi_package.type,
                                              .body = buf_str(&body)}};
    registrar_reach(p, b, &cmd.to, &route);
    cmd.route = route;
    if (self.full || body.full || sip_request(p->core, p->now, &cmd, &h))
        return; /* it hears the next change */
}

/* A phone that has subscribed as well is not told twice. Behind a proxy its address is that of
 * others too. */
static bool has_subscribed(struct pbx *p, struct str number, const struct binding *b)
{
    return subscription_tells(p, &mwi_package, number, b->contact,
                              b->path.n ? NULL : &b->flow.peer);
}

static void tell_phones(struct pbx *p, struct pbx_timer *t)
{
    struct mailbox *m = container_of(t, struct mailbox, tell);
    const struct config_extension *e = owner(p, m->number);
    const struct binding *b[MAX_CONTACTS];
    if (!e || !e->mwi_unsolicited || p->stopping)
        return;
    m->not_before = p->now + INTERVAL;
    unsigned n = registrar_find(p, e, b, ARRAY_LEN(b));
    for (unsigned i = 0; i < n; i++)
        if (!has_subscribed(p, m->number, b[i]))
            tell_phone(p, e, b[i]);
}

static void tell_soon(struct pbx *p, struct mailbox *m, usec_t in)
{
    usec_t rest = m->not_before > p->now ? m->not_before - p->now : 0;
    if (!timer_armed(&m->tell.timer))
        pbx_timer_start(p, &m->tell, in > rest ? in : rest);
}

void mwi_registered(struct pbx *p, const struct config_extension *e)
{
    struct mailbox *m = e && e->voicemail && e->mwi_unsolicited ? get(p, e->number) : NULL;
    if (m)
        tell_soon(p, m, AFTER_200);
}

/* ---- changes --------------------------------------------------------------------------------- */

struct mwi_counts mwi_get(const struct pbx *p, struct str number)
{
    const struct mailbox *m = find(p, number);
    return m ? m->counts : (struct mwi_counts){0};
}

int mwi_set(struct pbx *p, struct str number, const struct mwi_counts *counts)
{
    const struct config_extension *e = owner(p, number);
    if (!e)
        return -ENOENT;
    if (counts->urgent_new > counts->new || counts->urgent_old > counts->old)
        return -EINVAL;
    struct mailbox *m = get(p, number);
    if (!m)
        return -ENOMEM;
    if (memcmp(&m->counts, counts, sizeof(*counts)) == 0)
        return 0;
    m->counts = *counts;
    subscription_changed(p, &mwi_package, number);
    if (e->mwi_unsolicited)
        tell_soon(p, m, 0);
    return 0;
}

void mwi_reload(struct pbx *p)
{
    for (uint32_t i = 0; i < p->config->n_extensions; i++)
        if (!p->config->extensions[i].voicemail)
            subscription_end_all(p, &mwi_package, p->config->extensions[i].number);
    list_each(node, &p->mwi->all)
    {
        struct mailbox *m = container_of(node, struct mailbox, node);
        if (!owner(p, m->number))
            mailbox_free(p, m);
    }
}

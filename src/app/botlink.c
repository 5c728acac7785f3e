#include "app/botlink.h"

#include <errno.h>
#include <unistd.h>

#include "app/botlink_int.h"
#include "base/mem.h"
#include "io/entropy.h"

#define ORDERS 1024
#define NEWS   4096
/* What may be lost leaves so much room to what may not, for each conversation: OPENED, HANGUP,
 * FAILED or LOST, and CLOSED. */
#define NEWS_EACH 4
#define RETRY_MS  5

/* An order in the loop's thread. */
struct waiting {
    struct list list;
    bool closed; /* its CLOSE came before its host had an address */
    struct bot_order o;
};

/* ---- events, from the web's thread ----------------------------------------------------------- */

bool bot_tell(struct botlinks *b, enum botlink_event_kind kind, uint64_t id, struct str text,
              const struct botlink_figures *figures)
{
    struct bot_news n = {.kind = kind, .id = id};
    bool may_go = kind == BOTLINK_EV_SOUND || kind == BOTLINK_EV_NOTE ||
                  kind == BOTLINK_EV_TRANSFER || kind == BOTLINK_EV_BROKEN;
    if (may_go && mailbox_room(&b->out) <= NEWS_EACH * b->conf.max)
        return false;
    if (text.n && !(n.text = mem_strndup(text.p, text.n < WHY_BYTES ? text.n : WHY_BYTES)) &&
        kind == BOTLINK_EV_TRANSFER)
        return false; /* to nowhere is worse than not at all */
    if (figures)
        n.figures = *figures;
    int rc = mailbox_put(&b->out, &n);
    BUG_ON(rc);
    return true;
}

static void give(struct botlinks *b, const struct bot_news *n)
{
    struct botlink_event ev = {.kind = n->kind, .id = n->id, .figures = n->figures};
    ev.text = n->text ? str_z(n->text) : STR("");
    if (!b->freed)
        b->conf.event(b->conf.ctx, &ev);
    mem_free(n->text);
}

static void on_news(struct loop_watch *w, unsigned events)
{
    struct botlinks *b = container_of(w, struct botlinks, watch);
    struct bot_news n;
    (void)events;
    mailbox_ack(&b->out);
    while (!b->freed && mailbox_take(&b->out, &n))
        give(b, &n);
}

/* ---- orders, to the web's thread ------------------------------------------------------------- */

/* To close needs no memory: it may be what is done for want of it. */
static bool closes_run(struct botlinks *b)
{
    for (; b->close_n; b->close_n--) {
        struct bot_order o = {.kind = BOTLINK_CLOSE, .id = b->close[b->close_at]};
        if (mailbox_put(&b->in, &o))
            return false;
        b->close_at = (b->close_at + 1) % b->conf.max;
    }
    return true;
}

static bool queue_take(struct botlinks *b)
{
    list_each(node, &b->queue)
    {
        struct waiting *w = container_of(node, struct waiting, list);
        if (mailbox_put(&b->in, &w->o))
            return false;
        list_remove(&w->list);
        mem_free(w);
    }
    return closes_run(b);
}

static void queue_run(struct botlinks *b)
{
    if (!queue_take(b))
        loop_timer_start(&b->again, RETRY_MS, 0);
}

static void on_again(struct loop_timer *t)
{
    queue_run(container_of(t, struct botlinks, again));
}

/* In the order in which they came. */
static void order_put(struct botlinks *b, const struct bot_order *o)
{
    if (list_empty(&b->queue) && !b->close_n && mailbox_put(&b->in, o) == 0)
        return;
    struct waiting *w = mem_alloc(sizeof(*w));
    if (!w)
        return;
    *w = (struct waiting){.o = *o};
    list_append(&b->queue, &w->list);
    queue_run(b);
}

static void close_put(struct botlinks *b, uint64_t id)
{
    BUG_ON(b->close_n == b->conf.max);
    b->close[(b->close_at + b->close_n++) % b->conf.max] = id;
    queue_run(b);
}

static struct waiting *naming_find(struct botlinks *b, uint64_t id)
{
    list_each(node, &b->naming)
    {
        struct waiting *w = container_of(node, struct waiting, list);
        if (w->o.id == id)
            return w;
    }
    return NULL;
}

/* IPv4 goes first, since bots on `localhost` often listen there alone. */
static void ips_take(struct bot_order *o, const struct dns_answer *a)
{
    struct buf ip;
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; !a->err && i < a->n && o->n_ips < ARRAY_LEN(o->ip); i++) {
            if ((a->dest[i].addr.family == ADDR_V4) != (pass == 0))
                continue;
            buf_init(&ip, o->ip[o->n_ips++], IP_BYTES - 1);
            addr_put_ip(&ip, &a->dest[i].addr);
        }
}

/* The host has addresses, or has none: then the thread says so. */
static void on_name(void *ctx, usec_t now, const struct dns_answer *a)
{
    struct botlinks *b = ctx;
    struct waiting *w = naming_find(b, a->token);
    (void)now;
    if (!w)
        return;
    list_remove(&w->list);
    ips_take(&w->o, a);
    if (w->closed) /* its server hears nothing of a call that is over */
        close_put(b, w->o.id);
    else
        order_put(b, &w->o);
    mem_free(w);
}

static int url_take(struct bot_order *o, struct str url)
{
    struct bot_url u;
    int err = bot_url_parse(&u, url, o->protocol == BOTLINK_AUDIOSOCKET);
    if (err)
        return err;
    o->tls = u.tls;
    o->port = u.port;
    str_copy_z(o->host, sizeof(o->host), u.host);
    str_copy_z(o->path, sizeof(o->path), u.path);
    return 0;
}

/* A bot without an account of its own always has the same one. */
static void account_make(struct bot_order *o, struct str given)
{
    if (twilio_sid_is(given, "AC")) {
        str_copy_z(o->account, sizeof(o->account), given);
        return;
    }
    uint8_t bytes[16] = {0};
    struct str name = str_z(o->bot);
    memcpy(bytes, name.p, name.n < sizeof(bytes) ? name.n : sizeof(bytes));
    twilio_sid(o->account, "AC", bytes);
}

static void order_fill(struct bot_order *o, const struct botlink_cmd *cmd,
                       const struct botlinks_auth *auth)
{
    *o = (struct bot_order){.kind = cmd->kind,
                            .id = cmd->id,
                            .media = cmd->media,
                            .protocol = cmd->protocol,
                            .rate_hz = cmd->rate_hz,
                            .open_ms = cmd->open_ms,
                            .digit = cmd->digit};
    if (cmd->kind != BOTLINK_OPEN)
        return;
    memcpy(o->record, cmd->record, sizeof(o->record));
    str_copy_z(o->url, sizeof(o->url), cmd->url);
    str_copy_z(o->bot, sizeof(o->bot), cmd->bot);
    str_copy_z(o->reason, sizeof(o->reason), cmd->reason);
    str_copy_z(o->from, sizeof(o->from), cmd->from);
    str_copy_z(o->to, sizeof(o->to), cmd->to);
    str_copy_z(o->call_id, sizeof(o->call_id), cmd->call_id);
    str_copy_z(o->token, sizeof(o->token), auth ? auth->token : STR(""));
    account_make(o, auth ? auth->account : STR(""));
}

/* Asks for its host. false: it has none, or there is no memory: the thread says that it failed. */
static bool name_ask(struct botlinks *b, const struct bot_order *o)
{
    struct dns_question what = {
        .name = str_z(o->host), .port = o->port, .proto = PROTO_TCP}; /* A and AAAA alone */
    struct waiting *w = mem_alloc(sizeof(*w));
    if (!w || dns_resolve(b->dns, &what, o->id)) {
        mem_free(w);
        return false;
    }
    *w = (struct waiting){.o = *o};
    list_append(&b->naming, &w->list);
    return true;
}

void botlinks_cmd(struct botlinks *b, const struct botlink_cmd *cmd,
                  const struct botlinks_auth *auth)
{
    struct bot_order o;
    struct waiting *named = cmd->kind == BOTLINK_OPEN ? NULL : naming_find(b, cmd->id);
    if (named) {
        named->closed |= cmd->kind == BOTLINK_CLOSE;
        return;
    }
    if (cmd->kind == BOTLINK_CLOSE) {
        close_put(b, cmd->id);
        return;
    }
    order_fill(&o, cmd, auth);
    bool has_name = cmd->kind == BOTLINK_OPEN && url_take(&o, cmd->url) == 0;
    if (!has_name || !name_ask(b, &o))
        order_put(b, &o);
}

/* ---- what the web's thread is called with ---------------------------------------------------- */

enum { FD_ORDERS, FD_TAPS };

static void on_ready(void *ctx, unsigned which)
{
    struct botlinks *b = ctx;
    struct media_tap tap;
    struct bot_order o;
    if (which == FD_TAPS) {
        while (media_thread_tap(b->conf.media, &tap))
            conv_tap(b, &tap);
        return;
    }
    mailbox_ack(&b->in);
    while (mailbox_take(&b->in, &o))
        conv_order(b, &o);
}

static void on_opened(void *ctx, void *user)
{
    (void)ctx;
    conv_opened(user);
}

static void on_message(void *ctx, void *user, bool is_text, struct str bytes)
{
    (void)ctx;
    conv_message(user, is_text, bytes);
}

static void on_ws_closed(void *ctx, void *user, unsigned code, struct str why)
{
    (void)ctx;
    conv_closed(user, code, why);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int web_open(struct botlinks *b)
{
    char ip[64] = "";
    struct buf text;
    buf_init(&text, ip, sizeof(ip) - 1);
    bool rest = b->conf.rest.family != ADDR_NONE;
    if (rest)
        addr_put_ip(&text, &b->conf.rest);
    struct web_conf conf = {
        .fd = {[FD_ORDERS] = b->in.fd, [FD_TAPS] = media_thread_tap_fd(b->conf.media)},
        .n_fds = 2,
        .ca_file = b->conf.ca_file,
        .http_ip = rest ? ip : NULL,
        .http_port = b->conf.rest.port,
        .ops = {.ready = on_ready,
                .opened = on_opened,
                .message = on_message,
                .closed = on_ws_closed,
                .request = bot_request,
                .ctx = b}};
    return web_start(&b->web, &conf);
}

static void on_watch_closed(struct loop_watch *w)
{
    struct botlinks *b = container_of(w, struct botlinks, watch);
    loop_timer_close(&b->again);
}

static void on_timer_closed(struct loop_timer *t)
{
    struct botlinks *b = container_of(t, struct botlinks, again);
    struct bot_news n;
    while (mailbox_take(&b->out, &n))
        mem_free(n.text);
    mailbox_done(&b->out);
    mailbox_done(&b->in);
    hash_done(&b->by_id);
    mem_unmap(b->close, b->conf.max * sizeof(b->close[0]));
    mem_unmap(b, sizeof(*b));
}

static void list_drop(struct list *l)
{
    list_each(node, l)
    {
        struct waiting *w = container_of(node, struct waiting, list);
        list_remove(&w->list);
        mem_free(w);
    }
}

static int parts_open(struct botlinks *b)
{
    struct dns_config dns = {.done = on_name,
                             .ctx = b,
                             .servers = b->conf.dns_servers,
                             .timeout_ms = b->conf.dns_timeout_ms,
                             .ipv6 = !b->conf.ipv4_only};
    uint64_t seed;
    int err = entropy_get(&seed, sizeof(seed));
    err = err ? err : entropy_get(&dns.seed, sizeof(dns.seed));
    err = err ? err : hash_init(&b->by_id, b->conf.max, seed);
    err = err ? err : mailbox_init(&b->in, sizeof(struct bot_order), ORDERS);
    if (err)
        goto no_in;
    err = mailbox_init(&b->out, sizeof(struct bot_news), NEWS + NEWS_EACH * b->conf.max);
    if (err)
        goto no_out;
    err = dns_new(&b->dns, b->conf.loop, &dns);
    if (err)
        goto no_dns;
    err = web_open(b);
    if (err)
        goto no_web;
    return 0;
no_web:
    dns_free(b->dns);
no_dns:
    mailbox_done(&b->out);
no_out:
    mailbox_done(&b->in);
no_in:
    hash_done(&b->by_id);
    return err;
}

int botlinks_new(struct botlinks **ret, const struct botlinks_conf *conf)
{
    struct botlinks *b = mem_map(sizeof(*b)); /* a page, for the mailboxes' alignment */
    if (!b)
        return -ENOMEM;
    b->conf = *conf;
    b->conf.max = conf->max ? conf->max : 1;
    b->close = mem_map(b->conf.max * sizeof(b->close[0]));
    list_init(&b->naming);
    list_init(&b->queue);
    list_init(&b->all);
    b->watch.ready = on_news;
    b->watch.closed = on_watch_closed;
    b->again.fire = on_again;
    b->again.closed = on_timer_closed;
    int err = b->close ? parts_open(b) : -ENOMEM;
    if (err) {
        mem_unmap(b->close, b->conf.max * sizeof(b->close[0]));
        mem_unmap(b, sizeof(*b));
        return err;
    }
    loop_timer_open(conf->loop, &b->again);
    err = loop_watch_open(conf->loop, &b->watch, b->out.fd, LOOP_READ);
    BUG_ON(err);
    *ret = b;
    return 0;
}

uint16_t botlinks_rest_port(const struct botlinks *b)
{
    return web_http_port(b->web);
}

void botlinks_free(struct botlinks *b)
{
    if (!b)
        return;
    b->freed = true;
    web_stop(b->web);
    conv_free_all(b);
    dns_free(b->dns);
    list_drop(&b->naming);
    list_drop(&b->queue);
    loop_watch_close(&b->watch);
}

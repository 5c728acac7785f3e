#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "io/web_priv.h"

#define PING_S 20

static int fd_event(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n)
{
    struct web_watch *watch = lws_get_opaque_user_data(wsi);
    (void)user, (void)in, (void)n;
    if (why == LWS_CALLBACK_RAW_RX_FILE && watch && watch->tag == WEB_WATCH && !watch->w->silent)
        watch->w->conf.ops.ready(watch->w->conf.ops.ctx, watch->which);
    return 0;
}

usec_t web_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (usec_t)t.tv_sec * USEC_S + (usec_t)t.tv_nsec / 1000;
}

static int vhosts_make(struct web *w)
{
    static const struct lws_protocols client[] = {
        {.name = "ringdown", .callback = web_ws_event, .rx_buffer_size = 16384},
        {.name = "ringdown-fd", .callback = fd_event},
        {0}};
    struct lws_context_creation_info ci = {.port = CONTEXT_PORT_NO_LISTEN,
                                           .vhost_name = "client",
                                           .protocols = client,
                                           .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
                                           .client_ssl_ca_filepath = w->conf.ca_file};
    w->client = lws_create_vhost(w->lws, &ci);
    if (!w->client)
        return -EIO;
    if (!w->conf.http_ip)
        return 0;
    w->http[0] = (struct lws_protocols){.name = "http",
                                        .callback = web_http_event,
                                        .per_session_data_size = web_http_session_bytes()};
    struct lws_context_creation_info si = {.port = w->conf.http_port,
                                           .iface = w->conf.http_ip,
                                           .vhost_name = "server",
                                           .protocols = w->http,
                                           .keepalive_timeout = 5};
    if (!strchr(w->conf.http_ip, ':')) /* else it listens on all addresses, of IPv6 */
        si.options |= LWS_SERVER_OPTION_DISABLE_IPV6;
    w->server = lws_create_vhost(w->lws, &si);
    return w->server ? 0 : -EADDRINUSE;
}

static int fds_watch(struct web *w)
{
    for (unsigned i = 0; i < w->conf.n_fds; i++) {
        lws_sock_file_fd_type fd = {.filefd = w->conf.fd[i]};
        struct lws *wsi =
            lws_adopt_descriptor_vhost(w->client, LWS_ADOPT_RAW_FILE_DESC, fd, "ringdown-fd", NULL);
        if (!wsi)
            return -ENOMEM;
        w->watch[i] = (struct web_watch){.tag = WEB_WATCH, .w = w, .which = i};
        lws_set_opaque_user_data(wsi, &w->watch[i]);
    }
    return 0;
}

static void *serve(void *arg)
{
    struct web *w = arg;
    pthread_setname_np(pthread_self(), "ringdown-web");
    while (!atomic_load(&w->stop) && lws_service(w->lws, 0) >= 0)
        ;
    return NULL;
}

static void done(struct web *w)
{
    w->silent = true;
    if (w->lws)
        lws_context_destroy(w->lws);
    web_ws_free_all(w);
    mem_free(w);
}

/* The descriptors stay their owner's: the library closes what it was given. */
static int fds_copy(struct web *w)
{
    for (unsigned i = 0; i < w->conf.n_fds; i++) {
        int fd = dup(w->conf.fd[i]);
        if (fd < 0) {
            while (i-- > 0)
                close(w->conf.fd[i]);
            w->conf.n_fds = 0;
            return -errno;
        }
        w->conf.fd[i] = fd;
    }
    return 0;
}

int web_start(struct web **ret, const struct web_conf *conf)
{
    struct web *w = mem_zero(sizeof(*w));
    if (!w)
        return -ENOMEM;
    BUG_ON(conf->n_fds > WEB_MAX_FDS);
    w->conf = *conf;
    list_init(&w->conns);
    lws_set_log_level(0, NULL);
    uint16_t ping = (uint16_t)(conf->ping_s ? conf->ping_s : PING_S);
    w->idle = (lws_retry_bo_t){.secs_since_valid_ping = ping,
                               .secs_since_valid_hangup = (uint16_t)(2 * ping)};
    struct lws_context_creation_info ci = {.port = CONTEXT_PORT_NO_LISTEN,
                                           .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                                                      LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
                                           .retry_and_idle_policy = &w->idle,
                                           .pt_serv_buf_size = 32768,
                                           .user = w,
                                           .gid = (gid_t)-1,
                                           .uid = (uid_t)-1};
    w->lws = lws_create_context(&ci);
    int err = w->lws ? 0 : -EIO;
    err = err ? err : fds_copy(w);
    err = err ? err : vhosts_make(w);
    err = err ? err : fds_watch(w);
    if (!err)
        err = -pthread_create(&w->thread, NULL, serve, w);
    if (err) {
        done(w);
        return err;
    }
    w->conf.ca_file = w->conf.http_ip = NULL; /* the caller's, not needed any more */
    *ret = w;
    return 0;
}

uint16_t web_http_port(const struct web *w)
{
    return w->server ? (uint16_t)lws_get_vhost_listen_port(w->server) : 0;
}

void web_stop(struct web *w)
{
    if (!w)
        return;
    atomic_store(&w->stop, true);
    lws_cancel_service(w->lws);
    pthread_join(w->thread, NULL);
    done(w);
}

/* What the files of web share. */
#ifndef IO_WEB_PRIV_H
#define IO_WEB_PRIV_H

#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "io/web.h"

/* The library calls the first protocol of a place for what is of another when it ends, so what an
 * object of it carries says what it is. */
enum web_tag { WEB_WATCH = 1, WEB_CONN };

struct web_watch {
    enum web_tag tag;
    struct web *w;
    unsigned which;
};

struct web {
    struct web_conf conf;
    struct lws_context *lws;
    struct lws_vhost *client, *server;
    lws_retry_bo_t idle; /* the library keeps pointing at these two */
    struct lws_protocols http[2];
    pthread_t thread;
    atomic_bool stop;
    unsigned http_n;
    bool silent; /* it ends: owners are told nothing more */
    struct web_watch watch[WEB_MAX_FDS];
    struct list conns;
};

/* web_ws.c */
int web_ws_event(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n);
void web_ws_free_all(struct web *w);
/* web_http.c */
int web_http_event(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n);
size_t web_http_session_bytes(void);

#endif

/* The HTTP server: whole requests with a form, JSON replies. */
#include <string.h>

#include "io/web_priv.h"

struct session {
    bool post, full;
    bool unmeasured; /* its body says no length that can be read */
    bool last;       /* where the next request begins is not known */
    char path[512], query[256], authorization[512];
    size_t n;
    char body[WEB_BODY_BYTES];
};

size_t web_http_session_bytes(void)
{
    return sizeof(struct session);
}

/* `last`: no other request is read behind this one. */
static int reply_send(struct lws *wsi, unsigned status, struct str body, bool last)
{
    unsigned char mem[LWS_PRE + 1024 + WEB_REPLY_BYTES], *from = mem + LWS_PRE, *p = from,
                                                         *end = mem + LWS_PRE + 1024;
    static const unsigned char close[] = "close";
    if (lws_add_http_common_headers(wsi, status, "application/json", body.n, &p, end) ||
        (last && lws_add_http_header_by_token(wsi, WSI_TOKEN_CONNECTION, close, 5, &p, end)) ||
        (status == 401 && lws_add_http_header_by_name(
                              wsi, (const unsigned char *)"www-authenticate:",
                              (const unsigned char *)"Basic realm=\"calls\"", 19, &p, end)) ||
        lws_finalize_write_http_header(wsi, from, &p, end))
        return -1;
    memcpy(from, body.p, body.n);
    if (lws_write(wsi, from, body.n, LWS_WRITE_HTTP_FINAL) != (int)body.n)
        return -1;
    return last || lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int answer(struct lws *wsi, struct session *s)
{
    struct web *w = lws_context_user(lws_get_context(wsi));
    char mem[WEB_REPLY_BYTES];
    struct buf reply;
    struct web_request r = {.post = s->post,
                            .path = str_z(s->path),
                            .query = str_z(s->query),
                            .authorization = str_z(s->authorization),
                            .body = str_of(s->body, s->n),
                            .fault = s->unmeasured ? 411
                                     : s->full     ? 413
                                                   : 0};
    buf_init(&reply, mem, sizeof(mem));
    unsigned status = w->silent ? 503 : w->conf.ops.request(w->conf.ops.ctx, &r, &reply);
    return reply_send(wsi, status, buf_str(&reply), s->last);
}

static void field(struct lws *wsi, char *ret, size_t cap, enum lws_token_indexes which, bool *full)
{
    ret[0] = '\0';
    if (lws_hdr_total_length(wsi, which) > 0 && lws_hdr_copy(wsi, ret, (int)cap, which) < 0)
        *full = true;
}

/* RFC 9110 section 10.1.1: who waits for it sends no body before. */
static int go_on(struct lws *wsi)
{
    char expect[32] = "";
    unsigned char mem[LWS_PRE + 64];
    const struct str line = STR("HTTP/1.1 100 Continue\r\n\r\n");
    if (lws_hdr_copy(wsi, expect, sizeof(expect), WSI_TOKEN_HTTP_EXPECT) <= 0 ||
        !str_ieq(str_trim(str_z(expect)), STR("100-continue")))
        return 0;
    memcpy(mem + LWS_PRE, line.p, line.n);
    return lws_write(wsi, mem + LWS_PRE, line.n, LWS_WRITE_HTTP_HEADERS) == (int)line.n ? 0 : -1;
}

static int began(struct lws *wsi, struct session *s, const char *path)
{
    *s = (struct session){.post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0};
    s->full = str_copy_z(s->path, sizeof(s->path), str_z(path)) < strlen(path);
    field(wsi, s->query, sizeof(s->query), WSI_TOKEN_HTTP_URI_ARGS, &s->full);
    field(wsi, s->authorization, sizeof(s->authorization), WSI_TOKEN_HTTP_AUTHORIZATION, &s->full);
    /* RFC 9112 section 6.3: without either field there is no body. The library reads none that is
     * chunked (section 7.1), and would wait for one that nobody announced. */
    s->unmeasured = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
    s->last = s->unmeasured ||
              (s->post && (s->full || !lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH)));
    return !s->post || s->last ? answer(wsi, s) : go_on(wsi);
}

int web_http_event(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t n)
{
    struct session *s = user;
    struct web *w = lws_context_user(lws_get_context(wsi));
    switch (why) {
    case LWS_CALLBACK_FILTER_NETWORK_CONNECTION: /* before it is one of ours */
        return w->http_n >= WEB_HTTP_MOST;
    case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
        lws_set_opaque_user_data(wsi, &w->http_n);
        w->http_n++;
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        if (lws_get_opaque_user_data(wsi) == &w->http_n)
            w->http_n--;
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: /* HTTP alone is spoken here */
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return -1;
    case LWS_CALLBACK_HTTP:
        return began(wsi, s, in);
    case LWS_CALLBACK_HTTP_BODY:
        s->full |= n > sizeof(s->body) - s->n;
        if (!s->full && n) { /* of nothing there is no address */
            memcpy(s->body + s->n, in, n);
            s->n += n;
        }
        return 0;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return answer(wsi, s);
    default:
        return 0;
    }
}

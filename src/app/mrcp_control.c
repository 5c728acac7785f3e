#include "app/mrcp_control.h"

#include <errno.h>

#include "base/mem.h"

struct control {
    struct mrcp_controls *all;
    handle_t conn; /* of the client; 0: free */
    uint16_t party;
    struct outconn *out;
};

struct mrcp_controls {
    struct mrcp_controls_conf conf;
    struct control control[]; /* by the index in the handle */
};

struct mrcp_controls *mrcp_controls_new(const struct mrcp_controls_conf *conf)
{
    struct mrcp_controls *c = mem_zero(sizeof(*c) + conf->max * sizeof(c->control[0]));
    if (c)
        c->conf = *conf;
    return c;
}

static void up(void *ctx)
{
    struct control *k = ctx;
    const struct mrcp_controls_conf *conf = &k->all->conf;
    mrcp_client_connected(conf->client, loop_now(conf->loop), k->conn);
    conf->changed(conf->ctx);
}

static void rx(void *ctx, struct str bytes)
{
    struct control *k = ctx;
    const struct mrcp_controls_conf *conf = &k->all->conf;
    mrcp_client_rx(conf->client, loop_now(conf->loop), k->conn, bytes);
    conf->changed(conf->ctx);
}

static void lost(void *ctx, int err)
{
    struct control *k = ctx;
    const struct mrcp_controls_conf *conf = &k->all->conf;
    struct str why = outconn_why(k->out);
    if (why.n)
        conf->insecure(conf->ctx, k->party, why);
    mrcp_client_closed(conf->client, loop_now(conf->loop), k->conn, err);
    conf->changed(conf->ctx);
}

static struct control *of(struct mrcp_controls *c, handle_t conn)
{
    uint32_t at = (uint32_t)conn - 1;
    return conn && at < c->conf.max ? &c->control[at] : NULL;
}

static void connect_to(struct mrcp_controls *c, const struct mrcp_out *o,
                       const struct mrcp_controls_peer *peer)
{
    const struct mrcp_controls_conf *conf = &c->conf;
    struct control *k = of(c, o->conn);
    struct outconn_hooks hooks = {.up = up, .rx = rx, .lost = lost, .ctx = k};
    struct outconn_tls tls = {
        .ctx = conf->tls, .who = {.host = peer->host, .pin = conf->pin, .n_pins = conf->n_pins}};
    int err = !k || (o->tls && !conf->tls) ? -EINVAL : 0;
    if (!err) {
        *k = (struct control){.all = c, .conn = o->conn, .party = peer->party};
        err = outconn_open_tls(&k->out, conf->loop, &o->peer, o->tls ? &tls : NULL, &hooks);
    }
    if (!err)
        return;
    if (k)
        k->conn = 0;
    mrcp_client_closed(conf->client, loop_now(conf->loop), o->conn, err);
}

void mrcp_controls_out(struct mrcp_controls *c, const struct mrcp_out *o,
                       const struct mrcp_controls_peer *peer)
{
    struct control *k = of(c, o->conn);
    if (o->kind == MRCP_OUT_CONNECT) {
        connect_to(c, o, peer);
        return;
    }
    bool mine = k && k->conn == o->conn;
    if (o->kind == MRCP_OUT_SEND) {
        if (mine)
            outconn_send(k->out, blob_str(o->blob));
        blob_unref(o->blob);
    } else if (mine) {
        outconn_close(k->out);
        *k = (struct control){.all = c};
    }
}

void mrcp_controls_free(struct mrcp_controls *c)
{
    for (uint32_t i = 0; c && i < c->conf.max; i++)
        outconn_close(c->control[i].out);
    mem_free(c);
}

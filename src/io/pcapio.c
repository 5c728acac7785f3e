#include "io/pcapio.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK_MS    100  /* a block of the ring that is not full is handed over after so long */
#define TURN_FRAMES 4096 /* of one turn of the loop, so that others get theirs */
#define RETRY_TICKS 5

struct pcapio {
    struct pcapio_config cfg;
    struct loop *loop;
    struct loop_watch watch;
    pcap_t *pcap; /* NULL: the interface is gone */
    uint16_t link;
    bool nanos, watching, behind, closed;
    unsigned ticks;                                /* since it has gone */
    uint64_t dropped_before, iface_dropped_before; /* when it was opened earlier */
    struct pcapio_stats stats;
};

/* ---- opening --------------------------------------------------------------------------------- */

/* What to do about it is said where that is known. */
static int explain(const struct pcapio_config *cfg, pcap_t *pcap, int result, char *text)
{
    const char *what = pcap ? pcap_geterr(pcap) : "";
    switch (result) {
    case PCAP_ERROR_PERM_DENIED:
    case PCAP_ERROR_PROMISC_PERM_DENIED:
        snprintf(text, PCAPIO_TEXT,
                 "%s: capturing needs the capability CAP_NET_RAW: run it as root, or give it to "
                 "the program by: setcap cap_net_raw+ep /path/to/ringdown",
                 cfg->iface);
        return -EPERM;
    case PCAP_ERROR_NO_SUCH_DEVICE:
        snprintf(text, PCAPIO_TEXT, "%s: there is no such interface", cfg->iface);
        return -ENODEV;
    case PCAP_ERROR_IFACE_NOT_UP:
        snprintf(text, PCAPIO_TEXT, "%s: the interface is down", cfg->iface);
        return -ENETDOWN;
    default:
        snprintf(text, PCAPIO_TEXT, "%s: %s", cfg->iface,
                 what && what[0] ? what : pcap_statustostr(result));
        return -EIO;
    }
}

static int settings_put(struct pcapio *p, pcap_t *pcap)
{
    const struct pcapio_config *c = &p->cfg;
    int err = pcap_set_snaplen(pcap, (int)c->snaplen);
    if (!err)
        err = pcap_set_timeout(pcap, BLOCK_MS);
    if (!err)
        err = pcap_set_buffer_size(pcap, (int)(c->buffer_mb << 20));
    /* A mirror port shows what is for others; "any" has no such mode, which does no harm. */
    if (!err && strcmp(c->iface, "any") != 0)
        err = pcap_set_promisc(pcap, 1);
    if (!err && pcap_set_tstamp_precision(pcap, PCAP_TSTAMP_PRECISION_NANO) == 0)
        p->nanos = true;
    return err;
}

static int filter_put(const struct pcapio_config *c, pcap_t *pcap, char *text)
{
    struct bpf_program program;
    if (!c->filter || !c->filter[0])
        return 0;
    if (pcap_compile(pcap, &program, c->filter, 1, PCAP_NETMASK_UNKNOWN)) {
        snprintf(text, PCAPIO_TEXT, "the filter: %s", pcap_geterr(pcap));
        return -EINVAL;
    }
    int err = pcap_setfilter(pcap, &program);
    pcap_freecode(&program);
    if (err)
        snprintf(text, PCAPIO_TEXT, "the filter: %s", pcap_geterr(pcap));
    return err ? -EINVAL : 0;
}

static int activate(struct pcapio *p, pcap_t *pcap, char *text)
{
    char problem[PCAP_ERRBUF_SIZE] = "";
    int r = settings_put(p, pcap);
    if (!r)
        r = pcap_activate(pcap);
    if (r < 0)
        return explain(&p->cfg, pcap, r, text);
    int err = filter_put(&p->cfg, pcap, text);
    if (err)
        return err;
    if (pcap_setnonblock(pcap, 1, problem) || pcap_get_selectable_fd(pcap) < 0) {
        snprintf(text, PCAPIO_TEXT, "%s: it cannot be waited for", p->cfg.iface);
        return -ENOTSUP;
    }
    p->link = (uint16_t)pcap_datalink(pcap);
    return 0;
}

static int capture_begin(struct pcapio *p, char *text)
{
    char problem[PCAP_ERRBUF_SIZE] = "";
    pcap_t *pcap = pcap_create(p->cfg.iface, problem);
    if (!pcap) {
        snprintf(text, PCAPIO_TEXT, "%s: %s", p->cfg.iface, problem);
        return -EIO;
    }
    int err = activate(p, pcap, text);
    if (!err) {
        err = loop_watch_open(p->loop, &p->watch, pcap_get_selectable_fd(pcap), LOOP_READ);
        if (err)
            snprintf(text, PCAPIO_TEXT, "%s: it cannot be waited for", p->cfg.iface);
    }
    if (err) {
        pcap_close(pcap);
        return err;
    }
    p->watching = true;
    p->pcap = pcap;
    return 0;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void stats_take(struct pcapio *p)
{
    struct pcap_stat s;
    if (!p->pcap || pcap_stats(p->pcap, &s))
        return;
    p->stats.dropped = p->dropped_before + s.ps_drop;
    p->stats.iface_dropped = p->iface_dropped_before + s.ps_ifdrop;
}

static void capture_end(struct pcapio *p)
{
    stats_take(p);
    p->dropped_before = p->stats.dropped;
    p->iface_dropped_before = p->stats.iface_dropped;
    if (p->watching)
        loop_watch_close(&p->watch);
    if (p->pcap)
        pcap_close(p->pcap);
    p->pcap = NULL;
    p->behind = false;
    p->ticks = 0;
}

static void on_frame(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
    struct pcapio *p = (void *)user;
    uint64_t part_ns = (uint64_t)h->ts.tv_usec * (p->nanos ? 1 : 1000);
    struct cap_frame f = {.number = ++p->stats.frames,
                          .at_ns = (uint64_t)h->ts.tv_sec * 1000000000u + part_ns,
                          .iface = p->cfg.number,
                          .link = p->link,
                          .p = bytes,
                          .n = h->caplen,
                          .wire_n = h->len < h->caplen ? h->caplen : h->len};
    if (f.n <= CAP_MAX_FRAME)
        p->cfg.frame(p->cfg.ctx, &f);
}

static void gone(struct pcapio *p)
{
    char text[PCAPIO_TEXT];
    snprintf(text, sizeof(text), "%s: %s; it is looked for again", p->cfg.iface,
             pcap_geterr(p->pcap));
    capture_end(p);
    p->cfg.news(p->cfg.ctx, text);
}

static void take(struct pcapio *p)
{
    int n = pcap_dispatch(p->pcap, TURN_FRAMES, on_frame, (void *)p);
    p->behind = n >= TURN_FRAMES;
    if (n < 0 && n != PCAP_ERROR_BREAK)
        gone(p);
}

static void on_ready(struct loop_watch *w, unsigned events)
{
    struct pcapio *p = container_of(w, struct pcapio, watch);
    if (events & LOOP_ERROR)
        loop_watch_set(w, LOOP_READ); /* reading tells what it was */
    if (p->pcap)
        take(p);
}

static void on_closed(struct loop_watch *w)
{
    struct pcapio *p = container_of(w, struct pcapio, watch);
    p->watching = false;
    if (p->closed)
        mem_free(p);
}

/* ---------------------------------------------------------------------------------------------- */

int pcapio_open(struct pcapio **ret, struct loop *loop, const struct pcapio_config *cfg, char *text)
{
    struct pcapio *p = mem_zero(sizeof(*p));
    if (!p) {
        snprintf(text, PCAPIO_TEXT, "%s: no memory", cfg->iface);
        return -ENOMEM;
    }
    p->cfg = *cfg;
    p->loop = loop;
    p->watch.ready = on_ready;
    p->watch.closed = on_closed;
    int err = capture_begin(p, text);
    if (err) {
        mem_free(p);
        return err;
    }
    *ret = p;
    return 0;
}

void pcapio_close(struct pcapio *p)
{
    if (!p)
        return;
    p->closed = true;
    bool waits = p->watching;
    if (p->pcap)
        capture_end(p);
    if (!waits)
        mem_free(p);
}

void pcapio_tick(struct pcapio *p)
{
    char text[PCAPIO_TEXT];
    if (p->pcap) {
        take(p);
        stats_take(p);
        return;
    }
    if (p->watching || ++p->ticks % RETRY_TICKS)
        return;
    if (capture_begin(p, text) == 0) {
        snprintf(text, sizeof(text), "%s: it is back", p->cfg.iface);
        p->cfg.news(p->cfg.ctx, text);
    }
}

bool pcapio_is_behind(const struct pcapio *p)
{
    return p->behind;
}

struct pcapio_stats pcapio_stats_get(struct pcapio *p)
{
    stats_take(p);
    return p->stats;
}

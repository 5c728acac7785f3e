/* `ringdown watch`: where frames come from. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app/watch.h"
#include "base/mem.h"
#include "io/capfile.h"
#include "wire/hep/hep.h"

#define NS_PER_S     1000000000ull
#define REPEAT_NS    (10 * NS_PER_S)
#define CLOCK_OFF_NS (10 * NS_PER_S) /* a clock that differs by more is not believed */

/* ---- the way of a frame ---------------------------------------------------------------------- */

/* An agent's time puts messages in order, unless its clock is somewhere else: what is live would be
 * idle for hours, or an hour ahead. */
static void hep_time(struct watch *w, struct an_datum *d, uint64_t came_ns)
{
    uint64_t off = d->at_ns > came_ns ? d->at_ns - came_ns : came_ns - d->at_ns;
    if (off <= CLOCK_OFF_NS)
        return;
    d->at_ns = came_ns;
    if (w->hep_clock_off++ == 0)
        watch_news(w, "the clock of a HEP agent is wrong; its messages get the time of arrival");
}

static void datums(struct watch *w, const struct cap_frame *f)
{
    struct an_datum d;
    while (an_input_next(w->input, &d)) {
        if (d.hep)
            hep_time(w, &d, f->at_ns);
        an_engine_rx(w->engine, &d);
        uint32_t stream = d.kind == AN_UDP_DATA ? an_rtp_last(an_engine_rtp(w->engine)) : AN_NONE;
        if (w->sounds && stream != AN_NONE)
            watch_sounds_rx(w, stream, &d);
        if (w->store)
            watch_store_rx(w, f, &d);
    }
}

void watch_frame(struct watch *w, const struct cap_frame *f)
{
    w->frames += !f->keys;
    if (f->at_ns > w->now_ns)
        w->now_ns = f->at_ns;
    an_input_frame(w->input, f);
    datums(w, f);
}

void watch_input_end(struct watch *w)
{
    struct cap_frame last = {.at_ns = w->now_ns};
    an_input_end(w->input);
    datums(w, &last);
}

/* ---- interfaces ------------------------------------------------------------------------------ */

static void on_frame(void *ctx, const struct cap_frame *f)
{
    watch_frame(ctx, f);
}

static int ifaces_open(struct watch *w)
{
    char text[PCAPIO_TEXT];
    for (unsigned i = 0; i < w->opt.n_ifaces; i++) {
        struct pcapio_config cfg = {.iface = w->opt.iface[i],
                                    .filter = w->opt.filter,
                                    .buffer_mb = w->opt.buffer_mb,
                                    .snaplen = w->opt.snaplen,
                                    .number = i,
                                    .frame = on_frame,
                                    .news = watch_news,
                                    .ctx = w};
        int err = pcapio_open(&w->pcap[i], w->loop, &cfg, text);
        if (err) {
            fprintf(stderr, "ringdown watch: %s\n", text);
            return err;
        }
    }
    return 0;
}

/* ---- HEP ------------------------------------------------------------------------------------- */

/* Anybody may send here, but not everybody knows the key. */
static bool may(struct watch *w, struct str bytes)
{
    struct hep h;
    if (!w->opt.hep_key)
        return true;
    if (hep_parse(&h, (const uint8_t *)bytes.p, bytes.n)) {
        w->hep_bad++;
        return false;
    }
    if (h.key.n && str_eq(h.key, str_z(w->opt.hep_key)))
        return true;
    if (w->hep_refused++ == 0)
        watch_news(w, "a HEP packet without the right key was refused");
    return false;
}

/* It takes the way of a frame, as if it had been captured on its way here. */
static void on_packet(void *ctx, const struct addr *from, const struct addr *to, struct str bytes)
{
    struct watch *w = ctx;
    struct buf b;
    if (!may(w, bytes))
        return;
    /* As what it is: that of the versions 1 and 2 is known by its port alone. */
    struct addr at = *to;
    at.port = HEP_PORT;
    buf_init(&b, w->hep_frame, sizeof(w->hep_frame));
    cap_put_udp(&b, from, &at, bytes);
    if (b.full) {
        w->hep_bad++;
        return;
    }
    uint64_t now_ns = loop_wall_us(w->loop, loop_now(w->loop)) * 1000;
    struct cap_frame f = {.number = w->frames + 1,
                          .at_ns = now_ns,
                          .iface = w->opt.n_ifaces,
                          .link = CAP_RAW,
                          .p = (const uint8_t *)b.p,
                          .n = (uint32_t)b.n,
                          .wire_n = (uint32_t)b.n};
    watch_frame(w, &f);
}

static int hep_open(struct watch *w)
{
    struct hepio_config cfg = {.at = w->opt.hep_at, .packet = on_packet, .ctx = w};
    char mem[80], why[128];
    struct buf b;
    int err = w->opt.hep ? hepio_open(&w->hep, w->loop, &cfg) : 0;
    if (!err)
        return 0;
    buf_init(&b, mem, sizeof(mem) - 1);
    addr_put(&b, &w->opt.hep_at);
    mem[b.n] = 0;
    fprintf(stderr, "ringdown watch: HEP at %s: %s\n", mem, strerror_r(-err, why, sizeof(why)));
    return err;
}

/* ---------------------------------------------------------------------------------------------- */

int watch_sources_open(struct watch *w)
{
    int err = ifaces_open(w);
    return err ? err : hep_open(w);
}

void watch_sources_close(struct watch *w)
{
    for (unsigned i = 0; i < w->opt.n_ifaces; i++)
        pcapio_close(w->pcap[i]);
    hepio_close(w->hep);
}

bool watch_sources_tick(struct watch *w)
{
    bool behind = false;
    for (unsigned i = 0; i < w->opt.n_ifaces; i++) {
        pcapio_tick(w->pcap[i]);
        behind |= pcapio_is_behind(w->pcap[i]);
    }
    return behind;
}

void watch_sources_put(const struct watch *w, struct buf *b)
{
    const char *between = "";
    for (unsigned i = 0; i < w->opt.n_ifaces; i++, between = ", ")
        buf_printf(b, "%s%s", between, w->opt.iface[i]);
    if (w->hep) {
        struct addr at = hepio_at(w->hep);
        buf_printf(b, "%sHEP ", between);
        addr_put(b, &at);
        between = ", ";
    }
    for (unsigned i = 0; i < w->opt.n_files; i++, between = ", ")
        buf_printf(b, "%s%s", between, w->opt.file[i]);
}

void watch_lost(struct watch *w, uint64_t *ret_ring, uint64_t *ret_iface)
{
    *ret_ring = *ret_iface = 0;
    for (unsigned i = 0; i < w->opt.n_ifaces; i++) {
        struct pcapio_stats s = pcapio_stats_get(w->pcap[i]);
        *ret_ring += s.dropped;
        *ret_iface += s.iface_dropped;
    }
    if (w->hep)
        *ret_ring += hepio_stats_get(w->hep).dropped;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Seconds of the capture pass as those of a clock would; a long pause is one step. */
static void time_goes(struct watch *w, uint64_t at_ns)
{
    if (!w->next_tick_ns)
        w->next_tick_ns = at_ns + NS_PER_S;
    while (at_ns >= w->next_tick_ns && !w->quit) {
        watch_tick(w, w->next_tick_ns);
        if (at_ns > w->next_tick_ns + 5 * NS_PER_S)
            w->next_tick_ns = at_ns - 3 * NS_PER_S;
        w->next_tick_ns += NS_PER_S;
        loop_run_once(w->loop, 0);
    }
}

static int file_replay(struct watch *w, const char *path, uint64_t shift_ns)
{
    struct capfile *f;
    struct cap_frame frame;
    char why[128];
    int err = capfile_open(&f, path, -1);
    bool open = err == 0;
    for (int r; !err && !w->quit && (r = capfile_next(f, &frame)) != 0;) {
        uint64_t at;
        if (r == -EBADMSG) {
            watch_news(w, capfile_problem(f, &at));
            continue;
        }
        if (r < 0) {
            err = r;
            break;
        }
        frame.at_ns += shift_ns;
        if (!frame.keys)
            time_goes(w, frame.at_ns);
        watch_frame(w, &frame);
    }
    if (!err && !capfile_format(f).n)
        err = -EBADMSG;
    if (open)
        capfile_close(f);
    if (err) {
        fprintf(stderr, "ringdown watch: %s: %s\n", path,
                err == -EBADMSG ? "neither pcap nor pcapng" : strerror_r(-err, why, sizeof(why)));
        w->failed = true;
    }
    return err;
}

/* 0: it has none. */
static uint64_t first_time(const char *path)
{
    struct capfile *f;
    struct cap_frame frame;
    uint64_t at_ns = 0;
    if (capfile_open(&f, path, -1))
        return 0;
    for (int r; !at_ns && (r = capfile_next(f, &frame)) != 0 && (r > 0 || r == -EBADMSG);)
        at_ns = r > 0 && !frame.keys ? frame.at_ns : 0;
    capfile_close(f);
    return at_ns;
}

void watch_replay(struct watch *w)
{
    uint64_t first_ns = w->opt.n_files ? first_time(w->opt.file[0]) : 0, shift_ns = 0;
    w->replaying = true;
    for (uint32_t i = 0; i < w->opt.repeat && !w->quit; i++) {
        /* The first frame comes again when the calls of the last time are over. */
        if (i && first_ns)
            shift_ns = w->now_ns + w->opt.linger_s * NS_PER_S + REPEAT_NS - first_ns;
        for (unsigned k = 0; k < w->opt.n_files && !w->quit; k++)
            if (file_replay(w, w->opt.file[k], shift_ns))
                return;
    }
    if (w->next_tick_ns)
        watch_tick(w, w->now_ns);
}

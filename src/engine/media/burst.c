#include "engine/media/burst.h"

/* The last bad packet is far enough behind: what it ends was a burst, or it stood alone in a gap
 * (state 4 of RFC 3611 appendix A.2). */
static void close_open(struct burst *b)
{
    if (b->open_bad > 1) {
        b->bursts++;
        b->in_bursts += b->open_packets;
        b->bad_bursts += b->open_bad;
    } else {
        b->in_gaps += b->open_packets;
        b->bad_gaps += b->open_bad;
    }
    b->open_packets = b->open_bad = 0;
    b->in_gaps += b->received_run;
    b->received_run = 0;
}

static void bad(struct burst *b, uint32_t n)
{
    if (n == 0)
        return;
    if (b->received_run > 0 || b->open_packets == 0)
        b->bad_runs++;
    /* The session is taken to be preceded by GMIN received packets. */
    if (b->received_run >= BURST_GMIN || b->open_packets == 0)
        close_open(b);
    b->open_packets += b->received_run + n;
    b->open_bad += n;
    b->received_run = 0;
    b->expected += n;
}

void burst_lost(struct burst *b, uint32_t n)
{
    b->lost += n;
    bad(b, n);
}

void burst_discarded(struct burst *b)
{
    b->discarded++;
    bad(b, 1);
}

/* The integer part of a fraction in 256ths, with 255 for the whole. */
static uint8_t in_256ths(uint32_t part, uint32_t whole)
{
    uint64_t v = whole ? (uint64_t)part * 256 / whole : 0;
    return v > 255 ? 255 : (uint8_t)v;
}

static uint16_t mean_ms(uint32_t packets, uint32_t periods, uint32_t packet_us)
{
    uint64_t ms = (uint64_t)packets * packet_us / 1000 / periods;
    return ms > UINT16_MAX ? UINT16_MAX : (uint16_t)ms;
}

/* G.107 section 7.5: the mean length of the loss runs over that of losses at random, which is
 * 1 / (1 - loss). */
static uint32_t ratio_x100(const struct burst *b, uint32_t n_bad)
{
    if (n_bad == 0)
        return 100;
    uint64_t runs = (uint64_t)b->bad_runs * b->expected;
    uint64_t ratio = (uint64_t)n_bad * (b->expected - n_bad) / runs * 100 +
                     (uint64_t)n_bad * (b->expected - n_bad) % runs * 100 / runs;
    return ratio < 100 ? 100 : (uint32_t)ratio;
}

void burst_get(const struct burst *b, uint32_t packet_us, struct burst_metrics *ret)
{
    struct burst end = *b;
    uint32_t n_bad = b->lost + b->discarded;
    close_open(&end);
    /* The example of section 4.7.2 and appendix A.2 divide the time in gaps by the number of
     * bursts, not by that of gaps; so do we, since that is what the far end compares with. */
    *ret = (struct burst_metrics){
        .loss_rate = in_256ths(b->lost, b->expected),
        .discard_rate = in_256ths(b->discarded, b->expected),
        .burst_density = in_256ths(end.bad_bursts, end.in_bursts),
        .gap_density = in_256ths(end.bad_gaps, end.in_gaps),
        .burst_ms = end.bursts ? mean_ms(end.in_bursts, end.bursts, packet_us) : 0,
        .gap_ms = mean_ms(end.in_gaps, end.bursts ? end.bursts : 1, packet_us),
        .bursts = end.bursts,
        .bad_e4 = b->expected ? (uint32_t)((uint64_t)n_bad * 10000 / b->expected) : 0,
        .burst_x100 = ratio_x100(b, n_bad),
    };
}

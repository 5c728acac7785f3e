/* RTP and RTCP in any order, leaps of time, reports made in between. What must hold: loss is never
 * more than what was expected, no figure leaves its range, and what is written is well formed. */
#include "engine/media/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t n;
};

static uint32_t take(struct input *in, size_t bytes)
{
    uint32_t v = 0;
    for (size_t i = 0; i < bytes && in->n; i++) {
        v = v << 8 | *in->p++;
        in->n--;
    }
    return v;
}

static void write(struct report *r, usec_t now, bool bye)
{
    static char mem[REPORT_MAX_BYTES];
    struct buf b;
    struct report_write w = {(uint64_t)3900000000u << 32, STR("a@b"), REPORT_XR};
    buf_init(&b, mem, sizeof(mem));
    int err = bye ? report_bye(r, now, &w, STR("gone"), &b) : report_make(r, now, &w, &b);
    BUG_ON(err ? b.n != 0 : rtcp_check(mem, b.n, false) != 0);
    /* Who hears its own words takes them for a stranger's, or for the far end's. */
    BUG_ON(!err && report_rtcp(r, now, mem, b.n) != 0);
}

static void judge(const struct report *r)
{
    struct report_quality q;
    report_quality(r, &q);
    uint32_t expected = report_expected(r), lost = report_lost(r);
    BUG_ON(lost > expected || q.in.discarded > expected - lost);
    BUG_ON(q.in.loss_e4 > 10000 || q.out.loss_e4 > 10000 || q.burst.bad_e4 > 10000);
    BUG_ON(q.in.r_x10 > 1000 || q.out.r_x10 > 1000 || q.rtt_us > q.rtt_max_us);
    BUG_ON(q.in.mos_x100 > 450 || q.out.mos_x100 > 500);
}

static void step(struct report *r, usec_t *now, struct input *in)
{
    uint32_t op = take(in, 1), v = take(in, 2);
    switch (op % 8) {
    case 0:
    case 1:
        report_rtp(r, *now, op >> 6, (uint16_t)v, v * 160, op & 32 ? 48000 : 8000);
        break;
    case 2:
        report_discarded(r, (uint16_t)v);
        break;
    case 3:
        report_sent(r, *now, v, op);
        break;
    case 4:
        v = v % 256 < in->n ? v % 256 : (uint32_t)in->n;
        if (report_rtcp(r, *now, in->p, v) == 0)
            report_passed(r, *now, in->p, v);
        in->p += v;
        in->n -= v;
        break;
    case 5:
        *now += (usec_t)v << (op >> 3);
        break;
    case 6:
        if (report_due(r, *now) || op & 64)
            write(r, *now, op & 128);
        break;
    default:
        *now += v;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct report r;
    usec_t now = USEC_S;
    uint32_t first = take(&in, 1);
    report_init(&r, now, &(struct report_setup){.min_sequential = first % 3, .seed = first});
    report_codec_set(&r, first & 4 ? STR("PCMU") : STR("none"), 8000, first);
    while (in.n) {
        step(&r, &now, &in);
        judge(&r);
    }
    return 0;
}

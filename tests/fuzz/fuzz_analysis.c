/* A capture file through everything: reading, legs, calls, findings, each report, and each call
 * alone with nobody's name; then as traffic that goes by and is forgotten. Whatever comes, all of
 * it ends, within its bounds. */
#include <errno.h>
#include <stdlib.h>

#include "analysis/anon.h"
#include "analysis/extract.h"
#include "analysis/keep_mem.h"
#include "base/mem.h"

#define MAX_BYTES 262144
#define SECOND    1000000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    char kept[MAX_BYTES];
    size_t n_kept;
    uint64_t written;
    struct an_sink sink;
    struct an_synth synth;
    uint8_t frame[AN_SYNTH_MAX_BYTES];
    char text[AN_SYNTH_MAX_BYTES];
};

static int keep_put(void *user, const void *p, size_t n, uint64_t *ret_at)
{
    struct run *r = user;
    if (n > sizeof(r->kept) - r->n_kept)
        return -ENOSPC;
    memcpy(r->kept + r->n_kept, p, n);
    *ret_at = r->n_kept;
    r->n_kept += n;
    return 0;
}

static int keep_get(void *user, uint64_t at, void *out, size_t n)
{
    struct run *r = user;
    BUG_ON(at > r->n_kept || n > r->n_kept - at);
    memcpy(out, r->kept + at, n);
    return 0;
}

static int take(void *user, const char *p, size_t n)
{
    struct run *r = user;
    for (size_t i = 0; i < n; i++)
        r->written += (uint8_t)p[i];
    return 0;
}

/* One pass; `x` and `a` are NULL in the first. */
struct pass {
    struct run *r;
    struct an_input *in;
    struct an_engine *e;
    struct an_extract *x;
    const struct an_anon *a;
    uint64_t linger_ns; /* not 0: what is over is forgotten */
    uint64_t last_ns, retired_ns;
    unsigned calls;
};

static void over(void *user, struct an_engine *e, uint32_t call, bool idle)
{
    struct pass *p = user;
    struct an_report r = {.engine = e, .style = {.width = 80, .unicode = idle}};
    if (p->calls++ > 8 || an_report_init(&r))
        return;
    an_report_json(&r, call, &p->r->sink);
    an_report_call(&r, call, &p->r->sink);
    an_report_done(&r);
}

static void retire(struct pass *p, uint64_t now_ns)
{
    struct an_retire r = {.now_ns = now_ns,
                          .linger_ns = p->linger_ns,
                          .idle_ns = 60 * SECOND,
                          .done = over,
                          .user = p};
    BUG_ON(an_engine_retire(p->e, &r));
    p->retired_ns = now_ns;
}

static void datum(struct pass *p, struct an_datum *d)
{
    uint32_t stream;
    if (!p->x) {
        an_engine_rx(p->e, d);
        p->last_ns = d->at_ns > p->last_ns ? d->at_ns : p->last_ns;
        if (p->linger_ns && p->last_ns > p->retired_ns + SECOND)
            retire(p, p->last_ns);
        return;
    }
    if (an_extract_datum(p->x, d, &stream) <= 0 || d->bytes.n > sizeof(p->r->text))
        return;
    memcpy(p->r->text, d->bytes.p, d->bytes.n);
    d->bytes.p = p->r->text;
    if (d->kind == AN_SIP)
        an_anon_sip(p->a, p->r->text, d->bytes.n);
    else if (rtp_classify(p->r->text, d->bytes.n) == RTP_IS_RTCP)
        an_anon_rtcp(p->a, (uint8_t *)p->r->text, d->bytes.n);
    else
        an_anon_rtp((uint8_t *)p->r->text, d->bytes.n, 0);
    an_anon_addr(p->a, &d->src);
    an_anon_addr(p->a, &d->dst);
    BUG_ON(an_synth_frame(&p->r->synth, d, p->r->frame) > sizeof(p->r->frame));
}

static void pass(struct pass *p, const uint8_t *data, size_t n)
{
    static struct cap c;
    struct cap_frame f;
    struct an_datum d;
    size_t used;
    cap_init(&c);
    for (int r; (r = cap_next(&c, data, n, true, &f, &used)) != 0; data += used, n -= used) {
        if (r < 0)
            continue;
        an_input_frame(p->in, &f);
        while (an_input_next(p->in, &d))
            datum(p, &d);
    }
    an_input_end(p->in);
    while (an_input_next(p->in, &d))
        datum(p, &d);
}

static void alone(struct run *run, const struct an_report *report, uint32_t call,
                  const uint8_t *data, size_t size)
{
    static const struct an_anon anon = {{1, 2, 3}};
    struct pass p = {.r = run, .a = &anon};
    if (an_input_new(&p.in, NULL) == 0 && an_extract_new(&p.x, report, call) == 0)
        pass(&p, data, size);
    an_extract_free(p.x);
    an_input_free(p.in);
}

static void tell(struct run *run, struct an_engine *e, const uint8_t *data, size_t size)
{
    struct an_file file = {.name = STR("a"), .format = STR("pcap"), .first_ns = 1, .last_ns = 2};
    struct an_report r = {.engine = e, .file = &file, .n_files = 1};
    r.style = (struct an_style){.width = 60 + size % 100,
                                .unicode = size & 1,
                                .color = size & 2,
                                .lang = size & 4 ? AN_KOREAN : AN_ENGLISH};
    if (an_report_init(&r))
        return;
    an_report_text(&r, &run->sink);
    an_report_csv(&r, &run->sink);
    an_report_json(&r, AN_NONE, &run->sink);
    for (uint32_t i = 0; i < an_engine_calls(e) && i < 4; i++) {
        an_report_call(&r, i, &run->sink);
        alone(run, &r, i, data, size);
    }
    r.style.in_page = r.style.with_messages = true;
    r.style.max_messages = 10000;
    an_report_html(&r, AN_NONE, &run->sink);
    BUG_ON(an_sink_flush(&run->sink));
    an_report_done(&r);
}

/* With few places, so that they are used again. */
static void goes_by(struct run *run, const uint8_t *data, size_t size)
{
    struct pass p = {.r = run, .linger_ns = (1 + size % 20) * SECOND};
    struct an_keep_mem *keep;
    struct an_engine_size left;
    BUG_ON(an_keep_mem_new(&keep, 20000));
    struct an_engine_args args = {.max_legs = 20,
                                  .max_streams = 20,
                                  .keep = an_keep_mem_ops(keep),
                                  .forgets = true,
                                  .seed = 1};
    if (an_input_new(&p.in, NULL) == 0 && an_engine_new(&p.e, &args) == 0) {
        pass(&p, data, size);
        if (p.last_ns < AN_NEVER / 2) {
            retire(&p, p.last_ns + 1000 * SECOND);
            retire(&p, p.last_ns + 1001 * SECOND);
            an_engine_size(p.e, &left);
            BUG_ON(left.legs || left.calls || left.streams || left.addresses || left.bytes);
            BUG_ON(an_keep_mem_stats(keep).blocks);
        }
    }
    an_engine_free(p.e);
    an_keep_mem_free(keep);
    an_input_free(p.in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run *run = calloc(1, sizeof(*run));
    struct an_keep keep = {.user = run, .put = keep_put, .get = keep_get};
    struct an_engine_args args = {.max_legs = 200, .max_streams = 200, .keep = &keep, .seed = 1};
    struct pass p = {.r = run};
    an_sink_init(&run->sink, take, run);
    if (an_input_new(&p.in, NULL) == 0 && an_engine_new(&p.e, &args) == 0) {
        pass(&p, data, size);
        if (an_engine_settle(p.e) == 0)
            tell(run, p.e, data, size);
    }
    an_engine_free(p.e);
    an_input_free(p.in);
    goes_by(run, data, size);
    BUG_ON(an_sink_flush(&run->sink));
    BUG_ON(mem_live());
    free(run);
    return 0;
}

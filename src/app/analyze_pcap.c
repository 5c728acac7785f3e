/* `ringdown analyze --pcap`: one call as a capture of its own, as it was or with nobody's name. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "analysis/anon.h"
#include "analysis/extract.h"
#include "app/analyze.h"
#include "base/mem.h"
#include "io/entropy.h"
#include "wire/sip/digest.h"

#define OUT_BYTES ((size_t)1 << 20)

struct pcap {
    struct analyze *a;
    const struct an_report *r;
    struct an_extract *x;
    struct an_input *input;
    struct an_anon anon;
    struct an_synth synth;
    FILE *f;
    struct buf out;
    uint32_t iface_base; /* of the file at hand */
    uint32_t n_ifaces;   /* of it, written so far */
    uint32_t total_ifaces;
    uint8_t *frame; /* [AN_SYNTH_MAX_BYTES], of a made frame */
    char *text;     /* likewise, of its changed payload */
    char mem[OUT_BYTES];
};

static int put_out(struct pcap *p)
{
    bool bad = p->out.full || fwrite(p->out.p, 1, p->out.n, p->f) != p->out.n;
    buf_init(&p->out, p->mem, sizeof(p->mem));
    return bad ? -EIO : 0;
}

/* ---- as it was ------------------------------------------------------------------------------- */

static int datum_note(struct pcap *p)
{
    const struct an_datum *d;
    uint32_t stream;
    int err = 0;
    while (err >= 0 && (d = an_input_take(p->input)) != NULL)
        err = an_extract_datum(p->x, d, &stream);
    return err < 0 ? err : 0;
}

static int frame_note(struct analyze_pass *pass, const struct cap_frame *f, uint64_t number)
{
    struct pcap *p = pass->user;
    (void)number;
    an_input_frame(p->input, f);
    return datum_note(p);
}

static void file_begins(struct analyze_pass *pass, uint32_t source)
{
    struct pcap *p = pass->user;
    (void)source;
    p->iface_base = p->total_ifaces;
    p->n_ifaces = 0;
}

/* Interfaces are numbered over all files, those before the frame's first. */
static void ifaces_put(struct pcap *p, const struct cap *cap, const struct cap_frame *f)
{
    while (p->n_ifaces <= f->iface) {
        uint32_t i = p->n_ifaces - cap->iface_base;
        bool known = p->n_ifaces >= cap->iface_base && i < cap->n_ifaces;
        cap_write_iface(&p->out, known ? cap->iface[i].link : f->link,
                        known ? str_z(cap->iface[i].name) : STR_NONE);
        p->n_ifaces++;
        p->total_ifaces++;
    }
}

static int frame_put(struct analyze_pass *pass, const struct cap_frame *f, uint64_t number)
{
    struct pcap *p = pass->user;
    if (f->keys) {
        cap_write_keys(&p->out, str_of((const char *)f->p, f->n));
        return put_out(p);
    }
    if (!an_extract_frame(p->x, f, number))
        return 0;
    ifaces_put(p, pass->cap, f);
    struct cap_frame copy = *f;
    copy.iface += p->iface_base;
    cap_write_frame(&p->out, &copy, STR_NONE);
    return put_out(p);
}

static int as_it_was(struct pcap *p)
{
    struct analyze_pass find = {.a = p->a, .frame = frame_note, .user = p};
    struct analyze_pass put = {
        .a = p->a, .frame = frame_put, .file_begins = file_begins, .user = p};
    int err = analyze_pass(&find);
    an_input_end(p->input);
    if (!err)
        err = datum_note(p);
    an_extract_settle(p->x);
    put.last = an_extract_last(p->x);
    return err || !put.last ? err : analyze_pass(&put);
}

/* ---- with nobody's name ---------------------------------------------------------------------- */

/* What G.711 has for silence; other codecs get zeros. */
static uint8_t silence_of(const struct pcap *p, uint32_t stream)
{
    const struct an_stream *s = an_rtp_stream(an_engine_rtp(p->r->engine), stream);
    struct str codec = an_stream_codec(an_engine_rtp(p->r->engine), s);
    return str_ieq(codec, STR("PCMU")) ? 0xFF : str_ieq(codec, STR("PCMA")) ? 0xD5 : 0;
}

/* False: it cannot be made nobody's, so it is left out. */
static bool payload_change(struct pcap *p, struct an_datum *d, uint32_t stream)
{
    uint8_t *bytes = (uint8_t *)p->text;
    if (d->bytes.n > AN_SYNTH_MAX_BYTES)
        return false;
    memcpy(p->text, d->bytes.p, d->bytes.n);
    d->bytes.p = p->text;
    if (d->kind == AN_SIP) {
        an_anon_sip(&p->anon, p->text, d->bytes.n);
        return true;
    }
    switch (rtp_classify(bytes, d->bytes.n)) {
    case RTP_IS_RTP:
        if (!p->a->opt.keep_audio)
            an_anon_rtp(bytes, d->bytes.n, silence_of(p, stream));
        return true;
    case RTP_IS_RTCP:
        an_anon_rtcp(&p->anon, bytes, d->bytes.n);
        return true;
    default:
        return false;
    }
}

static int datum_put(struct pcap *p, struct an_datum *d)
{
    uint32_t stream;
    int ours = an_extract_datum(p->x, d, &stream);
    if (ours <= 0 || !payload_change(p, d, stream))
        return ours < 0 ? ours : 0;
    an_anon_addr(&p->anon, &d->src);
    an_anon_addr(&p->anon, &d->dst);
    size_t n = an_synth_frame(&p->synth, d, p->frame);
    if (!n)
        return 0;
    struct cap_frame f = {
        .at_ns = d->at_ns, .p = p->frame, .n = (uint32_t)n, .wire_n = (uint32_t)n};
    cap_write_frame(&p->out, &f, STR_NONE);
    return put_out(p);
}

static int datums_put(struct pcap *p)
{
    struct an_datum d;
    int err = 0;
    while (!err && an_input_next(p->input, &d))
        err = datum_put(p, &d);
    return err;
}

static int frame_change(struct analyze_pass *pass, const struct cap_frame *f, uint64_t number)
{
    struct pcap *p = pass->user;
    (void)number;
    an_input_frame(p->input, f);
    return datums_put(p);
}

static int key_find(struct pcap *p)
{
    const char *key = p->a->opt.key;
    if (!key)
        return entropy_get(p->anon.key, sizeof(p->anon.key));
    digest_hmac("ringdown anonymize", 18, str_z(key), p->anon.key, sizeof(p->anon.key));
    return 0;
}

static int anonymized(struct pcap *p)
{
    struct analyze_pass pass = {.a = p->a, .frame = frame_change, .user = p};
    p->frame = mem_alloc(AN_SYNTH_MAX_BYTES);
    p->text = mem_alloc(AN_SYNTH_MAX_BYTES);
    int err = p->frame && p->text ? key_find(p) : -ENOMEM;
    cap_write_iface(&p->out, CAP_RAW, STR_NONE);
    if (!err)
        err = put_out(p);
    if (!err)
        err = analyze_pass(&pass);
    an_input_end(p->input);
    if (!err)
        err = datums_put(p);
    mem_free(p->frame);
    mem_free(p->text);
    return err;
}

/* ---------------------------------------------------------------------------------------------- */

static int write_all(struct pcap *p)
{
    struct an_limits limits = an_limits_default();
    int err = an_input_new(&p->input, &limits);
    if (!err)
        err = an_extract_new(&p->x, p->r, p->a->opt.call - 1);
    if (!err)
        err = analyze_keys(p->a, p->input);
    if (err)
        return err;
    cap_write_section(&p->out, STR("ringdown " RD_VERSION));
    err = put_out(p);
    if (!err)
        err = p->a->opt.anonymize ? anonymized(p) : as_it_was(p);
    return err;
}

int analyze_pcap(struct analyze *a, const struct an_report *r)
{
    struct pcap *p = mem_zero(sizeof(*p));
    int err = -ENOMEM;
    if (p) {
        p->a = a;
        p->r = r;
        buf_init(&p->out, p->mem, sizeof(p->mem));
        p->f = strcmp(a->opt.pcap, "-") == 0 ? stdout : fopen(a->opt.pcap, "wbe");
        err = p->f ? write_all(p) : -errno;
        if (p->f && (p->f == stdout ? fflush(p->f) : fclose(p->f)) && !err)
            err = -errno;
        an_extract_free(p->x);
        an_input_free(p->input);
        mem_free(p);
    }
    if (err)
        analyze_fail(a, a->opt.pcap, err);
    return err;
}

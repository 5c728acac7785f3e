/* The doors, and the older of the two formats: a file header of 24 bytes, then records of a header
 * and a frame (draft-ietf-opsawg-pcap). */
#include <errno.h>

#include "wire/cap/cap_int.h"

#define FILE_HEADER   24
#define RECORD_HEADER 16
#define DAY_S         86400
#define NS            1000000000u

void cap_init(struct cap *c)
{
    memset(c, 0, sizeof(*c));
    c->error = "";
}

enum cap_step cap_bad(struct cap *c, const struct cap_window *w, const char *error)
{
    c->error = error;
    c->error_at = c->at + w->at;
    return CAP_BAD;
}

enum cap_step cap_lose(struct cap *c, struct cap_window *w, const char *error)
{
    cap_bad(c, w, error);
    c->lost = true;
    w->at++;
    return CAP_BAD;
}

static enum cap_step give_up(struct cap *c, struct cap_window *w, const char *error)
{
    cap_bad(c, w, error);
    c->over = true;
    w->at = w->n;
    return CAP_BAD;
}

static enum cap_step pcap_begin(struct cap *c, struct cap_window *w)
{
    if (w->n - w->at < FILE_HEADER)
        return CAP_WANT;
    const uint8_t *p = w->p + w->at;
    c->format = CAP_PCAP;
    c->n_ifaces = 1;
    /* The upper bits say how long the checksum is that may follow each frame; the length in the IP
     * header makes that superfluous. */
    c->iface[0].link = (uint16_t)(cap_u32(c, p + 20) & 0xFFFF);
    c->iface[0].snaplen = cap_u32(c, p + 16);
    w->at += FILE_HEADER;
    return CAP_PASSED;
}

/* Which format, and in which byte order? */
static enum cap_step begin(struct cap *c, struct cap_window *w)
{
    static const struct {
        uint32_t magic;
        bool nanos, modified;
    } kinds[] = {{0xA1B2C3D4, false, false}, {0xA1B23C4D, true, false}, {0xA1B2CD34, false, true}};
    if (w->n == 0 && w->last)
        return give_up(c, w, "the file is empty");
    if (w->n < 4)
        return w->last ? give_up(c, w, "this is no capture file") : CAP_WANT;
    const uint8_t *p = w->p;
    if (be32_get(p) == 0x0A0D0D0A) {
        c->format = CAP_PCAPNG;
        return CAP_PASSED;
    }
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        if (le32_get(p) != kinds[i].magic && be32_get(p) != kinds[i].magic)
            continue;
        c->swapped = be32_get(p) == kinds[i].magic;
        c->nanos = kinds[i].nanos;
        c->modified = kinds[i].modified;
        return pcap_begin(c, w);
    }
    if (p[0] == 0x1F && p[1] == 0x8B)
        return give_up(c, w, "the file is still compressed");
    return give_up(c, w, "this is no capture file");
}

static size_t header_bytes(const struct cap *c)
{
    return c->modified ? RECORD_HEADER + 8 : RECORD_HEADER;
}

static enum cap_step pcap_step(struct cap *c, struct cap_window *w, struct cap_frame *f)
{
    size_t have = w->n - w->at, head = header_bytes(c);
    const uint8_t *p = w->p + w->at;
    if (have < head)
        return CAP_WANT;
    uint32_t n = cap_u32(c, p + 8), wire_n = cap_u32(c, p + 12);
    if (n > CAP_MAX_FRAME)
        return cap_lose(c, w, "a record of an impossible length");
    if (have - head < n)
        return CAP_WANT;
    uint64_t part = cap_u32(c, p + 4);
    c->last_ns = (uint64_t)cap_u32(c, p) * NS + (c->nanos ? part : part * 1000);
    *f = (struct cap_frame){.number = ++c->frames,
                            .at_ns = c->last_ns,
                            .link = c->iface[0].link,
                            .p = p + head,
                            .n = n,
                            .wire_n = wire_n > n ? wire_n : n};
    w->at += head + n;
    return CAP_TAKEN;
}

/* Looks the header at p like one that follows the records before it? */
static bool record_like(const struct cap *c, const uint8_t *p)
{
    uint32_t s = cap_u32(c, p), part = cap_u32(c, p + 4);
    uint32_t n = cap_u32(c, p + 8), wire_n = cap_u32(c, p + 12);
    uint64_t last_s = c->last_ns / NS;
    if (c->frames && (s + (uint64_t)DAY_S < last_s || s > last_s + DAY_S))
        return false;
    return part < (c->nanos ? NS : 1000000) && n >= 14 && n <= wire_n && wire_n <= CAP_MAX_FRAME;
}

/* As capng_plausible(). Two records in a row are asked for, or one that ends the file. */
static int pcap_plausible(const struct cap *c, const struct cap_window *w, size_t at)
{
    size_t head = header_bytes(c);
    if (w->n - at < head)
        return w->last ? 0 : -1;
    if (!record_like(c, w->p + at))
        return 0;
    size_t record = head + cap_u32(c, w->p + at + 8), left = w->n - at;
    if (left < record || (left < record + head && !w->last))
        return w->last ? 0 : -1;
    if (left < record + head)
        return left == record;
    return record_like(c, w->p + at + record);
}

static enum cap_step seek(struct cap *c, struct cap_window *w)
{
    for (; w->at < w->n; w->at++) {
        int found =
            c->format == CAP_PCAP ? pcap_plausible(c, w, w->at) : capng_plausible(c, w, w->at);
        if (found < 0)
            return CAP_WANT;
        if (found) {
            c->lost = false;
            return CAP_PASSED;
        }
    }
    return CAP_WANT;
}

static enum cap_step step(struct cap *c, struct cap_window *w, struct cap_frame *f)
{
    if (c->format == CAP_UNKNOWN)
        return begin(c, w);
    if (c->lost)
        return seek(c, w);
    return c->format == CAP_PCAP ? pcap_step(c, w, f) : capng_step(c, w, f);
}

/* The last window does not hold what the step wanted. 0 is the end. */
static int end(struct cap *c, struct cap_window *w)
{
    if (w->at == w->n || c->lost) {
        c->over = true;
        w->at = w->n;
        return 0;
    }
    if (c->format == CAP_UNKNOWN)
        give_up(c, w, "the file ends in its header");
    else
        /* Or a length is wrong, and there is more behind it. */
        cap_lose(c, w, "the capture ends in the middle of a record");
    return -EBADMSG;
}

int cap_next(struct cap *c, const uint8_t *p, size_t n, bool last, struct cap_frame *f,
             size_t *used)
{
    struct cap_window w = {.p = p, .n = n, .last = last};
    enum cap_step s = CAP_PASSED;
    int r = 0;
    while (s == CAP_PASSED && !c->over)
        s = step(c, &w, f);
    if (c->over && s != CAP_BAD)
        w.at = n;
    else if (s == CAP_WANT)
        r = last ? end(c, &w) : 0;
    else
        r = s == CAP_TAKEN ? 1 : -EBADMSG;
    c->at += w.at;
    *used = w.at;
    return r;
}

uint64_t cap_dropped(const struct cap *c)
{
    uint64_t sum = c->dropped;
    for (uint32_t i = 0; i < c->n_ifaces; i++)
        sum += c->iface[i].dropped;
    return sum;
}

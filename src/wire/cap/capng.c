/* pcapng: blocks of a type and a length, which also stands at their end
 * (draft-ietf-opsawg-pcapng). */
#include <errno.h>

#include "wire/cap/cap_int.h"

enum {
    NG_IFACE = 1,
    NG_OLD_PACKET = 2,
    NG_SIMPLE = 3,
    NG_NAMES = 4,
    NG_STATS = 5,
    NG_PACKET = 6,
    NG_SECRETS = 0x0A,
    NG_CUSTOM = 0x0BAD,
    NG_CUSTOM_STAY = 0x40000BAD,
    NG_SECTION = 0x0A0D0D0A
};

enum { OPT_END = 0, OPT_NAME = 2, OPT_DROP = 5, OPT_TSRESOL = 9, OPT_TSOFFSET = 14 };

#define BLOCK_BYTES   12 /* type, length, length */
#define ORDER_MAGIC   0x1A2B3C4D
#define SECRETS_NSS   0x544C534B
#define SECTION_BYTES 28

/* A block without what surrounds it. */
struct body {
    const uint8_t *p;
    size_t n;
};

static uint64_t u64(const struct cap *c, const uint8_t *p)
{
    uint64_t a = cap_u32(c, p), b = cap_u32(c, p + 4);
    return c->swapped ? a << 32 | b : b << 32 | a;
}

/* Walks the options of a block: *p is set behind the one that was found. */
static bool option(const struct cap *c, struct body *rest, unsigned *code, struct body *value)
{
    if (rest->n < 4)
        return false;
    *code = cap_u16(c, rest->p);
    size_t n = cap_u16(c, rest->p + 2), padded = (n + 3) & ~(size_t)3;
    if (*code == OPT_END || n > rest->n - 4)
        return false;
    *value = (struct body){rest->p + 4, n};
    if (padded > rest->n - 4)
        padded = rest->n - 4;
    rest->p += 4 + padded;
    rest->n -= 4 + padded;
    return true;
}

/* A time in units of the interface, as nanoseconds. What no clock shows wraps. */
static uint64_t time_ns(const struct cap_iface *i, uint64_t t)
{
    static const uint64_t power[] = {1,      10,      100,      1000,      10000,
                                     100000, 1000000, 10000000, 100000000, 1000000000};
    uint64_t ns;
    unsigned e = i->tsresol & 0x7F;
    if (i->tsresol & 0x80) {
        e = e < 63 ? e : 63;
        uint64_t part = t & ((1ull << e) - 1);
        ns = (t >> e) * power[9] + (uint64_t)((__uint128_t)part * power[9] >> e);
    } else if (e <= 9) {
        ns = t * power[9 - e];
    } else {
        ns = e <= 18 ? t / power[e - 9] : 0;
    }
    return ns + (uint64_t)i->offset_s * power[9];
}

static enum cap_step read_iface(struct cap *c, const struct cap_window *w, struct body b)
{
    if (b.n < 8)
        return cap_bad(c, w, "the description of an interface is too short");
    if (c->n_ifaces == CAP_MAX_IFACES)
        return cap_bad(c, w, "there are too many interfaces");
    struct cap_iface *i = &c->iface[c->n_ifaces++];
    *i = (struct cap_iface){.link = cap_u16(c, b.p), .snaplen = cap_u32(c, b.p + 4), .tsresol = 6};
    struct body rest = {b.p + 8, b.n - 8}, v;
    unsigned code;
    while (option(c, &rest, &code, &v)) {
        if (code == OPT_NAME)
            str_copy_z(i->name, sizeof(i->name), str_of((const char *)v.p, v.n));
        else if (code == OPT_TSRESOL && v.n >= 1)
            i->tsresol = v.p[0];
        else if (code == OPT_TSOFFSET && v.n >= 8)
            i->offset_s = (int64_t)u64(c, v.p);
    }
    return CAP_PASSED;
}

static enum cap_step read_stats(struct cap *c, const struct cap_window *w, struct body b)
{
    if (b.n < 12 || cap_u32(c, b.p) >= c->n_ifaces)
        return cap_bad(c, w, "statistics of no interface");
    struct body rest = {b.p + 12, b.n - 12}, v;
    unsigned code;
    while (option(c, &rest, &code, &v))
        if (code == OPT_DROP && v.n >= 8)
            c->iface[cap_u32(c, b.p)].dropped = u64(c, v.p);
    return CAP_PASSED;
}

static enum cap_step read_secrets(struct cap *c, const struct cap_window *w, struct body b,
                                  struct cap_frame *f)
{
    if (b.n < 8 || cap_u32(c, b.p + 4) > b.n - 8)
        return cap_bad(c, w, "the TLS keys are longer than their block");
    if (cap_u32(c, b.p) != SECRETS_NSS)
        return CAP_PASSED;
    uint32_t n = cap_u32(c, b.p + 4);
    *f = (struct cap_frame){.keys = true, .at_ns = c->last_ns, .p = b.p + 8, .n = n, .wire_n = n};
    return CAP_TAKEN;
}

static enum cap_step give(struct cap *c, const struct cap_window *w, struct body data,
                          struct cap_frame *f)
{
    c->frames++;
    if (f->iface >= c->n_ifaces)
        return cap_bad(c, w, "a frame of an interface that was not described");
    if (f->n > data.n || f->n > CAP_MAX_FRAME)
        return cap_bad(c, w, "a frame is longer than its block");
    const struct cap_iface *i = &c->iface[f->iface];
    if (!f->no_time)
        c->last_ns = time_ns(i, f->at_ns);
    f->at_ns = c->last_ns;
    f->number = c->frames;
    f->link = i->link;
    f->iface += c->iface_base;
    f->p = data.p;
    if (f->wire_n < f->n)
        f->wire_n = f->n;
    return CAP_TAKEN;
}

static enum cap_step read_packet(struct cap *c, const struct cap_window *w, struct body b,
                                 struct cap_frame *f)
{
    if (b.n < 20)
        return cap_bad(c, w, "the block of a frame is too short");
    *f = (struct cap_frame){.iface = cap_u32(c, b.p),
                            .at_ns = (uint64_t)cap_u32(c, b.p + 4) << 32 | cap_u32(c, b.p + 8),
                            .n = cap_u32(c, b.p + 12),
                            .wire_n = cap_u32(c, b.p + 16)};
    return give(c, w, (struct body){b.p + 20, b.n - 20}, f);
}

static enum cap_step read_old_packet(struct cap *c, const struct cap_window *w, struct body b,
                                     struct cap_frame *f)
{
    if (b.n < 20)
        return cap_bad(c, w, "the block of a frame is too short");
    *f = (struct cap_frame){.iface = cap_u16(c, b.p),
                            .at_ns = (uint64_t)cap_u32(c, b.p + 4) << 32 | cap_u32(c, b.p + 8),
                            .n = cap_u32(c, b.p + 12),
                            .wire_n = cap_u32(c, b.p + 16)};
    return give(c, w, (struct body){b.p + 20, b.n - 20}, f);
}

/* A frame of the first interface with no time; how much of it there is follows from the rest. */
static enum cap_step read_simple(struct cap *c, const struct cap_window *w, struct body b,
                                 struct cap_frame *f)
{
    if (b.n < 4)
        return cap_bad(c, w, "the block of a frame is too short");
    uint32_t wire_n = cap_u32(c, b.p), n = wire_n;
    uint32_t snaplen = c->n_ifaces ? c->iface[0].snaplen : 0;
    if (snaplen && n > snaplen)
        n = snaplen;
    if (n > b.n - 4)
        n = (uint32_t)(b.n - 4);
    *f = (struct cap_frame){.no_time = true, .n = n, .wire_n = wire_n};
    return give(c, w, (struct body){b.p + 4, b.n - 4}, f);
}

/* Sets the byte order from the magic of a section header. */
static bool order_set(struct cap *c, const uint8_t *p)
{
    if (le32_get(p + 8) != ORDER_MAGIC && be32_get(p + 8) != ORDER_MAGIC)
        return false;
    c->swapped = be32_get(p + 8) == ORDER_MAGIC;
    return true;
}

static enum cap_step read_section(struct cap *c, const struct cap_window *w, struct body b)
{
    c->dropped = cap_dropped(c);
    c->iface_base += c->n_ifaces;
    c->n_ifaces = 0;
    if (b.n < 16 || cap_u16(c, b.p + 4) != 1)
        return cap_bad(c, w, "a section of an unknown version");
    return CAP_PASSED;
}

static enum cap_step dispatch(struct cap *c, const struct cap_window *w, uint32_t type,
                              struct body b, struct cap_frame *f)
{
    switch (type) {
    case NG_PACKET:
        return read_packet(c, w, b, f);
    case NG_SIMPLE:
        return read_simple(c, w, b, f);
    case NG_OLD_PACKET:
        return read_old_packet(c, w, b, f);
    case NG_IFACE:
        return read_iface(c, w, b);
    case NG_STATS:
        return read_stats(c, w, b);
    case NG_SECRETS:
        return read_secrets(c, w, b, f);
    case NG_SECTION:
        return read_section(c, w, b);
    default:
        return CAP_PASSED; /* names, custom blocks, and what will be thought of */
    }
}

static bool length_sound(uint32_t n)
{
    return n >= BLOCK_BYTES && n % 4 == 0 && n <= CAP_WINDOW;
}

enum cap_step capng_step(struct cap *c, struct cap_window *w, struct cap_frame *f)
{
    const uint8_t *p = w->p + w->at;
    size_t have = w->n - w->at;
    if (have < BLOCK_BYTES)
        return CAP_WANT;
    bool section = be32_get(p) == NG_SECTION;
    if (section && !order_set(c, p))
        return cap_lose(c, w, "a section without a byte order");
    uint32_t type = cap_u32(c, p), n = cap_u32(c, p + 4);
    if (!length_sound(n))
        return cap_lose(c, w, "a block of an impossible length");
    if (have < n)
        return CAP_WANT;
    if (cap_u32(c, p + n - 4) != n)
        return cap_lose(c, w, "a block does not end with its length");
    enum cap_step s = dispatch(c, w, type, (struct body){p + 8, n - BLOCK_BYTES}, f);
    w->at += n;
    return s;
}

/* The types that a search for the next block believes in. */
static bool known(uint32_t type)
{
    return (type >= NG_IFACE && type <= NG_PACKET) || type == NG_SECRETS || type == NG_CUSTOM ||
           type == NG_CUSTOM_STAY || type == NG_SECTION;
}

int capng_plausible(const struct cap *c, const struct cap_window *w, size_t at)
{
    const uint8_t *p = w->p + at;
    size_t have = w->n - at;
    if (have < BLOCK_BYTES)
        return w->last ? 0 : -1;
    struct cap order = {.swapped = c->swapped};
    if (be32_get(p) == NG_SECTION && !order_set(&order, p))
        return 0;
    uint32_t type = cap_u32(&order, p), n = cap_u32(&order, p + 4);
    if (!known(type) || !length_sound(n))
        return 0;
    if (have < n)
        return w->last ? 0 : -1;
    return cap_u32(&order, p + n - 4) == n;
}

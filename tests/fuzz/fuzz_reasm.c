/* Segments and fragments of texts that are known: whatever order, repetition, cut and loss the
 * input makes of them, each byte that comes out is the one that belongs there. */
#include <errno.h>

#include "analysis/defrag.h"
#include "analysis/reasm.h"
#include "base/be.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT 4096

static uint8_t text[TEXT];

/* The position in the text of a sequence number; connections differ in where they begin. */
static uint32_t begin_of(unsigned conn)
{
    return conn % 2 ? 0xFFFFFF00u : conn * 1000;
}

static void drain(struct reasm *r)
{
    struct tcp_piece p;
    while (reasm_next(r, &p)) {
        if (p.kind != TCP_DATA)
            continue;
        unsigned conn = p.conn->addr[0].port < 5060 ? p.conn->addr[0].port : p.conn->addr[1].port;
        uint32_t at = p.conn->side[p.side].next - p.n - begin_of(conn);
        BUG_ON(p.n == 0);
        for (uint32_t i = 0; i < p.n; i++)
            BUG_ON(p.p[i] != text[(at + i) % TEXT]);
    }
    BUG_ON(r->bytes > 4000);
}

/* Eight bytes: connection and side, flags, position, length, cut, time. */
static void segment(struct reasm *r, const uint8_t *d, uint64_t *now)
{
    static uint64_t frame;
    unsigned conn = 1 + d[0] % 7, side = d[0] >> 7;
    uint32_t at = be16_get(d + 2) % TEXT, n = be16_get(d + 4) % 300;
    if (n > TEXT - at)
        n = TEXT - at;
    *now += (uint64_t)d[7] << (d[6] >> 4);
    struct tcp_seg g = {.seq = begin_of(conn) + at,
                        .ack = begin_of(conn) + be16_get(d + 5),
                        .flags = d[1],
                        .p = text + at,
                        .n = n,
                        .wire_n = n + (d[6] & 3),
                        .at_ns = *now,
                        .frame = ++frame};
    g.src.family = g.dst.family = ADDR_V4;
    g.src.port = (uint16_t)(side ? 5060 : conn);
    g.dst.port = (uint16_t)(side ? conn : 5060);
    if (d[1] & TCP_SYN)
        g.seq--;
    struct tcp_conn *c = reasm_put(r, &g);
    BUG_ON(!c);
    if (d[6] == 0xF5)
        reasm_ignore(r, c);
    drain(r);
}

static void fragment(struct defrag *f, const uint8_t *d, uint64_t *now)
{
    struct defrag_result out;
    uint32_t at = be16_get(d + 2) % TEXT & ~7u, n = be16_get(d + 4) % 300;
    if (n > TEXT - at)
        n = TEXT - at;
    *now += (uint64_t)d[7] << (d[6] >> 4);
    struct cap_ip ip = {.frag = true,
                        .frag_more = d[1] & 1,
                        .frag_at = at,
                        .frag_id = d[0] & 7,
                        .proto = 17,
                        .p = text + at,
                        .n = n,
                        .wire_n = n + (d[6] & 3)};
    ip.src.family = ip.dst.family = d[0] & 8 ? ADDR_V6 : ADDR_V4;
    int r;
    while ((r = defrag_expire(f, *now, false, &out)) != -ENOENT)
        BUG_ON(r > 0 && memcmp(out.ip.p, text, out.ip.n) != 0);
    r = defrag_put(f, &ip, *now, 1, &out);
    BUG_ON(r > 0 && memcmp(out.ip.p, text, out.ip.n) != 0);
    BUG_ON(f->bytes > 100000 || f->slots.used > 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reasm_limits l = {.connections = 4,
                             .side_bytes = 1500,
                             .all_bytes = 3000,
                             .gap_ns = 5000,
                             .acked_gap_ns = 500,
                             .idle_ns = 100000};
    struct reasm r;
    struct defrag f;
    uint64_t now = 1;
    for (unsigned i = 0; i < TEXT; i++)
        text[i] = (uint8_t)(i * 31 + (i >> 8));
    if (reasm_init(&r, &l) || defrag_init(&f, 4, 100000, 10000, 1))
        return 0;
    for (; size >= 9; data += 9, size -= 9)
        if (data[0] & 1)
            segment(&r, data + 1, &now);
        else
            fragment(&f, data + 1, &now);
    while (reasm_end(&r))
        drain(&r);
    BUG_ON(r.bytes || r.slots.used);
    reasm_done(&r);
    defrag_done(&f);
    BUG_ON(mem_live());
    return 0;
}

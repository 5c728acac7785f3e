/* Frames through the whole reading half. Each is made of a byte that says what is around the rest,
 * so that the way to streams, WebSocket and HEP is short: an IP packet, a UDP datagram, or the next
 * bytes of a TCP connection. */
#include "analysis/input.h"
#include "base/be.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_PAYLOAD 2000

struct maker {
    uint8_t p[MAX_PAYLOAD + 64];
    uint32_t n, seq[8];
    uint64_t now_ns;
};

static void put_ip(struct maker *m, uint8_t proto, unsigned side, uint32_t n)
{
    memset(m->p, 0, 40);
    m->p[0] = 0x45;
    be16_put(m->p + 2, (uint16_t)(20 + n));
    m->p[9] = proto;
    m->p[15] = side ? 2 : 1;
    m->p[19] = side ? 1 : 2;
    m->n = 20 + n;
}

/* kind: bits 0-1 what, 2-4 which connection and side, 5 SYN, 6 a hole in front, 7 time passes. */
static void make(struct maker *m, uint8_t kind, const uint8_t *p, uint32_t n)
{
    unsigned which = kind >> 2 & 7, side = which & 1;
    if (kind & 0x80)
        m->now_ns += 400000000;
    if ((kind & 3) == 0) {
        memcpy(m->p, p, n);
        m->n = n;
        return;
    }
    bool tcp = (kind & 3) != 1;
    uint32_t head = tcp ? 20 : 8;
    put_ip(m, tcp ? 6 : 17, side, head + n);
    be16_put(m->p + 20, side ? 5060 : (uint16_t)(9000 + which / 2));
    be16_put(m->p + 22, side ? (uint16_t)(9000 + which / 2) : 9060);
    if (tcp) {
        be16_put(m->p + (side ? 20 : 22), 5060);
        if (kind & 0x40)
            m->seq[which] += 10;
        be32_put(m->p + 24, m->seq[which] - (kind & 0x20 ? 1 : 0));
        m->p[32] = 0x50;
        m->p[33] = kind & 0x20 ? 2 : 0;
        m->seq[which] += kind & 0x20 ? 0 : n;
    } else {
        be16_put(m->p + 24, (uint16_t)(8 + n));
    }
    memcpy(m->p + 20 + head, p, n);
}

static uint64_t take(struct an_input *in)
{
    struct an_datum d;
    struct an_warning w;
    uint64_t n = 0, sum = 0;
    while (an_input_next(in, &d)) {
        BUG_ON(d.kind > AN_ICMP || d.transport >= AN_TRANSPORTS);
        BUG_ON(d.kind == AN_SIP && d.bytes.n == 0);
        for (size_t i = 0; i < d.bytes.n; i++)
            sum += (uint8_t)d.bytes.p[i];
        for (size_t i = 0; i < d.hep_id.n; i++)
            sum += (uint8_t)d.hep_id.p[i];
        n++;
    }
    while (an_input_warning(in, &w))
        sum += (uint8_t)w.text.p[0];
    return n + (sum == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct maker m;
    struct an_limits l = an_limits_default();
    struct an_input *in;
    memset(&m, 0, sizeof(m));
    l.connections = 3;
    l.datagrams = 4;
    l.message_bytes = 3000;
    l.segments_bytes = 2000;
    l.streams_bytes = 20000;
    if (an_input_new(&in, &l))
        return 0;
    while (size >= 3) {
        uint32_t n = be16_get(data + 1) % MAX_PAYLOAD;
        uint8_t kind = data[0];
        data += 3;
        size -= 3;
        n = n < size ? n : (uint32_t)size;
        make(&m, kind, data, n);
        struct cap_frame f = {
            .at_ns = m.now_ns, .link = CAP_RAW, .p = m.p, .n = m.n, .wire_n = m.n};
        an_input_frame(in, &f);
        (void)take(in);
        data += n;
        size -= n;
        m.now_ns += 1000000;
    }
    an_input_end(in);
    (void)take(in);
    an_input_free(in);
    BUG_ON(mem_live());
    return 0;
}

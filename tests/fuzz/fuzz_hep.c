/* A HEP packet: what is parsed lies in it, and what is built of it is parsed as the same. */
#include "wire/hep/hep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void within(struct str s, const uint8_t *p, size_t n)
{
    BUG_ON(s.n && ((const uint8_t *)s.p < p || (const uint8_t *)s.p + s.n > p + n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char mem[70000];
    struct hep h, again;
    struct buf b;
    (void)!hep_length(data, size);
    if (hep_parse(&h, data, size))
        return 0;
    within(h.payload, data, size);
    within(h.key, data, size);
    within(h.id, data, size);
    within(h.name, data, size);
    buf_init(&b, mem, sizeof(mem));
    hep_build(&b, &h);
    if (b.full || h.packed || h.src.family != h.dst.family || h.src.family == ADDR_NONE)
        return 0;
    BUG_ON(hep_length((uint8_t *)mem, b.n) != (int)b.n);
    BUG_ON(hep_parse(&again, (uint8_t *)mem, b.n));
    BUG_ON(!str_eq(again.payload, h.payload) || !addr_eq(&again.src, &h.src));
    BUG_ON(again.type != h.type || again.node != h.node);
    return 0;
}

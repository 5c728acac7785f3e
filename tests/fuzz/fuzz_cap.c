/* A capture file, read whole and through a window that grows: the same frames come out, and none
 * of them reaches outside. */
#include "wire/cap/cap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t mix(uint64_t sum, uint64_t v)
{
    return (sum ^ v) * 0x100000001B3ull;
}

static uint64_t read_by(const uint8_t *p, size_t n, size_t step)
{
    static struct cap c;
    struct cap_frame f;
    size_t have = step < n ? step : n, used;
    uint64_t sum = 7, at = 0;
    cap_init(&c);
    for (;;) {
        int r = cap_next(&c, p, have, have == n, &f, &used);
        BUG_ON(used > have);
        if (r > 0) {
            BUG_ON(f.p < p || f.p + f.n > p + used || f.n > f.wire_n);
            sum = mix(mix(mix(sum, f.at_ns), f.number), f.wire_n);
            sum = mix(mix(mix(sum, f.link), f.iface), at + (size_t)(f.p - p));
        } else if (r < 0) {
            BUG_ON(!c.error || c.error_at > at + used);
            sum = mix(sum, c.error_at);
        } else if (have == n) {
            return mix(sum, cap_dropped(&c));
        }
        p += used;
        n -= used;
        have -= used;
        at += used;
        if (r == 0)
            have += step < n - have ? step : n - have;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint64_t whole = read_by(data + 1, size - 1, size);
    uint64_t pieces = read_by(data + 1, size - 1, data[0] % 128 + 1u);
    BUG_ON(whole != pieces);
    return 0;
}

/* One frame of any link layer: what is found lies in it. */
#include "base/be.h"
#include "wire/cap/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_ip ip;
    if (size < 2)
        return 0;
    const uint8_t *p = data + 2;
    uint32_t n = (uint32_t)(size - 2);
    if (cap_ip_of(&ip, be16_get(data) & 0x1FF, p, n) == 0 && ip.n) {
        BUG_ON(ip.p < p || ip.p + ip.n > p + n || ip.n > ip.wire_n);
        BUG_ON(ip.depth > CAP_MAX_DEPTH);
    }
    return 0;
}

/* Answers about SIP servers: what is read of them is bounded and terminated, and stays what it is
 * when it is put in order. */
#include "base/assert.h"
#include "io/dns_rr.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_srv srv[8], before[8];
    struct dns_naptr naptr[16];
    struct rand rand;
    bool nowhere;
    unsigned n = dns_srv_read(data, size, srv, 8, &nowhere);
    BUG_ON(n > 8);
    memcpy(before, srv, n * sizeof(*srv));
    rand_seed(&rand, size);
    dns_srv_order(srv, n, &rand);
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++) {
        BUG_ON(!memchr(srv[i].host, 0, sizeof(srv[i].host)) || !srv[i].host[0] || !srv[i].port);
        BUG_ON(i && srv[i].priority < srv[i - 1].priority);
        sum += srv[i].port;
        sum -= before[i].port;
    }
    BUG_ON(sum);
    n = dns_naptr_read(data, size, naptr, 16);
    BUG_ON(n > 16);
    for (unsigned i = 0; i < n; i++) {
        BUG_ON(!memchr(naptr[i].replacement, 0, sizeof(naptr[i].replacement)));
        BUG_ON(!memchr(naptr[i].service, 0, sizeof(naptr[i].service)));
        BUG_ON(i && naptr[i].order < naptr[i - 1].order);
    }
    return 0;
}

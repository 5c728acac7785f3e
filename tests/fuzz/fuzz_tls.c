/* A key log, then what two sides say: records are opened or refused, within bounds. */
#include "analysis/tls.h"
#include "base/be.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEPT 40000

static uint8_t kept[2][KEPT], plain[TLS_PLAIN];
static size_t have[2];

/* False: the connection is given up. */
static bool feed(struct tls_conn *t, unsigned side, const uint8_t *p, size_t n)
{
    if (n > KEPT - have[side])
        return false;
    memcpy(kept[side] + have[side], p, n);
    have[side] += n;
    for (;;) {
        uint8_t *exact = mem_alloc(have[side] ? have[side] : 1);
        if (!exact)
            return false;
        memcpy(exact, kept[side], have[side]);
        struct tls_item i = tls_next(t, side, exact, have[side], plain);
        mem_free(exact);
        BUG_ON(i.used > have[side] || i.n > TLS_PLAIN);
        BUG_ON(i.kind != TLS_MORE && i.kind < TLS_GIVE_UP && i.used == 0);
        if (i.kind >= TLS_GIVE_UP)
            return false;
        if (i.kind == TLS_MORE)
            return true;
        have[side] -= i.used;
        memmove(kept[side], kept[side] + i.used, have[side]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_keys keys;
    if (size < 2 || tls_keys_init(&keys, 8, 1))
        return 0;
    size_t n = be16_get(data);
    n = n < size - 2 ? n : size - 2;
    (void)tls_keys_add(&keys, str_of((const char *)data + 2, n));
    data += 2 + n;
    size -= 2 + n;
    have[0] = have[1] = 0;
    struct tls_conn *t = tls_new(&keys);
    bool on = t != NULL;
    while (on && size >= 3) {
        unsigned side = data[0] & 1;
        n = be16_get(data + 1);
        n = n < size - 3 ? n : size - 3;
        if (data[0] & 0x80) {
            have[side] = 0;
            tls_lose(t, side);
        }
        on = feed(t, side, data + 3, n);
        data += 3 + n;
        size -= 3 + n;
    }
    tls_free(t);
    tls_keys_done(&keys);
    BUG_ON(mem_live());
    return 0;
}

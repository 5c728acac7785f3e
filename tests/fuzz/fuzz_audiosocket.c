/* Frames of AudioSocket, which TCP may cut anywhere: the first byte says where. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "wire/bot/audiosocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* All that is read, as one line: how the bytes were cut makes no difference to it. */
static size_t read_all(char *out, size_t cap, const uint8_t *p, size_t n, size_t cut)
{
    struct audiosocket_reader r = {0};
    struct audiosocket_piece k;
    struct buf b;
    buf_init(&b, out, cap);
    for (size_t at = 0; at < n; at += cut) {
        size_t some = n - at < cut ? n - at : cut;
        for (size_t used = 0; used < some;) {
            size_t step = audiosocket_next(&r, &k, p + at + used, some - used);
            BUG_ON(step == 0 || step > some - used);
            BUG_ON(k.n && (k.bytes < p + at + used || k.bytes + k.n > p + at + used + step));
            used += step;
            if (k.first)
                buf_ch(&b, (char)k.type);
            buf_put(&b, (const char *)k.bytes, k.n);
            if (k.last)
                buf_ch(&b, '.');
        }
    }
    BUG_ON(b.full);
    return b.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    size_t cut = data[0] ? data[0] : 1, cap = 2 * n + 16;
    char *one = mem_alloc(cap), *other = mem_alloc(cap);
    BUG_ON(!one || !other);
    size_t whole = read_all(one, cap, data + 1, n - 1, n);
    BUG_ON(read_all(other, cap, data + 1, n - 1, cut) != whole);
    BUG_ON(memcmp(one, other, whole) != 0);
    mem_free(one);
    mem_free(other);
    return 0;
}

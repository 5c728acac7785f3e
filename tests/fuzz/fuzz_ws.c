/* WebSocket frames, whole and in pieces: the same messages, within the room that there is. */
#include "wire/ws/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM 512

static uint64_t feed(const uint8_t *p, size_t n, size_t step)
{
    static char mem[ROOM];
    struct ws_reader r = {.opcode = 0};
    uint64_t sum = 0;
    size_t at = 0, have = 0;
    buf_init(&r.msg, mem, sizeof(mem));
    while (at + have < n) {
        have += step < n - at - have ? step : n - at - have;
        for (;;) {
            struct ws_item i = ws_next(&r, p + at, have);
            BUG_ON(i.used > have);
            BUG_ON(i.kind != WS_MORE && i.kind != WS_ROOM && i.kind != WS_BAD && i.used < 2);
            if (i.kind == WS_MESSAGE)
                for (size_t k = 0; k < r.msg.n; k++)
                    sum = sum * 31 + (uint8_t)r.msg.p[k];
            if (i.kind == WS_BAD || i.kind == WS_ROOM)
                return sum + i.kind;
            if (i.kind == WS_MORE)
                break;
            sum = sum * 31 + i.kind + i.used;
            at += i.used;
            have -= i.used;
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    BUG_ON(feed(data + 1, size - 1, size) != feed(data + 1, size - 1, data[0] % 32 + 1u));
    return 0;
}

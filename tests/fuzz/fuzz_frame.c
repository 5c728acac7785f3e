/* A byte stream, fed whole and in pieces: both must be cut at the same places. */
#include "wire/sip/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES 4096

/* A sum over the messages found; *bad when the stream ended in SIP_FRAME_BAD. */
static uint64_t feed(const char *p, size_t n, size_t piece, bool *bad)
{
    uint64_t sum = 0;
    size_t at = 0, have = 0, scanned = 0;
    *bad = false;
    while (at + have < n) {
        have += piece < n - at - have ? piece : n - at - have;
        for (;;) {
            struct sip_frame f = sip_frame_next(p + at, have, MAX_BYTES, &scanned);
            BUG_ON(f.consumed > have || f.start + f.len > have);
            BUG_ON(f.kind == SIP_FRAME_PING && f.consumed < 4);
            BUG_ON(f.kind == SIP_FRAME_MSG && f.start + f.len != f.consumed);
            if (f.kind == SIP_FRAME_MSG)
                sum = sum * 31 + (at + f.start) * 7 + f.len;
            if (f.kind == SIP_FRAME_BAD) {
                *bad = true;
                return sum;
            }
            at += f.consumed;
            have -= f.consumed;
            if (f.consumed)
                BUG_ON(scanned != 0);
            if (f.kind == SIP_FRAME_MORE)
                break;
        }
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    bool bad_whole, bad_pieces;
    const char *p = (const char *)data + 1;
    uint64_t whole = feed(p, size - 1, size, &bad_whole);
    uint64_t pieces = feed(p, size - 1, data[0] % 64 + 1u, &bad_pieces);
    /* In pieces a stream may also be ended early for what is too long. */
    BUG_ON(!bad_pieces && (bad_whole || whole != pieces));
    return 0;
}

/* Whatever arrives on a media port. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/rtp/event.h"
#include "wire/rtp/rtp.h"
#include "wire/rtp/seq.h"
#include "wire/rtp/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint32_t sink;

static void look_stun(const uint8_t *data, size_t size)
{
    struct stun_view v;
    struct stun_attr a;
    struct addr addr;
    if (stun_parse(&v, data, size))
        return;
    for (size_t at = 0; stun_attr_next(&a, &v, &at);) {
        for (unsigned i = 0; i < a.bytes; i++)
            sink += a.value[i];
        if (stun_addr_get(&addr, &v, &a) == 0)
            sink += addr.port;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rtp_view v;
    struct rtp_event e;
    struct rtp_seq seq;
    const uint8_t *x;
    uint8_t n;
    sink += rtp_classify(data, size);
    look_stun(data, size);
    if (rtp_parse(&v, data, size) == 0) {
        for (unsigned i = 0; i < v.n_csrc; i++)
            sink += rtp_csrc_get(&v, i);
        for (size_t i = 0; i < v.payload_bytes; i++)
            sink += v.payload[i];
        for (unsigned id = 0; id < 256; id++)
            if (rtp_ext_find(&x, &n, &v, (uint8_t)id) == 0)
                for (unsigned i = 0; i < n; i++)
                    sink += x[i];
        if (rtp_event_parse(&e, v.payload, v.payload_bytes) == 0)
            sink += (uint32_t)rtp_event_char(e.event);
        if (v.payload + v.payload_bytes + v.padding_bytes != data + size)
            abort();
    }
    rtp_seq_init(&seq, size & 3);
    for (size_t i = 0; i + 8 <= size; i += 8) {
        rtp_seq_rx(&seq, (uint16_t)(data[i] << 8 | data[i + 1]));
        rtp_seq_rx_time(&seq, (uint32_t)data[i + 2] << (data[i + 3] & 31),
                        (uint32_t)data[i + 4] << (data[i + 5] & 31));
        sink += rtp_seq_fraction_take(&seq) + (uint32_t)rtp_seq_lost(&seq) + rtp_seq_jitter(&seq);
    }
    return 0;
}

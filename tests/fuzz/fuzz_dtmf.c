/* telephone-event packets and other means in any order. What must hold: an end is told of at most
 * once for each beginning, and no more digits are heard than began. */
#include "engine/media/digits.h"
#include "engine/media/dtmf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dtmf_rx rx = {0};
    struct digits digits = {0};
    usec_t now = USEC_S;
    uint32_t told = 0, heard = 0;
    int open = 0;
    for (; size >= 8; data += 8, size -= 8) {
        struct dtmf_digit d = {.digit = '5'};
        unsigned v = 0;
        struct dtmf_packet p = {.seq = (uint16_t)(data[0] << 2 | data[1] >> 6),
                                .ts = (uint32_t)data[2] * 0x5555,
                                .marker = data[1] & 1,
                                .event = {.event = data[3] % 20,
                                          .end = data[1] & 2,
                                          .duration = (uint16_t)(data[4] << 8 | data[5])}};
        now += (usec_t)data[6] << (data[7] & 15);
        if (data[1] & 4)
            v = dtmf_rx_expire(&rx, now, &d);
        else if (data[1] & 8)
            v = DTMF_BEGIN;
        else
            v = dtmf_rx_event(&rx, now, &p, &d);
        BUG_ON(v && !rtp_event_char((uint8_t)rtp_event_of_char(d.digit)));
        if (v & DTMF_BEGIN) {
            told++;
            heard +=
                digits_begin(&digits, now, data[1] >> 4 & 1 ? DIGIT_INBAND : DIGIT_EVENT, d.digit);
        }
        if (!(data[1] & 8)) {
            open = v & DTMF_BEGIN ? 1 : open;
            BUG_ON((v & DTMF_END) && !open);
            open = v & DTMF_END ? 0 : open;
        }
        if (v & DTMF_END)
            digits_end(&digits, now, DIGIT_EVENT);
    }
    BUG_ON(heard > told || digits.n != heard);
    return 0;
}

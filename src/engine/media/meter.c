#include "engine/media/meter.h"

#define CLOCK_HZ 8000u

void meter_rx(struct meter *m, usec_t now, const struct meter_packet *p)
{
    if (!m->seq.started || p->ssrc != m->ssrc) {
        m->lost_before = meter_lost(m);
        m->ssrc = p->ssrc;
        rtp_seq_init(&m->seq, 0);
    }
    enum rtp_seq_verdict v = rtp_seq_rx(&m->seq, p->seq);
    if (v == RTP_SEQ_OK || v == RTP_SEQ_LATE)
        rtp_seq_rx_time(&m->seq, p->ts, (uint32_t)(now * CLOCK_HZ / USEC_S));
}

uint32_t meter_lost(const struct meter *m)
{
    int32_t lost = m->seq.started ? rtp_seq_lost(&m->seq) : 0;
    return m->lost_before + (lost > 0 ? (uint32_t)lost : 0);
}

uint32_t meter_jitter_us(const struct meter *m)
{
    return (uint32_t)((uint64_t)rtp_seq_jitter(&m->seq) * USEC_S / CLOCK_HZ);
}

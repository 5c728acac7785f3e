#include "wire/rtp/seq.h"

#define SEQ_MOD      65536u
#define MAX_DROPOUT  3000
#define MAX_MISORDER 100

void rtp_seq_init(struct rtp_seq *s, uint8_t min_sequential)
{
    *s = (struct rtp_seq){.min_sequential = min_sequential, .probation = min_sequential};
}

/* The source begins (again) at seq. */
static void restart(struct rtp_seq *s, uint16_t seq)
{
    s->base_seq = seq;
    s->max_seq = seq;
    s->bad_seq = SEQ_MOD + 1; /* equal to no sequence number */
    s->cycles = 0;
    s->received = s->received_prior = s->expected_prior = 0;
}

static enum rtp_seq_verdict rx_probation(struct rtp_seq *s, uint16_t seq)
{
    if (seq == (uint16_t)(s->max_seq + 1)) {
        s->max_seq = seq;
        if (--s->probation == 0) {
            restart(s, seq);
            s->received = 1;
            return RTP_SEQ_OK;
        }
        return RTP_SEQ_PROBATION;
    }
    /* Out of order: this one is the first again. */
    s->probation = (uint8_t)(s->min_sequential - 1);
    s->max_seq = seq;
    return RTP_SEQ_PROBATION;
}

enum rtp_seq_verdict rtp_seq_rx(struct rtp_seq *s, uint16_t seq)
{
    if (!s->started) {
        s->started = true;
        restart(s, seq);
        if (s->probation == 0 || --s->probation == 0) {
            s->received = 1;
            return RTP_SEQ_OK;
        }
        return RTP_SEQ_PROBATION;
    }
    if (s->probation)
        return rx_probation(s, seq);
    uint16_t delta = (uint16_t)(seq - s->max_seq);
    enum rtp_seq_verdict verdict = RTP_SEQ_OK;
    if (delta == 0) {
        verdict = RTP_SEQ_LATE;
    } else if (delta < MAX_DROPOUT) {
        if (seq < s->max_seq)
            s->cycles += SEQ_MOD;
        s->max_seq = seq;
    } else if (delta <= SEQ_MOD - MAX_MISORDER) {
        /* RFC 3550 A.1: two packets in order after a jump mean that the other side restarted. */
        if (seq != s->bad_seq) {
            s->bad_seq = (seq + 1u) & (SEQ_MOD - 1);
            return RTP_SEQ_JUMP;
        }
        restart(s, seq);
        s->has_transit = false;
        s->restarts++;
    } else {
        verdict = RTP_SEQ_LATE;
    }
    s->received++;
    return verdict;
}

void rtp_seq_rx_time(struct rtp_seq *s, uint32_t ts, uint32_t arrival)
{
    uint32_t transit = arrival - ts;
    if (s->has_transit) {
        int32_t d = (int32_t)(transit - s->transit);
        uint32_t distance = d < 0 ? 0u - (uint32_t)d : (uint32_t)d;
        /* A.8, with the jitter scaled by 16 so that integers suffice. A source whose clock steps
         * would leave a jitter that takes minutes to fade; it is a new beginning instead. */
        if (distance < 0x01000000u)
            s->jitter += distance - ((s->jitter + 8) >> 4);
    }
    s->transit = transit;
    s->has_transit = true;
}

uint32_t rtp_seq_extended(const struct rtp_seq *s)
{
    return s->cycles + s->max_seq;
}

uint32_t rtp_seq_expected(const struct rtp_seq *s)
{
    return s->started && s->probation == 0 ? rtp_seq_extended(s) - s->base_seq + 1 : 0;
}

int32_t rtp_seq_lost(const struct rtp_seq *s)
{
    int64_t lost = (int64_t)rtp_seq_expected(s) - s->received;
    if (lost > 0x7FFFFF)
        return 0x7FFFFF;
    return lost < -0x800000 ? -0x800000 : (int32_t)lost;
}

uint8_t rtp_seq_fraction_take(struct rtp_seq *s)
{
    uint32_t expected = rtp_seq_expected(s);
    uint32_t interval = expected - s->expected_prior;
    uint32_t received = s->received - s->received_prior;
    s->expected_prior = expected;
    s->received_prior = s->received;
    if (interval == 0 || received >= interval)
        return 0;
    uint64_t fraction = (uint64_t)(interval - received) * 256 / interval;
    return fraction > 255 ? 255 : (uint8_t)fraction;
}

uint32_t rtp_seq_jitter(const struct rtp_seq *s)
{
    return s->jitter >> 4;
}

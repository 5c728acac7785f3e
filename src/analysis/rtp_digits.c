/* Keys that were pressed, as telephone-events (RFC 4733). */
#include "analysis/rtp_int.h"

#include "base/mem.h"

static void digit_add(struct an_stream *s, char digit)
{
    if (s->n_digits == s->cap_digits) {
        uint32_t cap = s->cap_digits ? s->cap_digits * 2 : 8;
        struct an_digit *p =
            s->n_digits < AN_RTP_MAX_DIGITS ? mem_resize(s->digit, cap * sizeof(*p)) : NULL;
        if (!p) {
            s->digits_refused++;
            return;
        }
        s->digit = p;
        s->cap_digits = cap;
    }
    s->digit[s->n_digits++] =
        (struct an_digit){.at_ns = s->last_ns, .digit = digit, .end_lost = true};
}

static void digit_length(struct an_stream *s, uint64_t duration)
{
    const struct an_format *f = &s->format[s->current];
    uint64_t ms = duration * 1000 / (f->clock_hz ? f->clock_hz : 8000);
    if (s->n_digits && !s->digits_refused)
        s->digit[s->n_digits - 1].ms = (uint16_t)(ms > UINT16_MAX ? UINT16_MAX : ms);
}

void rtp_digits_rx(struct an_stream *s, const struct rtp_in *in)
{
    struct dtmf_packet p = {.seq = in->seq, .ts = in->ts, .marker = in->marker};
    struct dtmf_digit d = {0};
    if (s->secure || !in->payload || rtp_event_parse(&p.event, in->payload, in->payload_n))
        return;
    unsigned what = dtmf_rx_event(&s->dtmf, in->at_ns / 1000, &p, &d);
    if (what & DTMF_BEGIN)
        digit_add(s, d.digit);
    if (s->dtmf.started && !s->digits_refused)
        digit_length(s, s->dtmf.before + s->dtmf.duration);
    if ((what & DTMF_END) && s->n_digits && !s->digits_refused)
        s->digit[s->n_digits - 1].end_lost = false;
}

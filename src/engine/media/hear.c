/* By the detector of spandsp, which works at 8 kHz and does not bear a constant in the signal. */
#include "engine/media/hear.h"

#include <spandsp.h>

#include "base/assert.h"
#include "base/mem.h"

#define RATE  8000
#define CHUNK (RATE / 50)
/* Takes away what is below 40 Hz; in 256ths. */
#define KEEP 248

/* What a telephone may have (ITU-T Q.24), and 2 dB for what the analysis adds to it. */
#define TWIST_DB         10
#define REVERSE_TWIST_DB 6
#define KEEP_THRESHOLD   (-99)

struct hear {
    dtmf_rx_state_t *rx;
    int last_in, last_out; /* of the filter; out in 256ths */
};

struct hear *hear_new(void)
{
    struct hear *h = mem_zero(sizeof(*h));
    if (!h)
        return NULL;
    h->rx = dtmf_rx_init(NULL, NULL, NULL);
    if (!h->rx) {
        mem_free(h);
        return NULL;
    }
    dtmf_rx_parms(h->rx, 0, TWIST_DB, REVERSE_TWIST_DB, KEEP_THRESHOLD);
    return h;
}

void hear_free(struct hear *h)
{
    if (!h)
        return;
    dtmf_rx_free(h->rx);
    mem_free(h);
}

static int16_t filtered(struct hear *h, int in)
{
    h->last_out = (in - h->last_in) * 256 + h->last_out / 256 * KEEP;
    h->last_in = in;
    int out = h->last_out / 256;
    return (int16_t)(out > INT16_MAX ? INT16_MAX : out < INT16_MIN ? INT16_MIN : out);
}

char hear_frame(struct hear *h, const int16_t *samples, unsigned n, uint32_t rate)
{
    int16_t at_8k[CHUNK];
    unsigned step = rate / RATE, made = 0;
    BUG_ON(step == 0 || n / step > CHUNK);
    /* The mean of the samples between is filter enough: the tones end at 1633 Hz. */
    for (unsigned i = 0; i + step <= n; i += step) {
        int sum = 0;
        for (unsigned k = 0; k < step; k++)
            sum += samples[i + k];
        at_8k[made++] = filtered(h, sum / (int)step);
    }
    dtmf_rx(h->rx, at_8k, (int)made);
    char digit[2] = {0};
    return dtmf_rx_get(h->rx, digit, 1) ? digit[0] : 0;
}

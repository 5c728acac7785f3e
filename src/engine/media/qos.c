#include "engine/media/qos.h"

#include "base/assert.h"

/* Ro - Is of the default values: signal-to-noise ratio less the simultaneous impairments, times
 * 100 (G.107 sections 7.2 and 7.3). The talker's and the listener's echo are in the delay. */
#define R_START_X100 9336
#define DELAY_STEP   25u

/* The delay impairment Id = Idte + Idle + Idd times 100, every 25 ms from 0 (G.107 section 7.4 with
 * TELR 65 dB, WEPL 110 dB, T = Ta = Tr/2). What is later than the last one is as bad as it. */
static const uint16_t delay_x100[] = {
    15,   97,   160,  217,  269,  319,  382,  513,  755,  1075, 1418, 1753, 2069, 2362,
    2633, 2882, 3111, 3321, 3515, 3692, 3855, 4005, 4143, 4270, 4387, 4495, 4594, 4686,
    4771, 4850, 4923, 4990, 5053, 5112, 5167, 5217, 5265, 5310, 5352, 5391, 5428,
};

/* G.113 appendix I, the values with packet loss concealment. It says nothing about wideband codecs
 * on this scale, which ends at telephone quality: they are taken to lose nothing by themselves and
 * to conceal as well as G.711 does. */
static const struct qos_codec codecs[] = {
    {STR_INIT("PCMU"), 0, 251}, {STR_INIT("PCMA"), 0, 251},   {STR_INIT("G722"), 0, 251},
    {STR_INIT("opus"), 0, 251}, {STR_INIT("G729"), 110, 190}, {STR_INIT("L16"), 0, 251},
};

const struct qos_codec *qos_codec_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
        if (str_ieq(codecs[i].name, name))
            return &codecs[i];
    return NULL;
}

static unsigned delay_impairment_x100(uint32_t ms)
{
    size_t i = ms / DELAY_STEP, last = ARRAY_LEN(delay_x100) - 1;
    if (i >= last)
        return delay_x100[last];
    unsigned rise = (unsigned)delay_x100[i + 1] - delay_x100[i];
    return delay_x100[i] + rise * (ms % DELAY_STEP) / DELAY_STEP;
}

/* G.107 section 7.5: Ie,eff = Ie + (95 - Ie) * Ppl / (Ppl / BurstR + Bpl), times 100. */
static unsigned equipment_impairment_x100(const struct qos_path *p)
{
    uint64_t ie = p->ie_x10 > 950 ? 9500 : (uint64_t)p->ie_x10 * 10;
    uint64_t loss = p->loss_e4 > 10000 ? 10000 : p->loss_e4; /* percent times 100 */
    uint64_t burst = p->burst_x100 < 100 ? 100 : p->burst_x100;
    uint64_t below = loss * 100 + (uint64_t)p->bpl_x10 * 10 * burst;
    if (below == 0)
        return (unsigned)ie;
    uint64_t eff = ie + (9500 - ie) * loss * burst / below;
    /* Losses in bursts may count for more than all there is. */
    return eff > 9500 ? 9500 : (unsigned)eff;
}

unsigned qos_r_factor(const struct qos_path *p)
{
    int r = R_START_X100 - (int)delay_impairment_x100(p->one_way_ms) -
            (int)equipment_impairment_x100(p);
    return r < 0 ? 0 : ((unsigned)r + 5) / 10;
}

unsigned qos_mos_x100(unsigned r_x10)
{
    /* G.107 annex B: 1 + 0.035 R + R (R - 60) (100 - R) * 7e-6. The cubic dips below 1 for an R
     * under 6.5, where nothing is worse than 1. */
    if (r_x10 < 65)
        return 100;
    if (r_x10 >= 1000)
        return 450;
    int64_t r = r_x10;
    int64_t mos_e9 = 1000000000 + r * 3500000 + 7 * r * (r - 600) * (1000 - r);
    return (unsigned)((mos_e9 + 5000000) / 10000000);
}

unsigned qos_mos_x10(unsigned r_x10)
{
    return (qos_mos_x100(r_x10) + 5) / 10;
}

/* What a path does to a conversation, as one number: the E-model of ITU-T G.107 with its default
 * values for everything that a packet network does not see. Integers throughout, so that a run
 * repeats itself on every machine; the error against the formulas is below 0.2 of R. */
#ifndef ENGINE_MEDIA_QOS_H
#define ENGINE_MEDIA_QOS_H

#include "base/str.h"

/* How a codec sounds without loss, and how well it bears loss (ITU-T G.113 appendix I). */
struct qos_codec {
    struct str name;
    uint16_t ie_x10;  /* equipment impairment Ie */
    uint16_t bpl_x10; /* packet-loss robustness Bpl, in percent */
};

/* By its name in SDP, without case. NULL: nothing is known about it. */
const struct qos_codec *qos_codec_find(struct str name);

struct qos_path {
    uint32_t one_way_ms; /* mouth to ear */
    uint32_t loss_e4;    /* lost or discarded, in 1/10000; more than all counts as all */
    uint32_t burst_x100; /* the burst ratio: 100 for losses at random, less counts as 100 */
    uint16_t ie_x10, bpl_x10;
};

/* R times 10, 0 to 1000; 932 without any impairment. */
unsigned qos_r_factor(const struct qos_path *p);
/* The mean opinion score times 100, 100 to 450, of an R times 10. */
unsigned qos_mos_x100(unsigned r_x10);
unsigned qos_mos_x10(unsigned r_x10);

#endif

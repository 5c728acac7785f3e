/* Ring-back by the exchange. A caller without an early session hears of ringing by 180, and its
 * phone makes the tone. One who hears us already (it had an early session with somebody who is
 * gone, or is being transferred) would hear silence or music: it is played the tone of its country
 * until RTP of the callee comes, or the answer (RFC 3960 section 3.2). */
#ifndef PBX_FEATURE_RINGBACK_H
#define PBX_FEATURE_RINGBACK_H

#include "pbx/feature/dial.h"

/* The target `leg` rings. early: its owner had a session with us before. */
void ringback_begin(struct pbx *p, struct dial *d, const struct leg *leg, bool early);
/* Whom it has heard is gone; others may still ring. */
void ringback_again(struct pbx *p, struct dial *d);
/* Nobody rings any more, or somebody has answered. Harmless when nothing is heard. */
void ringback_end(struct pbx *p, struct dial *d);
/* The first RTP of `leg`: who hears it hears no tone any more. */
void ringback_rx_first(struct pbx *p, struct leg *leg);

#endif

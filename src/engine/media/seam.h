/* Where the sound that a party hears goes over from one encoder of G.722 to another. A G.722
 * decoder adapts to the one encoder whose bytes it is given. When another one goes on in the middle
 * it is out of step: it overshoots, out of silence to full scale, for some 40 ms. So for each party
 * the last of what it has said and of what it was told by others is kept, and from that we know
 * what its decoder and its encoder remember. An encoder of ours then goes on where the decoder is;
 * and the first packets of another phone are encoded anew for that decoder, until it makes no
 * difference any more. Nothing waits, and no packet changes its length. */
#ifndef ENGINE_MEDIA_SEAM_H
#define ENGINE_MEDIA_SEAM_H

#include "base/timer.h"

struct seam;

/* NULL: out of memory. */
struct seam *seam_new(void);
void seam_free(struct seam *s);
/* The party said this. */
void seam_said(struct seam *s, const uint8_t *payload, size_t n);
/* A new decoder of codec_g722 is to hear what the party says; the last `newest` bytes of that it
 * will be given. */
void seam_decoder(const struct seam *s, void *decoder, size_t newest);
/* An encoder of codec_g722 goes on behind what was passed on to the party. Returns the sample that
 * is heard last. */
int16_t seam_encoder(const struct seam *s, void *encoder);
/* From now on the packets of `from` (NULL: not known) are passed on to the party `to`, which has
 * heard our encoder so far (NULL: others). The last `newest` bytes that `from` has said are the
 * first of them. */
struct seam_turn {
    const struct seam *from;
    const void *ours;
    size_t newest;
};
void seam_turn(struct seam *to, usec_t now, const struct seam_turn *t);
/* A payload that is passed on to the party. It is changed while the seam demands it. */
void seam_pass(struct seam *to, uint8_t *payload, size_t n);

#endif

/* Listens to the samples of a party for DTMF tones (ITU-T Q.23, Q.24), for those that send no
 * telephone-events (RFC 4733). Tones of 40 ms with pauses of 40 ms are found from -30 dBm0 up, with
 * the upper tone up to 4 dB louder or 8 dB weaker than the lower one, and both up to 1 % off. A
 * digit must last for two analyses of 13 ms and stand out of what else is heard, so that speech is
 * rarely taken for one. */
#ifndef ENGINE_MEDIA_HEAR_H
#define ENGINE_MEDIA_HEAR_H

#include <stdint.h>

struct hear;

/* NULL: out of memory. */
struct hear *hear_new(void);
void hear_free(struct hear *h);
/* The next 20 ms of the party, or less; rate: 8000, 16000, 32000 or 48000; n: a multiple of
 * rate / 8000. Returns 0, or the digit (0-9, *, #, A-D) whose key has just been pressed: once for
 * each press, after about 30 ms of it. */
char hear_frame(struct hear *h, const int16_t *samples, unsigned n, uint32_t rate);

#endif

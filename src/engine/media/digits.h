/* The digits that one leg dials, by whatever means they come. Phones send a digit as an RFC 4733
 * event, as SIP INFO, as sound, or as several of them at once; here it is one digit. */
#ifndef ENGINE_MEDIA_DIGITS_H
#define ENGINE_MEDIA_DIGITS_H

#include "base/timer.h"

enum digit_means {
    DIGIT_EVENT,  /* telephone-event, RFC 4733 */
    DIGIT_INFO,   /* SIP INFO */
    DIGIT_INBAND, /* heard in the sound */
    DIGIT_MEANS
};

/* The same digit by another means that overlaps one, or begins so shortly behind its end, is the
 * same press of the key. */
#define DIGITS_WINDOW (150 * USEC_MS)
/* A digit whose end never came is taken to last no longer. */
#define DIGITS_LONGEST (10 * USEC_S)
/* Presses that are remembered. */
#define DIGITS_RECENT 8

struct digit_press {
    char digit;
    uint8_t by;   /* bit of each means it has come by */
    uint8_t open; /* those by which it has not ended */
    usec_t begin, end;
};

/* Zeroed at the beginning. */
struct digits {
    struct digit_press recent[DIGITS_RECENT];
    uint32_t n;                     /* presses in all; the ring's head */
    uint32_t repeated[DIGIT_MEANS]; /* dropped because they had come by other means */
};

/* A digit begins. True: a key was pressed. False: that press is known already. */
bool digits_begin(struct digits *d, usec_t now, enum digit_means by, char digit);
/* The digit that last began by these means ends. */
void digits_end(struct digits *d, usec_t now, enum digit_means by);
/* A digit of which the duration is told with it; 0 ms: not known. As digits_begin(). */
bool digits_whole(struct digits *d, usec_t now, enum digit_means by, char digit, uint32_t ms);

#endif

/* Who is who, taken out: numbers, names and addresses are replaced by others of the same length and
 * kind, the same by the same everywhere. By the end of what they say they stay comparable: numbers
 * with the same last digits have the same last digits again, addresses of one network are of one
 * network, private ones stay private. Without the key nobody can tell which was which. */
#ifndef ANALYSIS_ANON_H
#define ANALYSIS_ANON_H

#include "base/addr.h"

struct an_anon {
    uint8_t key[32];
};

void an_anon_addr(const struct an_anon *a, struct addr *addr);
/* Letters and digits of a text, word by word, in place. */
void an_anon_words(const struct an_anon *a, char *p, size_t n);
/* A SIP message with its body, in place. */
void an_anon_sip(const struct an_anon *a, char *p, size_t n);
/* The texts in RTCP that name somebody. */
void an_anon_rtcp(const struct an_anon *a, uint8_t *p, size_t n);
/* Silence instead of what an RTP packet carries; silence: the byte that is it. */
void an_anon_rtp(uint8_t *p, size_t n, uint8_t silence);

/* anon.c, for anon_sip.c: IP addresses wherever they stand in a text. */
void an_anon_addresses(const struct an_anon *a, char *p, size_t n);

#endif

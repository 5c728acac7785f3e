/* telephone-event payloads, DTMF among them (RFC 4733 section 2.3). */
#ifndef WIRE_RTP_EVENT_H
#define WIRE_RTP_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

#define RTP_EVENT_BYTES 4

enum { RTP_EVENT_STAR = 10, RTP_EVENT_HASH = 11, RTP_EVENT_A = 12, RTP_EVENT_FLASH = 16 };

struct rtp_event {
    uint8_t event;
    bool end;
    uint8_t volume;    /* -dBm0, 0 to 63 */
    uint16_t duration; /* in units of the timestamp, from its beginning */
};

/* The first event of a payload. 0 or -EBADMSG. */
MUST_CHECK int rtp_event_parse(struct rtp_event *ret, const uint8_t *payload, size_t n);
void rtp_event_build(uint8_t out[RTP_EVENT_BYTES], const struct rtp_event *e);
/* '0'..'9' '*' '#' 'A'..'D', '!' for a flash hook; 0 if the event is none of these. */
char rtp_event_char(uint8_t event);
/* The event of a character, also in lower case; -1 if it has none. */
int rtp_event_of_char(char c);

#endif

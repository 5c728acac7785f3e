#include "wire/rtp/event.h"

#include <errno.h>
#include <string.h>

#include "wire/rtp/be.h"

static const char chars[] = "0123456789*#ABCD!";

int rtp_event_parse(struct rtp_event *ret, const uint8_t *payload, size_t n)
{
    /* RFC 4733 section 2.3 gives four bytes; RFC 2833 senders stack redundant ones behind. */
    if (n < RTP_EVENT_BYTES || n % RTP_EVENT_BYTES)
        return -EBADMSG;
    *ret = (struct rtp_event){
        .event = payload[0],
        .end = payload[1] >> 7,
        .volume = payload[1] & 0x3F, /* the R bit is ignored */
        .duration = be16_get(payload + 2),
    };
    return 0;
}

void rtp_event_build(uint8_t out[RTP_EVENT_BYTES], const struct rtp_event *e)
{
    out[0] = e->event;
    out[1] = (uint8_t)((e->end ? 0x80 : 0) | (e->volume > 63 ? 63 : e->volume));
    be16_put(out + 2, e->duration);
}

char rtp_event_char(uint8_t event)
{
    return event <= RTP_EVENT_FLASH ? chars[event] : 0;
}

int rtp_event_of_char(char c)
{
    if (c >= 'a' && c <= 'd')
        c = (char)(c - 'a' + 'A');
    const char *at = c ? strchr(chars, c) : NULL;
    return at ? (int)(at - chars) : -1;
}

/* The parsers beside which bench_parse.c measures ours. */
#include <stdbool.h>
#include <stddef.h>

#ifdef HAVE_SOFIA
#    include <sofia-sip/msg.h>
#    include <sofia-sip/msg_parser.h>
#    include <sofia-sip/sip.h>
#    include <sofia-sip/sip_header.h>

bool peer_sofia(const char *bytes, size_t n);

bool peer_sofia(const char *bytes, size_t n)
{
    msg_t *msg = msg_make(sip_default_mclass(), 0, bytes, (ssize_t)n);
    const sip_t *sip = sip_object(msg);
    bool ok = sip && sip->sip_contact && !sip->sip_error;
    msg_destroy(msg);
    return ok;
}
#endif

#ifdef HAVE_OSIP
#    include <osipparser2/osip_message.h>
#    include <osipparser2/osip_parser.h>

bool peer_osip(const char *bytes, size_t n);

bool peer_osip(const char *bytes, size_t n)
{
    static bool ready;
    if (!ready)
        ready = parser_init() == 0;
    osip_message_t *msg;
    if (osip_message_init(&msg))
        return false;
    bool ok = osip_message_parse(msg, bytes, n) == 0;
    osip_message_free(msg);
    return ok;
}
#endif

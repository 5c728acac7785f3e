/* What own.c and own_ctl.c share. */
#ifndef APP_OWN_INT_H
#define APP_OWN_INT_H

#include "app/own.h"

#define OWN_SCRATCH (SIP_MAX_BYTES + 1u) /* what is longer is no message any more */

struct own {
    struct wire *wire;
    struct an_traffic *traffic; /* NULL: nothing is kept */
    struct hepout *hep;
    struct addr hep_to;
    bool hep_sip, hep_rtcp;
    struct local_addrs local; /* as they are, whatever peers are told */
    uint64_t last_us;         /* the time of the latest message */
    struct loop_watch rtcp;
    bool rtcp_open;
    char scratch[OWN_SCRATCH];
};

#endif

/* The records that name SIP servers, read from DNS answers: SRV (RFC 2782) and NAPTR (RFC 3403
 * section 4, as RFC 3263 uses them). Answers come from whoever can forge a datagram: nothing in
 * them is believed to be well formed. Pure. */
#ifndef IO_DNS_RR_H
#define IO_DNS_RR_H

#include "base/rand.h"
#include "base/str.h"

#define DNS_MAX_NAME 255

struct dns_srv {
    char host[DNS_MAX_NAME + 1];
    uint16_t port, priority, weight;
    uint32_t ttl_s;
};

struct dns_naptr {
    char flag;                          /* in lower case; 0: none */
    char service[32];                   /* "SIP+D2U"; "": longer than any that there is */
    char replacement[DNS_MAX_NAME + 1]; /* "": none */
    uint16_t order, preference;
    uint32_t ttl_s;
};

/* The records of the answer in bytes[0, n), at most `cap`; what is malformed is left out. Returns
 * how many. *nowhere: one of them says that there is decidedly no such service (its target is the
 * root).
 */
unsigned dns_srv_read(const uint8_t *bytes, size_t n, struct dns_srv *ret, unsigned cap,
                      bool *nowhere);
/* By priority, and among equals by chance in proportion to the weight: RFC 2782, "Weight". */
void dns_srv_order(struct dns_srv *srv, unsigned n, struct rand *rand);
/* The same of NAPTR, by order and then by preference. */
unsigned dns_naptr_read(const uint8_t *bytes, size_t n, struct dns_naptr *ret, unsigned cap);

#endif

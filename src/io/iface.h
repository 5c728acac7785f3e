/* The addresses of this machine's network interfaces. */
#ifndef IO_IFACE_H
#define IO_IFACE_H

#include "base/local.h"

/* Fills l->a and l->n (at most LOCAL_MAX, those that are up; IPv6 link-local ones left out);
 * l->external stays. 0 or a negative errno. */
MUST_CHECK int iface_list(struct local_addrs *l);

#endif

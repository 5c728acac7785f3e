/* The environment variables of the client of MRCPv2: they are the same for `ringdown mrcp` and for
 * the exchange's bots. docs/mrcp.md lists them. */
#ifndef APP_MRCP_ENV_H
#define APP_MRCP_ENV_H

#include "app/mrcp_host.h"

/* MRCP_ENABLE_SIP_V2=0. */
bool mrcp_env_off(void);
/* Transport, timers and TLS. NULL, or the name of a variable whose value is not possible. */
const char *mrcp_env_read(struct mrcp_host_conf *ret);
/* "A, B": how many items of the list, at most cap, were put into out. */
unsigned mrcp_list(struct str *out, unsigned cap, struct str list);

#endif

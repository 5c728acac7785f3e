/* The other end of ctl.h: one question, one answer, waiting for it. */
#ifndef IO_CTL_CLIENT_H
#define IO_CTL_CLIENT_H

#include <stdint.h>

#include "base/assert.h"
#include "base/str.h"

/* Sends `line` (without a line end) and waits for the reply line, which comes back in memory of
 * mem_alloc(), terminated, without its line end. -ECONNREFUSED or -ENOENT: nobody serves the
 * socket; -ETIMEDOUT; -EPIPE: it closed without an answer; -EMSGSIZE. */
MUST_CHECK int ctl_client_ask(const char *path, struct str line, uint32_t timeout_ms, char **ret,
                              size_t *ret_n);

#endif

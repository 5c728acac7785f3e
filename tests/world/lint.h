/* The judge of what the PBX sends: stricter than the parser that reads what others send, and
 * written apart from it, so that one does not excuse the other. */
#ifndef WORLD_LINT_H
#define WORLD_LINT_H

#include "base/addr.h"
#include "base/str.h"

/* 0, or -1 and the reason in why. RFC 3261 section 25.1, RFC 8866. */
MUST_CHECK int lint_message(struct str bytes, enum proto proto, char *why, size_t cap);

#endif

/* What the files that answer the control socket share. */
#ifndef APP_WIRE_CTL_H
#define APP_WIRE_CTL_H

#include <jansson.h>

#include "app/wire.h"

/* params.call if it is the id of a record: 16 bytes in hexadecimal digits; else none. */
struct str wire_record_of(const json_t *params);
/* How the media of a record's call were, a row for each stream and direction. NULL: the database
 * cannot be read. */
json_t *wire_quality(struct wire *w, struct str record);
/* The bots that were asked in it. NULL: likewise. */
json_t *wire_bots(struct wire *w, struct str record);

/* wire_tls.c: what we show over TLS; and what comes of it, into the object of `stats`. */
json_t *wire_certificates(struct wire *w);
void wire_tls_stats(struct wire *w, json_t *all);

#endif

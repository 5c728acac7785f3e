/* What wire.c, which opens and closes, needs of wire_turn.c, which carries what comes in to the PBX
 * and what the PBX puts out to the world. For these two only. */
#ifndef APP_WIRE_INT_H
#define APP_WIRE_INT_H

#include "app/wire.h"

/* ---- hooks: ctx is the struct wire ----------------------------------------------------------- */
/* Of net. */
void wire_rx(void *ctx, usec_t now, const struct net_rx *rx);
void wire_flow_closed(void *ctx, usec_t now, const struct flow *flow, int err);
void wire_flow_failed(void *ctx, usec_t now, const struct flow *to, const struct blob *b, int err);
void wire_bounced(void *ctx, usec_t now, struct str bytes);
/* Of db: all up to `seq` is safe, or was lost with `err`; what waited for it leaves. */
void wire_stored(void *ctx, uint64_t seq, int err);
void wire_prune_failed(void *ctx, uint16_t statement, int err);
/* Of dns. */
void wire_resolved(void *ctx, usec_t now, const struct dns_answer *a);
/* Of loop. */
void wire_tick(void *ctx, usec_t now);
void wire_turn(void *ctx, usec_t now);
void wire_signal(void *ctx, int signum);
/* Of media_watch. */
void wire_media_ready(struct loop_watch *watch, unsigned events);
void wire_media_closed(struct loop_watch *watch);

/* ---- parts of a turn's end, for the start and the end of the program ------------------------- */
/* The statements since the last time are one batch from here on. */
void wire_seal(struct wire *w);
/* The media thread gets its commands, as many as it has room for. */
void wire_media_flush(struct wire *w);

#endif

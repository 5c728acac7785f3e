/* Calls: a call owns legs (dialogs with media) that a bridge joins. See docs/architecture.md. */
#ifndef PBX_CALL_H
#define PBX_CALL_H

#include "pbx/pbx_int.h"

MUST_CHECK int call_init(struct pbx *p);
void call_done(struct pbx *p);
/* Everything the engine says about INVITE sessions. */
void call_rx(struct pbx *p, const struct sip_out *o);
void call_rx_media(struct pbx *p, const struct media_ev *ev);
/* Ends all calls; new ones are refused (p->stopping). */
void call_shutdown(struct pbx *p);
/* After a reload: calls are counted for the extensions of the new configuration. */
void call_reload(struct pbx *p, const struct config *before);
uint32_t call_count(const struct pbx *p);
/* Ends what outlived its call and returns how many objects that were (T11). */
unsigned call_audit(struct pbx *p);

#endif

/* Bots in calls: when one answers, and the call in which it is the other party. A bot stands in for
 * an extension or a group (keys `bot`, `bot_when`), or has a number (features.bot, routes).
 *
 * A bot is asked before anybody hears of it: its engine is opened while phones ring, or while the
 * caller has heard nothing yet. Only when the engine is there the phones are cancelled and the
 * caller is answered; else the call goes on as if there were no bot. Of a phone and a bot that
 * answer in the same millisecond one wins, since inputs are handled one after the other.
 *
 * The order: forwarding of every call, then the bot for `always` and `out_of_hours`, then the
 * phones; what these say leads to a forward for that reason, else the bot, else the mailbox. */
#ifndef PBX_FEATURE_VOICEBOT_H
#define PBX_FEATURE_VOICEBOT_H

#include "base/botlink.h"
#include "pbx/call_int.h"
#include "pbx/feature/dial.h"

/* Why a bot is asked: as enum config_bot_when, or it was dialled. */
enum voicebot_reason { VOICEBOT_NUMBER = CONF_BOT_ALWAYS + 1, VOICEBOT_REASONS };
struct str voicebot_reason_name(unsigned reason);

/* 0 or -ENOMEM. */
MUST_CHECK int voicebot_init(struct pbx *p);
/* After all calls are gone. */
void voicebot_done(struct pbx *p);
/* Has every engine that was opened been closed? */
bool voicebot_is_idle(const struct pbx *p);
void voicebot_rx(struct pbx *p, const struct botlink_event *ev);
/* Of a stream that belongs to no leg. */
void voicebot_rx_media(struct pbx *p, const struct media_ev *ev);

/* ---- for searches ---------------------------------------------------------------------------- */
/* Before the phones of an extension or the members of a group: true, when a bot is asked first. */
bool voicebot_before(struct pbx *p, struct dial *d, const struct target *t);
/* The phones of an extension begin to ring. */
void voicebot_watch(struct pbx *p, struct dial *d, const struct target *t);
/* They have said `status`, for which `reason` (enum diversion_reason) stands: true, when the bot of
 * the extension is asked next. */
bool voicebot_instead(struct pbx *p, struct dial *d, const struct config_extension *e,
                      unsigned status, unsigned reason);
/* All members of a group have been tried. */
void voicebot_of_group(struct pbx *p, struct dial *d, const struct config_group *g);
/* TARGET_BOT */
void voicebot_start(struct pbx *p, struct dial *d, const struct target *t);
/* Those whom `old` rings ring for d from now on: the bot comes when it was to come. One that is
 * being opened for the former caller, who leaves, is opened anew. */
void voicebot_take_over(struct pbx *p, struct dial *d, struct dial *old);
/* The search ends: what is being opened for it is closed, and nobody is asked any more. */
void voicebot_search_over(struct pbx *p, struct dial *d);
/* Nobody took the caller whom a bot has handed over. false: it was no bot. */
bool voicebot_back(struct pbx *p, struct call *call);
/* The name of the bot that is the other party of the call; none: there is none, or it is handing
 * over. */
struct str voicebot_heard(struct pbx *p, const struct call *call);

/* For recordings: the call is being recorded, is no longer, or is in another one. */
void voicebot_recorded(struct pbx *p, struct call *call);

/* ---- for the control interface --------------------------------------------------------------- */
/* A JSON object in p->turn: what the conversation of the call was like so far; none: there is none.
 */
struct str voicebot_json(struct pbx *p, const struct call *call);
/* Conversations that are open or being closed. */
uint32_t voicebot_count(const struct pbx *p);

#endif

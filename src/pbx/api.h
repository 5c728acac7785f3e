/* The control interface: JSON-RPC 2.0 methods on the live exchange. What `ringdown ctl` asks.
 *
 *   status                         versions, uptime, counts
 *   calls                          calls in progress
 *   registrations                  bindings
 *   trunks                         gateways and their state
 *   timers {id}                    timers that are armed (of one call, or the next 200 of all)
 *   stats                          counters (T13)
 *   rtt                            measured round trips by destination
 *   trace {call}                   the history of a call: its number or one of its Call-IDs
 *   quality {call}                 loss, jitter, round trip and MOS of a call in progress, of each
 *                                  stream both ways, by the last RTCP report; `call` may also be
 *                                  the id of a record, then by the last figures of the call
 *   bots {call}                    conversations with bots, of one call or of all in progress: why,
 *                                  what state, figures, transcript; `call` may also be the id of
 *                                  a record
 *   hangup {call}                  ends a call
 *   record {call, action}          start (mixed), tracks, both, stop, pause or resume a recording
 *   settings {extension}           do-not-disturb and forwarding, of one extension or of all
 *   set {extension, name, value}   changes one; value "off", or "reset": as configured
 *   subscriptions                  who is told what (RFC 6665)
 *   mailboxes                      how many messages wait in each
 *   messages {extension}           what is in a mailbox
 *   message_delete {id}            removes a message
 *   mwi {extension, new, old, urgent_new, urgent_old}
 *                                  says so, for a voicemail system outside; new and old count the
 *                                  urgent ones, which may be left out
 *   conferences                    rooms that are open, and who is in them
 *   conference {action, room, number}
 *                                  kick, mute, unmute member `number`, or all without one; lock,
 *                                  unlock, end the room; invite a number to it
 *   ban {address, seconds}  unban {address}  bans
 *
 * `reload`, `cdr`, `quality` and `bots` of a record, and what is said of the messages of a call
 * (`show`, `explain`, `ladder`, `attempts`) need files, the database or the analyser and are the
 * program's own.
 */
#ifndef PBX_API_H
#define PBX_API_H

#include <jansson.h>

#include "pbx/call_int.h"

/* JSON-RPC error codes. */
enum api_error {
    API_PARSE_ERROR = -32700,
    API_INVALID_REQUEST = -32600,
    API_NO_METHOD = -32601,
    API_INVALID_PARAMS = -32602,
    API_INTERNAL = -32603,
    API_NOT_FOUND = 1,
    API_NOT_NOW = 2
};

/* A method: its result, or NULL with *error set. params is an object or NULL. */
typedef json_t *(*api_method)(struct pbx *p, const json_t *params, enum api_error *error);

json_t *api_calls(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_trace(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_record(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_quality(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_bots(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_hangup(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_registrations(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_trunks(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_ban(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_unban(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_bans(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_status(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_settings(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_set(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_subscriptions(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_mailboxes(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_mwi(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_conferences(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_conference(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_messages(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_message_delete(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_stats(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_timers(struct pbx *p, const json_t *params, enum api_error *error);
json_t *api_rtt(struct pbx *p, const json_t *params, enum api_error *error);

/* Text that may not be UTF-8, as a JSON string (bytes that are not become '?'). */
json_t *api_text(struct str s);
json_t *api_addr(const struct addr *a);
/* The call named by params.call: its number or a Call-ID; NULL. */
struct call *api_call_of(struct pbx *p, const json_t *params);

#endif

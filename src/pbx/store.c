#include "pbx/store.h"

#include "base/assert.h"
#include "base/buf.h"

/* A binding is found by address of record and contact; times are wall-clock milliseconds, because
 * the monotonic clock does not survive a restart. `flow` is how the phone is reached:
 * "udp 0 192.0.2.1:5060" (transport, listener, source address), with " nat" behind it when its
 * contact is no place to send to. */
const char *const pbx_store_schema[] = {
    "CREATE TABLE IF NOT EXISTS binding ("
    " aor TEXT NOT NULL, contact TEXT NOT NULL, call_id TEXT NOT NULL, cseq BIGINT NOT NULL,"
    " expires_ms BIGINT NOT NULL, q INTEGER NOT NULL, path TEXT, flow TEXT NOT NULL,"
    " instance TEXT, user_agent TEXT, params TEXT,"
    " PRIMARY KEY (aor, contact)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS cdr ("
    " id TEXT PRIMARY KEY, scenario TEXT NOT NULL, caller TEXT NOT NULL, caller_name TEXT,"
    " dialled TEXT NOT NULL, callee TEXT, did TEXT, answered_by TEXT, trunk_in TEXT,"
    " trunk_out TEXT, start_ms BIGINT NOT NULL, ring_ms BIGINT, answer_ms BIGINT,"
    " end_ms BIGINT NOT NULL, talk_ms BIGINT NOT NULL, disposition TEXT NOT NULL,"
    " ended_by TEXT NOT NULL, sip_cause INTEGER NOT NULL, q850_cause INTEGER NOT NULL,"
    " reason TEXT, codec TEXT, legs TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS cdr_start ON cdr (start_ms)",
    "CREATE TABLE IF NOT EXISTS setting ("
    " extension TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY (extension, name)) WITHOUT ROWID",
    /* Of calls that were transferred, picked up, forwarded, hunted: the tree above (parent) and
     * JSON with segments, attempts and events. */
    ("CREATE TABLE IF NOT EXISTS cdr_detail ("
     " id TEXT PRIMARY KEY, parent TEXT, detail TEXT NOT NULL) WITHOUT ROWID"),
    /* How each stream of a leg was, `in` from its party and `out` to it. A leg may have had a
     * stream twice, so there is no key. */
    "CREATE TABLE IF NOT EXISTS call_quality ("
    " record TEXT NOT NULL, leg INTEGER NOT NULL, stream INTEGER NOT NULL,"
    " direction TEXT NOT NULL, codec TEXT, packets BIGINT NOT NULL, bytes BIGINT NOT NULL,"
    " lost BIGINT, discarded BIGINT, jitter_us BIGINT, rtt_mean_us BIGINT, rtt_max_us BIGINT,"
    " r_x10 INTEGER, mos_x100 INTEGER, late BIGINT, concealed BIGINT)",
    "CREATE INDEX IF NOT EXISTS call_quality_record ON call_quality (record)",
    /* Of mailboxes. The sound is the file whose name is the id; state: 0 new, 1 old, 2 the owner's
     * greeting, 3 not to be kept: being recorded, and nothing has been said yet. */
    ("CREATE TABLE IF NOT EXISTS message ("
     " id TEXT PRIMARY KEY, mailbox TEXT NOT NULL, state INTEGER NOT NULL,"
     " urgent INTEGER NOT NULL, caller TEXT, caller_name TEXT, at_ms BIGINT NOT NULL,"
     " ms BIGINT NOT NULL) WITHOUT ROWID"),
    /* Bots that were asked to answer a call: why, what came of it, when in the call and for how
     * long; figures and transcript are JSON. Of one call there may be several. */
    ("CREATE TABLE IF NOT EXISTS call_bot ("
     " record TEXT NOT NULL, bot TEXT NOT NULL, engine TEXT NOT NULL, reason TEXT NOT NULL,"
     " outcome TEXT NOT NULL, at_ms BIGINT NOT NULL, ms BIGINT NOT NULL, figures TEXT NOT NULL,"
     " transcript TEXT NOT NULL)"),
    "CREATE INDEX IF NOT EXISTS call_bot_record ON call_bot (record)",
};
const unsigned pbx_store_schema_n = ARRAY_LEN(pbx_store_schema);

#define BINDING_COLUMNS                                                                            \
    "aor, contact, call_id, cseq, expires_ms, q, path, flow, instance, user_agent, params"
#define CDR_COLUMNS                                                                                \
    "id, scenario, caller, caller_name, dialled, callee, did, answered_by, trunk_in, trunk_out,"   \
    " start_ms, ring_ms, answer_ms, end_ms, talk_ms, disposition, ended_by, sip_cause,"            \
    " q850_cause, reason, codec, legs"
#define QUALITY_COLUMNS                                                                            \
    "leg, stream, direction, codec, packets, bytes, lost, discarded, jitter_us, rtt_mean_us,"      \
    " rtt_max_us, r_x10, mos_x100, late, concealed"

#define CALL_BOT_COLUMNS "bot, engine, reason, outcome, at_ms, ms, figures, transcript"
#define MESSAGE_COLUMNS  "id, mailbox, state, urgent, caller, caller_name, at_ms, ms"

#define CDR_PUT                                                                                    \
    "INSERT INTO cdr (" CDR_COLUMNS ") VALUES"                                                     \
    " (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22)"
#define CDR_DETAIL_PUT "INSERT INTO cdr_detail (id, parent, detail) VALUES (?1,?2,?3)"
#define UNLESS_THERE   " ON CONFLICT (id) DO NOTHING"
/* An id begins with the time of its record (cdr.c), so the oldest are the lowest. Few at a time, so
 * that nothing waits for it long. */
#define PRUNED(id, table)                                                                          \
    " (SELECT " id " FROM " table " WHERE " id " < ?1 ORDER BY " id " LIMIT 200)"

const char *const pbx_store_statement[STORE_STATEMENTS] = {
    [STORE_BINDING_PUT] =
        "INSERT INTO binding (" BINDING_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)"
        " ON CONFLICT (aor, contact) DO UPDATE SET call_id=excluded.call_id, cseq=excluded.cseq,"
        " expires_ms=excluded.expires_ms, q=excluded.q, path=excluded.path, flow=excluded.flow,"
        " instance=excluded.instance, user_agent=excluded.user_agent, params=excluded.params",
    [STORE_BINDING_DEL] = "DELETE FROM binding WHERE aor=?1 AND contact=?2",
    [STORE_CDR_PUT] = CDR_PUT,
    [STORE_CDR_RESTORE] = CDR_PUT UNLESS_THERE,
    [STORE_SETTING_PUT] = ("INSERT INTO setting (extension, name, value) VALUES (?1,?2,?3)"
                           " ON CONFLICT (extension, name) DO UPDATE SET value=excluded.value"),
    [STORE_SETTING_DEL] = "DELETE FROM setting WHERE extension=?1 AND name=?2",
    [STORE_CDR_DETAIL_PUT] = CDR_DETAIL_PUT,
    [STORE_CDR_DETAIL_RESTORE] = CDR_DETAIL_PUT UNLESS_THERE,
    [STORE_QUALITY_PUT] = "INSERT INTO call_quality (record, " QUALITY_COLUMNS ") VALUES"
                          " (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)",
    [STORE_MESSAGE_PUT] =
        ("INSERT INTO message (" MESSAGE_COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8)"
         " ON CONFLICT (id) DO UPDATE SET state=excluded.state, ms=excluded.ms"),
    [STORE_MESSAGE_DEL] = "DELETE FROM message WHERE id=?1",
    [STORE_CALL_BOT_PUT] = "INSERT INTO call_bot (record, " CALL_BOT_COLUMNS ") VALUES"
                           " (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    [STORE_CDR_PRUNE] = "DELETE FROM cdr WHERE id IN" PRUNED("id", "cdr"),
    [STORE_CDR_DETAIL_PRUNE] = "DELETE FROM cdr_detail WHERE id IN" PRUNED("id", "cdr_detail"),
    [STORE_QUALITY_PRUNE] =
        "DELETE FROM call_quality WHERE record IN" PRUNED("record", "call_quality"),
    [STORE_CALL_BOT_PRUNE] = "DELETE FROM call_bot WHERE record IN" PRUNED("record", "call_bot"),
};

void store_id_at(char ret[STORE_ID_AT_BYTES], uint64_t wall_ms)
{
    struct buf b;
    uint8_t bytes[6];
    for (unsigned i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(wall_ms >> (40 - 8 * i));
    buf_init(&b, ret, STORE_ID_AT_BYTES - 1);
    buf_hex(&b, bytes, sizeof(bytes));
    ret[STORE_ID_AT_BYTES - 1] = '\0';
}

const char *const pbx_store_restore[STORE_RESTORES] = {
    [STORE_RESTORE_BINDINGS] = "SELECT " BINDING_COLUMNS " FROM binding",
    [STORE_RESTORE_SETTINGS] = "SELECT extension, name, value FROM setting",
    [STORE_RESTORE_MESSAGES] = "SELECT " MESSAGE_COLUMNS " FROM message ORDER BY id",
};

const char *const pbx_store_cdr_list =
    "SELECT " CDR_COLUMNS ", parent, detail FROM cdr LEFT JOIN cdr_detail USING (id)"
    " ORDER BY start_ms DESC LIMIT ?1";

const char *const pbx_store_cdr_legs = "SELECT legs FROM cdr WHERE id=?1";

const char *const pbx_store_quality_list =
    "SELECT " QUALITY_COLUMNS " FROM call_quality WHERE record=?1"
    " ORDER BY leg, stream, direction LIMIT 1000";

const char *const pbx_store_bot_list =
    "SELECT " CALL_BOT_COLUMNS " FROM call_bot WHERE record=?1 ORDER BY at_ms LIMIT 100";

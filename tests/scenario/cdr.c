/* expect cdr NAME=VALUE ...: the next call record. expect quality NAME=VALUE ...: the next row of
 * how its media were. */
#include "play.h"

#include "base/num.h"

/* In the order of STORE_CDR_PUT, then of STORE_CDR_DETAIL_PUT. */
static const char *const columns[] = {
    "id",         "scenario",    "caller",   "caller_name", "dialled",  "callee",
    "did",        "answered_by", "trunk_in", "trunk_out",   "start_ms", "ring_ms",
    "answer_ms",  "end_ms",      "talk_ms",  "disposition", "ended_by", "sip_cause",
    "q850_cause", "reason",      "codec",    "legs",        "parent",   "detail"};

/* In the order of STORE_QUALITY_PUT. */
static const char *const quality_columns[] = {"record",    "leg",       "stream",      "direction",
                                              "codec",     "packets",   "bytes",       "lost",
                                              "discarded", "jitter_us", "rtt_mean_us", "rtt_max_us",
                                              "r_x10",     "mos_x100",  "late",        "concealed"};

/* In the order of STORE_CALL_BOT_PUT. */
static const char *const bot_columns[] = {"record", "bot", "engine",  "reason",    "outcome",
                                          "at_ms",  "ms",  "figures", "transcript"};

static struct str value_of(struct play *p, const struct row_op *op, unsigned i)
{
    const struct row_value *v = &op->v[i];
    if (i >= op->n || v->type == ROW_NULL)
        return STR("");
    return v->type == ROW_TEXT ? v->s : ua_text(&p->w, "%lld", (long long)v->i);
}

static struct str column(struct play *p, const struct row_op *op, struct str name)
{
    if (str_eq(name, STR("n_legs"))) {
        struct str legs = op->v[21].s;
        unsigned n = 0;
        for (size_t i = 0; i < legs.n; i++)
            n += legs.p[i] == '{';
        return ua_text(&p->w, "%u", n);
    }
    for (unsigned i = 0; i < ARRAY_LEN(columns); i++)
        if (str_eq(name, str_z(columns[i])))
            return value_of(p, op, i);
    return STR_NONE;
}

/* "cdr": whether the row belongs to the record last compared. */
static struct str whose(const struct play *p, const struct row_op *op)
{
    const struct world_row *cdr = container_of(p->cdr_at, struct world_row, node);
    bool same = p->cdr_at != &p->w.cdrs && str_eq(cdr->op.v[0].s, op->v[0].s);
    return same ? STR("this") : STR("another");
}

static struct str quality_column(struct play *p, const struct row_op *op, struct str name)
{
    if (str_eq(name, STR("cdr")))
        return whose(p, op);
    for (unsigned i = 0; i < ARRAY_LEN(quality_columns); i++)
        if (str_eq(name, str_z(quality_columns[i])))
            return value_of(p, op, i);
    return STR_NONE;
}

static struct str bot_column(struct play *p, const struct row_op *op, struct str name)
{
    if (str_eq(name, STR("cdr")))
        return whose(p, op);
    for (unsigned i = 0; i < ARRAY_LEN(bot_columns); i++)
        if (str_eq(name, str_z(bot_columns[i])))
            return value_of(p, op, i);
    return STR_NONE;
}

static void compare(struct play *p, const struct row_op *op, struct str word)
{
    static const char *const ops[] = {"!=", "=", "~", "<", ">"};
    for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
        ptrdiff_t at = str_ifind(word, str_z(ops[i]));
        if (at < 1)
            continue;
        struct str name = str_sub(word, 0, (size_t)at);
        struct str want = str_from(word, (size_t)at + strlen(ops[i]));
        struct str got = op->statement == STORE_QUALITY_PUT    ? quality_column(p, op, name)
                         : op->statement == STORE_CALL_BOT_PUT ? bot_column(p, op, name)
                                                               : column(p, op, name);
        bool ok = false;
        if (!got.p || !field_compare(got, str_z(ops[i]), want, &ok))
            play_fail(p, &p->st->line, "a record has no " STR_FMT, STR_ARG(name));
        else if (!ok)
            play_fail(p, &p->st->line, "record: expected " STR_FMT ", got \"" STR_FMT "\"",
                      STR_ARG(word), STR_ARG(got));
        return;
    }
    play_fail(p, &p->st->line, "expect cdr|quality NAME=VALUE ...");
}

static void next_row(struct play *p, struct list **at, struct list *rows)
{
    if ((*at)->next == rows) {
        play_fail(p, &p->st->line, "expected a row, there is none");
        return;
    }
    *at = (*at)->next;
    const struct world_row *row = container_of(*at, struct world_row, node);
    for (int i = 2; i < p->n_words && !p->failed; i++)
        compare(p, &row->op, p->word[i]);
}

void cdr_statement(struct play *p)
{
    next_row(p, &p->cdr_at, &p->w.cdrs);
}

void quality_statement(struct play *p)
{
    next_row(p, &p->quality_at, &p->w.qualities);
}

void bot_statement(struct play *p)
{
    next_row(p, &p->bot_at, &p->w.bots);
}

void stats_statement(struct play *p, struct world_stream *s)
{
    struct media_stats *st = &s->stats;
    struct report_quality *q = &st->quality;
    const struct {
        const char *key;
        uint64_t *u64;
        uint32_t *u32;
        uint16_t *u16;
    } keys[] = {{"rx", &st->rx_packets, NULL, NULL},
                {"tx", &st->tx_packets, NULL, NULL},
                {"late", NULL, &st->late, NULL},
                {"in.lost", NULL, &q->in.lost, NULL},
                {"in.jitter", NULL, &q->in.jitter_us, NULL},
                {"in.mos", NULL, NULL, &q->in.mos_x100},
                {"out.lost", NULL, &q->out.lost, NULL},
                {"out.mos", NULL, NULL, &q->out.mos_x100},
                {"rtt", NULL, &q->rtt_mean_us, NULL}};
    for (unsigned i = 0; i < ARRAY_LEN(keys); i++) {
        uint64_t v;
        if (num_u64(&v, play_option(p, str_z(keys[i].key), 3), UINT16_MAX))
            continue;
        if (keys[i].u64)
            *keys[i].u64 = v;
        else if (keys[i].u32)
            *keys[i].u32 = (uint32_t)v;
        else
            *keys[i].u16 = (uint16_t)v;
    }
    st->codec = st->tx_codec = CODEC_PCMA;
    q->in.known = st->rx_packets != 0;
    q->out.known = q->out.mos_x100 != 0;
    q->rtt_n = q->rtt_mean_us != 0;
    world_media_ev(&p->w, &(struct media_ev){.kind = MEDIA_EV_STATS, .id = s->id, .stats = *st});
    play_until(p, p->w.now);
}

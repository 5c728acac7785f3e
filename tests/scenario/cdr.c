/* expect cdr NAME=VALUE ...: the next call record. */
#include "play.h"

/* In the order of STORE_CDR_PUT, then of STORE_CDR_DETAIL_PUT. */
static const char *const columns[] = {
    "id",         "scenario",    "caller",   "caller_name", "dialled",  "callee",
    "did",        "answered_by", "trunk_in", "trunk_out",   "start_ms", "ring_ms",
    "answer_ms",  "end_ms",      "talk_ms",  "disposition", "ended_by", "sip_cause",
    "q850_cause", "reason",      "codec",    "legs",        "parent",   "detail"};

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

static void compare(struct play *p, const struct row_op *op, struct str word)
{
    static const char *const ops[] = {"!=", "=", "~", "<", ">"};
    for (unsigned i = 0; i < ARRAY_LEN(ops); i++) {
        ptrdiff_t at = str_ifind(word, str_z(ops[i]));
        if (at < 1)
            continue;
        struct str name = str_sub(word, 0, (size_t)at);
        struct str want = str_from(word, (size_t)at + strlen(ops[i]));
        struct str got = column(p, op, name);
        bool ok = false;
        if (!got.p || !field_compare(got, str_z(ops[i]), want, &ok))
            play_fail(p, &p->st->line, "a record has no " STR_FMT, STR_ARG(name));
        else if (!ok)
            play_fail(p, &p->st->line, "record: expected " STR_FMT ", got \"" STR_FMT "\"",
                      STR_ARG(word), STR_ARG(got));
        return;
    }
    play_fail(p, &p->st->line, "expect cdr NAME=VALUE ...");
}

void cdr_statement(struct play *p)
{
    if (p->cdr_at->next == &p->w.cdrs) {
        play_fail(p, &p->st->line, "expected a call record, there is none");
        return;
    }
    p->cdr_at = p->cdr_at->next;
    const struct world_row *row = container_of(p->cdr_at, struct world_row, node);
    for (int i = 2; i < p->n_words && !p->failed; i++)
        compare(p, &row->op, p->word[i]);
}

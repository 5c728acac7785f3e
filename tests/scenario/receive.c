/* NAME < METHOD|STATUS ...: what a UA must get next, and what must be true of it. */
#include "base/num.h"
#include "play.h"

/* Long enough for the delays a script has set. */
static usec_t patience(const struct play *p, const struct ua *ua)
{
    usec_t most = 0;
    for (unsigned i = 0; i < p->n_uas; i++)
        for (unsigned d = 0; d < 2; d++) {
            const struct world_fate *f = &p->ua[i].host.fate[d];
            if (f->delay + f->jitter > most)
                most = f->delay + f->jitter;
        }
    return 20 * USEC_MS + 8 * most;
}

static struct ua_rx *take(struct ua *ua)
{
    if (list_empty(&ua->inbox))
        return NULL;
    struct ua_rx *rx = container_of(ua->inbox.next, struct ua_rx, node);
    list_remove(&rx->node);
    return rx;
}

static struct str first_line(struct str bytes)
{
    ptrdiff_t nl = str_chr(bytes, '\r');
    return str_sub(bytes, 0, nl < 0 ? bytes.n : (size_t)nl);
}

static bool is_wanted(struct str bytes, struct str wanted)
{
    struct str line = first_line(bytes);
    if (str_eq(wanted, STR("any")))
        return true;
    while (wanted.n) {
        ptrdiff_t bar = str_chr(wanted, '|');
        struct str one = bar < 0 ? wanted : str_sub(wanted, 0, (size_t)bar);
        wanted = bar < 0 ? str_of(wanted.p, 0) : str_from(wanted, (size_t)bar + 1);
        struct str head = str_starts(line, STR("SIP/2.0 ")) ? str_sub(line, 8, 3) : line;
        if (str_eq(head, one) || (head.n > one.n && str_starts(head, one) && head.p[one.n] == ' '))
            return true;
    }
    return false;
}

static void check(struct play *p, const struct line *l, const struct ua_rx *rx)
{
    struct str word[SCRIPT_WORDS];
    int n = script_words(&p->arena, play_expand(p, l->text), word);
    if (n == 4 && str_eq(word[0], STR("let")) && str_eq(word[2], STR("="))) {
        struct str v = field_get(p, rx->bytes, rx, word[3]);
        if (!v.p)
            play_fail(p, l, "the message has no " STR_FMT, STR_ARG(word[3]));
        play_let(p, word[1], v);
        return;
    }
    if (n == 2 && (str_eq(word[0], STR("has")) || str_eq(word[0], STR("absent")))) {
        bool there = field_get(p, rx->bytes, rx, word[1]).p != NULL;
        if (there != (word[0].p[0] == 'h'))
            play_fail(p, l, STR_FMT " is %s\n" STR_FMT, STR_ARG(word[1]),
                      there ? "there" : "absent", STR_ARG(rx->bytes));
        return;
    }
    bool ok = false;
    struct str v = n == 3 ? field_get(p, rx->bytes, rx, word[0]) : STR_NONE;
    if (n != 3 || !field_compare(v, word[1], word[2], &ok)) {
        play_fail(p, l, "a check is FIELD OP VALUE, has FIELD, absent FIELD or let NAME = FIELD");
        return;
    }
    if (!ok)
        play_fail(p, l, STR_FMT ": expected " STR_FMT " " STR_FMT ", got %s" STR_FMT "%s",
                  STR_ARG(word[0]), STR_ARG(word[1]), STR_ARG(word[2]), v.p ? "\"" : "nothing",
                  STR_ARG(v), v.p ? "\"" : "");
}

static bool limits(struct play *p, struct ua *ua, usec_t *limit, usec_t *exact)
{
    *limit = p->w.now + patience(p, ua);
    *exact = USEC_NEVER;
    for (int i = 3; i < p->n_words; i++) {
        uint64_t d;
        bool within = str_eq(p->word[i], STR("within")), at = str_eq(p->word[i], STR("at"));
        if (!within && !at)
            continue;
        if (i + 1 == p->n_words || script_duration(&d, p->word[i + 1])) {
            play_fail(p, &p->st->line, "no time after \"" STR_FMT "\"", STR_ARG(p->word[i]));
            return false;
        }
        *limit = (within ? p->w.now : p->mark) + d;
        if (at)
            *exact = *limit;
        i++;
    }
    return true;
}

static const char *seconds(struct play *p, usec_t at)
{
    return ua_text(&p->w, "%.3f s", (double)((int64_t)(at - p->mark)) / 1e6).p;
}

static void judge(struct play *p, struct ua *ua, const struct ua_rx *rx, usec_t exact)
{
    const struct line *l = &p->st->line;
    struct str name = play_option(p, STR("as"), 3), of = play_option(p, STR("of"), 3);
    struct str on = play_option(p, STR("on"), 3);
    bool again = play_flag(p, STR("again"), 3);
    if (!is_wanted(rx->bytes, p->word[2])) {
        play_fail(p, l, "expected " STR_FMT ", got " STR_FMT " at %s", STR_ARG(p->word[2]),
                  STR_ARG(first_line(rx->bytes)), seconds(p, rx->at));
        return;
    }
    if (exact != USEC_NEVER && rx->at != exact)
        play_fail(p, l, "expected at %s, got at %s", seconds(p, exact), seconds(p, rx->at));
    if (again != rx->again)
        play_fail(p, l,
                  again ? "expected a repetition, got a new message\n" STR_FMT
                        : "expected a new message, got a repetition\n" STR_FMT,
                  STR_ARG(rx->bytes));
    struct str cseq = field_get(p, rx->bytes, rx, STR("CSeq"));
    if (of.n && str_ifind(cseq, of) < 0)
        play_fail(p, l, "expected a response to " STR_FMT ", got one to " STR_FMT, STR_ARG(of),
                  STR_ARG(cseq));
    struct ua_call *c = ua_call_by_id(ua, field_get(p, rx->bytes, rx, STR("Call-ID")));
    if (on.n && (!c || !str_eq(c->name, on)))
        play_fail(p, l, "the message belongs to another dialog");
    if (c && name.n)
        c->name = name;
    if (c && !str_eq(STR("REGISTER"), str_from(cseq, cseq.n >= 8 ? cseq.n - 8 : 0)))
        ua->call = c;
    for (unsigned i = 0; i < p->st->n_children && !p->failed; i++)
        check(p, &p->st->child[i], rx);
}

void receive_statement(struct play *p, struct ua *ua)
{
    usec_t limit, exact;
    if (p->n_words < 3 || !limits(p, ua, &limit, &exact)) {
        play_fail(p, &p->st->line, "receive what?");
        return;
    }
    while (list_empty(&ua->inbox) && play_step(p, limit))
        continue;
    if (p->failed)
        return;
    struct ua_rx *rx = take(ua);
    if (!rx)
        play_fail(p, &p->st->line, "expected " STR_FMT ", got nothing until %s",
                  STR_ARG(p->word[2]), seconds(p, p->w.now));
    else
        judge(p, ua, rx, exact);
}

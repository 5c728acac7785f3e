#include "analysis/explain.h"

#include <errno.h>
#include <stdlib.h>

#include "analysis/explain_int.h"
#include "analysis/scenario.h"
#include "base/mem.h"

struct rule {
    struct str word, source, text[AN_LANGS];
    uint8_t severity;
};

static const struct rule rules[AN_RULES] = {
#define RULE(id, word, severity, source, en, ko)                                                   \
    [AN_R_##id] = {STR_INIT(word), STR_INIT(source), {STR_INIT(en), STR_INIT(ko)}, AN_##severity},
#include "analysis/rule.def"
#undef RULE
};

struct str an_rule_word(enum an_rule r)
{
    return rules[r].word;
}

enum an_severity an_rule_severity(enum an_rule r)
{
    return (enum an_severity)rules[r].severity;
}

struct str an_rule_source(enum an_rule r)
{
    return rules[r].source;
}

struct str an_severity_word(enum an_severity s)
{
    static const struct str words[AN_SEVERITIES] = {
        [AN_STORY] = STR_INIT("story"),
        [AN_NOTICE] = STR_INIT("notice"),
        [AN_WARNING] = STR_INIT("warning"),
        [AN_ERROR] = STR_INIT("error"),
    };
    return words[s];
}

void an_findings_done(struct an_findings *f)
{
    mem_free(f->v);
    an_text_done(&f->text);
    *f = (struct an_findings){0};
}

void an_finding_put(struct buf *b, const struct an_findings *all, const struct an_finding *f,
                    enum an_lang lang)
{
    struct str text = rules[f->rule].text[lang];
    for (size_t i = 0; i < text.n; i++) {
        unsigned arg = i + 2 < text.n && text.p[i] == '{' ? (unsigned)(text.p[i + 1] - '0') : 9;
        if (arg >= AN_FINDING_MAX_ARGS) {
            buf_ch(b, text.p[i]);
            continue;
        }
        buf_str_put(b, arg < f->n_args ? an_text_get(&all->text, f->arg[arg]) : STR("?"));
        i += 2;
    }
}

/* ---- making one ------------------------------------------------------------------------------ */

/* The same rule in the same leg again: counted where it stands. */
static struct an_finding *found_before(struct explain *x, enum an_rule rule, uint32_t leg)
{
    if (rules[rule].severity == AN_STORY)
        return NULL;
    for (uint32_t i = x->out->n; i-- > 0;)
        if (x->out->v[i].rule == rule && x->out->v[i].leg == leg)
            return &x->out->v[i];
    return NULL;
}

static struct an_finding *finding_new(struct explain *x)
{
    struct an_findings *out = x->out;
    if (out->n == AN_FINDINGS_MAX) {
        out->dropped++;
        return NULL;
    }
    if (out->n == out->cap) {
        uint32_t cap = out->cap ? 2 * out->cap : 16;
        struct an_finding *v = mem_resize(out->v, cap * sizeof(*v));
        if (!v) {
            x->failed = true;
            return NULL;
        }
        out->v = v;
        out->cap = cap;
    }
    return &out->v[out->n++];
}

void find(struct explain *x, enum an_rule rule, uint32_t leg, uint32_t msg, uint64_t at_ns)
{
    struct an_finding *before = found_before(x, rule, leg);
    x->at = NULL;
    if (before) {
        before->count++;
        x->at = before;
        x->again = true;
        find_frame(x, leg, msg);
        return;
    }
    x->again = false;
    x->at = finding_new(x);
    if (!x->at)
        return;
    *x->at = (struct an_finding){
        .at_ns = at_ns, .leg = leg, .msg = msg, .rule = (uint16_t)rule, .count = 1};
    find_frame(x, leg, msg);
}

void find_frame(struct explain *x, uint32_t leg, uint32_t msg)
{
    const struct an_leg *l = leg_of(x, leg);
    struct an_finding *f = x->at;
    if (!f || msg == AN_NONE || msg >= l->n_msgs || f->n_frames == AN_FINDING_MAX_FRAMES)
        return;
    f->frame[f->n_frames++] = l->msg[msg].frame;
}

void find_arg(struct explain *x, struct str s)
{
    struct an_finding *f = x->at;
    if (f && !x->again && f->n_args < AN_FINDING_MAX_ARGS)
        f->arg[f->n_args++] = an_text_put(&x->out->text, s.n ? s : STR("?"), 300);
}

void find_u64(struct explain *x, uint64_t v)
{
    char mem[24];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, v);
    find_arg(x, buf_str(&b));
}

void find_span(struct explain *x, uint64_t ns)
{
    char mem[40];
    struct buf b;
    uint64_t ms = ns / 1000000;
    buf_init(&b, mem, sizeof(mem));
    if (ms < 1000)
        buf_printf(&b, "%llu ms", (unsigned long long)ms);
    else if (ms < 60000)
        buf_printf(&b, "%llu.%llu s", (unsigned long long)(ms / 1000),
                   (unsigned long long)(ms % 1000 / 100));
    else
        buf_printf(&b, "%llu:%02llu min", (unsigned long long)(ms / 60000),
                   (unsigned long long)(ms / 1000 % 60));
    find_arg(x, buf_str(&b));
}

void find_addr(struct explain *x, const struct addr *a)
{
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    addr_put(&b, a);
    find_arg(x, buf_str(&b));
}

/* ---- names ----------------------------------------------------------------------------------- */

const struct an_leg *leg_of(const struct explain *x, uint32_t index)
{
    return an_engine_leg(x->e, index);
}

bool leg_is_child(const struct explain *x, uint32_t index)
{
    for (uint32_t i = 0; i < x->call->n_edges; i++)
        if (x->call->edge[i].kind == AN_EDGE_DIALED && x->call->edge[i].b == index)
            return true;
    return false;
}

uint64_t leg_end_ns(const struct an_leg *leg)
{
    return leg->end_ns == AN_NEVER ? leg->last_ns : leg->end_ns;
}

static struct str addr_name(struct explain *x, const struct addr *a)
{
    struct buf b;
    char *mem = arena_take(&x->arena, 64);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, 64);
    addr_put(&b, a);
    return buf_str(&b);
}

struct str side_name(struct explain *x, const struct an_leg *leg, enum an_side side)
{
    struct str user = side == AN_CALLER ? an_leg_caller(leg) : an_leg_callee(leg);
    if (user.n)
        return call_extension(user);
    return leg->n_hosts > (unsigned)side ? addr_name(x, &leg->host[side]) : STR_NONE;
}

struct str msg_name(struct explain *x, const struct an_leg *leg, const struct an_msg *m)
{
    struct buf b;
    char *mem = arena_take(&x->arena, 96);
    struct str method =
        m->method ? sip_method_name((enum sip_method)m->method) : an_leg_text(leg, m->what);
    if (!mem)
        return method;
    buf_init(&b, mem, 96);
    if (m->status) {
        buf_u64(&b, m->status);
        buf_ch(&b, ' ');
    }
    buf_str_put(&b, str_sub(method, 0, 40));
    return buf_str(&b);
}

enum an_side leg_unseen(const struct an_leg *leg)
{
    bool seen[2] = {false, false}, reacted[2] = {false, false};
    for (uint32_t i = 0; i < leg->n_msgs; i++) {
        const struct an_msg *m = &leg->msg[i];
        seen[m->side] = true;
        /* In a dialog whose beginning is there the other side must have said something. */
        if (m->status || (leg->invite_msg != AN_NONE && m->flags & AN_MSG_IN_DIALOG))
            reacted[m->side] = true;
    }
    return reacted[AN_CALLEE] && !seen[AN_CALLER]   ? AN_CALLER
           : reacted[AN_CALLER] && !seen[AN_CALLEE] ? AN_CALLEE
                                                    : AN_NOBODY;
}

/* ---- all rules ------------------------------------------------------------------------------- */

static void each_message(struct explain *x, uint32_t leg_index)
{
    const struct an_leg *leg = leg_of(x, leg_index);
    for (uint32_t i = 0; i < leg->n_msgs; i++) {
        const struct an_msg *m = &leg->msg[i];
        if (m->flags & (AN_MSG_RETRANS | AN_MSG_COPY | AN_MSG_CUT))
            continue;
        size_t n = an_engine_bytes(x->e, m, x->bytes, SIP_MAX_BYTES);
        if (!n)
            continue;
        /* A verdict is a finding too, and what was indexed up to there is usable. */
        (void)sip_msg_parse(&x->m, x->bytes, n, m->transport != AN_UDP);
        struct said s = {leg, leg_index, i, m, &x->m};
        arena_reset(&x->arena);
        rule_failure_said(x, &s);
        rule_nat_said(x, &s);
        rule_sip_said(x, &s);
    }
}

static int by_time(const void *p, const void *q)
{
    const struct an_finding *a = p, *b = q;
    if (a->at_ns != b->at_ns)
        return a->at_ns < b->at_ns ? -1 : 1;
    if (a->n_frames && b->n_frames && a->frame[0] != b->frame[0])
        return a->frame[0] < b->frame[0] ? -1 : 1;
    if (a->rule != b->rule)
        return a->rule < b->rule ? -1 : 1;
    return (a->leg > b->leg) - (a->leg < b->leg);
}

static void rules_ask(struct explain *x)
{
    void (*const families[])(struct explain *) = {rule_story, rule_failure, rule_auth,
                                                  rule_media, rule_timer,   rule_sip};
    for (unsigned i = 0; i < ARRAY_LEN(families); i++) {
        arena_reset(&x->arena);
        families[i](x);
    }
    for (uint32_t i = 0; i < x->call->n_legs; i++)
        each_message(x, x->call->leg[i]);
}

int an_explain(const struct an_engine *e, uint32_t call, struct an_findings *out)
{
    *out = (struct an_findings){0};
    struct explain *x = mem_zero(sizeof(*x));
    if (!x)
        return -ENOMEM;
    x->e = e;
    x->call = an_engine_call(e, call);
    x->out = out;
    x->bytes = mem_alloc(SIP_MAX_BYTES);
    arena_init(&x->arena, 1u << 20);
    bool failed = !x->bytes;
    if (!failed) {
        rules_ask(x);
        failed = x->failed;
    }
    if (out->n)
        qsort(out->v, out->n, sizeof(*out->v), by_time);
    arena_done(&x->arena);
    mem_free(x->bytes);
    mem_free(x);
    return failed ? -ENOMEM : 0;
}

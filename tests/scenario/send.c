/* NAME > METHOD|STATUS ...: what a UA sends. */
#include "base/num.h"
#include "play.h"

static bool in_dialog_by_nature(struct str method)
{
    static const char *const names[] = {"BYE",  "ACK",   "CANCEL", "UPDATE",
                                        "INFO", "PRACK", "REFER",  "NOTIFY"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(method, str_z(names[i])))
            return true;
    return false;
}

static bool take_number(struct str v, int64_t *ret)
{
    uint64_t n;
    if (num_u64(&n, v, UINT32_MAX))
        return false;
    *ret = (int64_t)n;
    return true;
}

/* key=value. false: unknown or wrong. */
static bool option(struct play *p, struct ua *ua, struct ua_spec *s, struct str key, struct str v)
{
    const struct {
        const char *key;
        struct str *to;
    } texts[] = {{"from", &s->from},
                 {"to", &s->to},
                 {"ruri", &s->ruri},
                 {"call-id", &s->call_id},
                 {"branch", &s->branch},
                 {"contact", &s->contact},
                 {"tag", &s->tag},
                 {"as", &s->name},
                 {"of", &s->reply_to},
                 {"auth", &s->auth},
                 {"sdp", &s->sdp},
                 {"sdp.dir", &s->dir},
                 {"sdp.host", &s->sdp_host},
                 {"sdp.attr", &s->sdp_attr},
                 {"type", &s->type},
                 {"early", &s->early},
                 {"early.dir", &s->early_dir}};
    const struct {
        const char *key;
        int64_t *to;
    } numbers[] = {{"cseq", &s->cseq},
                   {"max-forwards", &s->max_forwards},
                   {"expires", &s->expires},
                   {"sdp.port", &s->sdp_port},
                   {"early.port", &s->early_port}};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        if (str_eq(key, str_z(texts[i].key))) {
            *texts[i].to = v;
            return true;
        }
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
        if (str_eq(key, str_z(numbers[i].key)))
            return take_number(v, numbers[i].to);
    if (str_eq(key, STR("on"))) {
        s->call = ua_call_find(ua, v);
        return s->call != NULL;
    }
    return false;
}

static bool words(struct play *p, struct ua *ua, struct ua_spec *s)
{
    for (int i = 3; i < p->n_words; i++) {
        struct str w = p->word[i];
        ptrdiff_t eq = str_chr(w, '=');
        struct str key = eq > 0 ? str_sub(w, 0, (size_t)eq) : STR_NONE;
        bool known = false;
        if (str_eq(w, STR("auth"))) {
            s->auth = STR("yes");
            known = true;
        } else if (str_eq(w, STR("in"))) {
            s->in_dialog = known = true;
        } else if (str_eq(w, STR("sdp.same"))) {
            s->same_sdp = known = true;
        } else if (str_eq(w, STR("sdp.mux"))) {
            s->sdp_mux = known = true;
        } else if (key.p && str_chr(key, ':') < 0) {
            known = option(p, ua, s, key, str_from(w, (size_t)eq + 1));
        } else if (s->method.n && !s->target.n) {
            s->target = w;
            known = true;
        } else if (!s->method.n && !s->reason.p) {
            s->reason = w;
            known = true;
        }
        if (!known) {
            play_fail(p, &p->st->line, "what is \"" STR_FMT "\"?", STR_ARG(w));
            return false;
        }
    }
    return true;
}

/* The indented lines: header fields and a body. */
static bool children(struct play *p, struct ua_spec *s, struct str *raw)
{
    struct buf b;
    size_t cap = 70000;
    buf_init(&b, arena_take(&p->w.arena, cap), cap);
    for (unsigned i = 0; i < p->st->n_children; i++) {
        const struct line *l = &p->st->child[i];
        struct str t = play_expand(p, l->text);
        if (t.p[0] == '|') {
            buf_str_put(&b, str_from(t, t.n > 1 && t.p[1] == ' ' ? 2 : 1));
            buf_lit(&b, "\r\n");
            continue;
        }
        struct ua_edit e = {.op = t.p[0] == '+' || t.p[0] == '-' ? t.p[0] : '='};
        struct str line = e.op == '=' ? t : str_trim(str_from(t, 1));
        ptrdiff_t colon = str_chr(line, ':');
        if ((colon < 1 && e.op != '-') || s->n_edits == UA_EDITS) {
            play_fail(p, l, "expected \"Name: value\", \"+Name: value\", \"-Name\" or \"| body\"");
            return false;
        }
        e.name = str_trim(str_sub(line, 0, colon < 0 ? line.n : (size_t)colon));
        e.value = colon < 0 ? STR_NONE : str_trim(str_from(line, (size_t)colon + 1));
        s->edit[s->n_edits++] = e;
    }
    *raw = b.n ? buf_str(&b) : STR_NONE;
    return true;
}

/* INVITE auth without a target: the same call once more. RFC 3261 8.1.3.5. */
static bool repeat_call(struct play *p, struct ua *ua, struct ua_spec *s)
{
    struct ua_call *c = s->call ? s->call : ua->call;
    if (!c)
        return false;
    s->call = NULL;
    s->call_id = c->call_id;
    s->ruri = c->ruri;
    ptrdiff_t tag = str_ifind(c->local, STR(";tag="));
    s->from = str_sub(c->local, 0, tag < 0 ? c->local.n : (size_t)tag);
    if (!s->sdp.n)
        s->sdp = c->sdp;
    s->same_sdp = true;
    return true;
}

static void send(struct play *p, struct ua *ua, struct ua_spec *s, struct str first)
{
    uint64_t status;
    if (!num_u64(&status, first, 699)) {
        s->status = (unsigned)status;
    } else if (str_eq(first, STR("REINVITE"))) {
        s->method = STR("INVITE");
        s->in_dialog = true;
    } else {
        s->method = first;
    }
    if (!words(p, ua, s) || !children(p, s, &s->body))
        return;
    if (!s->target.n && in_dialog_by_nature(s->method))
        s->in_dialog = true;
    bool again = s->auth.n && !s->target.n && !s->in_dialog && !str_eq(s->method, STR("REGISTER"));
    if (again && !repeat_call(p, ua, s)) {
        play_fail(p, &p->st->line, "there is nothing to repeat");
        return;
    }
    const char *why = ua_tx(ua, s);
    if (why) {
        play_fail(p, &p->st->line, "%s", why);
        return;
    }
    if (s->call && s->sdp.n)
        s->call->sdp = s->sdp;
    if (s->call && s->name.n)
        s->call->name = s->name;
}

/* again: the last message once more; again INVITE: the last INVITE. */
static void send_again(struct play *p, struct ua *ua)
{
    struct str bytes = ua->sent;
    if (p->n_words > 3 && str_eq(p->word[3], STR("INVITE")))
        bytes = ua->call ? ua->call->invite_sent : STR_NONE;
    if (!bytes.n)
        play_fail(p, &p->st->line, "nothing was sent before");
    else
        world_tx(&ua->host, ua->proto, bytes);
}

static void send_raw(struct play *p, struct ua *ua, struct ua_spec *s)
{
    struct str bytes = STR_NONE, file = play_option(p, STR("file"), 3);
    char path[512];
    if (file.n) {
        const char *slash = strrchr(p->st->line.file, '/');
        snprintf(path, sizeof(path), "%.*s%.*s", slash ? (int)(slash - p->st->line.file) + 1 : 0,
                 p->st->line.file, (int)file.n, file.p);
        bytes = script_file(&p->arena, path);
    } else if (!children(p, s, &bytes)) {
        return;
    }
    if (!bytes.n)
        play_fail(p, &p->st->line, "raw, and \"| line\" below or file=NAME");
    else
        ua_tx_raw(ua, bytes);
}

void send_statement(struct play *p, struct ua *ua)
{
    struct ua_spec s;
    ua_spec_init(&s);
    if (p->n_words < 3) {
        play_fail(p, &p->st->line, "send what?");
        return;
    }
    if (str_eq(p->word[2], STR("raw")))
        send_raw(p, ua, &s);
    else if (str_eq(p->word[2], STR("again")))
        send_again(p, ua);
    else
        send(p, ua, &s, p->word[2]);
    play_until(p, p->w.now);
}

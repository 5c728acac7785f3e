/* expect ...: what must be true of the PBX and the world. */
#include "base/num.h"
#include "play.h"

static void quiet(struct play *p, const struct ua *only)
{
    for (unsigned i = 0; i < p->n_uas; i++) {
        struct ua *ua = &p->ua[i];
        if ((only && ua != only) || p->ignored[i] || list_empty(&ua->inbox))
            continue;
        const struct ua_rx *rx = container_of(ua->inbox.next, struct ua_rx, node);
        ptrdiff_t nl = str_chr(rx->bytes, '\r');
        play_fail(p, &p->st->line, STR_FMT " got \"%.*s\"%s at %.3f s, which nobody expected",
                  STR_ARG(ua->name), (int)nl, rx->bytes.p, rx->again ? " again" : "",
                  (double)((int64_t)(rx->at - p->mark)) / 1e6);
    }
}

/* expect nothing [for TIME] [at NAME] */
static void nothing(struct play *p)
{
    uint64_t d = 0;
    struct ua *only = NULL;
    for (int i = 2; i + 1 < p->n_words; i += 2) {
        if (str_eq(p->word[i], STR("at"))) {
            only = play_ua(p, p->word[i + 1]);
            if (!only)
                play_fail(p, &p->st->line, "who is " STR_FMT "?", STR_ARG(p->word[i + 1]));
        } else if (!str_eq(p->word[i], STR("for")) || script_duration(&d, p->word[i + 1])) {
            play_fail(p, &p->st->line, "expect nothing [for TIME] [at NAME]");
        }
    }
    quiet(p, only);
    if (p->failed)
        return;
    play_until(p, p->w.now + d);
    quiet(p, only);
}

static void compare(struct play *p, struct str name, uint64_t got, struct str op, struct str want)
{
    bool ok = false;
    struct str text = ua_text(&p->w, "%llu", (unsigned long long)got);
    if (!field_compare(text, op, want, &ok))
        play_fail(p, &p->st->line, "what is " STR_FMT "?", STR_ARG(op));
    else if (!ok)
        play_fail(p, &p->st->line, STR_FMT ": expected " STR_FMT " " STR_FMT ", got " STR_FMT,
                  STR_ARG(name), STR_ARG(op), STR_ARG(want), STR_ARG(text));
}

static void number(struct play *p, struct str name, struct str op, struct str want)
{
    uint64_t got;
    if (count_get(p, name, &got))
        play_fail(p, &p->st->line, "there is no number " STR_FMT, STR_ARG(name));
    else
        compare(p, name, got, op, want);
}

/* expect clean: nothing of any call is left. */
static void clean(struct play *p)
{
    static const char *const names[] = {"calls",       "legs",          "searches",     "transfers",
                                        "sessions",    "dialogs",       "transactions", "timers",
                                        "ports",       "streams",       "audit_reaped", "reaped",
                                        "out_of_turn", "subscriptions", "botlinks",     "bots"};
    for (unsigned i = 0; i < ARRAY_LEN(names) && !p->failed; i++)
        number(p, str_z(names[i]), STR("="), STR("0"));
}

/* The latest in which it has described its media: a subscription is no call. */
static struct ua_call *call_of(struct ua *ua)
{
    struct ua_call *best = ua->call;
    for (struct list *n = ua->calls.prev; n != &ua->calls; n = n->prev) {
        struct ua_call *c = container_of(n, struct ua_call, node);
        if (!best->sdp.n && c->sdp.n)
            best = c;
    }
    return best;
}

/* The stream of a party's latest call, that of its early session (NAME/early), or the one whose RTP
 * goes to ADDRESS:PORT. */
static struct world_stream *stream_of(struct play *p, struct str name)
{
    ptrdiff_t slash = str_chr(name, '/');
    struct ua *ua = play_ua(p, slash < 0 ? name : str_sub(name, 0, (size_t)slash));
    struct addr to;
    if (!ua && addr_parse_port(&to, name) == 0)
        return world_stream_to(&p->w, &to);
    if (!ua || !ua->call) {
        play_fail(p, &p->st->line, STR_FMT " has no call", STR_ARG(name));
        return NULL;
    }
    struct addr rtp = ua->host.addr;
    if (slash < 0)
        rtp.port = call_of(ua)->rtp_port;
    else
        rtp.port = (uint16_t)(ua->call->rtp_port + UA_EARLY_PORT);
    return world_stream_to(&p->w, &rtp);
}

/* expect media A B: what A sends reaches B and back. expect no media A B. */
static void media(struct play *p, int at, bool wanted)
{
    if (p->n_words != at + 2) {
        play_fail(p, &p->st->line, "expect [no] media NAME NAME");
        return;
    }
    struct world_stream *a = stream_of(p, p->word[at]), *b = stream_of(p, p->word[at + 1]);
    bool joined = a && b && a->peer == b->id && b->peer == a->id;
    if (joined != wanted)
        play_fail(p, &p->st->line, "the media of " STR_FMT " and " STR_FMT " %s joined",
                  STR_ARG(p->word[at]), STR_ARG(p->word[at + 1]), joined ? "is" : "is not");
}

/* expect no THINGS, expect no cdr, expect no media A B */
static void none(struct play *p)
{
    if (str_eq(p->word[2], STR("cdr"))) {
        if (p->cdr_at->next != &p->w.cdrs)
            play_fail(p, &p->st->line, "there is another call record");
    } else if (str_eq(p->word[2], STR("quality"))) {
        if (p->quality_at->next != &p->w.qualities)
            play_fail(p, &p->st->line, "there is another row of quality");
    } else if (str_eq(p->word[2], STR("media"))) {
        media(p, 3, false);
    } else {
        number(p, p->word[2], STR("="), STR("0"));
    }
}

/* expect stream NAME timeout|receiving|sending|mux|ptime|listens OP N */
static void stream(struct play *p)
{
    struct world_stream *s = p->n_words == 6 ? stream_of(p, p->word[2]) : NULL;
    if (!s) {
        play_fail(p, &p->st->line,
                  "expect stream NAME timeout|receiving|sending|mux|ptime|listens OP N");
        return;
    }
    struct str what = p->word[3];
    uint64_t got = str_eq(what, STR("timeout"))     ? s->timeout_ms
                   : str_eq(what, STR("receiving")) ? s->receiving
                   : str_eq(what, STR("mux"))       ? s->mux
                   : str_eq(what, STR("ptime"))     ? s->ptime_ms
                   : str_eq(what, STR("listens"))   ? s->listens
                                                    : s->sending;
    compare(p, what, got, p->word[4], p->word[5]);
}

/* expect hears NAME WHAT: what is played to the party, "nothing" for nothing; expect heard
 * NAME WHAT: played last to its room. expect room NAME N:
 * the room that its stream is in, 0: none; expect muted, deaf, recorded, said, paused NAME 0|1. */
static void hears(struct play *p)
{
    struct world_stream *s = p->n_words == 4 ? stream_of(p, p->word[2]) : NULL;
    struct str what = p->word[1];
    if (!s) {
        play_fail(p, &p->st->line, "expect " STR_FMT " NAME WHAT", STR_ARG(what));
        return;
    }
    bool heard = str_eq(what, STR("heard"));
    if (str_eq(what, STR("hears")) || heard) {
        const char *text = heard ? s->heard : s->hears;
        struct str got = text[0] ? str_z(text) : STR("nothing");
        if (!str_eq(got, p->word[3]))
            play_fail(p, &p->st->line, STR_FMT " hears " STR_FMT, STR_ARG(p->word[2]),
                      STR_ARG(got));
        return;
    }
    uint64_t got = str_eq(what, STR("room"))       ? s->room
                   : str_eq(what, STR("muted"))    ? s->muted
                   : str_eq(what, STR("deaf"))     ? s->deaf
                   : str_eq(what, STR("guest"))    ? s->guest != 0
                   : str_eq(what, STR("recorded")) ? s->record != 0
                   : str_eq(what, STR("said"))     ? s->said != 0
                                                   : s->paused;
    compare(p, what, got, STR("="), p->word[3]);
}

/* expect file contains TEXT: some sidecar has it. */
static void file(struct play *p)
{
    bool ok = false;
    for (unsigned i = 0; i < WORLD_FILES && !ok && p->n_words == 4; i++)
        ok = p->w.file[i].there && str_ifind(str_z(p->w.file[i].json), p->word[3]) >= 0;
    if (!ok)
        play_fail(p, &p->st->line, "no sidecar has " STR_FMT ", the first is %s",
                  STR_ARG(p->word[3]), p->w.file[0].json);
}

/* expect warned TEXT: something logged as a warning or worse has this in it. */
static void logged(struct play *p)
{
    if (p->n_words != 3 || str_ifind(str_z(p->w.warned), p->word[2]) < 0)
        play_fail(p, &p->st->line, "no warning has " STR_FMT ", the last are %s",
                  STR_ARG(p->word[2]), p->w.warned);
}

/* NAME keys DIGITS: telephone-events of its latest call. NAME talks on|off: in a room. */
void expect_sound(struct play *p)
{
    struct world_stream *s = p->n_words >= 3 ? stream_of(p, p->word[0]) : NULL;
    if (!s) {
        play_fail(p, &p->st->line, "NAME keys DIGITS, NAME talks|voice on|off");
        return;
    }
    if (str_eq(p->word[1], STR("voice"))) {
        voice_statement(p, s);
        return;
    }
    struct media_ev ev = {.kind = MEDIA_EV_DIGIT, .id = s->id};
    if (str_eq(p->word[1], STR("talks"))) {
        ev.kind = MEDIA_EV_TALK;
        ev.talks = str_eq(p->word[2], STR("on"));
        pbx_media(p->w.pbx, p->w.now, &ev);
    }
    for (size_t i = 0; ev.kind == MEDIA_EV_DIGIT && i < p->word[2].n; i++) {
        ev.digit = p->word[2].p[i];
        ev.over = false;
        pbx_media(p->w.pbx, p->w.now, &ev);
        ev.over = true;
        pbx_media(p->w.pbx, p->w.now, &ev);
    }
    world_drain(&p->w);
}

/* expect api METHOD [PARAMS] contains TEXT */
static void api(struct play *p)
{
    size_t cap = 256 * 1024;
    struct buf b;
    int at = p->n_words == 6 ? 4 : 3;
    buf_init(&b, arena_take(&p->w.arena, cap), cap);
    struct str params = at == 4 ? p->word[3] : STR("{}");
    struct str request = ua_text(
        &p->w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" STR_FMT "\",\"params\":" STR_FMT "}",
        STR_ARG(p->word[2]), STR_ARG(params));
    world_api(&p->w, request, &b);
    bool ok = false;
    if (p->n_words != at + 2 || !field_compare(buf_str(&b), p->word[at], p->word[at + 1], &ok))
        play_fail(p, &p->st->line, "expect api METHOD [PARAMS] contains TEXT");
    else if (!ok)
        play_fail(p, &p->st->line, "the API said " STR_FMT, STR_ARG(buf_str(&b)));
}

void expect_statement(struct play *p)
{
    struct str what = p->n_words > 1 ? p->word[1] : STR_NONE;
    if (str_eq(what, STR("nothing")))
        nothing(p);
    else if (str_eq(what, STR("clean")))
        clean(p);
    else if (str_eq(what, STR("cdr")))
        cdr_statement(p);
    else if (str_eq(what, STR("quality")))
        quality_statement(p);
    else if (str_eq(what, STR("bot")))
        bot_statement(p);
    else if (str_eq(what, STR("media")))
        media(p, 2, true);
    else if (str_eq(what, STR("stream")))
        stream(p);
    else if (str_eq(what, STR("file")))
        file(p);
    else if (str_eq(what, STR("hears")) || str_eq(what, STR("heard")) ||
             str_eq(what, STR("room")) || str_eq(what, STR("muted")) || str_eq(what, STR("deaf")) ||
             str_eq(what, STR("recorded")) || str_eq(what, STR("guest")) ||
             str_eq(what, STR("said")) || str_eq(what, STR("paused")))
        hears(p);
    else if (str_eq(what, STR("warned")))
        logged(p);
    else if (str_eq(what, STR("api")) && p->n_words > 2)
        api(p);
    else if (str_eq(what, STR("no")) && p->n_words > 2)
        none(p);
    else if (str_eq(what, STR("stat")) && p->n_words == 5)
        number(p, p->word[2], p->word[3], p->word[4]);
    else if (p->n_words == 4)
        number(p, what, p->word[2], p->word[3]);
    else
        play_fail(p, &p->st->line, "expect what?");
}

#include <errno.h>

#include "play.h"

#include <stdarg.h>

#include "base/num.h"

void play_fail(struct play *p, const struct line *at, const char *fmt, ...)
{
    va_list ap;
    if (p->failed)
        return;
    p->failed = true;
    int n = snprintf(p->failure, sizeof(p->failure), "%s:%u: ", at->file, at->number);
    va_start(ap, fmt);
    vsnprintf(p->failure + n, sizeof(p->failure) - (size_t)n, fmt, ap);
    va_end(ap);
}

struct ua *play_ua(struct play *p, struct str name)
{
    for (unsigned i = 0; i < p->n_uas; i++)
        if (str_eq(p->ua[i].name, name))
            return &p->ua[i];
    return NULL;
}

/* ---- variables and words --------------------------------------------------------------------- */

void play_let(struct play *p, struct str name, struct str value)
{
    unsigned i = 0;
    while (i < p->n_vars && !str_eq(p->var[i].name, name))
        i++;
    BUG_ON(i == PLAY_VARS);
    p->var[i].name = name;
    p->var[i].value = value;
    if (i == p->n_vars)
        p->n_vars++;
}

struct str play_expand(struct play *p, struct str text)
{
    if (!memmem(text.p, text.n, "${", 2))
        return text;
    struct buf b;
    size_t cap = text.n + 8192;
    buf_init(&b, arena_take(&p->arena, cap), cap);
    for (size_t i = 0; i < text.n; i++) {
        struct str rest = str_from(text, i);
        ptrdiff_t end = str_starts(rest, STR("${")) ? str_chr(rest, '}') : -1;
        if (end < 0) {
            buf_ch(&b, text.p[i]);
            continue;
        }
        struct str name = str_sub(rest, 2, (size_t)end - 2);
        unsigned k = 0;
        while (k < p->n_vars && !str_eq(p->var[k].name, name))
            k++;
        if (k == p->n_vars)
            play_fail(p, &p->st->line, "there is no ${" STR_FMT "}", STR_ARG(name));
        else
            buf_str_put(&b, p->var[k].value);
        i += (size_t)end;
    }
    return buf_str(&b);
}

struct str play_option(const struct play *p, struct str key, int from)
{
    for (int i = from; i < p->n_words; i++)
        if (p->word[i].n > key.n && str_starts(p->word[i], key) && p->word[i].p[key.n] == '=')
            return str_from(p->word[i], key.n + 1);
    return STR_NONE;
}

bool play_flag(const struct play *p, struct str word, int from)
{
    for (int i = from; i < p->n_words; i++)
        if (str_eq(p->word[i], word))
            return true;
    return false;
}

/* ---- the clock ------------------------------------------------------------------------------- */

static void complain(struct play *p)
{
    if (p->w.failed)
        play_fail(p, &p->st->line, "%s", p->w.failure);
}

bool play_step(struct play *p, usec_t limit)
{
    bool more = world_step(&p->w, limit);
    complain(p);
    return more && !p->failed;
}

void play_until(struct play *p, usec_t until)
{
    while (play_step(p, until))
        continue;
}

/* ---- statements ------------------------------------------------------------------------------ */

static void phone_statement(struct play *p)
{
    struct ua *ua = play_ua(p, p->word[1]);
    struct addr addr = {0};
    if (!ua) {
        if (p->n_uas == PLAY_UAS || p->n_words < 3 || addr_parse_port(&addr, p->word[2])) {
            play_fail(p, &p->st->line, "phone NAME ADDRESS:PORT [tcp] [user=...]");
            return;
        }
        ua = &p->ua[p->n_uas++];
        char *name = arena_take(&p->arena, p->word[1].n + 1);
        str_copy_z(name, p->word[1].n + 1, p->word[1]);
        ua_init(ua, &p->w, name, &addr, PROTO_UDP);
        ua->user = ua->name;
        ua->domain = STR("pbx.test");
    }
    const struct {
        const char *key;
        struct str *to;
    } texts[] = {{"user", &ua->user},
                 {"password", &ua->password},
                 {"display", &ua->display},
                 {"domain", &ua->domain}};
    for (int i = 2; i < p->n_words; i++)
        for (unsigned k = 0; k < ARRAY_LEN(texts); k++)
            if (play_option(p, str_z(texts[k].key), 2).p)
                *texts[k].to = play_option(p, str_z(texts[k].key), 2);
    if (play_flag(p, STR("tcp"), 2))
        ua->proto = PROTO_TCP;
    if (play_flag(p, STR("tls"), 2))
        ua->proto = PROTO_TLS;
    if (play_flag(p, STR("udp"), 2))
        ua->proto = PROTO_UDP;
    if (play_flag(p, STR("no-tcp"), 2))
        ua->host.no_tcp = true;
    struct str source = play_option(p, STR("source"), 2);
    if (play_option(p, STR("certificate"), 2).p)
        ua->host.proves = play_option(p, STR("certificate"), 2);
    if (source.n && addr_parse_port(&ua->host.source, source))
        play_fail(p, &p->st->line, "source=ADDRESS:PORT");
}

/* drop next N to|from NAME, dup next N ..., delay TIME ..., jitter TIME ..., loss N% ... */
static void fate_statement(struct play *p)
{
    uint64_t n = 0, d = 0;
    bool next = str_eq(p->word[1], STR("next"));
    int at = next ? 3 : 2;
    struct str amount = p->word[at - 1];
    if (p->n_words < at + 2) {
        play_fail(p, &p->st->line, "drop next N to|from NAME, delay TIME to|from NAME, ...");
        return;
    }
    struct ua *ua = play_ua(p, p->word[at + 1]);
    bool counted = !num_u64(&n, amount, 1000);
    bool timed = !script_duration(&d, amount);
    if (!ua || (!counted && !timed)) {
        play_fail(p, &p->st->line, "drop next N to|from NAME, delay TIME to|from NAME, ...");
        return;
    }
    bool to = str_eq(p->word[at], STR("to"));
    struct world_fate *f = &ua->host.fate[to ? WORLD_TO_HOST : WORLD_FROM_HOST];
    struct str what = p->word[0];
    if (str_eq(what, STR("drop")))
        f->drop_next = (uint32_t)n;
    else if (str_eq(what, STR("dup")))
        f->dup_next = (uint32_t)n;
    else if (str_eq(what, STR("delay")))
        f->delay = d;
    else if (str_eq(what, STR("jitter")))
        f->jitter = d;
    else
        f->loss_pm = (uint32_t)n;
}

/* dead NAME, alive NAME, unreachable NAME, break NAME, ignore NAME, forget NAME */
static void host_statement(struct play *p)
{
    for (int i = 1; i < p->n_words; i++) {
        struct ua *ua = play_ua(p, p->word[i]);
        struct str what = p->word[0];
        if (!ua) {
            play_fail(p, &p->st->line, "who is " STR_FMT "?", STR_ARG(p->word[i]));
            return;
        }
        if (str_eq(what, STR("dead")))
            ua->host.deaf = true;
        else if (str_eq(what, STR("alive")))
            ua->host.deaf = ua->host.unreachable = false;
        else if (str_eq(what, STR("unreachable")))
            ua->host.unreachable = true;
        else if (str_eq(what, STR("break")))
            world_break(&ua->host);
        else if (str_eq(what, STR("forget")))
            list_init(&ua->inbox);
        else
            p->ignored[ua - p->ua] = true;
    }
    play_until(p, p->w.now);
}

static void advance_statement(struct play *p)
{
    uint64_t d;
    bool to = p->n_words == 3 && str_eq(p->word[1], STR("to"));
    if (p->n_words < 2 || script_duration(&d, p->word[p->n_words - 1]))
        play_fail(p, &p->st->line, "advance TIME, advance to TIME");
    else
        play_until(p, (to ? p->mark : p->w.now) + d);
}

/* media timeout NAME|ADDRESS:PORT, media stats NAME KEY=N ..., media none */
static void media_statement(struct play *p)
{
    struct str name = p->n_words > 2 ? p->word[2] : STR("");
    ptrdiff_t slash = str_chr(name, '/');
    struct ua *ua = play_ua(p, slash < 0 ? name : str_sub(name, 0, (size_t)slash));
    if (str_eq(p->word[1], STR("none"))) {
        p->w.no_ports = true;
        return;
    }
    struct addr rtp = ua ? ua->host.addr : (struct addr){0};
    if (ua || addr_parse_port(&rtp, name))
        rtp.port = ua && ua->call ? ua->call->rtp_port : 1;
    if (ua && slash > 0)
        rtp.port = (uint16_t)(rtp.port + UA_EARLY_PORT);
    struct world_stream *s = world_stream_to(&p->w, &rtp);
    if (str_eq(p->word[1], STR("stats")) && s) {
        stats_statement(p, s);
        return;
    }
    bool first = str_eq(p->word[1], STR("first"));
    if ((!first && !str_eq(p->word[1], STR("timeout"))) || !s) {
        play_fail(p, &p->st->line,
                  "media timeout|first NAME, media stats NAME KEY=N ..., media none");
        return;
    }
    struct media_ev ev = {.kind = first ? MEDIA_EV_FIRST : MEDIA_EV_TIMEOUT, .id = s->id};
    world_media_ev(&p->w, &ev);
    play_until(p, p->w.now);
}

/* ADDRESS:PORT, by UDP, or ADDRESS:PORT/tls. */
static bool dest_parse(struct flow_dest *ret, struct str s)
{
    ptrdiff_t slash = str_chr(s, '/');
    enum proto proto = PROTO_UDP;
    if (slash >= 0 && proto_parse(&proto, str_from(s, (size_t)slash + 1)))
        return false;
    ret->proto = (uint8_t)proto;
    return !addr_parse_port(&ret->addr, slash < 0 ? s : str_sub(s, 0, (size_t)slash));
}

static void dns_statement(struct play *p)
{
    struct world_name n = {.name = p->word[1]};
    bool good = p->n_words >= 4 && p->w.n_names < WORLD_NAMES;
    n.never = good && str_eq(p->word[3], STR("never"));
    for (int i = 3; i < p->n_words && good && !n.never; i++) {
        n.dest[n.n % WORLD_DESTS].rank = (uint8_t)n.n;
        good = n.n < WORLD_DESTS && dest_parse(&n.dest[n.n++], p->word[i]);
    }
    if (good)
        p->w.names[p->w.n_names++] = n;
    else
        play_fail(p, &p->st->line, "dns NAME = ADDRESS:PORT[/TRANSPORT] ...");
}

static void reload_statement(struct play *p)
{
    bool refused = p->n_words > 1 && str_eq(p->word[1], STR("refused"));
    config_statement(p);
    bool ok = !world_reload(&p->w, config_text(p));
    if (ok == refused)
        play_fail(p, &p->st->line, ok ? "the configuration was taken" : "%s",
                  p->w.failed ? p->w.failure : "the configuration was refused");
    p->w.failed = p->w.failed && !refused;
}

static void restart_statement(struct play *p)
{
    if (world_restart(&p->w))
        play_fail(p, &p->st->line, "%s", p->w.failure);
    complain(p);
}

/* interface IP: the machine gets this address. */
static void interface_statement(struct play *p)
{
    struct addr ip;
    if (addr_parse(&ip, p->word[1], 0))
        play_fail(p, &p->st->line, "an address is needed");
    else
        world_interface(&p->w, &ip);
}

/* disk full, disk busy, disk works; disk long: what is being written has become too long; disk
 * loses: all files are gone. */
static void disk_statement(struct play *p)
{
    struct str what = p->word[1];
    if (str_eq(what, STR("full")) || str_eq(what, STR("busy")) || str_eq(what, STR("works"))) {
        world_disk_error(&p->w, str_eq(what, STR("full")) ? -ENOSPC : 0);
        p->w.load_err = str_eq(what, STR("busy")) ? -EBUSY : 0;
    } else if (str_eq(what, STR("long"))) {
        world_disk_error(&p->w, -EFBIG);
        world_disk_error(&p->w, 0);
    } else if (str_eq(what, STR("loses")))
        memset(p->w.file, 0, sizeof(p->w.file));
    else
        play_fail(p, &p->st->line, "disk full|long|busy|works|loses");
}

static void shutdown_statement(struct play *p)
{
    world_shutdown(&p->w);
    play_until(p, p->w.now);
}

static void mark_statement(struct play *p)
{
    p->mark = p->w.now;
}

static void let_statement(struct play *p)
{
    if (p->n_words != 4)
        play_fail(p, &p->st->line, "let NAME = VALUE");
    else
        play_let(p, p->word[1], p->word[3]);
}

/* api METHOD [PARAMS]: for what it does; the reply is printed with -v. */
static void api_statement(struct play *p)
{
    size_t cap = 256 * 1024;
    struct buf b;
    buf_init(&b, arena_take(&p->w.arena, cap), cap);
    struct str request =
        ua_text(&p->w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"" STR_FMT "\",\"params\":%s}",
                STR_ARG(p->word[1]),
                p->n_words > 2 ? ua_text(&p->w, STR_FMT, STR_ARG(p->word[2])).p : "{}");
    world_api(&p->w, request, &b);
    if (p->verbose)
        printf("%.*s\n", (int)b.n, b.p);
    play_until(p, p->w.now);
}

static const struct {
    struct str word;
    void (*run)(struct play *p);
    int min_words;
} statements[] = {
    {STR_INIT("phone"), phone_statement, 2},
    {STR_INIT("drop"), fate_statement, 4},
    {STR_INIT("dup"), fate_statement, 4},
    {STR_INIT("delay"), fate_statement, 4},
    {STR_INIT("jitter"), fate_statement, 4},
    {STR_INIT("loss"), fate_statement, 4},
    {STR_INIT("dead"), host_statement, 2},
    {STR_INIT("alive"), host_statement, 2},
    {STR_INIT("unreachable"), host_statement, 2},
    {STR_INIT("break"), host_statement, 2},
    {STR_INIT("ignore"), host_statement, 2},
    {STR_INIT("forget"), host_statement, 2},
    {STR_INIT("advance"), advance_statement, 2},
    {STR_INIT("mark"), mark_statement, 1},
    {STR_INIT("media"), media_statement, 2},
    {STR_INIT("dns"), dns_statement, 4},
    {STR_INIT("reload"), reload_statement, 1},
    {STR_INIT("restart"), restart_statement, 1},
    {STR_INIT("shutdown"), shutdown_statement, 1},
    {STR_INIT("let"), let_statement, 4},
    {STR_INIT("expect"), expect_statement, 2},
    {STR_INIT("api"), api_statement, 2},
    {STR_INIT("interface"), interface_statement, 2},
    {STR_INIT("disk"), disk_statement, 2},
    {STR_INIT("botlink"), botlink_statement, 2},
};

static void start(struct play *p)
{
    struct world_conf conf = {.config = config_text(p),
                              .name = STR("fixture"),
                              .seed = 1,
                              .pcap = p->pcap.file ? &p->pcap : NULL,
                              .level = p->level};
    struct world_name names[WORLD_NAMES];
    unsigned n_names = p->w.n_names;
    memcpy(names, p->w.names, sizeof(names));
    p->started = true;
    if (world_init(&p->w, &conf))
        play_fail(p, &p->st->line, "%s", p->w.failure);
    memcpy(p->w.names, names, sizeof(names));
    p->w.n_names = n_names;
    p->w.dump = p->verbose;
    p->mark = p->w.now;
    p->cdr_at = &p->w.cdrs;
    p->quality_at = &p->w.qualities;
    p->bot_at = &p->w.bots;
}

static void fixture_phones(struct play *p)
{
    static const struct {
        const char *name, *user, *password, *display, *domain;
        struct str addr;
    } phones[] = {
        {"P27", "109Q1427", "secret-1427", "07086661427,1427", "pbx.test",
         STR_INIT("127.0.0.55:5060")},
        {"P28", "109Q1428", "secret-1428", "07086661428,1428", "pbx.test",
         STR_INIT("127.0.0.54:5060")},
        {"TRK", "carrier", "", "", "127.0.0.104", STR_INIT("127.0.0.77:5080")},
    };
    for (unsigned i = 0; i < ARRAY_LEN(phones); i++) {
        struct addr a;
        if (addr_parse_port(&a, phones[i].addr))
            BUG_ON(true);
        struct ua *ua = &p->ua[p->n_uas++];
        ua_init(ua, &p->w, phones[i].name, &a, PROTO_UDP);
        ua->user = str_z(phones[i].user);
        ua->password = str_z(phones[i].password);
        ua->display = str_z(phones[i].display);
        ua->domain = str_z(phones[i].domain);
    }
}

static void run(struct play *p, const struct statement *st)
{
    p->st = st;
    struct str text = play_expand(p, st->line.text);
    p->n_words = script_words(&p->arena, text, p->word);
    if (p->n_words < 1) {
        play_fail(p, &st->line, "too many words");
        return;
    }
    if (str_eq(p->word[0], STR("config"))) {
        if (p->started)
            play_fail(p, &st->line, "config comes first; later it is reload");
        config_statement(p);
        return;
    }
    if (!p->started) {
        start(p);
        if (p->failed)
            return;
        fixture_phones(p);
    }
    struct ua *ua = p->n_words > 1 ? play_ua(p, p->word[0]) : NULL;
    if (ua && str_eq(p->word[1], STR(">")))
        send_statement(p, ua);
    else if (ua && str_eq(p->word[1], STR("<")))
        receive_statement(p, ua);
    else if (ua && (str_eq(p->word[1], STR("keys")) || str_eq(p->word[1], STR("talks")) ||
                    str_eq(p->word[1], STR("voice"))))
        expect_sound(p);
    else {
        for (unsigned i = 0; i < ARRAY_LEN(statements); i++)
            if (str_eq(p->word[0], statements[i].word) && p->n_words >= statements[i].min_words) {
                statements[i].run(p);
                return;
            }
        play_fail(p, &st->line, "what does \"" STR_FMT "\" mean?", STR_ARG(text));
    }
}

/* At the end nobody may hold a message that the script did not speak of. */
static void finish(struct play *p)
{
    static const struct str words[] = {STR_INIT("expect"), STR_INIT("nothing")};
    p->word[0] = words[0];
    p->word[1] = words[1];
    p->n_words = 2;
    expect_statement(p);
    if (!p->failed && p->w.strays)
        play_fail(p, &p->st->line, "%llu messages went where nobody is",
                  (unsigned long long)p->w.strays);
}

int play_run(struct play *p, const char *path, const char *pcap_path)
{
    struct script s;
    arena_init(&p->arena, (size_t)256 << 20);
    if (script_load(&s, &p->arena, path)) {
        snprintf(p->failure, sizeof(p->failure), "%s", s.error);
        arena_done(&p->arena);
        return -1;
    }
    if (pcap_path && pcap_init(&p->pcap, pcap_path)) {
        snprintf(p->failure, sizeof(p->failure), "%s cannot be written", pcap_path);
        arena_done(&p->arena);
        return -1;
    }
    config_defaults(p);
    for (unsigned i = 0; i < s.n && !p->failed; i++)
        run(p, &s.statement[i]);
    if (!p->failed && p->started)
        finish(p);
    if (p->started)
        world_done(&p->w);
    pcap_done(&p->pcap);
    arena_done(&p->arena);
    return p->failed ? -1 : 0;
}

/* ringdown ctl: asks a running exchange, for people and for programs. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "app/cmd.h"
#include "app/ctl_print.h"
#include "app/style.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/ctl_client.h"

/* Where `./dev run` and where the Debian package's service put it. */
#define LOCAL_SOCKET  "var/ringdown.sock"
#define SYSTEM_SOCKET "/run/ringdown/ringdown.sock"
#define PATIENCE_MS   10000

#define MAX_PARAMS 5

/* word, method, the parameters it takes by position ("!" must be given, "#" is a number), help */
static const struct {
    const char *word, *method, *param[MAX_PARAMS], *text;
} words[] = {
    {"status", "status", {NULL}, "what it is and how it is"},
    {"calls", "calls", {NULL}, "calls in progress"},
    {"registrations", "registrations", {NULL}, "where the phones are"},
    {"trunks", "trunks", {NULL}, "gateways"},
    {"timers", "timers", {"call"}, "armed timers [of CALL]"},
    {"stats", "stats", {NULL}, "counters"},
    {"metrics", "metrics", {NULL}, "all counters, as Prometheus reads them"},
    {"mrcp", "mrcp", {NULL}, "sessions with speech servers, in counters"},
    {"certificates", "certificates", {NULL}, "what we show over TLS, and how long it is good"},
    {"rtt", "rtt", {NULL}, "round trips by destination"},
    {"show", "show", {"!call"}, "one call whole: CALL is its number, a Call-ID, or a RECORD"},
    {"explain", "explain", {"!call"}, "what happened in CALL, and why it failed"},
    {"ladder", "ladder", {"!call"}, "the messages of CALL, of all its legs"},
    {"attempts",
     "attempts",
     {"#limit"},
     "the last calls that were tried [how many], refused ones too"},
    {"trace", "trace", {"!call"}, "the inside of CALL: its timers and states"},
    {"hangup", "hangup", {"!call"}, "ends CALL"},
    {"record",
     "record",
     {"!call", "!action"},
     "CALL start|tracks|both|stop|pause|resume: its recording"},
    {"cdr", "cdr", {"#limit"}, "the last call records [how many]"},
    {"quality", "quality", {"!call"}, "how the media of CALL are, or of a RECORD's call were"},
    {"bots", "bots", {"call"}, "conversations with bots [of CALL, or of a RECORD's call]"},
    {"settings", "settings", {"extension"}, "do-not-disturb and forwarding [of EXTENSION]"},
    {"set",
     "set",
     {"!extension", "!name", "!value"},
     "EXTENSION NAME VALUE|off|reset: changes one"},
    {"subscriptions", "subscriptions", {NULL}, "who is told what"},
    {"mailboxes", "mailboxes", {NULL}, "messages that wait"},
    {"mwi",
     "mwi",
     {"!extension", "!#new", "!#old", "#urgent_new", "#urgent_old"},
     "EXTENSION NEW OLD [URGENT_NEW URGENT_OLD]: messages that wait"},
    {"messages", "messages", {"!extension"}, "the messages of EXTENSION's mailbox"},
    {"message_delete", "message_delete", {"!id"}, "removes the message ID"},
    {"conferences", "conferences", {NULL}, "rooms that are open, and who is there"},
    {"conference",
     "conference",
     {"!action", "!room", "number"},
     "ACTION ROOM [MEMBER]: kick, mute, unmute, lock, unlock, end; invite ROOM NUMBER"},
    {"ban", "ban", {"!address", "#seconds"}, "ignores ADDRESS [for so many seconds]"},
    {"unban", "unban", {"!address"}, "hears ADDRESS again"},
    {"bans", "bans", {NULL}, "addresses ignored"},
    {"reload", "reload", {NULL}, "applies a changed configuration file"},
};

static void help(void)
{
    puts("usage: ringdown ctl [-s SOCKET] [--json] WORD [ARGUMENT...]\n");
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        printf("  %-14s %s\n", words[i].word, words[i].text);
    puts("\n"
         "  -s, --socket SOCKET  the control socket; without it RINGDOWN_CTL, else the first\n"
         "                       there is of " LOCAL_SOCKET " and\n"
         "                       " SYSTEM_SOCKET "\n"
         "      --json           the answer as JSON\n"
         "      --lang LANGUAGE  of show, explain and ladder: en or ko; else as the locale says\n"
         "      --color WHEN     of these: auto, always or never; NO_COLOR counts too\n"
         "      --width COLUMNS  of these: instead of the terminal's\n"
         "\n"
         "Exit status: 0 done, 1 refused or nobody there, 2 wrong usage.");
}

/* Words that are answered with a report, which looks as it is asked to. */
static bool is_report(size_t word)
{
    static const char *const names[] = {"show", "explain", "ladder"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(words[word].word, names[i]) == 0)
            return true;
    return false;
}

struct ctl_options {
    const char *socket;
    bool as_json, lang_given;
    struct an_style style;
};

static void put_style(json_t *params, const struct ctl_options *o)
{
    bool korean = o->style.lang == AN_KOREAN && (o->lang_given || !o->as_json);
    int32_t zone_s = style_zone_at((uint64_t)time(NULL) * 1000000000u);
    json_object_set_new(params, "lang", json_string(korean ? "ko" : "en"));
    json_object_set_new(params, "json", json_boolean(o->as_json));
    json_object_set_new(params, "width", json_integer(o->style.width));
    json_object_set_new(params, "color", json_boolean(o->style.color));
    json_object_set_new(params, "unicode", json_boolean(o->style.unicode));
    json_object_set_new(params, "zone_s", json_integer(zone_s));
}

/* 0, or -EINVAL when an argument is missing, too much, or no number. */
static int put_params(json_t *params, size_t word, int argc, char **argv)
{
    int used = 0;
    for (size_t i = 0; i < MAX_PARAMS && words[word].param[i]; i++) {
        const char *name = words[word].param[i];
        bool must = name[0] == '!', number = name[must] == '#';
        name += must + number;
        if (used == argc) {
            if (must)
                return -EINVAL;
            continue;
        }
        uint64_t v = 0;
        const char *text = argv[used++];
        if (number && num_u64(&v, str_z(text), INT64_MAX))
            return -EINVAL;
        json_object_set_new(params, name, number ? json_integer((json_int_t)v) : json_string(text));
    }
    return used == argc ? 0 : -EINVAL;
}

static int show(const char *word, const char *text, bool as_json)
{
    json_t *reply = json_loads(text, 0, NULL);
    const json_t *error = json_object_get(reply, "error");
    json_t *result = json_object_get(reply, "result");
    int status = CMD_OK;
    if (error) {
        fprintf(stderr, "ringdown ctl: %s: %s\n", word,
                json_string_value(json_object_get(error, "message")));
        status = CMD_FAILED;
    } else if (!result) {
        fprintf(stderr, "ringdown ctl: unintelligible answer\n");
        status = CMD_FAILED;
    } else if (as_json) {
        json_dumpf(result, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
        putchar('\n');
    } else {
        ctl_print(word, result);
    }
    json_decref(reply);
    return status;
}

static int append(const char *text, size_t n, void *arg)
{
    buf_put(arg, text, n);
    return 0;
}

static int ask(const struct ctl_options *o, size_t word, json_t *params)
{
    char line[8192], *answer;
    struct buf text;
    size_t n;
    if (is_report(word))
        put_style(params, o);
    json_t *request = json_pack("{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", 1, "method",
                                words[word].method, "params", params);
    buf_init(&text, line, sizeof(line));
    json_dump_callback(request, append, &text, JSON_COMPACT);
    json_decref(request);
    if (text.full)
        return cmd_usage("ctl", "an argument is too long");
    int err = ctl_client_ask(o->socket, buf_str(&text), PATIENCE_MS, &answer, &n);
    if (err) {
        bool nobody = err == -ENOENT || err == -ECONNREFUSED;
        fprintf(stderr, "ringdown ctl: %s: %s%s\n", o->socket, uv_strerror(err),
                nobody ? "; is `ringdown serve` running?" : "");
        return CMD_FAILED;
    }
    int status = show(words[word].word, answer, o->as_json);
    mem_free(answer);
    return status;
}

static const char *default_socket(void)
{
    const char *socket = getenv("RINGDOWN_CTL");
    if (socket)
        return socket;
    bool system_only = access(LOCAL_SOCKET, F_OK) != 0 && access(SYSTEM_SOCKET, F_OK) == 0;
    return system_only ? SYSTEM_SOCKET : LOCAL_SOCKET;
}

/* NULL, or what is wrong. */
static const char *option_set(struct ctl_options *o, int c)
{
    enum an_lang lang;
    uint64_t n;
    switch (c) {
    case 's':
        o->socket = optarg;
        return NULL;
    case 'j':
        o->as_json = true;
        return NULL;
    case 'l':
        if (an_lang_parse(&lang, str_z(optarg)))
            return "--lang takes en or ko";
        o->style.lang = (uint8_t)lang;
        o->lang_given = true;
        return NULL;
    case 'c':
        return style_color_set(&o->style, optarg);
    case 'w':
        if (num_u64(&n, str_z(optarg), 1000) || n < STYLE_MIN_COLUMNS)
            return "--width takes a number from 60 to 1000";
        o->style.width = (unsigned)n;
        return NULL;
    default:
        return "unknown option";
    }
}

static int ask_word(const struct ctl_options *o, int argc, char **argv)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(argv[0], words[i].word) != 0)
            continue;
        json_t *params = json_object();
        if (put_params(params, i, argc - 1, argv + 1)) {
            json_decref(params);
            return cmd_usage("ctl", "wrong arguments");
        }
        return ask(o, i, params);
    }
    return cmd_usage("ctl", "no such word");
}

int cmd_ctl(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"lang", required_argument, NULL, 'l'},
                                            {"color", required_argument, NULL, 'c'},
                                            {"width", required_argument, NULL, 'w'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct ctl_options o = {.socket = default_socket()};
    int c;
    style_default(&o.style);
    while ((c = getopt_long(argc, argv, "s:jh", options, NULL)) != -1) {
        if (c == 'h') {
            help();
            return CMD_OK;
        }
        const char *wrong = option_set(&o, c);
        if (wrong)
            return cmd_usage("ctl", wrong);
    }
    if (optind == argc)
        return cmd_usage("ctl", "a word is needed");
    return ask_word(&o, argc - optind, argv + optind);
}

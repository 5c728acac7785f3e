/* ringdown ctl: asks a running exchange, for people and for programs. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "app/cmd.h"
#include "app/ctl_print.h"
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
    {"rtt", "rtt", {NULL}, "round trips by destination"},
    {"trace", "trace", {"!call"}, "what happened in CALL (its number or a Call-ID)"},
    {"hangup", "hangup", {"!call"}, "ends CALL"},
    {"record",
     "record",
     {"!call", "!action"},
     "CALL start|tracks|both|stop|pause|resume: its recording"},
    {"cdr", "cdr", {"#limit"}, "the last call records [how many]"},
    {"quality", "quality", {"!call"}, "how the media of CALL are, or of a RECORD's call were"},
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
         "\n"
         "Exit status: 0 done, 1 refused or nobody there, 2 wrong usage.");
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

static int ask(const char *socket, size_t word, json_t *params, bool as_json)
{
    char line[8192], *answer;
    struct buf text;
    size_t n;
    json_t *request = json_pack("{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", 1, "method",
                                words[word].method, "params", params);
    buf_init(&text, line, sizeof(line));
    json_dump_callback(request, append, &text, JSON_COMPACT);
    json_decref(request);
    if (text.full)
        return cmd_usage("ctl", "an argument is too long");
    int err = ctl_client_ask(socket, buf_str(&text), PATIENCE_MS, &answer, &n);
    if (err) {
        bool nobody = err == -ENOENT || err == -ECONNREFUSED;
        fprintf(stderr, "ringdown ctl: %s: %s%s\n", socket, uv_strerror(err),
                nobody ? "; is `ringdown serve` running?" : "");
        return CMD_FAILED;
    }
    int status = show(words[word].word, answer, as_json);
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

int cmd_ctl(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *socket = default_socket();
    bool as_json = false;
    int c;
    while ((c = getopt_long(argc, argv, "s:jh", options, NULL)) != -1) {
        if (c == 'h') {
            help();
            return CMD_OK;
        }
        if (c == 's')
            socket = optarg;
        else if (c == 'j')
            as_json = true;
        else
            return cmd_usage("ctl", "unknown option");
    }
    if (optind == argc)
        return cmd_usage("ctl", "a word is needed");
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(argv[optind], words[i].word) != 0)
            continue;
        json_t *params = json_object();
        if (put_params(params, i, argc - optind - 1, argv + optind + 1)) {
            json_decref(params);
            return cmd_usage("ctl", "wrong arguments");
        }
        return ask(socket, i, params, as_json);
    }
    return cmd_usage("ctl", "no such word");
}

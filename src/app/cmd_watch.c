/* ringdown watch: calls as they happen, from interfaces and HEP, for days. */
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/cmd.h"
#include "app/watch.h"
#include "base/mem.h"
#include "base/num.h"

static const char help[] =
    "usage: ringdown watch [OPTION...] [FILTER...]\n\n"
    "Shows the calls that pass by an interface, or that SIP servers report by HEP, until q is\n"
    "pressed or SIGTERM or SIGINT comes, and writes down what they were. FILTER is a filter as\n"
    "of tcpdump, such as: host 192.0.2.1. When standard output is no terminal, each thing that\n"
    "happens is a line.\n\n"
    "  -i, --interface NAME  capture there; several times for several, any for all\n"
    "      --hep ADDR:PORT   take HEP there, by UDP and TCP\n"
    "      --hep-key TEXT    and only with this key\n"
    "  -r, --read FILE       a capture instead, at the time that it has; several times for\n"
    "                        several\n"
    "      --repeat N        so many times, each behind the last\n\n"
    "      --json FILE       each call that is over as a line of JSON; - is standard output\n"
    "      --rotate-mb N     begins another file at so many MB (100; 0: never)\n"
    "      --rotate-hours N  and after so many hours (24; 0: never)\n"
    "      --record FOLDER   the sound of calls, while they go on: each party and the mix\n"
    "      --format FORMAT   wav, flac or opus, once a call is over\n"
    "      --pcap FOLDER     each call that is over as a capture of its own\n"
    "      --audio           with its RTP\n"
    "      --disk-mb N       of all of this: what is oldest goes (0: as much as there is)\n"
    "      --keep-days N     what is older goes (0: never)\n"
    "      --min-free-mb N   with less room on a disk nothing is written there (256)\n\n"
    "      --buffer MB       of the kernel, for each interface (64)\n"
    "      --snaplen N       bytes of a frame that are kept (65535)\n"
    "      --max-calls N     at a time (50000)\n"
    "      --message-mb N    of their messages (256)\n"
    "      --store-mb N      of their packets, for --pcap (256)\n"
    "      --linger S        a call is over so long after its end (32)\n"
    "      --idle S          or when nothing was heard of it for so long (7200)\n\n"
    "  -l, --lines           lines, also at a terminal\n"
    "  -q, --quiet           no lines\n"
    "      --lang LANGUAGE   en or ko; else as the locale says\n"
    "      --color WHEN      auto, always or never; NO_COLOR counts too\n"
    "  -h, --help            this text\n\n"
    "SIGHUP opens the file of --json again.\n\n"
    "Exit status: 0 stopped when asked or the capture has ended, 1 cannot begin or a file could\n"
    "not be read, 2 wrong usage.\n";

/* The options without a letter. */
enum {
    OPT_HEP = 256,
    OPT_HEP_KEY,
    OPT_REPEAT,
    OPT_JSON,
    OPT_ROTATE_MB,
    OPT_ROTATE_HOURS,
    OPT_RECORD,
    OPT_FORMAT,
    OPT_PCAP,
    OPT_AUDIO,
    OPT_DISK_MB,
    OPT_KEEP_DAYS,
    OPT_MIN_FREE_MB,
    OPT_BUFFER,
    OPT_SNAPLEN,
    OPT_MAX_CALLS,
    OPT_MESSAGE_MB,
    OPT_STORE_MB,
    OPT_LINGER,
    OPT_IDLE,
    OPT_LANG,
    OPT_COLOR
};

static const struct option options[] = {{"interface", required_argument, NULL, 'i'},
                                        {"hep", required_argument, NULL, OPT_HEP},
                                        {"hep-key", required_argument, NULL, OPT_HEP_KEY},
                                        {"read", required_argument, NULL, 'r'},
                                        {"repeat", required_argument, NULL, OPT_REPEAT},
                                        {"json", required_argument, NULL, OPT_JSON},
                                        {"rotate-mb", required_argument, NULL, OPT_ROTATE_MB},
                                        {"rotate-hours", required_argument, NULL, OPT_ROTATE_HOURS},
                                        {"record", required_argument, NULL, OPT_RECORD},
                                        {"format", required_argument, NULL, OPT_FORMAT},
                                        {"pcap", required_argument, NULL, OPT_PCAP},
                                        {"audio", no_argument, NULL, OPT_AUDIO},
                                        {"disk-mb", required_argument, NULL, OPT_DISK_MB},
                                        {"keep-days", required_argument, NULL, OPT_KEEP_DAYS},
                                        {"min-free-mb", required_argument, NULL, OPT_MIN_FREE_MB},
                                        {"buffer", required_argument, NULL, OPT_BUFFER},
                                        {"snaplen", required_argument, NULL, OPT_SNAPLEN},
                                        {"max-calls", required_argument, NULL, OPT_MAX_CALLS},
                                        {"message-mb", required_argument, NULL, OPT_MESSAGE_MB},
                                        {"store-mb", required_argument, NULL, OPT_STORE_MB},
                                        {"linger", required_argument, NULL, OPT_LINGER},
                                        {"idle", required_argument, NULL, OPT_IDLE},
                                        {"lines", no_argument, NULL, 'l'},
                                        {"quiet", no_argument, NULL, 'q'},
                                        {"lang", required_argument, NULL, OPT_LANG},
                                        {"color", required_argument, NULL, OPT_COLOR},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

/* Those that are numbers: where they go and what they may be. */
struct number {
    int option;
    uint32_t *to;
    uint32_t least, most;
    const char *problem;
};

static const char *number_set(struct watch_options *o, int c, bool *ret_known)
{
    const struct number numbers[] = {
        {OPT_REPEAT, &o->repeat, 1, 1000000, "--repeat takes a number from 1 on"},
        {OPT_ROTATE_MB, &o->rotate_mb, 0, 1u << 20, "--rotate-mb takes a number of MB"},
        {OPT_ROTATE_HOURS, &o->rotate_hours, 0, 100000, "--rotate-hours takes a number of hours"},
        {OPT_DISK_MB, &o->disk_mb, 0, 1u << 30, "--disk-mb takes a number of MB"},
        {OPT_KEEP_DAYS, &o->keep_days, 0, 100000, "--keep-days takes a number of days"},
        {OPT_MIN_FREE_MB, &o->min_free_mb, 0, 1u << 30, "--min-free-mb takes a number of MB"},
        {OPT_BUFFER, &o->buffer_mb, 1, 2000, "--buffer takes 1 to 2000 MB"},
        {OPT_SNAPLEN, &o->snaplen, 96, CAP_MAX_FRAME, "--snaplen takes 96 to 262144 bytes"},
        {OPT_MAX_CALLS, &o->max_calls, 1, 250000, "--max-calls takes 1 to 250000"},
        {OPT_MESSAGE_MB, &o->message_mb, 1, 1u << 20, "--message-mb takes a number from 1 on"},
        {OPT_STORE_MB, &o->store_mb, 1, 1u << 20, "--store-mb takes a number from 1 on"},
        {OPT_LINGER, &o->linger_s, 0, 86400, "--linger takes 0 to 86400 seconds"},
        {OPT_IDLE, &o->idle_s, 1, 1000000, "--idle takes a number of seconds from 1 on"},
    };
    uint64_t n;
    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        const struct number *x = &numbers[i];
        if (x->option != c)
            continue;
        *ret_known = true;
        if (num_u64(&n, str_z(optarg), x->most) || n < x->least)
            return x->problem;
        *x->to = (uint32_t)n;
        return NULL;
    }
    return NULL;
}

static const char *color_set(struct an_style *style, const char *when)
{
    if (strcmp(when, "always") == 0)
        style->color = true;
    else if (strcmp(when, "never") == 0)
        style->color = false;
    else if (strcmp(when, "auto") != 0)
        return "--color takes auto, always or never";
    return NULL;
}

static const char *format_set(struct watch_options *o, const char *name)
{
    if (strcmp(name, "wav") == 0)
        o->format = SOUND_WAV;
    else if (strcmp(name, "flac") == 0)
        o->format = SOUND_FLAC;
    else if (strcmp(name, "opus") == 0)
        o->format = SOUND_OPUS;
    else
        return "--format takes wav, flac or opus";
    return NULL;
}

static const char *source_set(struct watch_options *o, int c)
{
    if (c == 'i' && o->n_ifaces == WATCH_INTERFACES)
        return "no more than 16 interfaces";
    if (c == 'r' && o->n_files == WATCH_FILES)
        return "no more than 64 files";
    if (c == 'i') {
        o->iface[o->n_ifaces++] = optarg;
    } else if (c == 'r') {
        o->file[o->n_files++] = optarg;
    } else {
        if (addr_parse_port(&o->hep_at, str_z(optarg)))
            return "--hep takes an address and a port, such as 192.0.2.1:9060";
        o->hep = true;
    }
    return NULL;
}

/* long: one dispatch switch. NULL, or what is wrong. */
static const char *option_set(struct watch_options *o, int c)
{
    enum an_lang lang;
    bool known = false;
    const char *problem = number_set(o, c, &known);
    if (known)
        return problem;
    switch (c) {
    case 'i':
    case 'r':
    case OPT_HEP:
        return source_set(o, c);
    case OPT_HEP_KEY:
        o->hep_key = optarg;
        return NULL;
    case OPT_JSON:
        o->json = optarg;
        return NULL;
    case OPT_RECORD:
        o->record = optarg;
        return NULL;
    case OPT_FORMAT:
        return format_set(o, optarg);
    case OPT_PCAP:
        o->pcap = optarg;
        return NULL;
    case OPT_AUDIO:
        o->audio = true;
        return NULL;
    case 'l':
        o->lines = true;
        return NULL;
    case 'q':
        o->quiet = true;
        return NULL;
    case OPT_LANG:
        if (an_lang_parse(&lang, str_z(optarg)))
            return "--lang takes en or ko";
        o->style.lang = (uint8_t)lang;
        o->lang_given = true;
        return NULL;
    case OPT_COLOR:
        return color_set(&o->style, optarg);
    default:
        return "unknown option or no argument to it";
    }
}

/* What does not go together. */
static const char *options_check(const struct watch_options *o)
{
    if (!o->n_ifaces && !o->n_files && !o->hep)
        return "-i, -r or --hep says what to watch";
    if (o->n_files && (o->n_ifaces || o->hep))
        return "-r goes with neither -i nor --hep";
    if (o->filter[0] && !o->n_ifaces)
        return "a filter is for -i";
    if (o->hep_key && !o->hep)
        return "--hep-key is for --hep";
    if (o->audio && !o->pcap)
        return "--audio is for --pcap";
    if (o->format != SOUND_WAV && !o->record)
        return "--format is for --record";
    return NULL;
}

static const char *filter_take(struct watch_options *o, int argc, char **argv)
{
    struct buf b;
    buf_init(&b, o->filter, sizeof(o->filter) - 1);
    for (int i = optind; i < argc; i++)
        buf_printf(&b, "%s%s", i > optind ? " " : "", argv[i]);
    o->filter[b.n] = 0;
    return b.full ? "the filter is too long" : NULL;
}

static void defaults(struct watch_options *o)
{
    enum an_lang lang = AN_ENGLISH;
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    time_t now = time(NULL);
    struct tm tm;
    setlocale(LC_CTYPE, "");
    const char *locale = setlocale(LC_MESSAGES, "");
    if (locale && an_lang_parse(&lang, str_z(locale)))
        lang = AN_ENGLISH;
    tzset();
    *o = (struct watch_options){
        .repeat = 1,
        .buffer_mb = 64,
        .snaplen = 65535,
        .rotate_mb = 100,
        .rotate_hours = 24,
        .min_free_mb = 256,
        .store_mb = 256,
        .message_mb = 256,
        .linger_s = 32,
        .idle_s = 7200,
        .max_calls = 50000,
        .format = SOUND_WAV,
        .lines =
            !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO) || (term && strcmp(term, "dumb") == 0),
        .style = {.width = 100,
                  .color = isatty(STDOUT_FILENO) && !(no && no[0]),
                  .unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                  .lang = (uint8_t)lang,
                  .zone_s = localtime_r(&now, &tm) ? (int32_t)tm.tm_gmtoff : 0}};
}

/* NULL, or what is wrong; *ret_help: the help is wanted. */
static const char *arguments(struct watch_options *o, int argc, char **argv, bool *ret_help)
{
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "+i:r:lqh", options, NULL)) != -1) {
        if (c == 'h') {
            *ret_help = true;
            return NULL;
        }
        const char *problem = option_set(o, c);
        if (problem)
            return problem;
    }
    const char *problem = filter_take(o, argc, argv);
    return problem ? problem : options_check(o);
}

int cmd_watch(int argc, char **argv)
{
    bool help_wanted = false;
    struct watch *w = mem_zero(sizeof(*w));
    if (!w)
        return CMD_FAILED;
    defaults(&w->opt);
    const char *problem = arguments(&w->opt, argc, argv, &help_wanted);
    int status = CMD_OK;
    if (help_wanted) {
        fputs(help, stdout);
    } else if (problem) {
        status = cmd_usage("watch", problem);
    } else {
        /* JSON on standard output is alone there. */
        bool piped = w->opt.json && strcmp(w->opt.json, "-") == 0;
        w->opt.lines |= piped;
        w->opt.quiet |= piped;
        w->opt.style.color &= !w->opt.lines;
        status = watch_run(w) ? CMD_FAILED : CMD_OK;
    }
    mem_free(w);
    return status;
}

/* ringdown analyze: what was said in a capture, by whom, and what became of it. */
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "app/analyze_sound.h"
#include "app/cmd.h"
#include "base/mem.h"
#include "base/num.h"

#define PIPE_COLUMNS 140 /* of what is no terminal */
#define MIN_COLUMNS  60
/* Of a page, and of the texts of messages in it: a browser has to hold all of it. */
#define MAX_PAGE_BYTES ((uint64_t)64 << 20)
#define MAX_TEXT_BYTES ((uint64_t)32 << 20)

static const char help[] =
    "usage: ringdown analyze [OPTION...] FILE...\n\n"
    "Reads captures (pcap and pcapng, also packed by gzip; - is standard input) as one, in the\n"
    "order of their first frames, and says which calls are in them and what became of each.\n\n"
    "  -c, --call N         one call whole: parties, legs and what ties them, what happened,\n"
    "                       messages, media\n"
    "      --ladder         only its messages; of all calls without --call\n"
    "      --explain        why it went as it did; of all calls without --call\n"
    "  -j, --json           everything for programs (docs/analyze-json.md)\n"
    "      --csv            one line a call\n"
    "      --html FILE      one page for a browser, with everything in it\n"
    "      --wav FOLDER     the sound of the call of --call: a file for each participant, and\n"
    "                       one for all together\n"
    "      --pcap FILE      the call of --call as a capture of its own\n"
    "      --anonymize      in it, others' numbers, names and addresses, and silence for sound\n"
    "      --key TEXT       makes --anonymize choose the same ones each time\n"
    "      --keep-audio     leaves the sound in it\n"
    "      --keylog FILE    TLS keys, as programs write them that are given SSLKEYLOGFILE\n"
    "      --lang LANGUAGE  en or ko; else as the locale says\n"
    "      --color WHEN     auto, always or never; NO_COLOR counts too\n"
    "      --width COLUMNS  instead of the terminal's\n"
    "  -h, --help           this text\n\n"
    "Exit status: 0 done, 1 a file could not be read or written, 2 wrong usage.\n";

/* ---- the terminal ---------------------------------------------------------------------------- */

static unsigned columns(void)
{
    struct winsize size;
    const char *env = getenv("COLUMNS");
    uint64_t n;
    if (env && num_u64(&n, str_z(env), 1000) == 0 && n >= MIN_COLUMNS)
        return (unsigned)n;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col < MIN_COLUMNS ? MIN_COLUMNS : size.ws_col;
    return PIPE_COLUMNS;
}

/* no-color.org: set and not empty. */
static bool colors(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && no[0]) && !(term && strcmp(term, "dumb") == 0);
}

static void style_default(struct an_style *style)
{
    enum an_lang lang = AN_ENGLISH;
    setlocale(LC_CTYPE, "");
    const char *locale = setlocale(LC_MESSAGES, "");
    if (locale && an_lang_parse(&lang, str_z(locale)))
        lang = AN_ENGLISH;
    *style = (struct an_style){.width = columns(),
                               .color = colors(),
                               .unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                               .lang = (uint8_t)lang};
}

/* Local time at the beginning of the capture; it may be from another season. */
static int32_t zone_at(uint64_t at_ns)
{
    time_t at_s = (time_t)(at_ns / 1000000000u);
    struct tm tm;
    tzset();
    return localtime_r(&at_s, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

/* ---- output ---------------------------------------------------------------------------------- */

static int file_put(void *user, const char *p, size_t n)
{
    errno = 0;
    if (fwrite(p, 1, n, user) == n)
        return 0;
    return errno ? -errno : -EIO;
}

int analyze_write(struct analyze *a, const char *path,
                  void (*report)(const struct an_report *r, uint32_t call, struct an_sink *out),
                  const struct an_report *r)
{
    struct an_sink *sink = mem_alloc(sizeof(*sink));
    FILE *f = path ? fopen(path, "we") : stdout;
    int err = !sink ? -ENOMEM : !f ? -errno : 0;
    if (!err) {
        an_sink_init(sink, file_put, f);
        report(r, a->opt.call ? a->opt.call - 1 : AN_NONE, sink);
        err = an_sink_flush(sink);
    }
    if (f && (path ? fclose(f) : fflush(f)) && !err)
        err = -errno;
    mem_free(sink);
    if (err)
        analyze_fail(a, path ? path : "standard output", err);
    return err;
}

static void write_text(const struct an_report *r, uint32_t call, struct an_sink *out)
{
    if (call != AN_NONE)
        an_report_call(r, call, out);
    else
        an_report_text(r, out);
}

static void write_ladders(const struct an_report *r, uint32_t call, struct an_sink *out)
{
    for (uint32_t i = 0; i < an_engine_calls(r->engine); i++)
        if (call == AN_NONE || call == i)
            an_report_ladder(r, i, out);
}

static void write_findings(const struct an_report *r, uint32_t call, struct an_sink *out)
{
    for (uint32_t i = 0; i < an_engine_calls(r->engine); i++) {
        if (call != AN_NONE && call != i)
            continue;
        an_report_title(r, i, out);
        an_report_findings(r, i, out);
    }
}

static void write_csv(const struct an_report *r, uint32_t call, struct an_sink *out)
{
    (void)call;
    an_report_csv(r, out);
}

static int page_write(struct analyze *a, struct an_report *r)
{
    struct page_sounds *sounds;
    int err = page_sounds_read(&sounds, a, r);
    if (err)
        return err;
    r->style.with_messages = r->style.in_page = true;
    r->style.max_messages = MAX_TEXT_BYTES;
    r->style.max_bytes = MAX_PAGE_BYTES;
    r->sound = page_sounds_put;
    r->sound_user = sounds;
    err = analyze_write(a, a->opt.html, an_report_html, r);
    page_sounds_free(sounds);
    return err;
}

/* Others have asked for a file, and then nothing else is wanted at the terminal. */
static int outputs(struct analyze *a, struct an_report *r)
{
    const struct analyze_options *o = &a->opt;
    if (o->html)
        return page_write(a, r);
    if (o->wav)
        return analyze_wav(a, r);
    if (o->pcap)
        return analyze_pcap(a, r);
    switch (o->format) {
    case ANALYZE_JSON:
        return analyze_write(a, NULL, an_report_json, r);
    case ANALYZE_CSV:
        return analyze_write(a, NULL, write_csv, r);
    default:
        return analyze_write(a, NULL,
                             o->ladder    ? write_ladders
                             : o->explain ? write_findings
                                          : write_text,
                             r);
    }
}

static int report(struct analyze *a)
{
    struct an_report r = {.engine = a->engine,
                          .file = a->file,
                          .n_files = a->n_sources,
                          .note = a->note,
                          .n_notes = a->n_notes,
                          .more_notes = a->more_notes,
                          .style = a->opt.style};
    if (a->opt.call > an_engine_calls(a->engine)) {
        fprintf(stderr, "ringdown analyze: there is no call %u\n", a->opt.call);
        a->failed = true;
        return -ENOENT;
    }
    int err = an_report_init(&r);
    if (err) {
        analyze_fail(a, "memory", err);
        return err;
    }
    r.style.zone_s = zone_at(r.zero_ns);
    err = outputs(a, &r);
    an_report_done(&r);
    return err;
}

/* ---- options --------------------------------------------------------------------------------- */

/* The options without a letter. */
enum {
    OPT_LADDER = 256,
    OPT_EXPLAIN,
    OPT_CSV,
    OPT_KEYLOG,
    OPT_LANG,
    OPT_COLOR,
    OPT_WIDTH,
    OPT_HTML,
    OPT_PCAP,
    OPT_WAV,
    OPT_ANONYMIZE,
    OPT_KEY,
    OPT_KEEP_AUDIO
};

static const struct option options[] = {{"call", required_argument, NULL, 'c'},
                                        {"ladder", no_argument, NULL, OPT_LADDER},
                                        {"explain", no_argument, NULL, OPT_EXPLAIN},
                                        {"json", no_argument, NULL, 'j'},
                                        {"csv", no_argument, NULL, OPT_CSV},
                                        {"keylog", required_argument, NULL, OPT_KEYLOG},
                                        {"lang", required_argument, NULL, OPT_LANG},
                                        {"color", required_argument, NULL, OPT_COLOR},
                                        {"width", required_argument, NULL, OPT_WIDTH},
                                        {"html", required_argument, NULL, OPT_HTML},
                                        {"pcap", required_argument, NULL, OPT_PCAP},
                                        {"anonymize", no_argument, NULL, OPT_ANONYMIZE},
                                        {"key", required_argument, NULL, OPT_KEY},
                                        {"keep-audio", no_argument, NULL, OPT_KEEP_AUDIO},
                                        {"wav", required_argument, NULL, OPT_WAV},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

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

static const char *number_set(uint32_t *ret, uint64_t least, const char *problem)
{
    uint64_t n;
    if (num_u64(&n, str_z(optarg), UINT32_MAX - 1) || n < least)
        return problem;
    *ret = (uint32_t)n;
    return NULL;
}

/* Those that are for files. */
static bool file_option_set(struct analyze_options *o, int c)
{
    switch (c) {
    case OPT_KEYLOG:
        o->keylog = optarg;
        return true;
    case OPT_HTML:
        o->html = optarg;
        return true;
    case OPT_PCAP:
        o->pcap = optarg;
        return true;
    case OPT_WAV:
        o->wav = optarg;
        return true;
    case OPT_ANONYMIZE:
        o->anonymize = true;
        return true;
    case OPT_KEY:
        o->key = optarg;
        return true;
    case OPT_KEEP_AUDIO:
        o->keep_audio = true;
        return true;
    default:
        return false;
    }
}

/* NULL, or what is wrong. */
static const char *option_set(struct analyze_options *o, int c)
{
    enum an_lang lang;
    switch (c) {
    case 'c':
        return number_set(&o->call, 1, "--call takes the number of a call");
    case 'j':
        o->format = ANALYZE_JSON;
        return NULL;
    case OPT_CSV:
        o->format = ANALYZE_CSV;
        return NULL;
    case OPT_LADDER:
        o->ladder = true;
        return NULL;
    case OPT_LANG:
        if (an_lang_parse(&lang, str_z(optarg)))
            return "--lang takes en or ko";
        o->style.lang = (uint8_t)lang;
        o->lang_given = true;
        return NULL;
    case OPT_EXPLAIN:
        o->explain = true;
        return NULL;
    case OPT_COLOR:
        return color_set(&o->style, optarg);
    case OPT_WIDTH:
        return number_set(&o->style.width, MIN_COLUMNS, "--width takes a number from 60 on");
    default:
        return file_option_set(o, c) ? NULL : "unknown option or no argument to it";
    }
}

/* What does not go together. */
static const char *options_check(const struct analyze_options *o)
{
    if ((o->pcap || o->wav) && !o->call)
        return "--pcap and --wav write one call: --call says which";
    if ((o->anonymize || o->keep_audio || o->key) && !o->pcap)
        return "--anonymize is for --pcap";
    if ((o->keep_audio || o->key) && !o->anonymize)
        return "--key and --keep-audio are for --anonymize";
    return NULL;
}

int cmd_analyze(int argc, char **argv)
{
    struct analyze a = {0};
    int c;
    const char *temp = getenv("TMPDIR");
    a.temp_dir = temp && temp[0] ? temp : "/var/tmp";
    style_default(&a.opt.style);
    opterr = 0;
    while ((c = getopt_long(argc, argv, "c:jh", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(help, stdout);
            return CMD_OK;
        }
        const char *wrong = option_set(&a.opt, c);
        if (wrong)
            return cmd_usage("analyze", wrong);
    }
    if (optind == argc)
        return cmd_usage("analyze", "a file is needed");
    const char *problem = options_check(&a.opt);
    if (problem)
        return cmd_usage("analyze", problem);
    /* What programs read does not change with the locale. */
    if (a.opt.format != ANALYZE_TEXT && !a.opt.lang_given)
        a.opt.style.lang = AN_ENGLISH;
    if (analyze_sources(&a, argv + optind, argc - optind) == 0 && analyze_read(&a) == 0 &&
        report(&a))
        a.failed = true;
    analyze_done(&a);
    return a.failed ? CMD_FAILED : CMD_OK;
}

/* ringdown mrcp: speech servers (MRCPv2, RFC 6787) as a client for people. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/cmd.h"
#include "app/mrcp_env.h"
#include "app/mrcp_word.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fs.h"
#include "io/sndread.h"
#include "wire/mrcp/speech.h"

#define MAX_TEXT_BYTES (256u << 10)
#define MAX_PHRASES    64
#define MAX_SOUND_S    600

static const char help[] =
    "usage: ringdown mrcp speak     --server URI -o OUT.wav TEXT|-\n"
    "       ringdown mrcp recognize --server URI [GRAMMAR] IN.wav\n"
    "       ringdown mrcp record    --server URI [--record-uri URI] IN.wav\n"
    "       ringdown mrcp probe     --server URI [--count N] [--parallel N]\n"
    "\n"
    "Has a text spoken by a speech server (MRCPv2), sound recognized or recorded, or opens\n"
    "sessions and closes them again. TEXT may be SSML; - reads it from standard input.\n"
    "\n"
    "  -s, --server URI        sip:user@host[:port] of the server\n"
    "  -o, --output FILE       where speak writes; what is there is replaced\n"
    "      --lang LANGUAGE     of speech; en-US if it is not given\n"
    "      --voice NAME        of speak\n"
    "      --phrases A,B,...   GRAMMAR: one of these is said\n"
    "      --digits N[-M]      GRAMMAR: so many keys are pressed\n"
    "      --grammar FILE      GRAMMAR: an SRGS document\n"
    "      --grammar-uri URI   GRAMMAR: the server knows it; without any of these it is\n"
    "                          builtin:speech/transcribe\n"
    "      --prompt TEXT       of recognize: said meanwhile, until speech stops it\n"
    "      --nlsml             of recognize: the result as the server gave it\n"
    "      --record-uri URI    where the server puts the recording\n"
    "      --count N           sessions of probe, 1 if not given\n"
    "      --parallel N        at a time, 1 if not given, 500 at most\n"
    "      --user NAME         at the server; its password is MRCP_SIP_PASSWORD\n"
    "      --bind ADDRESS      our own address\n"
    "      --dns ADDRESS:PORT  a server of names instead of the system's\n"
    "      --codec NAME,...    offered; PCMU,PCMA if not given\n"
    "      --timeout SECONDS   how long one request may go on; 60 if not given\n"
    "      --no-input MS       how long recognize waits for speech; 5000 if not given\n"
    "      --json              what came of it, with telemetry, as a JSON object\n"
    "      --telemetry         counters on standard error\n"
    "\n"
    "Environment: MRCP_SIP_TRANSPORT (udp, tcp or tls), MRCP_SIP_RETRANS_T1_MS (500),\n"
    "MRCP_SIP_RETRANS_T2_MS (4000), MRCP_SIP_INVITE_MAX_RETRANS (7, transmissions in all),\n"
    "MRCP_SIP_DNS_SRV (0), MRCP_ENABLE_SIP_V2 (1), MRCP_SIP_PASSWORD; for TLS\n"
    "MRCP_SIP_TLS_VERIFY (1), MRCP_SIP_TLS_CA, MRCP_SIP_TLS_PINS (SHA-256 of keys, in hex),\n"
    "MRCP_SIP_TLS_CERTIFICATE, MRCP_SIP_TLS_KEY.\n"
    "\n"
    "Exit status: 0 done, 1 failed, 2 wrong usage, 3 nothing was said or understood.\n";

enum {
    OPT_LANG = 256,
    OPT_VOICE,
    OPT_PHRASES,
    OPT_DIGITS,
    OPT_GRAMMAR,
    OPT_GRAMMAR_URI,
    OPT_NLSML,
    OPT_PROMPT,
    OPT_RECORD_URI,
    OPT_COUNT,
    OPT_PARALLEL,
    OPT_USER,
    OPT_BIND,
    OPT_DNS,
    OPT_CODEC,
    OPT_TIMEOUT,
    OPT_NO_INPUT,
    OPT_JSON,
    OPT_TELEMETRY
};

static const struct option options[] = {{"server", required_argument, NULL, 's'},
                                        {"output", required_argument, NULL, 'o'},
                                        {"lang", required_argument, NULL, OPT_LANG},
                                        {"voice", required_argument, NULL, OPT_VOICE},
                                        {"phrases", required_argument, NULL, OPT_PHRASES},
                                        {"digits", required_argument, NULL, OPT_DIGITS},
                                        {"grammar", required_argument, NULL, OPT_GRAMMAR},
                                        {"grammar-uri", required_argument, NULL, OPT_GRAMMAR_URI},
                                        {"prompt", required_argument, NULL, OPT_PROMPT},
                                        {"nlsml", no_argument, NULL, OPT_NLSML},
                                        {"record-uri", required_argument, NULL, OPT_RECORD_URI},
                                        {"count", required_argument, NULL, OPT_COUNT},
                                        {"parallel", required_argument, NULL, OPT_PARALLEL},
                                        {"user", required_argument, NULL, OPT_USER},
                                        {"bind", required_argument, NULL, OPT_BIND},
                                        {"dns", required_argument, NULL, OPT_DNS},
                                        {"codec", required_argument, NULL, OPT_CODEC},
                                        {"timeout", required_argument, NULL, OPT_TIMEOUT},
                                        {"no-input", required_argument, NULL, OPT_NO_INPUT},
                                        {"json", no_argument, NULL, OPT_JSON},
                                        {"telemetry", no_argument, NULL, OPT_TELEMETRY},
                                        {"help", no_argument, NULL, 'h'},
                                        {0}};

/* What is read from options and files, and stays until the end. */
struct input {
    struct mrcp_wish wish;
    struct str codec[MRCP_MAX_CODECS];
    const char *phrases, *digits, *grammar_file, *grammar_uri;
    char *text; /* a file's, or a grammar */
};

/* ---- options --------------------------------------------------------------------------------- */

static const char *number(uint32_t *ret, const char *z, uint32_t least, uint32_t most)
{
    uint64_t v;
    if (num_u64(&v, str_z(z), most) || v < least)
        return "a number is wrong or out of its range";
    *ret = (uint32_t)v;
    return NULL;
}

/* NULL, or what is wrong. */
static const char *option_network(struct input *in, int c)
{
    struct mrcp_ua_conf *ua = &in->wish.ua;
    switch (c) {
    case 's':
        ua->server = optarg;
        return str_istarts(str_z(optarg), STR("sip:")) || str_istarts(str_z(optarg), STR("sips:"))
                   ? NULL
                   : "--server takes a sip: or sips: URI";
    case OPT_USER:
        ua->user = optarg;
        return NULL;
    case OPT_BIND:
        return addr_parse(&ua->host.bind, str_z(optarg), 0) || ua->host.bind.family != ADDR_V4
                   ? "--bind takes an IPv4 address"
                   : NULL;
    case OPT_DNS:
        ua->host.dns = optarg;
        return NULL;
    case OPT_CODEC:
        ua->host.n_codecs = mrcp_list(in->codec, MRCP_MAX_CODECS, str_z(optarg));
        return ua->host.n_codecs ? NULL : "--codec takes names";
    case OPT_TIMEOUT:
        return number(&in->wish.limit_s, optarg, 1, 86400);
    default:
        return "unknown option";
    }
}

static const char *option_set(struct input *in, int c)
{
    struct mrcp_wish *w = &in->wish;
    switch (c) {
    case 'o':
        w->out = optarg;
        return NULL;
    case OPT_LANG:
        w->lang = str_z(optarg);
        return NULL;
    case OPT_VOICE:
        w->voice = str_z(optarg);
        return NULL;
    case OPT_PHRASES:
        in->phrases = optarg;
        return NULL;
    case OPT_DIGITS:
        in->digits = optarg;
        return NULL;
    case OPT_GRAMMAR:
        in->grammar_file = optarg;
        return NULL;
    case OPT_GRAMMAR_URI:
        in->grammar_uri = optarg;
        return NULL;
    case OPT_PROMPT:
        w->prompt = str_z(optarg);
        return NULL;
    case OPT_NLSML:
        w->nlsml = true;
        return NULL;
    case OPT_RECORD_URI:
        w->record_uri = optarg;
        return NULL;
    case OPT_COUNT:
        return number(&w->count, optarg, 1, 1000000);
    case OPT_PARALLEL:
        return number(&w->parallel, optarg, 1, 500);
    case OPT_NO_INPUT:
        return number(&w->no_input_ms, optarg, 0, 3600000);
    case OPT_JSON:
        w->as_json = true;
        return NULL;
    case OPT_TELEMETRY:
        w->telemetry = true;
        return NULL;
    default:
        return option_network(in, c);
    }
}

/* ---- what is read from files ----------------------------------------------------------------- */

static int complain(const char *what, int err)
{
    fprintf(stderr, "ringdown mrcp: %s: %s\n", what, uv_strerror(err));
    return CMD_FAILED;
}

static int complain_of_sound(const char *path, int err)
{
    char why[96];
    sndread_why(why, sizeof(why), err);
    fprintf(stderr, "ringdown mrcp: %s: %s\n", path, why);
    return CMD_FAILED;
}

static int read_standard_input(char **ret, size_t *n)
{
    char *mem = mem_alloc(MAX_TEXT_BYTES + 1);
    if (!mem)
        return -ENOMEM;
    *n = fread(mem, 1, MAX_TEXT_BYTES + 1, stdin);
    if (*n > MAX_TEXT_BYTES) {
        mem_free(mem);
        return -EFBIG;
    }
    *ret = mem;
    return 0;
}

static int read_text(struct input *in, const char *arg)
{
    size_t n = strlen(arg);
    in->wish.text = str_z(arg);
    if (strcmp(arg, "-") == 0) {
        int err = read_standard_input(&in->text, &n);
        if (err)
            return complain("standard input", err);
        in->wish.text = str_of(in->text, n);
    }
    return str_trim(in->wish.text).n ? CMD_OK : cmd_usage("mrcp", "there is no text to be spoken");
}

static int read_sound(struct mrcp_wish *w, const char *path)
{
    static const struct sndread_limits limits = {.max_s = MAX_SOUND_S, .max_bytes = 256u << 20};
    struct sound *s;
    int err = sndread_load(&s, path, &limits);
    if (err)
        return complain_of_sound(path, err);
    w->clip = mem_alloc(sizeof(*w->clip) + (size_t)s->n * sizeof(int16_t));
    if (w->clip) {
        *w->clip = (struct media_clip){.refs = 1, .rate_hz = s->rate_hz, .n = s->n};
        memcpy(w->clip->sample, s->sample, (size_t)s->n * sizeof(int16_t));
    }
    mem_free(s);
    return w->clip ? CMD_OK : complain(path, -ENOMEM);
}

static int digits_grammar(struct input *in, struct buf *b)
{
    struct str least = str_z(in->digits), most = least;
    ptrdiff_t dash = str_chr(least, '-');
    uint32_t from, to;
    if (dash >= 0) {
        most = str_from(least, (size_t)dash + 1);
        least = str_sub(least, 0, (size_t)dash);
    }
    if (num_u32(&from, least) || num_u32(&to, most) || to > 128 || speech_srgs_digits(b, from, to))
        return cmd_usage("mrcp", "--digits takes N or N-M");
    in->wish.dtmf = true;
    return CMD_OK;
}

static int read_grammar(struct input *in)
{
    struct mrcp_wish *w = &in->wish;
    struct str phrase[MAX_PHRASES];
    struct buf b;
    size_t n;
    int given = !!in->phrases + !!in->digits + !!in->grammar_file + !!in->grammar_uri;
    if (given > 1)
        return cmd_usage("mrcp", "one grammar, please");
    w->grammar_type = STR("text/uri-list");
    w->grammar = in->grammar_uri ? str_z(in->grammar_uri) : STR("builtin:speech/transcribe");
    if (!given || in->grammar_uri)
        return CMD_OK;
    w->grammar_type = STR("application/srgs+xml");
    w->grammar_id = "<grammar@ringdown>";
    if (in->grammar_file) {
        int err = fs_read(in->grammar_file, MAX_TEXT_BYTES, &in->text, &n);
        w->grammar = str_of(in->text, n);
        return err ? complain(in->grammar_file, err) : CMD_OK;
    }
    in->text = mem_alloc(MAX_TEXT_BYTES);
    if (!in->text)
        return complain("memory", -ENOMEM);
    buf_init(&b, in->text, MAX_TEXT_BYTES);
    struct speech_phrases p = {.phrase = phrase, .lang = w->lang};
    int status = CMD_OK;
    if (in->digits) {
        status = digits_grammar(in, &b);
    } else {
        p.n = mrcp_list(phrase, MAX_PHRASES, str_z(in->phrases));
        if (speech_srgs(&b, &p))
            status = cmd_usage("mrcp", "--phrases takes phrases");
    }
    w->grammar = buf_str(&b);
    return status;
}

static int word_of(enum mrcp_word *ret, const char *z)
{
    static const char *const words[] = {"speak", "recognize", "record", "probe"};
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i], z) == 0) {
            *ret = (enum mrcp_word)i;
            return 0;
        }
    return -ENOENT;
}

static int read_argument(struct input *in, int argc, char **argv)
{
    struct mrcp_wish *w = &in->wish;
    if (w->prompt.p && w->word != WORD_RECOGNIZE)
        return cmd_usage("mrcp", "--prompt is for recognize");
    if (argc != (w->word == WORD_PROBE ? 0 : 1))
        return cmd_usage("mrcp", w->word == WORD_SPEAK   ? "speak takes a text"
                                 : w->word == WORD_PROBE ? "too many arguments"
                                                         : "a sound file is needed");
    if (w->word == WORD_SPEAK)
        return w->out ? read_text(in, argv[0]) : cmd_usage("mrcp", "speak needs -o OUT.wav");
    if (w->word == WORD_PROBE)
        return CMD_OK;
    int status = w->word == WORD_RECOGNIZE ? read_grammar(in) : CMD_OK;
    return status ? status : read_sound(w, argv[0]);
}

static int run(struct input *in)
{
    struct mrcp_result *r = mem_zero(sizeof(*r));
    if (!r)
        return complain("memory", -ENOMEM);
    mrcp_word_run(&in->wish, r);
    int status = mrcp_print(&in->wish, r);
    mrcp_result_free(r);
    mem_free(r);
    return status;
}

static int prepare(struct input *in, int argc, char **argv)
{
    struct mrcp_ua_conf *ua = &in->wish.ua;
    struct mrcp_host_conf *host = &ua->host;
    char text[200];
    const char *wrong = mrcp_env_read(host);
    if (wrong) {
        snprintf(text, sizeof(text), "%s has a value that is not possible", wrong);
        return cmd_usage("mrcp", text);
    }
    if (!ua->server)
        return cmd_usage("mrcp", "--server is needed");
    if (mrcp_host_proto(&host->proto, str_z(ua->server), host->proto))
        return cmd_usage("mrcp", "--server takes a sip: or sips: URI, over udp, tcp or tls");
    if (!host->n_codecs) {
        in->codec[0] = STR("PCMU");
        in->codec[1] = STR("PCMA");
        host->n_codecs = 2;
    }
    host->codec = in->codec;
    ua->password = getenv("MRCP_SIP_PASSWORD");
    ua->port_first = 40000;
    ua->port_last = 49999;
    if (in->wish.word != WORD_PROBE)
        in->wish.parallel = 1;
    host->sessions = in->wish.parallel;
    return read_argument(in, argc, argv);
}

int cmd_mrcp(int argc, char **argv)
{
    struct input in = {
        .wish = {
            .lang = STR("en-US"), .limit_s = 60, .no_input_ms = 5000, .count = 1, .parallel = 1}};
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "s:o:h", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(help, stdout);
            return CMD_OK;
        }
        const char *wrong = option_set(&in, c);
        if (wrong)
            return cmd_usage("mrcp", wrong);
    }
    if (optind == argc)
        return cmd_usage("mrcp", "a word is needed: speak, recognize, record or probe");
    if (word_of(&in.wish.word, argv[optind]))
        return cmd_usage("mrcp", "the word must be speak, recognize, record or probe");
    if (mrcp_env_off()) {
        fprintf(stderr, "ringdown mrcp: switched off by MRCP_ENABLE_SIP_V2=0\n");
        return CMD_FAILED;
    }
    int status = prepare(&in, argc - optind - 1, argv + optind + 1);
    status = status ? status : run(&in);
    mem_free(in.text);
    return status;
}

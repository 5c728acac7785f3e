#include "io/ears.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "io/child.h"

#define PROGRAM       "pocketsphinx_continuous"
#define DICTIONARY    "/usr/share/pocketsphinx/model/en-us/cmudict-en-us.dict"
#define TIMEOUT_MS    5000
#define RATE_HZ       16000 /* of the models */
#define GRAMMAR_BYTES 16384
#define DICT_BYTES    32768
#define MAX_DICT      (64 << 20)
#define WORDS         8 /* of a phrase */
/* Found by trial: of nine phrases spoken by flite all were understood at 16 kHz and six at 8 kHz,
 * none was taken for another, and nothing else for one of them. */
#define FREE_SPEECH "1e-2"
#define EACH_SOUND  "1e-15"
#define MIRROR      0.35
#define NOISE       8 /* what is wholly silent is strange to the models */
/* Around what is heard, in samples: the program has to see it begin and end. */
#define BEFORE (RATE_HZ * 3 / 10)
#define BEHIND (RATE_HZ * 6 / 10)

/* The sounds of English, as the dictionary writes them. */
static const char *const sounds[] = {"AA", "AE", "AH", "AO", "AW", "AY", "B",  "CH", "D",  "DH",
                                     "EH", "ER", "EY", "F",  "G",  "HH", "IH", "IY", "JH", "K",
                                     "L",  "M",  "N",  "NG", "OW", "OY", "P",  "R",  "S",  "SH",
                                     "T",  "TH", "UH", "UW", "V",  "W",  "Y",  "Z",  "ZH"};

struct word {
    char z[EARS_WORD + 1];
    bool known;
};

struct spoken {
    uint8_t word[WORDS];
    uint8_t n;
    bool whole; /* not too long, no strange characters */
};

struct grammar {
    struct word word[EARS_WORDS];
    unsigned n_words;
    struct spoken spoken[BOTLINK_PHRASES];
    unsigned n;
    struct buf dict, text;
    char dict_mem[DICT_BYTES], text_mem[GRAMMAR_BYTES];
};

/* ---- phrases to words ------------------------------------------------------------------------ */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_letter(char c)
{
    return (lower(c) >= 'a' && lower(c) <= 'z') || c == '\'';
}

/* Between words: what has no sound. */
static bool is_gap(char c)
{
    return c == ' ' || c == '-' || c == ',' || c == '.' || c == '!' || c == '?' || c == '\t';
}

static int word_add(struct grammar *g, const char *z)
{
    for (unsigned i = 0; i < g->n_words; i++)
        if (strcmp(g->word[i].z, z) == 0)
            return (int)i;
    if (g->n_words == EARS_WORDS)
        return -ENOSPC;
    memcpy(g->word[g->n_words].z, z, strlen(z) + 1);
    return (int)g->n_words++;
}

/* The next word of *rest, in small letters. 0: there is none; negative: not one of ours. */
static int word_next(struct str *rest, char z[EARS_WORD + 1])
{
    size_t n = 0;
    while (rest->n && is_gap(rest->p[0]))
        *rest = str_from(*rest, 1);
    for (; rest->n && !is_gap(rest->p[0]); *rest = str_from(*rest, 1)) {
        if (!is_letter(rest->p[0]) || n == EARS_WORD)
            return -EINVAL;
        z[n++] = lower(rest->p[0]);
    }
    z[n] = '\0';
    return n > 0;
}

static struct spoken split(struct grammar *g, struct str words)
{
    struct spoken s = {.whole = true};
    char z[EARS_WORD + 1];
    int more;
    while ((more = word_next(&words, z)) > 0) {
        int at = s.n < WORDS ? word_add(g, z) : -ENOSPC;
        if (at < 0) {
            s.whole = false;
            return s;
        }
        s.word[s.n++] = (uint8_t)at;
    }
    s.whole = more == 0 && s.n > 0;
    return s;
}

/* ---- the dictionary -------------------------------------------------------------------------- */

/* A line is a word, with a number in parentheses where it has more than one sound, and its sounds.
 */
static void line_take(struct grammar *g, struct str line)
{
    size_t n = 0;
    while (n < line.n && line.p[n] != ' ' && line.p[n] != '(')
        n++;
    if (n > EARS_WORD)
        return;
    for (unsigned i = 0; i < g->n_words; i++) {
        struct word *w = &g->word[i];
        if (w->z[0] != line.p[0] || strlen(w->z) != n || memcmp(w->z, line.p, n) != 0)
            continue;
        w->known = true;
        buf_str_put(&g->dict, line);
        buf_ch(&g->dict, '\n');
    }
}

static int dict_map(const char *path, struct str *ret)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fstat(fd, &st) ? -errno : 0;
    if (!err && (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > MAX_DICT))
        err = -EINVAL;
    void *p = err ? NULL : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        err = -errno;
    close(fd);
    if (!err)
        *ret = str_of(p, (size_t)st.st_size);
    return err;
}

static int dict_read(struct grammar *g, const char *path)
{
    struct str all = STR_NONE, rest;
    int err = dict_map(path ? path : DICTIONARY, &all);
    if (err)
        return err;
    for (rest = all; rest.n;) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end ? (size_t)(end - rest.p) : rest.n;
        if (n)
            line_take(g, str_sub(rest, 0, n));
        rest = str_from(rest, end ? n + 1 : n);
    }
    munmap((void *)(uintptr_t)all.p, all.n);
    return 0;
}

static int grammar_new(struct grammar **ret, const struct ears_request *q)
{
    struct grammar *g = mem_zero(sizeof(*g));
    if (!g)
        return -ENOMEM;
    buf_init(&g->dict, g->dict_mem, sizeof(g->dict_mem));
    buf_init(&g->text, g->text_mem, sizeof(g->text_mem));
    g->n = q->n_phrases < BOTLINK_PHRASES ? q->n_phrases : BOTLINK_PHRASES;
    for (unsigned i = 0; i < g->n; i++)
        g->spoken[i] = split(g, q->phrase[i].words);
    int err = dict_read(g, q->dictionary);
    if (err)
        mem_free(g);
    else
        *ret = g;
    return err;
}

/* Where child_run() looks for it. */
static bool is_in_path(const char *program)
{
    static const char *const folder[] = {"/usr/local/bin", "/usr/bin", "/bin"};
    if (strchr(program, '/'))
        return access(program, X_OK) == 0;
    for (unsigned i = 0; i < ARRAY_LEN(folder); i++) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", folder[i], program);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

int ears_installed(const struct ears_request *q)
{
    bool words = access(q->dictionary ? q->dictionary : DICTIONARY, R_OK) == 0;
    return words && is_in_path(q->program ? q->program : PROGRAM) ? 0 : -ENOENT;
}

static const char *unknown_in(const struct grammar *g, const struct spoken *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!g->word[s->word[i]].known)
            return g->word[s->word[i]].z;
    return s->whole ? NULL : "";
}

int ears_check(const struct ears_request *q, ears_lack_fn lacks, void *ctx)
{
    struct grammar *g;
    int err = grammar_new(&g, q);
    if (err)
        return err;
    for (unsigned i = 0; i < g->n; i++) {
        const char *word = unknown_in(g, &g->spoken[i]);
        if (word)
            lacks(ctx, i, word);
    }
    mem_free(g);
    return 0;
}

/* ---- the grammar (JSGF) ---------------------------------------------------------------------- */

static void spoken_put(struct buf *b, const struct grammar *g, const struct spoken *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (i)
            buf_ch(b, ' ');
        buf_z(b, g->word[s->word[i]].z);
    }
}

static bool is_known(const struct grammar *g, const struct spoken *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (!g->word[s->word[i]].known)
            return false;
    return s->whole;
}

/* Each sound alone is a word, too: "_AA". */
static int grammar_write(struct grammar *g)
{
    bool any = false;
    buf_lit(&g->text, "#JSGF V1.0;\ngrammar menu;\npublic <all> = /1/ (");
    for (unsigned i = 0; i < g->n; i++) {
        if (!is_known(g, &g->spoken[i]))
            continue;
        buf_z(&g->text, any ? " | " : " ");
        spoken_put(&g->text, g, &g->spoken[i]);
        any = true;
    }
    buf_lit(&g->text, " ) | /" FREE_SPEECH "/ <free>;\n<free> = (");
    for (unsigned i = 0; i < ARRAY_LEN(sounds); i++) {
        buf_printf(&g->text, "%s /" EACH_SOUND "/ _%s", i ? " |" : "", sounds[i]);
        buf_printf(&g->dict, "_%s %s\n", sounds[i], sounds[i]);
    }
    buf_lit(&g->text, " )+;\n");
    if (!any)
        return -EINVAL;
    return g->text.full || g->dict.full ? -EMSGSIZE : 0;
}

/* ---- sound ----------------------------------------------------------------------------------- */

static int16_t clip(double v, uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    v += (int)(*seed >> 16) % (2 * NOISE + 1) - NOISE;
    return (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}

/* Outside it is silent. */
static double sample_at(const struct ears_request *q, int64_t i)
{
    return i >= 0 && i < q->n ? q->sample[i] : 0;
}

/* Of twice the rate: between two samples is what a polynomial through the eight around has there.
 * The mirror image is every second sample a little larger than the rest. */
static double wide_at(const struct ears_request *q, int64_t i)
{
    static const int tap[8] = {-5, 49, -245, 1225, 1225, -245, 49, -5};
    double between = 0;
    if (i % 2 == 0)
        return sample_at(q, i / 2) * (1 + MIRROR);
    for (int k = 0; k < 8; k++)
        between += tap[k] * sample_at(q, i / 2 - 3 + k);
    return between / 2048 * (1 - MIRROR);
}

static void sound_fill(const struct ears_request *q, int16_t *out, uint32_t n)
{
    uint32_t seed = 1;
    bool wide = q->rate_hz == RATE_HZ;
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = (int64_t)i - BEFORE;
        out[i] = clip(at < 0 ? 0 : wide ? sample_at(q, at) : wide_at(q, at), &seed);
    }
}

/* ---- the program ----------------------------------------------------------------------------- */

enum { FD_SOUND, FD_GRAMMAR, FD_DICT, FD_OUT, FDS };

static int write_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n) {
        ssize_t w = write(fd, at, n);
        if (w < 0)
            return -errno;
        at += w;
        n -= (size_t)w;
    }
    return 0;
}

static int sound_write(int fd, const struct ears_request *q)
{
    uint32_t most = EARS_MAX_S * q->rate_hz, n = q->n < most ? q->n : most;
    n = BEFORE + n * (RATE_HZ / q->rate_hz) + BEHIND;
    int16_t *out = mem_alloc(n * sizeof(*out));
    if (!out)
        return -ENOMEM;
    sound_fill(q, out, n);
    int err = write_all(fd, out, n * sizeof(*out));
    mem_free(out);
    return err;
}

static int run(const struct ears_request *q, const int fd[FDS])
{
    char name[128], infile[] = "-infile", sound[] = "/proc/self/fd/3", jsgf[] = "-jsgf",
                    grammar[] = "/proc/self/fd/4", dict[] = "-dict", words[] = "/proc/self/fd/5",
                    log[] = "-logfn", null[] = "/dev/null";
    str_copy_z(name, sizeof(name), str_z(q->program ? q->program : PROGRAM));
    char *const argv[] = {name, infile, sound, jsgf, grammar, dict, words, log, null, NULL};
    struct child_request c = {.argv = argv,
                              .fd = {fd[FD_SOUND], fd[FD_GRAMMAR], fd[FD_DICT]},
                              .n_fds = 3,
                              .out = fd[FD_OUT],
                              .timeout_ms = q->timeout_ms ? q->timeout_ms : TIMEOUT_MS,
                              .cancel_fd = q->cancel_fd};
    return child_run(&c);
}

/* ---- what it has understood ------------------------------------------------------------------ */

static int phrase_of(const struct grammar *g, struct str line)
{
    char mem[EARS_PHRASE];
    for (unsigned i = 0; i < g->n; i++) {
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        spoken_put(&b, g, &g->spoken[i]);
        if (g->spoken[i].whole && !b.full && str_eq(buf_str(&b), line))
            return (int)i;
    }
    return -1;
}

/* A line for each part between pauses. Two phrases are as good as none. */
static int understand(const struct grammar *g, struct str text)
{
    int found = -1;
    while (text.n) {
        ptrdiff_t end = str_ifind(text, STR("\n"));
        struct str line = end < 0 ? text : str_sub(text, 0, (size_t)end);
        text = str_from(text, end < 0 ? text.n : (size_t)end + 1);
        int at = phrase_of(g, line);
        if (at >= 0 && found >= 0 && at != found)
            return -1;
        found = at >= 0 ? at : found;
    }
    return found;
}

static int answer_read(int fd, const struct grammar *g, int *ret)
{
    char text[2048];
    ssize_t n = pread(fd, text, sizeof(text), 0);
    if (n < 0)
        return -errno;
    *ret = understand(g, str_of(text, (size_t)n));
    return 0;
}

static int files_open(int fd[FDS])
{
    for (unsigned i = 0; i < FDS; i++) {
        fd[i] = memfd_create("ringdown-ears", MFD_CLOEXEC);
        if (fd[i] < 0)
            return -errno;
    }
    return 0;
}

/* Nothing of it is ever on a disk. */
static int listen_in(const struct ears_request *q, struct grammar *g, int *ret)
{
    int fd[FDS] = {-1, -1, -1, -1};
    int err = files_open(fd);
    err = err ? err : sound_write(fd[FD_SOUND], q);
    err = err ? err : write_all(fd[FD_GRAMMAR], g->text.p, g->text.n);
    err = err ? err : write_all(fd[FD_DICT], g->dict.p, g->dict.n);
    err = err ? err : run(q, fd);
    err = err ? err : answer_read(fd[FD_OUT], g, ret);
    for (unsigned i = 0; i < FDS; i++)
        if (fd[i] >= 0)
            close(fd[i]);
    return err;
}

int ears_listen(const struct ears_request *q, int *ret)
{
    struct grammar *g;
    if (q->rate_hz != RATE_HZ && q->rate_hz * 2 != RATE_HZ)
        return -EINVAL;
    int err = grammar_new(&g, q);
    if (err)
        return err;
    err = grammar_write(g);
    err = err ? err : listen_in(q, g, ret);
    mem_free(g);
    return err;
}

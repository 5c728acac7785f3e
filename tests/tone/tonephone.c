/* tonephone: test phones that send tones and say what they hear. Commands are lines on standard
 * input, each answered by one line of JSON, {"error": "..."} if it failed. Times are milliseconds
 * since the program began; those below zero count back from now. ADDR is 127.0.0.1:30000, a FORMAT
 * is CODEC/CLOCK such as PCMU/8000.
 *
 *   now                                       the time
 *   open ID ADDR                              a phone at this address; it hears, and says nothing
 *   close ID
 *   send ID ADDR FORMAT PT PTIME HZ [LEVEL]   it speaks: a tone, without end
 *   stop ID | mute ID 0|1 | tone ID HZ        no packets; packets of silence; another tone
 *   burst ID HZ [PERIOD]                      20 ms of HZ in place of the tone each PERIOD ms; 0:
 * no event ID PT | dtmf ID DIGITS              keys as RFC 4733 has them heard ID FROM TO HZ... how
 * loud each frequency was, in windows of 40 ms delay ID OTHER FROM TO                    from when
 * OTHER sent a burst until ID heard it, ms stats ID                                  what is odd
 * about the packets that came wav ID FILE                               all that was heard file
 * FILE CHANNEL BURST_HZ HZ...          levels and bursts of a file that somebody else wrote quit */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/mem.h"
#include "base/num.h"
#include "tone/phone.h"
#include "wire/rtp/event.h"

#define MAX_PHONES  128
#define MAX_WORDS   (DSP_MAX_TONES + 8)
#define MAX_LINE    4096
#define MAX_ONSETS  1024
#define MAX_LATE_MS 500 /* a voice that hangs so long goes on from now */

struct bench {
    struct phone phone[MAX_PHONES];
    usec_t began, due;
    char line[MAX_LINE];
    size_t n;
    bool over;
};

struct words {
    char *w[MAX_WORDS];
    unsigned n;
};

/* ---- what is written ------------------------------------------------------------------------- */

static void error(const char *why)
{
    printf("{\"error\": \"%s\"}\n", why);
}

static void ok(int err)
{
    if (err)
        printf("{\"error\": \"errno %d\"}\n", -err);
    else
        printf("{\"ok\": true}\n");
}

static double ms_of(const struct bench *b, usec_t t)
{
    return t ? ((double)t - (double)b->began) / 1000 : -1;
}

static void put_report(const struct dsp_report *r)
{
    printf("\"windows\": %u, \"rms\": %.5f, \"noise\": %.4f, \"rough_ms\": %u, \"step\": %.4f, "
           "\"tones\": {",
           r->windows, r->rms, r->noise, r->rough_ms, r->step);
    for (unsigned i = 0; i < r->n_tones; i++)
        printf("%s\"%.0f\": {\"median\": %.5f, \"max\": %.5f, \"run_ms\": %u}", i ? ", " : "",
               r->tone[i].hz, r->tone[i].median, r->tone[i].max, r->tone[i].run_ms);
    printf("}");
}

/* ---- what is read ---------------------------------------------------------------------------- */

static double number(const char *text)
{
    return strtod(text, NULL);
}

static struct phone *find(struct bench *b, const char *id)
{
    for (unsigned i = 0; i < MAX_PHONES; i++)
        if (b->phone[i].id[0] && strcmp(b->phone[i].id, id) == 0)
            return &b->phone[i];
    return NULL;
}

static bool get_address(struct phone_to *ret, const char *text)
{
    struct addr a;
    if (addr_parse_port(&a, str_z(text)) || a.family != ADDR_V4)
        return false;
    ret->ip =
        htonl((uint32_t)a.ip[0] << 24 | (uint32_t)a.ip[1] << 16 | (uint32_t)a.ip[2] << 8 | a.ip[3]);
    ret->port = htons(a.port);
    return true;
}

static bool get_format(struct media_format *ret, char *text, const char *pt)
{
    char *slash = strchr(text, '/');
    if (!slash)
        return false;
    uint32_t clock_hz = (uint32_t)number(slash + 1);
    enum codec_id codec = codec_find(str_of(text, (size_t)(slash - text)), clock_hz);
    *ret = (struct media_format){
        .codec = (uint8_t)codec, .pt = (uint8_t)number(pt), .clock_hz = clock_hz};
    return codec != CODEC_NONE;
}

static usec_t get_time(const struct bench *b, const char *text)
{
    double ms = number(text);
    usec_t from = ms < 0 ? phone_now() : b->began;
    return (usec_t)((double)from + ms * 1000);
}

static void get_tones(struct dsp_report *r, const struct words *w, unsigned first)
{
    for (unsigned i = first; i < w->n && r->n_tones < DSP_MAX_TONES; i++)
        r->tone[r->n_tones++].hz = number(w->w[i]);
}

/* ---- commands -------------------------------------------------------------------------------- */

static void cmd_now(struct bench *b, struct phone *p, struct words *w)
{
    printf("{\"ms\": %.3f}\n", ms_of(b, phone_now()));
}

static void cmd_quit(struct bench *b, struct phone *p, struct words *w)
{
    b->over = true;
    ok(0);
}

static void cmd_open(struct bench *b, struct phone *p, struct words *w)
{
    struct phone_to at;
    struct phone *free_one = NULL;
    for (unsigned i = 0; i < MAX_PHONES && !free_one; i++)
        free_one = b->phone[i].id[0] ? NULL : &b->phone[i];
    if (find(b, w->w[1]) || !free_one)
        error("no room");
    else if (!get_address(&at, w->w[2]))
        error("what address?");
    else
        ok(phone_open(free_one, w->w[1], at,
                      0x10000000u + (uint32_t)(free_one - b->phone) * 0x01234567u));
}

static void cmd_close(struct bench *b, struct phone *p, struct words *w)
{
    phone_close(p);
    ok(0);
}

static void cmd_send(struct bench *b, struct phone *p, struct words *w)
{
    struct phone_to to;
    struct media_format f;
    if (!get_address(&to, w->w[2])) {
        error("what address?");
        return;
    }
    if (!get_format(&f, w->w[3], w->w[4])) {
        error("what format?");
        return;
    }
    p->hz = number(w->w[6]);
    p->level = w->n > 7 ? number(w->w[7]) : DSP_LOUD;
    ok(phone_send(p, to, &f, (unsigned)number(w->w[5])));
}

static void cmd_stop(struct bench *b, struct phone *p, struct words *w)
{
    p->sending = false;
    egress_pause(&p->egress);
    ok(0);
}

static void cmd_mute(struct bench *b, struct phone *p, struct words *w)
{
    p->muted = w->w[2][0] != '0';
    ok(0);
}

static void cmd_tone(struct bench *b, struct phone *p, struct words *w)
{
    p->hz = number(w->w[2]);
    ok(0);
}

static void cmd_burst(struct bench *b, struct phone *p, struct words *w)
{
    p->burst_hz = number(w->w[2]);
    p->period_ms = w->n > 3 ? (unsigned)number(w->w[3]) : PHONE_PERIOD_MS;
    if (p->period_ms < 2 * PHONE_BURST_MS)
        p->period_ms = PHONE_PERIOD_MS;
    p->n_bursts = 0;
    ok(0);
}

static void cmd_event(struct bench *b, struct phone *p, struct words *w)
{
    p->event_pt = p->ear.event_pt = (uint8_t)number(w->w[2]);
    ok(0);
}

static void cmd_dtmf(struct bench *b, struct phone *p, struct words *w)
{
    size_t n = strlen(w->w[2]);
    bool known = p->event_pt && n <= EAR_MAX_DIGITS;
    for (size_t i = 0; i < n; i++)
        known = known && rtp_event_of_char(w->w[2][i]) >= 0;
    if (!known) {
        error("no such keys");
        return;
    }
    p->keys = (struct phone_keys){0};
    for (size_t i = 0; i < n; i++)
        p->keys.digit[i] = w->w[2][i];
    ok(0);
}

static void cmd_heard(struct bench *b, struct phone *p, struct words *w)
{
    struct dsp_report r = {0};
    size_t first;
    get_tones(&r, w, 4);
    usec_t from = get_time(b, w->w[2]), to = get_time(b, w->w[3]);
    struct dsp_sound s = ear_between(&p->ear, from, to, &first);
    if (dsp_report(&r, &s)) {
        error("no memory");
        return;
    }
    printf("{\"ms\": %.1f, \"packets\": %zu, ", (double)s.n * 1000 / s.rate_hz,
           ear_count(&p->ear, from, to));
    put_report(&r);
    printf("}\n");
}

static void cmd_delay(struct bench *b, struct phone *p, struct words *w)
{
    const struct phone *other = find(b, w->w[2]);
    size_t at[MAX_ONSETS], first, n = 0;
    if (!other) {
        error("who?");
        return;
    }
    struct dsp_sound s = ear_between(&p->ear, get_time(b, w->w[3]), get_time(b, w->w[4]), &first);
    if (s.n)
        n = dsp_onsets(at, MAX_ONSETS, &s, other->burst_hz, PHONE_BURST_MS);
    printf("{\"delays\": [");
    unsigned put = 0;
    for (size_t i = 0; i < n; i++) {
        /* An onset found a little too early may lie in the packet before its own. */
        usec_t heard = ear_time_of(&p->ear, first + at[i] + s.rate_hz / 1000) - USEC_MS;
        usec_t sent = phone_burst_before(other, heard + 2 * USEC_MS);
        if (sent)
            printf("%s%.2f", put++ ? ", " : "", ((double)heard - (double)sent) / 1000);
    }
    printf("], \"sent\": %u}\n", other->n_bursts);
}

static void cmd_bursts(struct bench *b, struct phone *p, struct words *w)
{
    printf("{\"sent\": [");
    for (unsigned i = 0; i < p->n_bursts && i < PHONE_MAX_BURSTS; i++)
        printf("%s%.2f", i ? ", " : "", ms_of(b, p->burst_at[i]));
    printf("]}\n");
}

static void cmd_stats(struct bench *b, struct phone *p, struct words *w)
{
    const struct ear_stats *s = &p->ear.stats;
    printf("{\"packets\": %u, \"lost\": %u, \"late\": %u, \"ssrcs\": %u, \"ts_jumps\": %u, "
           "\"overlaps\": %u, \"ts_back\": %u, \"markers\": %u, \"unknown\": %u, \"broken\": %u, "
           "\"sources\": %u, "
           "\"gap_ms\": %.1f, \"last_ms\": %.1f, \"digits\": \"%s\", \"sent\": %llu}\n",
           s->packets, s->lost, s->late, s->ssrcs, s->ts_jumps, s->overlaps, s->ts_back, s->markers,
           s->unknown, s->broken, s->sources, (double)s->longest_gap / 1000, ms_of(b, p->ear.at),
           p->ear.digit, (unsigned long long)p->packets);
}

static void cmd_wav(struct bench *b, struct phone *p, struct words *w)
{
    size_t first;
    struct dsp_sound s = ear_between(&p->ear, 0, USEC_NEVER, &first);
    ok(dsp_wav_write(w->w[2], &s));
}

static void cmd_file(struct bench *b, struct phone *p, struct words *w)
{
    struct dsp_report r = {0};
    struct dsp_sound s;
    unsigned channels;
    size_t at[MAX_ONSETS];
    int err = dsp_wav_read(w->w[1], (unsigned)number(w->w[2]), &s, &channels);
    if (err) {
        ok(err);
        return;
    }
    get_tones(&r, w, 4);
    err = dsp_report(&r, &s);
    size_t n = dsp_onsets(at, MAX_ONSETS, &s, number(w->w[3]), PHONE_BURST_MS);
    printf("{\"channels\": %u, \"rate\": %u, \"ms\": %.1f, \"onsets\": [", channels, s.rate_hz,
           (double)s.n * 1000 / s.rate_hz);
    for (size_t i = 0; i < n; i++)
        printf("%s%.2f", i ? ", " : "", (double)at[i] * 1000 / s.rate_hz);
    printf("], ");
    put_report(&r);
    printf("}\n");
    mem_free(s.pcm);
}

static const struct command {
    const char *name;
    unsigned words; /* at least, the name counted */
    bool of_phone;  /* the first word after it is a phone */
    void (*run)(struct bench *b, struct phone *p, struct words *w);
} commands[] = {
    {"now", 1, false, cmd_now},      {"quit", 1, false, cmd_quit},  {"open", 3, false, cmd_open},
    {"close", 2, true, cmd_close},   {"send", 7, true, cmd_send},   {"stop", 2, true, cmd_stop},
    {"mute", 3, true, cmd_mute},     {"tone", 3, true, cmd_tone},   {"burst", 3, true, cmd_burst},
    {"event", 3, true, cmd_event},   {"dtmf", 3, true, cmd_dtmf},   {"heard", 4, true, cmd_heard},
    {"delay", 5, true, cmd_delay},   {"stats", 2, true, cmd_stats}, {"wav", 3, true, cmd_wav},
    {"bursts", 2, true, cmd_bursts}, {"file", 4, false, cmd_file},
};

static void obey(struct bench *b, char *line)
{
    struct words w = {.n = 0};
    char *rest = NULL;
    for (char *t = strtok_r(line, " \r", &rest); t && w.n < MAX_WORDS;
         t = strtok_r(NULL, " \r", &rest))
        w.w[w.n++] = t;
    for (size_t i = 0; w.n && i < sizeof(commands) / sizeof(commands[0]); i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->name, w.w[0]) != 0)
            continue;
        struct phone *p = c->of_phone && w.n > 1 ? find(b, w.w[1]) : NULL;
        if (w.n < c->words)
            error("too few words");
        else if (c->of_phone && !p)
            error("no such phone");
        else
            c->run(b, p, &w);
        return;
    }
    error("no such command");
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void listen_to_lines(struct bench *b)
{
    ssize_t n = read(STDIN_FILENO, b->line + b->n, sizeof(b->line) - b->n);
    if (n <= 0) {
        b->over = true;
        return;
    }
    b->n += (size_t)n;
    char *end;
    while (!b->over && (end = memchr(b->line, '\n', b->n))) {
        *end = 0;
        size_t used = (size_t)(end - b->line) + 1;
        obey(b, b->line);
        b->n -= used;
        memmove(b->line, b->line + used, b->n);
    }
    (void)fflush(stdout);
    b->over = b->over || b->n == sizeof(b->line);
}

static void ticks(struct bench *b)
{
    usec_t now = phone_now();
    if (now > b->due + MAX_LATE_MS * USEC_MS)
        b->due = now;
    for (; b->due <= now; b->due += PHONE_TICK_MS * USEC_MS)
        for (unsigned i = 0; i < MAX_PHONES; i++)
            if (b->phone[i].id[0])
                phone_tick(&b->phone[i]);
}

static void turn(struct bench *b)
{
    struct pollfd fds[MAX_PHONES + 1] = {{.fd = STDIN_FILENO, .events = POLLIN}};
    struct phone *whose[MAX_PHONES + 1];
    unsigned n = 1;
    for (unsigned i = 0; i < MAX_PHONES; i++)
        if (b->phone[i].id[0]) {
            whose[n] = &b->phone[i];
            fds[n++] = (struct pollfd){.fd = b->phone[i].fd, .events = POLLIN};
        }
    usec_t now = phone_now(), wait = b->due > now ? b->due - now : 0;
    struct timespec t = {.tv_sec = (time_t)(wait / USEC_S),
                         .tv_nsec = (long)(wait % USEC_S) * 1000};
    int got = ppoll(fds, n, &t, NULL);
    ticks(b);
    for (unsigned i = 1; got > 0 && i < n; i++)
        if (fds[i].revents)
            phone_rx(whose[i]);
    if (got > 0 && fds[0].revents)
        listen_to_lines(b);
}

int main(void)
{
    struct bench *b = mem_zero(sizeof(*b));
    if (!b)
        return 1;
    b->began = b->due = phone_now();
    while (!b->over)
        turn(b);
    for (unsigned i = 0; i < MAX_PHONES; i++)
        if (b->phone[i].id[0])
            phone_close(&b->phone[i]);
    mem_free(b);
    return 0;
}

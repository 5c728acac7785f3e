/* `ringdown analyze --wav`: who said what, each in a file of their own. */
#include <errno.h>
#include <stdio.h>

#include "app/analyze_sound.h"
#include "base/mem.h"
#include "io/fs.h"
#include "io/wav.h"

#define PATH_BYTES 4096
/* A call that seems longer has frames whose times are wrong, and silence for years helps nobody. */
#define LONGEST_NS (UINT64_C(24) * 3600 * 1000000000)

struct files {
    struct wav *wav[AN_AUDIO_MAX_TRACKS + 1];
};

/* Only what is harmless in the name of a file. */
static void put_safe(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n && i < 40; i++) {
        char c = s.p[i], lower = chr_lower(c);
        bool plain =
            (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || c == '-' || c == '+';
        buf_ch(b, plain ? c : '_');
    }
}

/* "DIR/call-3-2-1427.wav", and "DIR/call-3-mix.wav" for all. */
static int file_open(struct analyze *a, struct sound *s, uint32_t i, char *path)
{
    struct files *files = s->user;
    struct buf b;
    buf_init(&b, path, PATH_BYTES);
    buf_printf(&b, "%s/call-%u-", a->opt.wav, s->call + 1);
    if (i < s->plan.n_tracks) {
        buf_printf(&b, "%u-", i + 1);
        put_safe(&b, str_z(s->plan.track[i].name));
    } else {
        buf_lit(&b, "mix");
    }
    buf_lit(&b, ".wav");
    buf_ch(&b, 0);
    return b.full ? -ENAMETOOLONG : wav_open(&files->wav[i], path, s->plan.rate_hz, 1);
}

static int put(struct sound *s, int16_t *const *samples, unsigned n)
{
    struct files *files = s->user;
    int err = 0;
    for (uint32_t i = 0; i <= s->plan.n_tracks && !err; i++)
        err = wav_write(files->wav[i], samples[i], n);
    return err;
}

static int write_files(struct analyze *a, struct sound *s, char *path)
{
    struct files *files = s->user;
    int err = fs_mkdirs(a->opt.wav);
    for (uint32_t i = 0; i <= s->plan.n_tracks && !err; i++)
        err = file_open(a, s, i, path);
    if (!err)
        err = analyze_sound(a, s, 1);
    for (uint32_t i = 0; i <= s->plan.n_tracks; i++) {
        int closed = wav_close(files->wav[i]);
        err = err ? err : closed;
    }
    return err;
}

/* What is wrong with its sound, or NULL. */
static const char *plan_check(const struct an_plan *plan)
{
    if (!plan->n_tracks)
        return "has no sound";
    return plan->to_ns - plan->from_ns > LONGEST_NS ? "would sound for more than a day" : NULL;
}

int analyze_wav(struct analyze *a, const struct an_report *r)
{
    struct sound *s = mem_zero(sizeof(*s));
    struct files files = {0};
    char *path = mem_alloc(PATH_BYTES);
    int err = s && path ? 0 : -ENOMEM;
    if (!err) {
        path[0] = 0;
        *s = (struct sound){.call = a->opt.call - 1, .take = put, .user = &files};
        an_audio_plan(r->engine, s->call, &s->plan);
        const char *problem = plan_check(&s->plan);
        if (problem) {
            fprintf(stderr, "ringdown analyze: call %u %s\n", a->opt.call, problem);
            a->failed = true;
            err = -ENODATA;
        } else {
            err = write_files(a, s, path);
            if (err)
                analyze_fail(a, path[0] ? path : a->opt.wav, err);
        }
    }
    mem_free(path);
    mem_free(s);
    return err;
}

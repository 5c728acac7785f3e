#include "io/speech.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "io/child.h"
#include "io/snd_priv.h"

#define PROGRAM    "espeak-ng"
#define TIMEOUT_MS 10000
#define WORDS_MIN  "150" /* words a minute */
#define MAX_BYTES  (UINT64_C(64) << 20)

const char *speech_lang_name(enum speech_lang lang)
{
    static const char *const name[SPEECH_LANGS] = {[SPEECH_EN] = "en", [SPEECH_KO] = "ko"};
    return name[lang];
}

static int check_sound(const char *path)
{
    struct snd_file f;
    if (snd_open(&f, path, MAX_BYTES))
        return -EPROTO;
    bool empty = f.info.frames <= 0;
    snd_close(&f);
    return empty ? -EPROTO : 0;
}

static int speak(const struct speech_request *q, const char *tmp)
{
    char text[SPEECH_TEXT_MAX + 1], voice[8], out[PATH_MAX], program[PATH_MAX];
    char v[] = "-v", s[] = "-s", rate[] = WORDS_MIN, w[] = "-w", end[] = "--";
    str_copy_z(text, sizeof(text), q->text);
    str_copy_z(voice, sizeof(voice), str_z(speech_lang_name(q->lang)));
    str_copy_z(out, sizeof(out), str_z(tmp));
    str_copy_z(program, sizeof(program), str_z(q->program ? q->program : PROGRAM));
    char *const argv[] = {program, v, voice, s, rate, w, out, end, text, NULL};
    struct child_request run = {.argv = argv,
                                .out = -1,
                                .timeout_ms = q->timeout_ms ? q->timeout_ms : TIMEOUT_MS,
                                .cancel_fd = q->cancel_fd};
    int err = child_run(&run);
    if (!err)
        err = check_sound(tmp);
    if (!err && rename(tmp, q->path))
        err = -errno;
    return err;
}

static void explain(char note[SPEECH_NOTE_MAX], const struct speech_request *q, int err)
{
    const char *program = q->program ? q->program : PROGRAM, *why = strerrordesc_np(-err);
    if (err == -ENOENT)
        why = "it is not installed";
    else if (err == -EPROTO)
        why = "it made no sound file";
    else if (err == -ETIMEDOUT)
        why = "it took too long and was killed";
    snprintf(note, SPEECH_NOTE_MAX, "%s cannot speak: %s", program, why ? why : "unknown error");
}

int speech_say(const struct speech_request *q, char note[SPEECH_NOTE_MAX])
{
    char tmp[PATH_MAX];
    struct buf b;
    note[0] = '\0';
    buf_init(&b, tmp, sizeof(tmp) - 1);
    buf_printf(&b, "%s.%ld.tmp", q->path, (long)getpid());
    tmp[b.n] = '\0';
    int err = 0;
    if (q->text.n == 0 || q->text.n > SPEECH_TEXT_MAX || memchr(q->text.p, '\0', q->text.n))
        err = -EINVAL;
    else if (b.full)
        err = -ENAMETOOLONG;
    if (!err) {
        unlink(tmp);
        err = speak(q, tmp);
        if (err)
            unlink(tmp);
    }
    if (err)
        explain(note, q, err);
    return err;
}

#include "io/speech.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
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

/* Nothing of ours but the standard descriptors, which lead nowhere. */
static int actions_fill(posix_spawn_file_actions_t *a)
{
    int err = posix_spawn_file_actions_addopen(a, 0, "/dev/null", O_RDONLY, 0);
    if (!err)
        err = posix_spawn_file_actions_addopen(a, 1, "/dev/null", O_WRONLY, 0);
    if (!err)
        err = posix_spawn_file_actions_addopen(a, 2, "/dev/null", O_WRONLY, 0);
    if (!err)
        err = posix_spawn_file_actions_addclosefrom_np(a, 3);
    return err;
}

/* A group of its own, to be killed as one; signals as a program expects them. */
static int attr_fill(posix_spawnattr_t *at)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int err = posix_spawnattr_setsigmask(at, &none);
    if (!err)
        err = posix_spawnattr_setsigdefault(at, &all);
    if (!err)
        err = posix_spawnattr_setpgroup(at, 0);
    if (!err)
        err = posix_spawnattr_setflags(at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                               POSIX_SPAWN_SETPGROUP);
    return err;
}

static int start(pid_t *pid, char *const argv[])
{
    char path[] = "PATH=/usr/local/bin:/usr/bin:/bin", lang[] = "LANG=C.UTF-8";
    char *const env[] = {path, lang, NULL};
    posix_spawn_file_actions_t a;
    posix_spawnattr_t at;
    int err = posix_spawn_file_actions_init(&a);
    if (err)
        return -err;
    err = posix_spawnattr_init(&at);
    if (!err) {
        err = actions_fill(&a);
        if (!err)
            err = attr_fill(&at);
        if (!err)
            err = posix_spawnp(pid, argv[0], &a, &at, argv, env);
        posix_spawnattr_destroy(&at);
    }
    posix_spawn_file_actions_destroy(&a);
    return -err;
}

static int reap(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPROTO;
}

/* In any case the program and what it started are gone afterwards. */
static int wait_for(pid_t pid, const struct speech_request *q)
{
    int err = 0, fd = pidfd_open(pid, 0);
    if (fd < 0)
        err = -errno;
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = q->cancel_fd, .events = POLLIN}};
    /* A signal ends it early; the threads that call this have them blocked. */
    int n = err ? 0 : poll(p, 2, q->timeout_ms ? (int)q->timeout_ms : TIMEOUT_MS);
    if (!err && !(p[0].revents))
        err = n < 0 ? -errno : n == 0 ? -ETIMEDOUT : -ECANCELED;
    if (err)
        kill(-pid, SIGKILL);
    int ended = reap(pid);
    if (fd >= 0)
        close(fd);
    return err ? err : ended;
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
    pid_t pid;
    str_copy_z(text, sizeof(text), q->text);
    str_copy_z(voice, sizeof(voice), str_z(speech_lang_name(q->lang)));
    str_copy_z(out, sizeof(out), str_z(tmp));
    str_copy_z(program, sizeof(program), str_z(q->program ? q->program : PROGRAM));
    char *const argv[] = {program, v, voice, s, rate, w, out, end, text, NULL};
    int err = start(&pid, argv);
    if (!err)
        err = wait_for(pid, q);
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

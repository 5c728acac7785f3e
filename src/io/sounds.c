#include "io/sounds.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "io/fs.h"

struct job {
    struct job *next;
    char name[SOUNDS_NAME_MAX + 1];
    enum speech_lang lang;
    bool by_path;
    bool look;                      /* only for what nobody asks for */
    char path[PATH_MAX];            /* without an extension; by_path */
    char text[SPEECH_TEXT_MAX + 1]; /* "": it is in the list */
    struct sound_result result;
    char trouble[PATH_MAX]; /* "": none */
};

struct job_list {
    struct job *first, **end;
};

struct sounds {
    struct loop *loop;
    struct sounds_config cfg;
    char *dir, *cache, *program;
    struct loop_async async;
    uint32_t waiting; /* requests not yet answered; the loop's thread */
    int cancel_fd;    /* readable at the end */
    uv_thread_t thread;
    /* Both, under the lock. */
    uv_mutex_t lock;
    uv_cond_t work;
    struct job_list todo, finished;
    bool stop;
    /* The worker's: why it cannot speak, and until when it does not try again. */
    int silent_err;
    uint64_t silent_until_ns;
};

static void jobs_init(struct job_list *l)
{
    l->first = NULL;
    l->end = &l->first;
}

static void jobs_put(struct job_list *l, struct job *j)
{
    j->next = NULL;
    *l->end = j;
    l->end = &j->next;
}

static struct job *jobs_take(struct job_list *l)
{
    struct job *j = l->first;
    if (!j)
        return NULL;
    l->first = j->next;
    if (!l->first)
        l->end = &l->first;
    return j;
}

static void jobs_free(struct job_list *l)
{
    for (struct job *j; (j = jobs_take(l));) {
        mem_free(j->result.sound);
        mem_free(j);
    }
}

/* ---- the worker ------------------------------------------------------------------------------ */

static int path_of(char path[PATH_MAX], const char *dir, const struct job *j, const char *ext)
{
    struct buf b;
    buf_init(&b, path, PATH_MAX - 1);
    buf_printf(&b, "%s/%s/%s%s", dir, speech_lang_name(j->lang), j->name, ext);
    path[b.n] = '\0';
    return b.full ? -ENAMETOOLONG : 0;
}

static const char *const ext[] = {".wav", ".flac", ".ogg", ".opus"};

static int by_path(struct sounds *s, struct job *j)
{
    size_t n = strlen(j->path);
    int err = -ENOENT;
    for (size_t i = 0; err == -ENOENT && i < ARRAY_LEN(ext); i++) {
        str_copy_z(j->path + n, sizeof(j->path) - n, str_z(ext[i]));
        err = sndread_load(&j->result.sound, j->path, &s->cfg.limits);
    }
    return err;
}

/* -ENOENT: there is no file of the user's that can be used. */
static int user_file(struct sounds *s, struct job *j)
{
    char path[PATH_MAX];
    for (size_t i = 0; s->dir && i < ARRAY_LEN(ext); i++) {
        int err = path_of(path, s->dir, j, ext[i]);
        if (!err)
            err = sndread_load(&j->result.sound, path, &s->cfg.limits);
        if (!err)
            return 0;
        if (err == -ENOENT)
            continue;
        struct buf b;
        char why[96];
        sndread_why(why, sizeof(why), err);
        buf_init(&b, j->trouble, sizeof(j->trouble) - 1);
        buf_printf(&b, "%s cannot be used: %s", path, why);
        j->trouble[b.n] = '\0';
    }
    return -ENOENT;
}

static struct str text_of(const struct sounds *s, const struct job *j)
{
    if (j->text[0])
        return str_z(j->text);
    for (unsigned i = 0; i < s->cfg.text_n; i++)
        if (strcmp(s->cfg.text[i].name, j->name) == 0)
            return str_z(j->lang == SPEECH_KO ? s->cfg.text[i].ko : s->cfg.text[i].en);
    return STR_NONE;
}

/* Beside the sound lies the text that was spoken: when that is another one now, it is old. */
static bool cache_fresh(const char *text_path, struct str text)
{
    char *was;
    size_t n;
    if (fs_read(text_path, SPEECH_TEXT_MAX, &was, &n))
        return false;
    bool same = str_eq(str_of(was, n), text);
    mem_free(was);
    return same;
}

/* A failure is told once, until speech works again. */
static void speech_failed(struct sounds *s, struct job *j, int err, const char *note)
{
    bool news = s->silent_err != err;
    uint32_t pause_ms = s->cfg.speech_pause_ms ? s->cfg.speech_pause_ms : 60000;
    s->silent_err = err;
    s->silent_until_ns = uv_hrtime() + pause_ms * UINT64_C(1000000);
    if (news)
        str_copy_z(j->trouble, sizeof(j->trouble), str_z(note));
}

static int cache_make(struct sounds *s, struct job *j, struct str text, const char *path,
                      const char *text_path)
{
    char note[SPEECH_NOTE_MAX];
    if (s->silent_err && uv_hrtime() < s->silent_until_ns)
        return s->silent_err;
    int err = fs_mkdirs_for(path);
    if (err) {
        snprintf(note, sizeof(note), "%.200s cannot be written", path);
    } else {
        unlink(text_path);
        struct speech_request q = {.program = s->program,
                                   .lang = j->lang,
                                   .text = text,
                                   .path = path,
                                   .timeout_ms = s->cfg.speech_timeout_ms,
                                   .cancel_fd = s->cancel_fd};
        err = speech_say(&q, note);
    }
    if (err) {
        speech_failed(s, j, err, note);
        return err;
    }
    s->silent_err = 0;
    /* Without it the text is spoken again next time, and no more. */
    err = fs_write(text_path, text);
    return err == -ENOMEM ? err : 0;
}

static int spoken(struct sounds *s, struct job *j)
{
    char path[PATH_MAX], text_path[PATH_MAX];
    struct str text = text_of(s, j);
    if (!text.p || !s->cache)
        return -ENOENT;
    int err = path_of(path, s->cache, j, ".wav");
    if (!err)
        err = path_of(text_path, s->cache, j, ".txt");
    if (err)
        return err;
    /* What is in the cache and cannot be read is made anew. */
    if (cache_fresh(text_path, text) && sndread_load(&j->result.sound, path, &s->cfg.limits) == 0)
        return 0;
    err = cache_make(s, j, text, path, text_path);
    return err ? err : sndread_load(&j->result.sound, path, &s->cfg.limits);
}

/* ---- what nobody asks for -------------------------------------------------------------------- */

/* The name without the ending of a sound file; none: it is no sound file. */
static struct str stem_of(struct str name, bool *can_be_read)
{
    static const char *const others[] = {".mp3", ".m4a", ".aac", ".gsm", ".ulaw", ".alaw"};
    ptrdiff_t dot = str_rchr(name, '.');
    struct str end = dot > 0 ? str_from(name, (size_t)dot) : STR_NONE;
    *can_be_read = false;
    for (size_t i = 0; end.n && i < ARRAY_LEN(ext); i++)
        *can_be_read |= str_eq(end, str_z(ext[i]));
    bool sound = *can_be_read;
    for (size_t i = 0; end.n && i < ARRAY_LEN(others); i++)
        sound |= str_eq(end, str_z(others[i]));
    return sound ? str_sub(name, 0, (size_t)dot) : STR_NONE;
}

static bool is_asked_for(const struct sounds *s, struct str stem)
{
    for (unsigned i = 0; i < s->cfg.text_n; i++)
        if (str_eq(stem, str_z(s->cfg.text[i].name)))
            return true;
    return s->cfg.said && str_starts(stem, str_z(s->cfg.said));
}

/* What does not fit is not named: those that are named show what is wrong. */
static void stranger(struct buf *b, const char *folder, const char *name)
{
    size_t was = b->n;
    buf_printf(b, "%s %s%s%s", b->n ? "," : "", folder, folder[0] ? "/" : "", name);
    if (b->full) {
        b->n = was;
        b->full = false;
    }
}

/* folder: a language, or "" for what lies above them. */
static void look_in(const struct sounds *s, const char *folder, struct buf *b)
{
    char path[PATH_MAX];
    bool can_be_read;
    struct buf p;
    buf_init(&p, path, sizeof(path) - 1);
    buf_printf(&p, "%s/%s", s->dir, folder);
    path[p.n] = '\0';
    DIR *d = p.full ? NULL : opendir(path);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        struct str stem = stem_of(str_z(e->d_name), &can_be_read);
        if (stem.n && (!folder[0] || !can_be_read || !is_asked_for(s, stem)))
            stranger(b, folder, e->d_name);
    }
    closedir(d);
}

static void look(const struct sounds *s, struct job *j)
{
    struct buf b;
    char names[512];
    buf_init(&b, names, sizeof(names) - 1);
    if (!s->dir)
        return;
    look_in(s, "", &b);
    for (unsigned i = 0; i < SPEECH_LANGS; i++)
        look_in(s, speech_lang_name((enum speech_lang)i), &b);
    names[b.n] = '\0';
    if (b.n)
        snprintf(j->trouble, sizeof(j->trouble),
                 "of the files in %.200s these have no name or no kind that is known, and nothing "
                 "plays them:%s",
                 s->dir, names);
}

static struct job *job_take(struct sounds *s)
{
    uv_mutex_lock(&s->lock);
    while (!s->todo.first && !s->stop)
        uv_cond_wait(&s->work, &s->lock);
    struct job *j = s->stop ? NULL : jobs_take(&s->todo);
    uv_mutex_unlock(&s->lock);
    return j;
}

static void sounds_thread(void *arg)
{
    struct sounds *s = arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), "ringdown-snd");
    for (struct job *j; (j = job_take(s));) {
        if (j->look)
            look(s, j);
        else
            j->result.err = j->by_path ? by_path(s, j) : user_file(s, j);
        if (j->result.err && !j->by_path)
            j->result.err = spoken(s, j);
        uv_mutex_lock(&s->lock);
        jobs_put(&s->finished, j);
        uv_mutex_unlock(&s->lock);
        loop_async_wake(&s->async);
    }
}

/* ---- the loop's thread ----------------------------------------------------------------------- */

static void on_wake(struct loop_async *a)
{
    struct sounds *s = container_of(a, struct sounds, async);
    struct job_list l;
    jobs_init(&l);
    uv_mutex_lock(&s->lock);
    for (struct job *j; (j = jobs_take(&s->finished));)
        jobs_put(&l, j);
    uv_mutex_unlock(&s->lock);
    for (struct job *j; (j = jobs_take(&l));) {
        s->waiting--;
        if (j->trouble[0] && s->cfg.trouble)
            s->cfg.trouble(s->cfg.ctx, j->trouble);
        if (!j->look)
            s->cfg.done(s->cfg.ctx, &j->result);
        mem_free(j);
    }
}

static bool name_ok(struct str name)
{
    if (name.n == 0 || name.n > SOUNDS_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = chr_lower(name.p[i]);
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

static int job_new(struct sounds *s, uint64_t token, struct job **ret)
{
    if (s->waiting >= s->cfg.max_queue)
        return -EBUSY;
    *ret = mem_zero(sizeof(**ret));
    if (!*ret)
        return -ENOMEM;
    (*ret)->result.token = token;
    return 0;
}

static void job_give(struct sounds *s, struct job *j)
{
    s->waiting++;
    uv_mutex_lock(&s->lock);
    jobs_put(&s->todo, j);
    uv_mutex_unlock(&s->lock);
    uv_cond_signal(&s->work);
}

static int ask(struct sounds *s, struct str name, enum speech_lang lang, struct str text,
               uint64_t token)
{
    struct job *j;
    if (!name_ok(name) || (unsigned)lang >= SPEECH_LANGS)
        return -EINVAL;
    int err = job_new(s, token, &j);
    if (err)
        return err;
    str_copy_z(j->name, sizeof(j->name), name);
    str_copy_z(j->text, sizeof(j->text), text);
    j->lang = lang;
    job_give(s, j);
    return 0;
}

int sounds_get(struct sounds *s, struct str name, enum speech_lang lang, uint64_t token)
{
    return ask(s, name, lang, STR(""), token);
}

int sounds_say(struct sounds *s, struct str name, enum speech_lang lang, struct str text,
               uint64_t token)
{
    if (text.n == 0 || text.n > SPEECH_TEXT_MAX)
        return -EINVAL;
    return ask(s, name, lang, text, token);
}

int sounds_load(struct sounds *s, const char *path, uint64_t token)
{
    struct job *j;
    if (strlen(path) > sizeof(j->path) - sizeof(".flac"))
        return -ENAMETOOLONG;
    int err = job_new(s, token, &j);
    if (err)
        return err;
    j->by_path = true;
    str_copy_z(j->path, sizeof(j->path), str_z(path));
    job_give(s, j);
    return 0;
}

int sounds_look(struct sounds *s)
{
    struct job *j;
    int err = job_new(s, 0, &j);
    if (err)
        return err;
    j->look = true;
    job_give(s, j);
    return 0;
}

static int thread_start(struct sounds *s)
{
    int err = uv_mutex_init(&s->lock);
    if (err)
        return err;
    err = uv_cond_init(&s->work);
    if (err) {
        uv_mutex_destroy(&s->lock);
        return err;
    }
    s->async.wake = on_wake;
    s->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = s->cancel_fd < 0 ? -errno : loop_async_open(s->loop, &s->async);
    if (!err) {
        err = uv_thread_create(&s->thread, sounds_thread, s);
        if (!err)
            return 0;
        loop_async_close(&s->async);
        loop_settle(s->loop);
    }
    if (s->cancel_fd >= 0)
        close(s->cancel_fd);
    uv_cond_destroy(&s->work);
    uv_mutex_destroy(&s->lock);
    return err;
}

static void texts_free(struct sounds *s)
{
    mem_free(s->dir);
    mem_free(s->cache);
    mem_free(s->program);
    mem_free(s);
}

static int copy(char **ret, const char *z)
{
    if (!z)
        return 0;
    *ret = mem_strndup(z, strlen(z));
    return *ret ? 0 : -ENOMEM;
}

int sounds_open(struct sounds **ret, struct loop *loop, const struct sounds_config *cfg)
{
    struct sounds *s = mem_zero(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->loop = loop;
    s->cfg = *cfg;
    if (!s->cfg.limits.max_s)
        s->cfg.limits.max_s = 600;
    if (!s->cfg.limits.max_bytes)
        s->cfg.limits.max_bytes = UINT64_C(64) << 20;
    if (!s->cfg.max_queue)
        s->cfg.max_queue = 256;
    jobs_init(&s->todo);
    jobs_init(&s->finished);
    int err = copy(&s->dir, cfg->dir);
    if (!err)
        err = copy(&s->cache, cfg->cache);
    if (!err)
        err = copy(&s->program, cfg->program);
    if (!err)
        err = thread_start(s);
    if (err) {
        texts_free(s);
        return err;
    }
    *ret = s;
    return 0;
}

void sounds_close(struct sounds *s)
{
    if (!s)
        return;
    uint64_t one = 1;
    uv_mutex_lock(&s->lock);
    s->stop = true;
    uv_mutex_unlock(&s->lock);
    uv_cond_signal(&s->work);
    ssize_t n = write(s->cancel_fd, &one, sizeof(one));
    BUG_ON(n != sizeof(one));
    uv_thread_join(&s->thread);
    loop_async_close(&s->async);
    loop_settle(s->loop);
    jobs_free(&s->todo);
    jobs_free(&s->finished);
    close(s->cancel_fd);
    uv_cond_destroy(&s->work);
    uv_mutex_destroy(&s->lock);
    texts_free(s);
}

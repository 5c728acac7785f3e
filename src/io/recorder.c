#include "io/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/fs.h"
#include "io/recorder_priv.h"

/* How long blocks may lie in the queue: one look at it serves many. */
#define LOOK_MS     50
#define SECOND_NS   UINT64_C(1000000000)
#define HOUR_NS     (3600 * SECOND_NS)
#define RENEW_S     10
#define CLASS_FIRST 160 /* samples of the smallest block; each class has twice those before */

typedef void record_fn(struct recorder *r, struct record *rec);

enum command_kind { COMMAND_BEGIN, COMMAND_META, COMMAND_END, COMMAND_DELETE };

struct record_command {
    struct record_command *next;
    enum command_kind kind;
    uint64_t number;
    struct record *begin; /* NULL once it is begun */
    char *meta;
    size_t meta_n;
    char folder[RECORD_FOLDER_MAX + 1], base[RECORD_BASE_MAX + 1];
};

/* ---- the media thread ------------------------------------------------------------------------ */

static unsigned class_of(size_t samples)
{
    unsigned c = 0;
    while (((size_t)CLASS_FIRST << c) < samples)
        c++;
    BUG_ON(c >= RECORD_CLASSES);
    return c;
}

static size_t class_bytes(unsigned c)
{
    return sizeof(struct record_block) + ((size_t)CLASS_FIRST << c) * sizeof(int16_t);
}

static void block_free(struct recorder *r, struct record_block *b)
{
    atomic_fetch_sub_explicit(&r->block_bytes, class_bytes(b->size_class), memory_order_relaxed);
    mem_free(b);
}

static void block_spare(struct recorder *r, struct record_block *b)
{
    b->next = r->spare[b->size_class];
    r->spare[b->size_class] = b;
}

static struct record_block *block_pop(struct recorder *r, unsigned c)
{
    struct record_block *b = r->spare[c];
    if (b)
        r->spare[c] = b->next;
    return b;
}

/* A new block. Spare ones of other sizes go if there is no room for it. */
static struct record_block *block_new(struct recorder *r, unsigned c)
{
    for (unsigned i = 0; i < RECORD_CLASSES; i++)
        while (atomic_load_explicit(&r->block_bytes, memory_order_relaxed) + class_bytes(c) >
                   r->cfg.queue_bytes &&
               r->spare[i])
            block_free(r, block_pop(r, i));
    size_t have = atomic_load_explicit(&r->block_bytes, memory_order_relaxed);
    struct record_block *b =
        have + class_bytes(c) <= r->cfg.queue_bytes ? mem_alloc(class_bytes(c)) : NULL;
    if (!b)
        return NULL;
    atomic_fetch_add_explicit(&r->block_bytes, class_bytes(c), memory_order_relaxed);
    b->size_class = c;
    return b;
}

struct record_block *recorder_block_get(struct recorder *r, unsigned planes, unsigned samples)
{
    BUG_ON(planes > RECORD_PLANES_MAX || samples > RECORD_SAMPLES_MAX || !planes != !samples);
    unsigned c = class_of((size_t)planes * samples);
    struct record_block *b = block_pop(r, c), *back;
    if (!b) {
        while (mailbox_take(&r->back, &back))
            block_spare(r, back);
        b = block_pop(r, c);
    }
    if (!b)
        b = block_new(r, c);
    if (!b) {
        atomic_fetch_add_explicit(&r->lost_memory, 1, memory_order_relaxed);
        return NULL;
    }
    b->n_planes = (uint16_t)planes;
    b->samples = (uint16_t)samples;
    b->n_marks = 0;
    return b;
}

bool recorder_put(struct recorder *r, struct record_block *b)
{
    BUG_ON(b->rate_hz == 0);
    if (mailbox_put(&r->in, &b) == 0)
        return true;
    block_spare(r, b);
    atomic_fetch_add_explicit(&r->lost_full, 1, memory_order_relaxed);
    return false;
}

/* ---- the main thread ------------------------------------------------------------------------- */

void record_free(struct record *rec)
{
    if (!rec)
        return;
    mem_free(rec->meta);
    mem_free(rec->tail);
    record_marks_free(rec);
    mem_free(rec);
}

static void ring(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof(one));
    BUG_ON(n != sizeof(one) && errno != EAGAIN);
}

static void command_give(struct recorder *r, struct record_command *c)
{
    c->next = NULL;
    uv_mutex_lock(&r->lock);
    *r->given_end = c;
    r->given_end = &c->next;
    uv_mutex_unlock(&r->lock);
    ring(r->command_fd);
}

static struct record_command *command_new(enum command_kind kind, uint64_t number)
{
    struct record_command *c = mem_zero(sizeof(*c));
    if (!c)
        return NULL;
    c->kind = kind;
    c->number = number;
    return c;
}

int recorder_begin(struct recorder *r, const struct record_begin *b)
{
    if (!record_folder_ok(b->folder) || !record_base_ok(b->base) ||
        !(b->files & (RECORD_FILE_MIX | RECORD_FILE_TRACKS)))
        return -EINVAL;
    if (atomic_load(&r->open) >= r->cfg.max_open)
        return -EMFILE;
    struct record_command *c = command_new(COMMAND_BEGIN, b->number);
    struct record *rec = c ? mem_zero(sizeof(*rec)) : NULL;
    if (!rec) {
        mem_free(c);
        return -ENOMEM;
    }
    rec->number = b->number;
    rec->format = b->format;
    rec->files = b->files;
    str_copy_z(rec->folder, sizeof(rec->folder), str_z(b->folder));
    str_copy_z(rec->base, sizeof(rec->base), str_z(b->base));
    c->begin = rec;
    atomic_fetch_add(&r->open, 1);
    command_give(r, c);
    return 0;
}

int recorder_meta(struct recorder *r, uint64_t number, struct str json)
{
    if (json.n > RECORD_META_MAX)
        return -EFBIG;
    struct record_command *c = command_new(COMMAND_META, number);
    char *copy = c ? mem_strndup(json.p, json.n) : NULL;
    if (!copy) {
        mem_free(c);
        return -ENOMEM;
    }
    c->meta = copy;
    c->meta_n = json.n;
    command_give(r, c);
    return 0;
}

int recorder_end(struct recorder *r, uint64_t number)
{
    struct record_command *c = command_new(COMMAND_END, number);
    if (!c)
        return -ENOMEM;
    command_give(r, c);
    return 0;
}

int recorder_delete(struct recorder *r, const char *folder, const char *base)
{
    if (!record_folder_ok(folder) || !record_base_ok(base))
        return -EINVAL;
    struct record_command *c = command_new(COMMAND_DELETE, 0);
    if (!c)
        return -ENOMEM;
    str_copy_z(c->folder, sizeof(c->folder), str_z(folder));
    str_copy_z(c->base, sizeof(c->base), str_z(base));
    command_give(r, c);
    return 0;
}

struct recorder_stats recorder_stats_get(struct recorder *r)
{
    return (struct recorder_stats){.open = atomic_load(&r->open),
                                   .converting = atomic_load(&r->converting),
                                   .blocks = atomic_load(&r->blocks),
                                   .lost_full = atomic_load(&r->lost_full),
                                   .lost_memory = atomic_load(&r->lost_memory),
                                   .stray = atomic_load(&r->stray),
                                   .removed = atomic_load(&r->removed),
                                   .recovered = atomic_load(&r->recovered)};
}

static void on_wake(struct loop_async *a)
{
    struct recorder *r = container_of(a, struct recorder, async);
    uv_mutex_lock(&r->lock);
    struct record_note *n = r->notes;
    r->notes = NULL;
    r->notes_end = &r->notes;
    uv_mutex_unlock(&r->lock);
    while (n) {
        struct record_note *next = n->next;
        enum record_event_kind kind = n->event.kind;
        if (r->cfg.event)
            r->cfg.event(r->cfg.ctx, &n->event);
        if (kind == RECORD_ENDED)
            record_free(container_of(n, struct record, over));
        else if (kind == RECORD_FOUND)
            mem_free(container_of(n, struct record_found, note));
        n = next;
    }
}

/* ---- the writer ------------------------------------------------------------------------------ */

void recorder_note(struct recorder *r, struct record_note *n)
{
    n->next = NULL;
    uv_mutex_lock(&r->lock);
    *r->notes_end = n;
    r->notes_end = &n->next;
    uv_mutex_unlock(&r->lock);
    loop_async_wake(&r->async);
}

static struct list *bucket_of(struct recorder *r, uint64_t number)
{
    return &r->bucket[(number ^ number >> 32) % RECORD_BUCKETS];
}

static struct record *find_in(struct list *l, uint64_t number)
{
    list_each(node, l)
    {
        struct record *rec = container_of(node, struct record, node);
        if (rec->number == number && !rec->recovered)
            return rec;
    }
    return NULL;
}

struct record *recorder_find(struct recorder *r, uint64_t number)
{
    return find_in(bucket_of(r, number), number);
}

static struct record *find_name_in(struct list *l, const char *folder, const char *base)
{
    list_each(node, l)
    {
        struct record *rec = container_of(node, struct record, node);
        if (rec->state != RECORD_STATE_BROKEN && strcmp(rec->base, base) == 0 &&
            strcmp(rec->folder, folder) == 0)
            return rec;
    }
    return NULL;
}

struct record *recorder_find_name(struct recorder *r, const char *folder, const char *base)
{
    struct record *rec = find_name_in(&r->encoding, folder, base);
    for (unsigned i = 0; i < RECORD_BUCKETS && !rec; i++)
        rec = find_name_in(&r->bucket[i], folder, base);
    return rec;
}

/* false: the end was asked for. */
static bool commands_take(struct recorder *r)
{
    uv_mutex_lock(&r->lock);
    if (r->given) {
        *r->pending_end = r->given;
        r->pending_end = r->given_end;
        r->given = NULL;
        r->given_end = &r->given;
    }
    bool stop = r->stop;
    uv_mutex_unlock(&r->lock);
    return !stop;
}

static void begin_run(struct recorder *r, struct record_command *c)
{
    struct record *rec = c->begin;
    if (!rec)
        return;
    c->begin = NULL;
    list_append(bucket_of(r, rec->number), &rec->node);
    record_start(r, rec);
}

/* A block may overtake the command that begins its recording, which then is already given. */
static struct record *find_or_begin(struct recorder *r, uint64_t number)
{
    struct record *rec = recorder_find(r, number);
    if (rec)
        return rec;
    (void)commands_take(r);
    for (struct record_command *c = r->pending; c; c = c->next)
        if (c->kind == COMMAND_BEGIN && c->number == number)
            begin_run(r, c);
    return recorder_find(r, number);
}

static void blocks_drain(struct recorder *r)
{
    struct record_block *b;
    /* No more than the queue held when it was full, since more may come all the time. */
    for (uint32_t n = 0; n <= r->in.mask && mailbox_take(&r->in, &b); n++) {
        struct record *rec = find_or_begin(r, b->record);
        if (rec)
            record_write(r, rec, b);
        else
            atomic_fetch_add_explicit(&r->stray, 1, memory_order_relaxed);
        if (mailbox_put(&r->back, &b))
            block_free(r, b);
    }
}

static void meta_run(struct recorder *r, struct record_command *c)
{
    struct record *rec = recorder_find(r, c->number);
    if (!rec)
        rec = find_in(&r->encoding, c->number);
    if (!rec || rec->state == RECORD_STATE_BROKEN)
        return;
    mem_free(rec->meta);
    rec->meta = c->meta;
    rec->meta_n = c->meta_n;
    c->meta = NULL;
    int err = record_sidecar_write(r, rec);
    if (err)
        record_fail(r, rec, err, "the sidecar");
}

static void delete_run(struct recorder *r, struct record_command *c)
{
    struct record *rec = recorder_find_name(r, c->folder, c->base);
    if (rec)
        rec->unwanted = true;
    else
        record_remove(r, c->folder, c->base);
}

static void command_run(struct recorder *r, struct record_command *c)
{
    struct record *rec;
    switch (c->kind) {
    case COMMAND_BEGIN:
        begin_run(r, c);
        break;
    case COMMAND_META:
        meta_run(r, c);
        break;
    case COMMAND_END:
        blocks_drain(r);
        rec = recorder_find(r, c->number);
        if (rec)
            record_end(r, rec);
        break;
    case COMMAND_DELETE:
        delete_run(r, c);
        break;
    }
}

static void commands_run(struct recorder *r)
{
    while (r->pending) {
        struct record_command *c = r->pending;
        command_run(r, c);
        r->pending = c->next;
        if (!r->pending)
            r->pending_end = &r->pending;
        mem_free(c->meta);
        mem_free(c);
    }
}

static void each_open(struct recorder *r, record_fn *f)
{
    for (unsigned i = 0; i < RECORD_BUCKETS; i++)
        list_each(node, &r->bucket[i]) f(r, container_of(node, struct record, node));
}

static void fail_disk(struct recorder *r, struct record *rec)
{
    char text[64] = "nothing free";
    if (rec->state != RECORD_STATE_OPEN)
        return;
    if (r->cfg.min_free_bytes >> 20)
        snprintf(text, sizeof(text), "less than %llu MiB free",
                 (unsigned long long)(r->cfg.min_free_bytes >> 20));
    record_fail(r, rec, -ENOSPC, text);
}

/* So that a kill takes little of what the sidecar would have told. */
static void sidecar_renew(struct recorder *r, struct record *rec)
{
    if (++rec->stale_s < RENEW_S || !rec->marks.changed || rec->state != RECORD_STATE_OPEN)
        return;
    int err = record_sidecar_write(r, rec);
    if (err)
        record_fail(r, rec, err, "the sidecar");
}

static void each_second(struct recorder *r)
{
    struct statvfs v;
    if (statvfs(r->dir, &v) == 0 && (uint64_t)v.f_bavail * v.f_frsize < r->cfg.min_free_bytes)
        each_open(r, fail_disk);
    each_open(r, record_sync);
    each_open(r, sidecar_renew);
}

static bool any_open(struct recorder *r)
{
    for (unsigned i = 0; i < RECORD_BUCKETS; i++)
        if (!list_empty(&r->bucket[i]))
            return true;
    return false;
}

/* While there are recordings only the queue's fill matters, so its descriptor is not watched. */
static void work_wait(struct recorder *r)
{
    struct pollfd fds[2] = {{.fd = r->command_fd, .events = POLLIN},
                            {.fd = r->in.fd, .events = POLLIN}};
    bool open = any_open(r);
    int ms = !list_empty(&r->encoding) ? 0 : open ? LOOK_MS : 60000;
    (void)poll(fds, open ? 1 : 2, ms);
    uint64_t n;
    if (fds[0].revents && read(r->command_fd, &n, sizeof(n)) < 0)
        BUG_ON(errno != EAGAIN && errno != EINTR);
    mailbox_ack(&r->in);
}

/* What was recorded is closed and told of; what is still to be made smaller stays for later. */
static void finish_all(struct recorder *r)
{
    blocks_drain(r);
    each_open(r, record_end);
    while (!list_empty(&r->encoding))
        record_over(r, container_of(r->encoding.next, struct record, node));
}

static void recorder_thread(void *arg)
{
    struct recorder *r = arg;
    sigset_t all;
    /* A file beyond what the system allows is an error here, not the end of the process. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    pthread_setname_np(pthread_self(), "ringdown-rec");
    record_recover(r);
    record_retain(r);
    uint64_t second = uv_hrtime(), hour = second;
    bool go_on = true;
    while (go_on) {
        work_wait(r);
        go_on = commands_take(r);
        commands_run(r);
        blocks_drain(r);
        uint64_t now = uv_hrtime();
        if (now - second >= SECOND_NS) {
            second = now;
            each_second(r);
        }
        if (now - hour >= HOUR_NS) {
            hour = now;
            record_retain(r);
        }
        if (!list_empty(&r->encoding))
            record_encode(r);
    }
    finish_all(r);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void queues_done(struct recorder *r)
{
    struct record_block *b;
    while (mailbox_take(&r->in, &b))
        block_free(r, b);
    while (mailbox_take(&r->back, &b))
        block_free(r, b);
    for (unsigned i = 0; i < RECORD_CLASSES; i++)
        while ((b = block_pop(r, i)))
            block_free(r, b);
    mailbox_done(&r->in);
    mailbox_done(&r->back);
}

static int queues_init(struct recorder *r)
{
    int err = mailbox_init(&r->in, sizeof(struct record_block *), r->cfg.queue_blocks);
    if (err)
        return err;
    err = mailbox_init(&r->back, sizeof(struct record_block *), r->cfg.queue_blocks);
    if (err)
        mailbox_done(&r->in);
    return err;
}

static void defaults(struct recorder *r)
{
    struct recorder_config *c = &r->cfg;
    c->max_open = c->max_open ? c->max_open : 1000;
    c->max_files = c->max_files ? c->max_files : 4000;
    c->max_s = c->max_s ? c->max_s : 21600;
    c->queue_blocks = c->queue_blocks ? c->queue_blocks : 65536;
    c->queue_bytes = c->queue_bytes ? c->queue_bytes : (size_t)64 << 20;
    c->min_free_bytes = c->min_free_bytes ? c->min_free_bytes : UINT64_C(256) << 20;
    r->given_end = &r->given;
    r->notes_end = &r->notes;
    r->pending_end = &r->pending;
    /* Half of the descriptors are for others. */
    struct rlimit fds;
    if (getrlimit(RLIMIT_NOFILE, &fds) == 0 && fds.rlim_cur / 2 < c->max_files)
        c->max_files = (uint32_t)(fds.rlim_cur / 2);
    list_init(&r->encoding);
    for (unsigned i = 0; i < RECORD_BUCKETS; i++)
        list_init(&r->bucket[i]);
}

static int thread_start(struct recorder *r)
{
    int err = uv_mutex_init(&r->lock);
    if (err)
        return err;
    r->command_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    r->async.wake = on_wake;
    err = r->command_fd < 0 ? -errno : loop_async_open(r->loop, &r->async);
    if (!err) {
        err = uv_thread_create(&r->thread, recorder_thread, r);
        if (!err)
            return 0;
        loop_async_close(&r->async);
        loop_settle(r->loop);
    }
    if (r->command_fd >= 0)
        close(r->command_fd);
    uv_mutex_destroy(&r->lock);
    return err;
}

/* Another process that has the folder would take what this one writes for what a kill has left. A
 * file system that knows no locks is no reason not to record. */
static int folder_lock(struct recorder *r)
{
    r->dir_fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->dir_fd < 0)
        return -errno;
    if (flock(r->dir_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;
    return -EBUSY;
}

static int folder_open(struct recorder *r, const char *dir)
{
    r->dir_fd = -1;
    r->dir = mem_strndup(dir, strlen(dir));
    int err = r->dir ? fs_mkdirs(r->dir) : -ENOMEM;
    return err ? err : folder_lock(r);
}

static void folder_close(struct recorder *r)
{
    if (r->dir_fd >= 0)
        close(r->dir_fd);
    mem_free(r->dir);
}

int recorder_open(struct recorder **ret, struct loop *loop, const struct recorder_config *cfg)
{
    struct recorder *r = mem_zero(sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->loop = loop;
    r->cfg = *cfg;
    defaults(r);
    int err = folder_open(r, cfg->dir);
    if (!err)
        err = queues_init(r);
    if (!err) {
        err = thread_start(r);
        if (err)
            queues_done(r);
    }
    if (err) {
        folder_close(r);
        mem_free(r);
        return err;
    }
    *ret = r;
    return 0;
}

void recorder_close(struct recorder *r)
{
    if (!r)
        return;
    uv_mutex_lock(&r->lock);
    r->stop = true;
    uv_mutex_unlock(&r->lock);
    ring(r->command_fd);
    uv_thread_join(&r->thread);
    on_wake(&r->async);
    loop_async_close(&r->async);
    loop_settle(r->loop);
    queues_done(r);
    close(r->command_fd);
    uv_mutex_destroy(&r->lock);
    folder_close(r);
    mem_free(r);
}

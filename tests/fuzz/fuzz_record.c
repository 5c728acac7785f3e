/* What a killed process has left in the folder of recordings, in any state: sound files and a
 * sidecar. What is no recording of ours stays as it is; what is one is finished once, loses no
 * sample, and can be read again. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/recorder_priv.h"
#include "io/wav.h"

#define INPUT  4096
#define HEADER 44

struct file {
    size_t n;
    uint8_t bytes[2 * INPUT + RECORD_META_MAX];
};

static void path_of(char out[PATH_MAX], const char *dir, const char *name)
{
    BUG_ON((size_t)snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX);
}

static void put(const char *path, const struct file *f)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    BUG_ON(fd < 0 || write(fd, f->bytes, f->n) != (ssize_t)f->n || close(fd));
}

static void get(const char *path, struct file *f)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, f->bytes, sizeof(f->bytes));
    BUG_ON(n < 0 || close(fd));
    f->n = (size_t)n;
}

static bool same(const struct file *a, const struct file *b)
{
    return a->n == b->n && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static void add(struct file *f, const void *p, size_t n)
{
    BUG_ON(f->n + n > sizeof(f->bytes));
    memcpy(f->bytes + f->n, p, n);
    f->n += n;
}

/* A header as the writer makes it, so that what comes behind it is looked at. */
static void wav_begin(struct file *f, unsigned channels)
{
    uint8_t h[HEADER] = "RIFF....WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1F\0\0\x80\x3E\0\0\2\0\x10\0data";
    h[22] = (uint8_t)channels;
    h[29] = (uint8_t)(0x3E * channels);
    h[28] = 0x80;
    if (channels == 2) {
        h[28] = 0;
        h[29] = 0x7D;
    }
    h[32] = (uint8_t)(2 * channels);
    add(f, h, sizeof(h));
}

/* All that was there is told of, and nothing else has changed. */
static void check_wav(const char *path, const struct file *before)
{
    static struct file after, again;
    struct wav_shape a, b;
    int err = wav_repair(path, &a);
    get(path, &after);
    if (err) {
        BUG_ON(!same(before, &after));
        return;
    }
    size_t frame = 2 * (size_t)a.channels;
    BUG_ON(after.n != HEADER + a.frames * frame || after.n > before->n);
    BUG_ON(before->n - after.n >= frame);
    BUG_ON(memcmp(before->bytes + HEADER, after.bytes + HEADER, after.n - HEADER));
    BUG_ON(wav_repair(path, &b) || memcmp(&a, &b, sizeof(a)));
    get(path, &again);
    BUG_ON(!same(&after, &again));
}

/* A recorder without a thread: what it finds is told to nobody. */
static struct recorder *recorder_bare(const char *dir)
{
    static struct recorder r;
    if (r.dir)
        return &r;
    r.dir = (char *)(uintptr_t)dir;
    r.notes_end = &r.notes;
    BUG_ON(loop_new(&r.loop) || uv_mutex_init(&r.lock) || loop_async_open(r.loop, &r.async));
    return &r;
}

static void notes_drop(struct recorder *r)
{
    while (r->notes) {
        struct record_note *n = r->notes;
        BUG_ON(n->event.kind != RECORD_FOUND);
        r->notes = n->next;
        mem_free(container_of(n, struct record_found, note));
    }
    r->notes_end = &r->notes;
}

/* Returns how many were finished. */
static unsigned recover(struct recorder *r)
{
    list_init(&r->encoding);
    r->recovered = 0;
    record_recover(r);
    notes_drop(r);
    list_each(node, &r->encoding)
    {
        struct record *rec = container_of(node, struct record, node);
        BUG_ON(rec->state == RECORD_STATE_OPEN || !rec->recovered);
        list_remove(node);
        record_free(rec);
    }
    return (unsigned)r->recovered;
}

static void check_sidecar(const char *dir, const char *path, const struct file *before)
{
    static struct file after, again;
    struct recorder *r = recorder_bare(dir);
    struct record rec = {.base = "a"};
    unsigned n = recover(r);
    get(path, &after);
    BUG_ON(n > 1 || (n == 0 && !same(before, &after)));
    if (n == 0)
        return;
    BUG_ON(record_sidecar_read(r, &rec) || rec.state == RECORD_STATE_OPEN || rec.meta);
    bool done = rec.format == SOUND_WAV;
    mem_free(rec.tail);
    BUG_ON(done && recover(r) != 0);
    get(path, &again);
    BUG_ON(done && !same(&after, &again));
}

static const char *folder(void)
{
    static char dir[64];
    if (dir[0])
        return dir;
    strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/rd-fuzz-XXXXXX" : "/dev/shm/rd-fuzz-XXXXXX");
    BUG_ON(!mkdtemp(dir));
    return dir;
}

static void fold(void)
{
    static const char *const names[] = {"a.wav", "a-track3.wav", "a.json"};
    char path[PATH_MAX];
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        path_of(path, folder(), names[i]);
        unlink(path);
    }
    rmdir(folder());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char head[] = "{\n\"ringdown_recording\":1,\n\"state\":\"recording\",\n";
    static struct file wav, sidecar;
    static bool begun;
    char path[PATH_MAX];
    (void)recorder_bare(folder());
    uint64_t before = mem_live();
    if (n < 2 || n > INPUT)
        return 0;
    if (!begun)
        atexit(fold);
    begun = true;
    unsigned how = data[0];
    size_t sound = (size_t)data[1] < n - 2 ? data[1] : n - 2;
    wav.n = sidecar.n = 0;
    if (how & 1)
        wav_begin(&wav, 1 + (how >> 1 & 1));
    add(&wav, data + 2, sound);
    if (how & 4)
        add(&sidecar, head, (how & 8 ? sizeof(head) - 1 : 26));
    add(&sidecar, data + 2 + sound, n - 2 - sound);
    if (how & 16)
        add(&sidecar, "\n}\n", 3);
    path_of(path, folder(), "a-track3.wav");
    put(path, &wav);
    path_of(path, folder(), "a.wav");
    put(path, &wav);
    check_wav(path, &wav);
    path_of(path, folder(), "a.json");
    put(path, &sidecar);
    check_sidecar(folder(), path, &sidecar);
    BUG_ON(mem_live() != before);
    return 0;
}

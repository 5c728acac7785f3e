/* A disk without files: it remembers which recordings there are and how long they last. */
#include <errno.h>

#include "world/world.h"

#define WRITE_US (5 * USEC_MS)

static void name_of(char out[96], const struct pbx_file *f)
{
    struct buf b;
    buf_init(&b, out, 95);
    buf_str_put(&b, f->folder);
    buf_ch(&b, '/');
    buf_str_put(&b, f->base);
    out[b.n] = 0;
}

struct world_file *world_file_find(struct world *w, struct str name)
{
    for (unsigned i = 0; i < WORLD_FILES; i++)
        if (w->file[i].there && str_eq(str_z(w->file[i].name), name))
            return &w->file[i];
    return NULL;
}

struct world_file *world_file_written(struct world *w, uint64_t number)
{
    for (unsigned i = 0; i < WORLD_FILES; i++)
        if (w->file[i].there && w->file[i].number == number)
            return &w->file[i];
    return NULL;
}

static void recorded(struct world *w, const struct pbx_recorded *r)
{
    world_event_new(w, WORLD_EV_RECORDED, w->now + WRITE_US)->recorded = *r;
}

static void begin(struct world *w, const struct pbx_file *f)
{
    unsigned i = 0;
    char name[96];
    name_of(name, f);
    if (world_file_find(w, str_z(name)) || world_file_written(w, f->number))
        world_fail(w, "disk: %s is begun twice", name);
    while (i < WORLD_FILES && w->file[i].there)
        i++;
    for (unsigned k = 0; i == WORLD_FILES && k < WORLD_FILES; k++) /* a full disk forgets */
        if (!w->file[k].number)
            i = k;
    BUG_ON(i == WORLD_FILES);
    w->file[i] =
        (struct world_file){.number = f->number, .place = f->place, .there = true, .began = w->now};
    memcpy(w->file[i].name, name, sizeof(name));
    if (w->disk_err)
        recorded(w, &(struct pbx_recorded){
                        .number = f->number, .err = w->disk_err, .text = STR("the disk is full")});
}

void world_disk_error(struct world *w, int err)
{
    bool news = err && !w->disk_err;
    w->disk_err = err;
    for (unsigned i = 0; news && i < WORLD_FILES; i++) {
        const struct world_file *f = &w->file[i];
        if (f->there && f->number)
            recorded(w, &(struct pbx_recorded){.number = f->number,
                                               .err = err,
                                               .text = STR("the disk is full"),
                                               .ms = (w->now - f->began) / USEC_MS});
    }
}

static void end(struct world *w, struct world_file *file)
{
    if (!file->stopped)
        world_fail(w, "disk: %s ends before its sound has", file->name);
    for (unsigned i = 0; i < w->streams_peak; i++)
        if (w->stream[i].id && w->stream[i].record == file->number)
            world_fail(w, "disk: %s ends while stream %llu is in it", file->name,
                       (unsigned long long)w->stream[i].id);
    file->ms = (uint32_t)((w->now - file->began) / USEC_MS);
    struct pbx_recorded r = {
        .number = file->number, .ended = true, .ms = file->ms, .bytes = 44 + 16ull * file->ms};
    file->number = 0;
    recorded(w, &r);
}

static void load(struct world *w, const struct pbx_file *f)
{
    char name[96];
    name_of(name, f);
    struct world_file *file = world_file_find(w, str_z(name));
    struct world_event *e = world_event_new(w, WORLD_EV_LOADED, w->now + WRITE_US);
    e->token = f->clip;
    e->recorded =
        (struct pbx_recorded){.err = !file ? -ENOENT : w->load_err, .ms = file ? file->ms : 0};
}

void world_file_rx(struct world *w, const struct pbx_file *f)
{
    char name[96];
    struct world_file *file = f->number ? world_file_written(w, f->number) : NULL;
    name_of(name, f);
    switch (f->order) {
    case PBX_FILE_BEGIN:
        begin(w, f);
        break;
    case PBX_FILE_META:
        if (!file)
            world_fail(w, "disk: words about recording %llu, which is not there",
                       (unsigned long long)f->number);
        else
            str_copy_z(file->json, sizeof(file->json), f->json);
        break;
    case PBX_FILE_END:
        if (file)
            end(w, file);
        else
            world_fail(w, "disk: recording %llu ends, which is not there",
                       (unsigned long long)f->number);
        break;
    case PBX_FILE_DELETE:
        file = world_file_find(w, str_z(name));
        if (file)
            file->there = false;
        break;
    case PBX_FILE_LOAD:
        load(w, f);
        break;
    }
}

void world_disk_reset(struct world *w)
{
    for (unsigned i = 0; i < WORLD_FILES; i++) {
        struct world_file *f = &w->file[i];
        if (f->there && f->number)
            f->ms = (uint32_t)((w->now - f->began) / USEC_MS);
        f->number = 0;
    }
}

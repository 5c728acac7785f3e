#include "app/wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "pbx/sound.h"

#define MUSIC_RATE_HZ 16000
#define LONGEST_S     3660                /* of a sound: more than voicemail.max_length allows */
#define LOADED        ((uint64_t)1 << 32) /* in a token: the PBX has asked for it */

/* ---- sounds ---------------------------------------------------------------------------------- */

static void give(struct wire *w, uint32_t number, struct media_clip *clip)
{
    struct media_cmd cmd = {.kind = MEDIA_CLIP};
    cmd.play.clip_number = number;
    cmd.play.clip = clip;
    wire_to_media(w, &cmd);
}

static struct media_clip *clip_new(uint32_t rate_hz, uint32_t n)
{
    struct media_clip *c = mem_alloc(sizeof(*c) + n * sizeof(int16_t));
    if (c)
        *c = (struct media_clip){.rate_hz = rate_hz, .n = n};
    return c;
}

/* Without a file of the user's there is a loop of our own. */
static void make_music(struct wire *w)
{
    struct media_clip *c = clip_new(MUSIC_RATE_HZ, (uint32_t)moh_samples(MUSIC_RATE_HZ));
    if (!c)
        return;
    moh_make(c->sample, MUSIC_RATE_HZ);
    give(w, SOUND_MUSIC, c);
}

static void on_sound(void *ctx, const struct sound_result *res)
{
    struct wire *w = ctx;
    uint32_t number = (uint32_t)res->token;
    struct media_clip *c = res->sound ? clip_new(res->sound->rate_hz, res->sound->n) : NULL;
    int err = res->err ? res->err : c ? 0 : -ENOMEM;
    if (c) {
        memcpy(c->sample, res->sound->sample, c->n * sizeof(int16_t));
        give(w, number, c);
    } else if (number == SOUND_MUSIC) {
        make_music(w);
    }
    uint32_t ms = c ? (uint32_t)((uint64_t)c->n * 1000 / c->rate_hz) : 0;
    mem_free(res->sound);
    if (res->token & LOADED)
        pbx_loaded(w->pbx, loop_now(w->loop), number, err, ms);
    wire_drain(w);
}

static void on_trouble(void *ctx, const char *text)
{
    struct wire *w = ctx;
    trace_emit(wire_trace(w), TRACE_SOUND, 0, TS(str_z(text)));
}

static char *path_z(struct str s)
{
    return s.n ? mem_strndup(s.p, s.n) : NULL;
}

/* All prompts in the language of the exchange; those that nobody has spoken yet take a while. */
static int ask_for_prompts(struct wire *w)
{
    enum speech_lang lang = (enum speech_lang)w->config->sounds.language;
    int err = 0;
    for (unsigned i = 0; !err && i < PROMPTS; i++)
        err = sounds_get(w->sounds, str_z(prompt_texts[i].name), lang,
                         sound_of_prompt((enum prompt)i, lang));
    return err;
}

/* What bots say. */
static int ask_for_texts(struct wire *w)
{
    struct pbx_spoken t;
    uint32_t at = 0;
    int err = 0;
    while (!err && pbx_spoken_next(w->config, &at, &t))
        err = sounds_say(w->sounds, str_z(t.name), (enum speech_lang)t.language, t.text, t.number);
    return err;
}

static int ask_for_sounds(struct wire *w)
{
    enum speech_lang lang = (enum speech_lang)w->config->sounds.language;
    int err = sounds_get(w->sounds, STR("music"), lang, SOUND_MUSIC);
    err = err ? err : ask_for_texts(w); /* few, and heard by everybody whom a bot answers */
    return err ? err : ask_for_prompts(w);
}

void wire_reload_sounds(struct wire *w, const struct config *before)
{
    int err = 0;
    if (w->config->sounds.language != before->sounds.language)
        err = ask_for_prompts(w);
    err = err ? err : ask_for_texts(w);
    if (err)
        on_trouble(w, uv_strerror(err));
}

int wire_open_sounds(struct wire *w)
{
    static struct sound_text text[PROMPTS + 1]; /* as long as the store */
    text[PROMPTS] = (struct sound_text){.name = "music"};
    for (unsigned i = 0; i < PROMPTS; i++)
        text[i] = (struct sound_text){prompt_texts[i].name, prompt_texts[i].en, prompt_texts[i].ko};
    char *dir = path_z(w->config->sounds.dir), *cache = path_z(w->config->sounds.cache);
    struct sounds_config cfg = {.dir = dir,
                                .cache = cache,
                                .text = text,
                                .text_n = ARRAY_LEN(text),
                                .said = PBX_SPOKEN_PREFIX,
                                .max_queue = 2 * PROMPTS + CONFIG_MAX_BOTS * SOUND_BOT_TEXTS + 256,
                                .limits = {.max_s = LONGEST_S},
                                .done = on_sound,
                                .trouble = on_trouble,
                                .ctx = w};
    int err = sounds_open(&w->sounds, w->loop, &cfg);
    mem_free(dir);
    mem_free(cache);
    err = err ? err : ask_for_sounds(w);
    err = err ? err : sounds_look(w->sounds);
    if (err)
        fprintf(stderr, "ringdown: sounds: %s\n", uv_strerror(err));
    return err;
}

void wire_close_sounds(struct wire *w)
{
    sounds_close(w->sounds);
    w->sounds = NULL;
}

/* ---- recordings ------------------------------------------------------------------------------ */

static void on_found(struct wire *w, const struct record_event *e)
{
    struct pbx_found f = {
        .folder = str_z(e->folder), .base = str_z(e->base), .json = e->meta, .ms = e->ms};
    pbx_found(w->pbx, loop_now(w->loop), &f);
    wire_drain(w);
}

static void on_record(void *ctx, const struct record_event *e)
{
    struct wire *w = ctx;
    if (e->kind == RECORD_FOUND) {
        on_found(w, e);
        return;
    }
    struct pbx_recorded r = {.number = e->number,
                             .ended = e->kind == RECORD_ENDED,
                             .err = e->err,
                             .text = str_z(e->text),
                             .ms = e->ms,
                             .bytes = e->bytes};
    pbx_recorded(w->pbx, loop_now(w->loop), &r);
    wire_drain(w);
}

static int open_recorder(struct wire *w, enum pbx_place place, struct str dir, bool keep_all)
{
    const struct config_recording *c = &w->config->recording;
    char *path = path_z(dir);
    /* A recorder that is told nothing has a bound of its own. */
    uint64_t min_free = c->min_free_mib ? (uint64_t)c->min_free_mib << 20 : 1;
    struct recorder_config cfg = {.dir = path,
                                  .min_free_bytes = min_free,
                                  .keep_days = keep_all ? 0 : c->keep_days,
                                  .keep_bytes = keep_all ? 0 : (uint64_t)c->keep_mib << 20,
                                  .event = on_record,
                                  .ctx = w};
    int err = path ? recorder_open(&w->recorder[place], w->loop, &cfg) : -ENOMEM;
    if (err)
        fprintf(stderr, "ringdown: %s: %s\n", path ? path : "recordings", uv_strerror(err));
    mem_free(path);
    return err;
}

int wire_open_recorders(struct wire *w)
{
    int err = open_recorder(w, PBX_RECORDINGS, w->config->recording.dir, false);
    return err ? err : open_recorder(w, PBX_MESSAGES, w->config->voicemail.dir, true);
}

void wire_close_recorders(struct wire *w)
{
    for (unsigned i = 0; i < ARRAY_LEN(w->recorder); i++) {
        recorder_close(w->recorder[i]);
        w->recorder[i] = NULL;
    }
}

static bool room_for_unbegun(struct wire *w)
{
    if (w->unbegun_n < w->unbegun_cap)
        return true;
    uint32_t cap = w->unbegun_cap ? 2 * w->unbegun_cap : 16;
    uint64_t *more = mem_resize(w->unbegun, cap * sizeof(*more));
    if (!more)
        return false;
    w->unbegun = more;
    w->unbegun_cap = cap;
    return true;
}

/* It will neither fail nor end by itself, so the PBX is told both. */
static void not_begun(struct wire *w, uint64_t number, int err)
{
    struct pbx_recorded r = {.number = number, .err = err, .text = str_z(uv_strerror(err))};
    if (room_for_unbegun(w))
        w->unbegun[w->unbegun_n++] = number;
    pbx_recorded(w->pbx, loop_now(w->loop), &r);
}

static bool was_not_begun(struct wire *w, uint64_t number)
{
    for (uint32_t i = 0; i < w->unbegun_n; i++)
        if (w->unbegun[i] == number) {
            w->unbegun[i] = w->unbegun[--w->unbegun_n];
            return true;
        }
    return false;
}

static void end(struct wire *w, struct recorder *rec, uint64_t number)
{
    int err = 0;
    bool unbegun = was_not_begun(w, number);
    if (!unbegun)
        err = recorder_end(rec, number);
    struct pbx_recorded r = {.number = number, .ended = true, .err = err};
    if (unbegun || err)
        pbx_recorded(w->pbx, loop_now(w->loop), &r);
}

static void load(struct wire *w, const struct pbx_file *f, const char *folder, const char *base)
{
    char path[4096 + RECORD_FOLDER_MAX + RECORD_BASE_MAX + 8], dir[4097];
    struct str root =
        f->place == PBX_MESSAGES ? w->config->voicemail.dir : w->config->recording.dir;
    str_copy_z(dir, sizeof(dir), root);
    snprintf(path, sizeof(path), "%s/%s/%s", dir, folder, base);
    int err = sounds_load(w->sounds, path, LOADED | f->clip);
    if (err)
        pbx_loaded(w->pbx, loop_now(w->loop), f->clip, err, 0);
}

void wire_file(struct wire *w, const struct pbx_file *f)
{
    char folder[RECORD_FOLDER_MAX + 1], base[RECORD_BASE_MAX + 1];
    struct recorder *rec = w->recorder[f->place];
    str_copy_z(folder, sizeof(folder), f->folder);
    str_copy_z(base, sizeof(base), f->base);
    struct record_begin b = {
        .number = f->number,
        .folder = folder,
        .base = base,
        .format =
            f->place == PBX_MESSAGES ? SOUND_WAV : (enum sound_format)w->config->recording.format,
        .files = (f->mixed ? RECORD_FILE_MIX : 0u) | (f->tracks ? RECORD_FILE_TRACKS : 0u)};
    int err = 0;
    switch (f->order) {
    case PBX_FILE_BEGIN:
        err = recorder_begin(rec, &b);
        if (err)
            not_begun(w, f->number, err);
        break;
    case PBX_FILE_META: /* without it the sidecar says less */
        (void)!recorder_meta(rec, f->number, f->json);
        break;
    case PBX_FILE_END:
        end(w, rec, f->number);
        break;
    case PBX_FILE_DELETE: /* at the worst the file stays */
        (void)!recorder_delete(rec, folder, base);
        break;
    case PBX_FILE_LOAD:
        load(w, f, folder, base);
        break;
    }
}

#include "pbx/record.h"

#include <errno.h>

#include "base/mem.h"

#define NUMBER_BITS (~PBX_RECORD_MESSAGE)
/* So old may the text in the sidecar become while somebody talks. */
#define TELL_AGAIN (10 * USEC_S)

static struct recording *find(struct pbx *p, handle_t h)
{
    return h ? slot_find(&p->calls->recordings, h) : NULL;
}

/* Behind its end there is no time. */
static uint32_t ms_of(const struct pbx *p, const struct recording *rec)
{
    uint32_t ms = (uint32_t)((p->now - rec->began) / USEC_MS);
    return rec->failed && ms > rec->end_ms ? rec->end_ms : ms;
}

static void say(struct pbx *p, const struct recording *rec, struct str text)
{
    trace_emit(&p->trace, TRACE_RECORDING, 0, TS(rec->folder), TS(rec->base), TS(text));
}

static struct pbx_file *file_order(struct pbx *p, const struct recording *rec,
                                   enum pbx_file_order order)
{
    struct pbx_file *f = &pbx_emit(p, PBX_OUT_FILE)->file;
    *f = (struct pbx_file){.order = order,
                           .place = PBX_RECORDINGS,
                           .number = rec->self & NUMBER_BITS,
                           .folder = rec->folder,
                           .base = rec->base};
    return f;
}

/* ---- the sidecar ----------------------------------------------------------------------------- */

/* What has not ended has no end: should this be the last that is told, it lasts as long as the
 * sound. */
static void put_tracks(struct buf *b, const struct recording *rec)
{
    for (unsigned i = 0; i < rec->n_tracks; i++) {
        const struct record_track *t = &rec->track[i];
        buf_printf(b, "%s{\"track\":%u,\"leg\":%u,\"party\":\"", i ? "," : "", i + 1, t->leg);
        buf_json(b, str_z(t->party));
        buf_lit(b, "\",\"name\":\"");
        buf_json(b, str_z(t->name));
        buf_printf(b, "\",\"from_ms\":%u,\"to_ms\":", t->from_ms);
        if (t->there)
            buf_lit(b, "null");
        else
            buf_u64(b, t->to_ms);
        buf_ch(b, '}');
    }
}

static void put_pauses(struct buf *b, const struct recording *rec)
{
    for (unsigned i = 0; i < rec->n_pauses; i++)
        buf_printf(b, "%s{\"from_ms\":%u,\"to_ms\":%u}", i ? "," : "", rec->pause[i].from_ms,
                   rec->pause[i].to_ms);
    if (rec->paused)
        buf_printf(b, "%s{\"from_ms\":%u,\"to_ms\":null}", rec->n_pauses ? "," : "", rec->pause_ms);
}

/* What is known so far. */
static void write_meta(struct pbx *p, struct recording *rec)
{
    struct buf b;
    size_t cap = rec->about.n + 1024 + 1024 * (size_t)rec->n_tracks + 40 * (size_t)rec->n_talk +
                 48 * (size_t)rec->n_pauses;
    rec->told = p->now;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_ch(&b, '{');
    buf_str_put(&b, rec->about);
    buf_printf(&b, "%s\"began_ms\":%llu,\"tracks\":[", rec->about.n ? "," : "",
               (unsigned long long)(pbx_wall_at(p, rec->began) / 1000));
    put_tracks(&b, rec);
    buf_lit(&b, "],\"pauses\":[");
    put_pauses(&b, rec);
    buf_lit(&b, "],\"talk\":[");
    for (unsigned i = 0; i < rec->n_talk; i++)
        buf_printf(&b, "%s[%u,%u,%u]", i ? "," : "", rec->talk[i].track, rec->talk[i].from_ms,
                   rec->talk[i].to_ms);
    buf_lit(&b, "]}");
    if (!b.full)
        file_order(p, rec, PBX_FILE_META)->json = buf_str(&b);
}

static void note_talk(struct recording *rec, unsigned track, uint32_t from_ms, uint32_t to_ms)
{
    if (to_ms <= from_ms)
        return;
    if (rec->n_talk == rec->cap_talk) {
        uint32_t cap = rec->cap_talk ? rec->cap_talk * 2 : 64;
        struct record_talk *more =
            cap <= RECORD_MAX_TALKS ? mem_resize(rec->talk, cap * sizeof(*more)) : NULL;
        if (!more)
            return; /* the sound itself is there */
        rec->talk = more;
        rec->cap_talk = cap;
    }
    rec->talk[rec->n_talk++] =
        (struct record_talk){.track = (uint8_t)track, .from_ms = from_ms, .to_ms = to_ms};
}

void recording_voice_talks(struct pbx *p, handle_t recording, uint8_t track, bool talks)
{
    struct recording *rec = find(p, recording);
    struct record_track *t = rec && track ? &rec->track[track - 1] : NULL;
    if (!t || t->talking == talks)
        return;
    if (!talks && !rec->paused)
        note_talk(rec, track, t->talk_ms, ms_of(p, rec));
    t->talking = talks;
    t->talk_ms = ms_of(p, rec);
    if (!talks && p->now - rec->told >= TELL_AGAIN)
        write_meta(p, rec); /* a kill takes the rest of it */
}

void recording_talks(struct pbx *p, struct leg *leg, bool talks)
{
    recording_voice_talks(p, leg->record, leg->track, talks);
}

/* What is said in a pause is nobody's business. */
static void pause_talks(struct pbx *p, struct recording *rec, bool paused)
{
    for (unsigned i = 0; i < rec->n_tracks; i++) {
        struct record_track *t = &rec->track[i];
        if (t->talking && paused)
            note_talk(rec, i + 1, t->talk_ms, ms_of(p, rec));
        t->talk_ms = ms_of(p, rec);
    }
}

/* One more than are listed makes the last of them longer. */
static void pause_end(struct pbx *p, struct recording *rec)
{
    if (rec->n_pauses == RECORD_MAX_PAUSES)
        rec->pause[rec->n_pauses - 1].to_ms = ms_of(p, rec);
    else
        rec->pause[rec->n_pauses++] =
            (struct record_pause){.from_ms = rec->pause_ms, .to_ms = ms_of(p, rec)};
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void date_of(uint64_t wall_ms, char folder[11], char clock[7])
{
    /* Days to a date of the Gregorian calendar, counted from March 1st of year 0. */
    uint64_t s = wall_ms / 1000, days = s / 86400 + 719468, era = days / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    unsigned year = (unsigned)(era * 400) + yoe + (month <= 2), sec = (unsigned)(s % 86400);
    struct buf b;
    buf_init(&b, folder, 11);
    buf_printf(&b, "%04u-%02u-%02u", year, month, day);
    folder[10] = 0;
    buf_init(&b, clock, 7);
    buf_printf(&b, "%02u%02u%02u", sec / 3600, sec / 60 % 60, sec % 60);
    clock[6] = 0;
}

/* Only what a file's name may have. */
static void put_name(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n && i < 32; i++) {
        char c = s.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '+' || c == '_' || c == '.';
        buf_ch(b, plain ? c : '_');
    }
}

static int name_files(struct pbx *p, struct recording *rec, struct str base)
{
    char folder[11], clock[7], mem[128];
    struct buf b;
    date_of(pbx_wall_ms(p), folder, clock);
    buf_init(&b, mem, sizeof(mem));
    buf_z(&b, clock);
    buf_ch(&b, '-');
    put_name(&b, base);
    buf_printf(&b, "-%llu", (unsigned long long)++p->calls->last_recording);
    int err = pbx_keep(p, &rec->folder, str_z(folder));
    return err ? err : pbx_keep(p, &rec->base, buf_str(&b));
}

static void release(struct pbx *p, struct recording *rec)
{
    struct str *texts[] = {&rec->folder, &rec->base, &rec->about};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        if (pbx_keep(p, texts[i], STR_NONE))
            BUG_ON(true); /* freeing cannot fail */
    mem_free(rec->talk);
    slot_put(&p->calls->recordings, rec->self);
}

void recording_free_all(struct pbx *p)
{
    uint32_t at = 0;
    handle_t h;
    struct recording *rec;
    while (p->calls->recordings.mem && (rec = slot_next(&p->calls->recordings, &at, &h)))
        release(p, rec);
}

handle_t recording_begin(struct pbx *p, enum config_record mode, bool wide, struct str base,
                         struct str about)
{
    handle_t h;
    struct recording *rec = slot_take(&p->calls->recordings, &h);
    if (!rec)
        return 0;
    rec->self = h;
    rec->began = p->now;
    rec->mode = (uint8_t)mode;
    rec->wide = wide;
    if (pbx_keep(p, &rec->about, about) || name_files(p, rec, base)) {
        release(p, rec);
        return 0;
    }
    struct pbx_file *f = file_order(p, rec, PBX_FILE_BEGIN);
    f->mixed = mode != CONF_RECORD_TRACKS;
    f->tracks = mode != CONF_RECORD_MIXED;
    write_meta(p, rec);
    say(p, rec, STR("begins"));
    return h;
}

static const struct leg_stream *speech_of(const struct leg *leg)
{
    for (unsigned i = 0; i < leg->n_streams; i++)
        if (leg->stream[i].id && leg->stream[i].audio)
            return &leg->stream[i];
    return NULL;
}

/* For one more: a new one, or when there is none any more that of who was the first to leave. NULL:
 * they are all here. */
static struct record_track *track_for(struct recording *rec)
{
    struct record_track *left = NULL;
    if (rec->n_tracks < ARRAY_LEN(rec->track))
        return &rec->track[rec->n_tracks++];
    for (unsigned i = 0; i < rec->n_tracks; i++)
        if (!rec->track[i].there && (!left || rec->track[i].to_ms < left->to_ms))
            left = &rec->track[i];
    return left;
}

/* A track for this leg. 0: there is none. */
static uint8_t track_new(struct pbx *p, struct recording *rec, const struct leg *leg)
{
    struct record_track *t = track_for(rec);
    if (!t)
        return 0;
    *t = (struct record_track){.leg = leg->number, .from_ms = ms_of(p, rec), .there = true};
    str_copy_z(t->party, sizeof(t->party), leg->party);
    str_copy_z(t->name, sizeof(t->name), leg->name);
    return (uint8_t)(t - rec->track + 1);
}

static struct media_cmd *order(struct pbx *p, const struct recording *rec, media_id id,
                               uint8_t track)
{
    struct media_cmd *cmd = &pbx_emit(p, PBX_OUT_MEDIA)->media;
    *cmd = (struct media_cmd){.kind = MEDIA_RECORD, .id = id};
    cmd->record.number = rec->self & NUMBER_BITS;
    cmd->record.rate_hz = rec->wide ? 16000 : 8000;
    cmd->record.track = track;
    cmd->record.tracks = rec->mode != CONF_RECORD_MIXED;
    cmd->record.mixed = rec->mode != CONF_RECORD_TRACKS;
    return cmd;
}

void recording_add(struct pbx *p, handle_t recording, struct leg *leg)
{
    struct recording *rec = find(p, recording);
    const struct leg_stream *s = speech_of(leg);
    if (!rec || !s || rec->stopping || (leg->record == recording && leg->recorded == s->id))
        return;
    bool again = leg->record == recording && leg->track; /* its stream was opened anew */
    uint8_t track = again ? leg->track : track_new(p, rec, leg);
    if (!track)
        return;
    recording_guest(p, 0, leg);
    if (!again)
        leg->bot_track = 0;    /* its number is somebody else's here */
    leg->bot_recorded = false; /* on the new stream it is to begin again */
    leg->track = track;
    leg->record = recording;
    leg->recorded = s->id;
    (void)order(p, rec, s->id, track);
    write_meta(p, rec); /* who it is must be known after a kill, too */
}

static void guest_leaves(struct pbx *p, struct leg *leg)
{
    struct recording *rec = find(p, leg->guest);
    const struct leg_stream *s = speech_of(leg);
    if (rec && !rec->stopping) {
        rec->track[leg->guest_track - 1].there = false;
        rec->track[leg->guest_track - 1].to_ms = ms_of(p, rec);
        if (s)
            order(p, rec, s->id, leg->guest_track)->record.leave = true;
    }
    leg->guest = 0;
}

void recording_guest(struct pbx *p, handle_t recording, struct leg *leg)
{
    struct recording *rec = find(p, recording);
    const struct leg_stream *s = speech_of(leg);
    if (leg->guest && leg->guest != recording)
        guest_leaves(p, leg);
    if (!rec || !s || rec->stopping || leg->guest || leg->record == recording)
        return;
    uint8_t track = track_new(p, rec, leg);
    if (!track)
        return;
    leg->guest = recording;
    leg->guest_track = track;
    order(p, rec, s->id, track)->record.also = true;
}

static void said_leaves(struct pbx *p, struct recording *rec, struct leg *leg)
{
    struct record_track *t = &rec->track[leg->bot_track - 1];
    leg->bot_recorded = false;
    t->there = false;
    t->to_ms = ms_of(p, rec);
}

/* A bot that comes back goes on in its track, unless somebody else has it. */
static bool said_joins(struct pbx *p, struct recording *rec, struct leg *leg, struct str bot)
{
    if (!leg->bot_track || rec->n_tracks == ARRAY_LEN(rec->track))
        leg->bot_track = track_new(p, rec, leg);
    if (!leg->bot_track)
        return false;
    struct record_track *t = &rec->track[leg->bot_track - 1];
    struct buf party;
    t->leg = 0;
    t->there = leg->bot_recorded = true;
    str_copy_z(t->name, sizeof(t->name), bot);
    buf_init(&party, t->party, sizeof(t->party) - 1);
    buf_lit(&party, "bot:");
    buf_str_put(&party, str_sub(bot, 0, bot.n < 58 ? bot.n : 58));
    t->party[party.n] = '\0';
    return true;
}

void recording_said(struct pbx *p, struct leg *leg, struct str bot)
{
    struct recording *rec = find(p, leg->record);
    bool on = bot.n > 0;
    if (!rec || rec->stopping || !leg->track || leg->bot_recorded == on)
        return;
    if (on && !said_joins(p, rec, leg, bot))
        return;
    if (!on)
        said_leaves(p, rec, leg);
    struct media_cmd *cmd = order(p, rec, leg->recorded, leg->bot_track);
    cmd->record.said = true;
    cmd->record.leave = !on;
    write_meta(p, rec);
}

/* The stream goes on without being written. */
static void stream_leaves(struct pbx *p, const struct leg *leg)
{
    for (unsigned i = 0; i < leg->n_streams; i++)
        if (leg->recorded && leg->stream[i].id == leg->recorded)
            pbx_emit(p, PBX_OUT_MEDIA)->media =
                (struct media_cmd){.kind = MEDIA_RECORD, .id = leg->recorded};
}

void recording_remove(struct pbx *p, struct leg *leg)
{
    struct recording *rec = find(p, leg->record);
    recording_guest(p, 0, leg);
    if (rec && leg->track && !rec->stopping) {
        struct record_track *t = &rec->track[leg->track - 1];
        recording_talks(p, leg, false);
        t->there = false;
        t->to_ms = ms_of(p, rec);
        if (leg->bot_recorded)
            said_leaves(p, rec, leg);
        stream_leaves(p, leg);
    }
    leg->bot_recorded = false;
    leg->bot_track = 0;
    leg->record = 0;
    leg->recorded = 0;
    leg->track = 0;
}

uint8_t recording_voice(struct pbx *p, handle_t recording, media_id id, struct str party)
{
    struct recording *rec = find(p, recording);
    struct record_track *t = rec && !rec->stopping ? track_for(rec) : NULL;
    if (!t)
        return 0;
    *t = (struct record_track){.from_ms = ms_of(p, rec), .there = true};
    str_copy_z(t->party, sizeof(t->party), party);
    uint8_t track = (uint8_t)(t - rec->track + 1);
    (void)order(p, rec, id, track);
    write_meta(p, rec);
    return track;
}

void recording_voice_leaves(struct pbx *p, handle_t recording, media_id id, uint8_t track)
{
    struct recording *rec = find(p, recording);
    if (!rec || rec->stopping || !track)
        return;
    recording_voice_talks(p, recording, track, false);
    rec->track[track - 1].there = false;
    rec->track[track - 1].to_ms = ms_of(p, rec);
    if (id)
        pbx_emit(p, PBX_OUT_MEDIA)->media = (struct media_cmd){.kind = MEDIA_RECORD, .id = id};
}

void recording_hold(struct pbx *p, handle_t recording, bool paused)
{
    struct recording *rec = find(p, recording);
    if (!rec || rec->paused == paused)
        return;
    pause_talks(p, rec, paused);
    if (!paused)
        pause_end(p, rec);
    rec->pause_ms = ms_of(p, rec);
    rec->paused = paused;
    write_meta(p, rec);
    struct media_cmd *cmd = &pbx_emit(p, PBX_OUT_MEDIA)->media;
    *cmd = (struct media_cmd){.kind = MEDIA_RECORD_PAUSE, .on = paused};
    cmd->record.number = recording & NUMBER_BITS;
}

void recording_end(struct pbx *p, handle_t recording)
{
    struct recording *rec = find(p, recording);
    if (!rec || rec->stopping)
        return;
    rec->stopping = true;
    for (unsigned i = 0; i < rec->n_tracks; i++)
        if (rec->track[i].there) {
            rec->track[i].there = false;
            rec->track[i].to_ms = ms_of(p, rec);
            if (rec->track[i].talking && !rec->paused)
                note_talk(rec, i + 1, rec->track[i].talk_ms, ms_of(p, rec));
        }
    if (rec->paused)
        pause_end(p, rec);
    rec->paused = false;
    write_meta(p, rec);
    struct media_cmd *cmd = &pbx_emit(p, PBX_OUT_MEDIA)->media;
    *cmd = (struct media_cmd){.kind = MEDIA_RECORD_STOP};
    cmd->record.number = recording & NUMBER_BITS;
}

struct str recording_name(struct pbx *p, handle_t recording)
{
    const struct recording *rec = find(p, recording);
    struct buf b;
    size_t cap = rec ? rec->folder.n + rec->base.n + 1 : 0;
    char *mem = rec ? arena_take(&p->turn, cap) : NULL;
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, cap);
    buf_str_put(&b, rec->folder);
    buf_ch(&b, '/');
    buf_str_put(&b, rec->base);
    return buf_str(&b);
}

void recording_stopped(struct pbx *p, uint64_t number)
{
    struct recording *rec = find(p, number);
    if (!rec || !rec->stopping)
        return;
    rec->closed = true;
    (void)file_order(p, rec, PBX_FILE_END);
}

static struct str why_of(int err)
{
    switch (err) {
    case -ENOSPC:
    case -EDQUOT:
        return STR("disk-full");
    case -EFBIG:
        return STR("too-long");
    case -EMFILE:
        return STR("too-many");
    default:
        return STR("error");
    }
}

/* What was noted before the news came ends where the sound does. */
static void cut(struct recording *rec)
{
    uint32_t end = rec->end_ms, n = 0;
    for (unsigned i = 0; i < rec->n_tracks; i++) {
        struct record_track *t = &rec->track[i];
        t->from_ms = t->from_ms < end ? t->from_ms : end;
        t->to_ms = t->to_ms < end ? t->to_ms : end;
    }
    for (uint32_t i = 0; i < rec->n_talk; i++) {
        struct record_talk t = rec->talk[i];
        t.to_ms = t.to_ms < end ? t.to_ms : end;
        if (t.from_ms < t.to_ms)
            rec->talk[n++] = t;
    }
    rec->n_talk = n;
    for (n = 0; n < rec->n_pauses && rec->pause[n].from_ms < end; n++)
        rec->pause[n].to_ms = rec->pause[n].to_ms < end ? rec->pause[n].to_ms : end;
    rec->n_pauses = n;
}

/* The calls go on without it. One that has ended already is known by its sidecar alone. */
static void fail(struct pbx *p, struct recording *rec, const struct pbx_recorded *r)
{
    rec->end_ms = ms_of(p, rec);
    rec->end_ms = r->ms < rec->end_ms ? (uint32_t)r->ms : rec->end_ms;
    rec->failed = true;
    trace_emit(&p->trace, TRACE_RECORDING_FAILED, 0, TS(rec->folder), TS(rec->base), TS(r->text));
    cut(rec);
    if (rec->stopping) {
        if (!rec->closed) /* behind its end nothing is written, not even that */
            write_meta(p, rec);
        return;
    }
    bool paused = rec->paused;
    recording_end(p, rec->self);
    recording_lost(p, rec->self, why_of(r->err), rec->end_ms, paused);
}

void recording_done(struct pbx *p, const struct pbx_recorded *r)
{
    struct recording *rec = find(p, r->number);
    if (!rec)
        return;
    if (r->err && !rec->failed)
        fail(p, rec, r);
    if (!r->ended)
        return; /* the call goes on */
    say(p, rec, STR("is written"));
    release(p, rec);
}

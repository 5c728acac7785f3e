#include "app/mrcp_word.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wire/mrcp/speech.h"

#define RECORDING 1
#define RATE_HZ   8000
#define CLIP      1
/* Behind our sound, so that the server hears its end. */
#define SILENCE_MS 3000
/* SPEAK-COMPLETE may be faster than the last packets and our jitter buffer. */
#define TAIL_MS   300
#define MAX_SSML  (512u << 10)
#define PROBE_MAX 1024

struct run {
    const struct mrcp_wish *wish;
    struct mrcp_result *r;
    struct mrcp_ua *ua;
    struct loop_timer tail;
    uint64_t id, request, prompt;
    unsigned open, opened; /* sessions */
    unsigned streams;      /* not yet closed: their last word is RTCP BYE */
    bool begun, over, closing, interrupted, has_ports;
    usec_t started, session_at;
    struct wav *wav; /* the media thread's while it records */
    int wav_err;
    uint64_t samples;
    bool heard;
};

static void fail(struct run *w, int err, const char *text)
{
    if (w->r->err)
        return;
    w->r->err = err;
    snprintf(w->r->why, sizeof(w->r->why), "%s", text);
}

static void close_session(struct run *w)
{
    if (w->closing || !w->id)
        return;
    w->closing = true;
    mrcp_ua_close(w->ua, w->id);
}

/* ---- sound ----------------------------------------------------------------------------------- */

/* In the media thread. The silence before the first sound is not the server's. */
static void on_block(void *ctx, const struct plane_block *b)
{
    struct run *w = ctx;
    for (unsigned i = 0; i < b->n; i++) {
        const struct plane_track *t = &b->plane[i];
        if (t->track != 0 || !w->wav || w->wav_err || (t->silent && !w->heard))
            continue;
        w->heard = true;
        w->wav_err =
            t->silent ? wav_silence(w->wav, b->samples) : wav_write(w->wav, t->pcm, b->samples);
        w->samples += b->samples;
    }
}

static void record_begin(struct run *w)
{
    struct media_cmd cmd = {.kind = MEDIA_RECORD,
                            .id = mrcp_ua_stream(w->ua, w->id),
                            .record = {.number = RECORDING, .rate_hz = RATE_HZ, .tracks = true}};
    mrcp_ua_media(w->ua, &cmd);
}

static void clip_play(struct run *w)
{
    struct media_cmd cmd = {.kind = MEDIA_PLAY, .id = mrcp_ua_stream(w->ua, w->id)};
    cmd.play.n_items = 2;
    cmd.play.token = 1;
    cmd.play.item[0] = (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = CLIP};
    cmd.play.item[1] = (struct media_item){.kind = MEDIA_ITEM_SILENCE, .ms = SILENCE_MS};
    mrcp_ua_media(w->ua, &cmd);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* SPEAK with a text of plain words, or SSML. */
static int speak_text(struct run *w, struct str text, usec_t limit, uint64_t *request)
{
    const struct mrcp_wish *wish = w->wish;
    struct mrcp_field f[] = {{.id = MRCP_H_CONTENT_TYPE, .value = STR("application/ssml+xml")},
                             {.id = MRCP_H_SPEECH_LANGUAGE, .value = wish->lang},
                             {.id = MRCP_H_KILL_ON_BARGE_IN, .value = STR("true")},
                             {.id = MRCP_H_VOICE_NAME, .value = wish->voice}};
    struct buf b;
    char *mem = mem_alloc(MAX_SSML);
    if (!mem)
        return -ENOMEM;
    buf_init(&b, mem, MAX_SSML);
    int err = 0;
    if (speech_is_ssml(text))
        buf_str_put(&b, text);
    else
        err = speech_ssml(&b, text, wish->lang, wish->voice);
    struct mrcp_ask ask = {.resource = MRCP_R_SPEECHSYNTH,
                           .method = MRCP_M_SPEAK,
                           .field = f,
                           .n_fields = wish->voice.n ? 4 : 3,
                           .body = buf_str(&b),
                           .limit = limit};
    err = err || b.full ? -EMSGSIZE : mrcp_ua_ask(w->ua, w->id, &ask, request);
    mem_free(mem);
    return err;
}

static int speak(struct run *w)
{
    record_begin(w);
    return speak_text(w, w->wish->text, w->wish->limit_s * USEC_S, &w->request);
}

static int recognize(struct run *w)
{
    const struct mrcp_wish *wish = w->wish;
    char timeout[16];
    snprintf(timeout, sizeof(timeout), "%u", wish->no_input_ms);
    struct mrcp_field f[] = {
        {.id = MRCP_H_CONTENT_TYPE, .value = wish->grammar_type},
        {.id = MRCP_H_NO_INPUT_TIMEOUT, .value = str_z(timeout)},
        /* While a prompt is spoken nobody has to speak yet (RFC 6787 section 9.13). */
        {.id = MRCP_H_START_INPUT_TIMERS, .value = wish->prompt.n ? STR("false") : STR("true")},
        {.id = MRCP_H_CANCEL_IF_QUEUE, .value = STR("false")},
        {.id = MRCP_H_SPEECH_LANGUAGE, .value = wish->lang},
        {.id = MRCP_H_CONTENT_ID, .value = str_z(wish->grammar_id)}};
    struct mrcp_ask ask = {.resource = wish->dtmf ? MRCP_R_DTMFRECOG : MRCP_R_SPEECHRECOG,
                           .method = MRCP_M_RECOGNIZE,
                           .field = f,
                           .n_fields = wish->grammar_id ? 6 : 5,
                           .body = wish->grammar,
                           .limit = wish->limit_s * USEC_S};
    int err = wish->prompt.n ? speak_text(w, wish->prompt, 0, &w->prompt) : 0;
    return err ? err : mrcp_ua_ask(w->ua, w->id, &ask, &w->request);
}

static int record(struct run *w)
{
    struct mrcp_field f[] = {{.id = MRCP_H_MEDIA_TYPE, .value = STR("audio/x-wav")},
                             {.id = MRCP_H_FINAL_SILENCE, .value = STR("2000")},
                             {.id = MRCP_H_CAPTURE_ON_SPEECH, .value = STR("true")},
                             {.id = MRCP_H_RECORD_URI, .value = str_z(w->wish->record_uri)}};
    struct mrcp_ask ask = {.resource = MRCP_R_RECORDER,
                           .method = MRCP_M_RECORD,
                           .field = f,
                           .n_fields = 4,
                           .limit = w->wish->limit_s * USEC_S};
    return mrcp_ua_ask(w->ua, w->id, &ask, &w->request);
}

static void on_ready(void *ctx, uint64_t id)
{
    struct run *w = ctx;
    usec_t now = loop_now(mrcp_ua_loop(w->ua));
    if (w->wish->word == WORD_PROBE) {
        w->r->done++;
        mrcp_ua_close(w->ua, id);
        return;
    }
    w->session_at = now;
    int err = w->wish->word == WORD_SPEAK       ? speak(w)
              : w->wish->word == WORD_RECOGNIZE ? recognize(w)
                                                : record(w);
    if (err) {
        fail(w, err, uv_strerror(err));
        close_session(w);
    }
}

/* ---- what the server says -------------------------------------------------------------------- */

static void note_cause(struct run *w, const struct mrcp_out *o)
{
    str_copy_z(w->r->cause, sizeof(w->r->cause), mrcp_field_get(o->msg, MRCP_H_COMPLETION_CAUSE));
    struct str uri = mrcp_field_get(o->msg, MRCP_H_RECORD_URI);
    if (uri.n)
        str_copy_z(w->r->uri, sizeof(w->r->uri), uri);
    if (!o->msg->body.n || w->r->body.p)
        return;
    char *copy = mem_strndup(o->msg->body.p, o->msg->body.n);
    w->r->body = copy ? str_of(copy, o->msg->body.n) : STR_NONE;
}

/* The last word about our request. 0, or what it means. */
static int verdict(const struct run *w, const struct mrcp_out *o)
{
    uint16_t cause;
    if (mrcp_cause(&cause, o->msg))
        return 0; /* servers that do not say it have nothing to complain of */
    switch (w->wish->word) {
    case WORD_RECOGNIZE:
        if (cause == 0 || cause == 8) /* success, success-maxtime */
            return 0;
        return cause == 1 || cause == 2 || cause == 3 || cause == 13 || cause == 14 || cause == 15
                   ? -ENODATA
                   : -EPROTO;
    case WORD_RECORD:
        return cause <= 1 ? 0 : cause == 2 ? -ENODATA : -EPROTO;
    default:
        return cause == 0 ? 0 : -EPROTO;
    }
}

static void finish(struct run *w, const struct mrcp_out *o)
{
    char text[200];
    note_cause(w, o);
    int err = verdict(w, o);
    if (err) {
        snprintf(text, sizeof(text), "%s", w->r->cause);
        fail(w, err, text);
    }
    w->over = true;
    w->r->ms = (loop_now(mrcp_ua_loop(w->ua)) - w->session_at) / USEC_MS;
    if (w->wish->word == WORD_SPEAK)
        loop_timer_start(&w->tail, TAIL_MS, 0);
    else
        close_session(w);
}

static void on_tail(struct loop_timer *t)
{
    struct run *w = container_of(t, struct run, tail);
    struct media_cmd cmd = {.kind = MEDIA_RECORD_STOP, .record = {.number = RECORDING}};
    mrcp_ua_media(w->ua, &cmd); /* MEDIA_EV_RECORDED follows */
}

static void refused(struct run *w, const struct mrcp_out *o)
{
    char text[200];
    struct str phrase = mrcp_status_text(o->msg->status);
    note_cause(w, o);
    snprintf(text, sizeof(text), "the server refuses " STR_FMT ": %u " STR_FMT "%s%s",
             STR_ARG(mrcp_method_name(o->method)), o->msg->status, STR_ARG(phrase),
             w->r->cause[0] ? ", " : "", w->r->cause);
    w->r->status = o->msg->status;
    fail(w, -EPROTO, text);
    close_session(w);
}

/* Nobody has spoken into it: from now on somebody should. */
static void prompt_over(struct run *w)
{
    struct mrcp_ask ask = {.resource = w->wish->dtmf ? MRCP_R_DTMFRECOG : MRCP_R_SPEECHRECOG,
                           .method = MRCP_M_START_INPUT_TIMERS};
    (void)!mrcp_ua_ask(w->ua, w->id, &ask, NULL); /* -EPROTO: it has ended meanwhile */
}

static void on_message(void *ctx, const struct mrcp_out *o)
{
    struct run *w = ctx;
    bool about_prompt = w->prompt && o->request_id == w->prompt;
    if (o->kind == MRCP_OUT_STOPPED && about_prompt)
        w->r->barged_in = true;
    if (o->kind == MRCP_OUT_STOPPED || !o->msg || w->over)
        return;
    /* What came of these shows in the events. */
    if (o->method == MRCP_M_START_INPUT_TIMERS || o->method == MRCP_M_BARGE_IN_OCCURRED)
        return;
    if (o->kind == MRCP_OUT_RESPONSE && o->msg->status / 100 != 2) {
        refused(w, o);
        return;
    }
    /* The response to our STOP tells where a recording is. */
    if (o->kind == MRCP_OUT_RESPONSE && o->method == MRCP_M_STOP) {
        finish(w, o);
        return;
    }
    if (about_prompt && o->kind == MRCP_OUT_EVENT && o->last)
        prompt_over(w);
    if (o->request_id != w->request)
        return;
    if (o->last) {
        finish(w, o);
    } else if (!w->begun && w->wish->word != WORD_SPEAK && o->msg->state == MRCP_IN_PROGRESS) {
        w->begun = true;
        clip_play(w);
    }
}

static void on_media(void *ctx, const struct media_ev *ev)
{
    struct run *w = ctx;
    if (ev->kind == MEDIA_EV_CLOSED) {
        w->r->stats = ev->stats;
        w->r->has_stats = true;
    } else if (ev->kind == MEDIA_EV_FIRST && w->session_at && !w->r->first_ms) {
        w->r->first_ms = (loop_now(mrcp_ua_loop(w->ua)) - w->session_at) / USEC_MS;
    } else if (ev->kind == MEDIA_EV_RECORDED) {
        close_session(w);
    } else if (ev->kind == MEDIA_EV_PLAYED && w->wish->word == WORD_RECORD && !w->over) {
        struct mrcp_ask stop = {.resource = MRCP_R_RECORDER, .method = MRCP_M_STOP};
        if (mrcp_ua_ask(w->ua, w->id, &stop, NULL))
            close_session(w);
    }
}

/* ---- sessions -------------------------------------------------------------------------------- */

static int open_one(struct run *w, uint64_t *id)
{
    static const enum mrcp_resource of[] = {[WORD_SPEAK] = MRCP_R_SPEECHSYNTH,
                                            [WORD_RECOGNIZE] = MRCP_R_SPEECHRECOG,
                                            [WORD_RECORD] = MRCP_R_RECORDER,
                                            [WORD_PROBE] = MRCP_R_SPEECHSYNTH};
    enum mrcp_resource r[] = {w->wish->dtmf ? MRCP_R_DTMFRECOG : of[w->wish->word],
                              MRCP_R_SPEECHSYNTH};
    int err = mrcp_ua_open(w->ua, r, w->wish->prompt.n ? 2 : 1, id);
    if (err == 0) {
        w->open++;
        w->opened++;
        w->streams++;
    }
    return err;
}

/* As many as may be at a time; what finds no port pair is tried with the next event. */
static void open_more(struct run *w)
{
    uint64_t id;
    unsigned count = w->wish->word == WORD_PROBE ? w->wish->count : 1;
    while (!w->interrupted && w->opened < count && w->open < w->wish->parallel) {
        int err = open_one(w, &id);
        if (err == -EAGAIN)
            break;
        if (err) {
            fail(w, err, uv_strerror(err));
            w->opened = count;
            break;
        }
        w->id = w->wish->word == WORD_PROBE ? 0 : id;
    }
    if (!w->open && !w->streams && (w->opened >= count || w->interrupted))
        mrcp_ua_stop(w->ua);
}

static void on_resolved(void *ctx, int err)
{
    struct run *w = ctx;
    w->started = loop_now(mrcp_ua_loop(w->ua));
    if (err) {
        fail(w, -EHOSTUNREACH, "the server's name leads nowhere");
        mrcp_ua_stop(w->ua);
    } else {
        open_more(w);
    }
}

/* Port pairs come after the start, and come back after a session. */
static void on_any_media(void *ctx, const struct media_ev *ev)
{
    struct run *w = ctx;
    w->has_ports |= ev->kind == MEDIA_EV_PORTS;
    if (ev->kind == MEDIA_EV_NO_PORTS && w->has_ports)
        return; /* there are fewer than asked for */
    if (ev->kind == MEDIA_EV_NO_PORTS) {
        fail(w, -EADDRINUSE, "no port is free for RTP");
        mrcp_ua_stop(w->ua);
        return;
    }
    on_media(w, ev);
    w->streams -= ev->kind == MEDIA_EV_CLOSED;
    if ((ev->kind == MEDIA_EV_PORTS || ev->kind == MEDIA_EV_CLOSED) && w->started)
        open_more(w);
}

static void on_refused(void *ctx, uint64_t id, enum mrcp_resource r)
{
    struct run *w = ctx;
    char text[100];
    snprintf(text, sizeof(text), "the server gives no " STR_FMT, STR_ARG(mrcp_resource_name(r)));
    fail(w, -ENOTSUP, text);
    mrcp_ua_close(w->ua, id);
}

static void why_ended(struct run *w, const struct mrcp_agent_out *o)
{
    char why[200], text[240];
    mrcp_host_why(mrcp_ua_host(w->ua), o, why, sizeof(why));
    bool unknown = o->err == -EACCES && !w->wish->ua.user;
    snprintf(text, sizeof(text), "%s%s", why, unknown ? "; --user says who we are" : "");
    w->r->status = w->r->status ? w->r->status : o->status;
    fail(w, o->err, text);
}

static void on_ended(void *ctx, const struct mrcp_agent_out *o)
{
    struct run *w = ctx;
    w->open--;
    if (w->wish->word == WORD_PROBE) {
        w->r->failed += o->err != 0;
        if (o->err)
            why_ended(w, o);
        open_more(w);
        return;
    }
    if (o->err && !w->over)
        why_ended(w, o);
    w->id = 0;
    open_more(w);
}

static void on_interrupted(void *ctx)
{
    struct run *w = ctx;
    fail(w, -EINTR, "interrupted");
    if (w->interrupted || !w->open)
        mrcp_ua_stop(w->ua);
    w->interrupted = true;
    close_session(w);
}

static int wav_begin(struct run *w)
{
    if (w->wish->word != WORD_SPEAK)
        return 0;
    int err = remove(w->wish->out) && errno != ENOENT ? -errno : 0;
    return err ? err : wav_open(&w->wav, w->wish->out, RATE_HZ, 1);
}

static void sound_give(struct run *w)
{
    struct media_cmd cmd = {.kind = MEDIA_CLIP,
                            .play = {.clip_number = CLIP, .clip = w->wish->clip}};
    if (w->wish->clip)
        mrcp_ua_media(w->ua, &cmd);
}

static void wav_end(struct run *w)
{
    if (!w->wav)
        return;
    int err = wav_close(w->wav);
    bool silent = w->r->has_stats && !w->r->stats.rx_packets;
    err = w->wav_err ? w->wav_err : err;
    w->r->samples = w->samples;
    if (err)
        fail(w, err, uv_strerror(err));
    else if (!w->samples || silent)
        fail(w, -ENODATA,
             w->r->cause[0] ? "no sound came, though the server says that it has spoken"
                            : "no sound came");
    if (!w->samples || silent)
        (void)remove(w->wish->out);
}

void mrcp_word_run(const struct mrcp_wish *wish, struct mrcp_result *ret)
{
    struct run w = {.wish = wish, .r = ret};
    char why[MRCP_HOST_WHY];
    struct mrcp_ua_hooks hooks = {.resolved = on_resolved,
                                  .ready = on_ready,
                                  .message = on_message,
                                  .refused = on_refused,
                                  .media = on_any_media,
                                  .ended = on_ended,
                                  .interrupted = on_interrupted,
                                  .block = on_block,
                                  .ctx = &w};
    int err = wav_begin(&w);
    if (err) {
        snprintf(why, sizeof(why), "%s: %s", wish->out, uv_strerror(err));
        fail(&w, err, why);
        return;
    }
    err = mrcp_ua_new(&w.ua, &wish->ua, &hooks, why);
    if (err) {
        fail(&w, err, why);
        mem_free(wish->clip);
        (void)wav_close(w.wav);
        return;
    }
    w.tail.fire = on_tail;
    loop_timer_open(mrcp_ua_loop(w.ua), &w.tail);
    sound_give(&w);
    mrcp_ua_run(w.ua);
    if (w.started && wish->word == WORD_PROBE)
        ret->ms = (loop_now(mrcp_ua_loop(w.ua)) - w.started) / USEC_MS;
    mrcp_host_telemetry(mrcp_ua_host(w.ua), &ret->telemetry);
    loop_timer_close(&w.tail);
    mrcp_ua_free(w.ua);
    wav_end(&w);
}

void mrcp_result_free(struct mrcp_result *r)
{
    mem_free((char *)(uintptr_t)r->body.p);
}

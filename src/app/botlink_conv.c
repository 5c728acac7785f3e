/* One conversation with a bot, in the thread of the web. */
#include <errno.h>
#include <string.h>

#include "app/botlink_int.h"
#include "base/mem.h"
#include "engine/media/codec.h"
#include "io/entropy.h"

#define RATE_HZ 8000
#define FRAME   160 /* 20 ms of µ-law */
/* A bot may send a whole answer at once: so much waits here besides what waits in the plane. */
#define PEND_MOST (60 * RATE_HZ)
/* So much the plane gets in hand at most: what it has no room for would be lost there. */
#define AHEAD_MS 50000
/* Frames for the media thread before its next tick: lest one bot takes the room of all. */
#define BUDGET 200
/* How often a connection that breaks is made again in one conversation. */
#define TRIES       3
#define WAIT_TICKS  12 /* before the second one; twice that before the third */
#define MAX_MESSAGE (2u << 20)
#define OPEN_MS     2000
#define MESSAGE_MAX 8192
/* Lines of the transcript: all of them, and what each costs besides its text. */
#define NOTES_MOST (16u << 10)
#define NOTE_BYTES 32

/* RFC 6455 section 7.4.1 */
enum { CLOSE_NORMAL = 1000, CLOSE_GOING = 1001, CLOSE_PROTOCOL = 1002, CLOSE_NO_CODE = 1005 };

static void connect_again(struct conv *c);

static struct conv *conv_find(struct botlinks *b, uint64_t id)
{
    hash_each(node, &b->by_id, hash_bytes(&b->by_id, &id, sizeof(id)))
    {
        struct conv *c = container_of(node, struct conv, node);
        if (c->order.id == id)
            return c;
    }
    return NULL;
}

static void conv_free(struct conv *c)
{
    hash_remove(&c->b->by_id, &c->node);
    list_remove(&c->in_all);
    c->b->n--;
    mem_free(c->pend);
    mem_free(c);
}

void conv_free_all(struct botlinks *b)
{
    list_each(node, &b->all) conv_free(container_of(node, struct conv, in_all));
}

static void tell(struct conv *c, enum botlink_event_kind kind, struct str text)
{
    bot_tell(c->b, kind, c->order.id, text, NULL);
}

static struct botlink_figures figures_of(const struct conv *c)
{
    struct botlink_figures f = c->figures;
    if (c->ws) {
        struct web_ws_figures w = web_ws_figures(c->ws);
        f.rx_bytes += w.rx_bytes;
        f.tx_bytes += w.tx_bytes;
        f.dropped += w.dropped;
    }
    return f;
}

static void over(struct conv *c)
{
    struct botlink_figures f = figures_of(c);
    bot_tell(c->b, BOTLINK_EV_CLOSED, c->order.id, STR(""), &f);
    conv_free(c);
}

/* ---- to the bot ------------------------------------------------------------------------------ */

static void say(struct conv *c, const struct buf *b, unsigned flags)
{
    if (b->full || !c->ws || c->state != CONV_OPEN)
        return;
    int err = web_ws_send(c->ws, buf_str(b), WEB_TEXT | flags);
    if (err == -ENOBUFS || err == -ENOMEM) {
        c->figures.errors++; /* it does not read, and not even sound was left to be dropped */
        web_ws_close(c->ws, CLOSE_PROTOCOL);
    }
}

static void ids_make(struct conv *c)
{
    uint8_t bytes[32] = {0};
    int err = entropy_get(bytes, sizeof(bytes));
    BUG_ON(err);
    if (!c->ids.call[0])
        twilio_sid(c->ids.call, "CA", bytes);
    twilio_sid(c->ids.stream, "MZ", bytes + 16);
    memcpy(c->ids.account, c->order.account, sizeof(c->ids.account));
}

/* Sound follows only behind it. */
static void start_say(struct conv *c)
{
    char mem[MESSAGE_MAX];
    struct buf b;
    const struct twilio_param param[] = {
        {STR("from"), str_z(c->order.from)},      {STR("to"), str_z(c->order.to)},
        {STR("reason"), str_z(c->order.reason)},  {STR("bot"), str_z(c->order.bot)},
        {STR("callId"), str_z(c->order.call_id)}, {STR("resumed"), c->tries ? STR("1") : STR("0")}};
    buf_init(&b, mem, sizeof(mem));
    c->seq = c->chunk = 0;
    twilio_start(&b, ++c->seq, &c->ids, param, ARRAY_LEN(param));
    say(c, &b, 0);
}

static void mark_say(struct conv *c, uint32_t token)
{
    char mem[2048];
    struct buf b;
    for (unsigned i = 0; i < MARKS; i++)
        if (c->mark[i].used && c->mark[i].token == token) {
            buf_init(&b, mem, sizeof(mem));
            c->mark[i].used = false;
            twilio_mark(&b, ++c->seq, &c->ids, str_z(c->mark[i].name));
            say(c, &b, 0);
        }
}

static void sound_say(struct conv *c, const struct media_tap *t)
{
    char mem[1024];
    uint8_t ulaw[FRAME];
    struct buf b;
    unsigned n = t->tap.n < FRAME ? t->tap.n : FRAME;
    struct twilio_media m = {.chunk = ++c->chunk, .timestamp_ms = (c->chunk - 1) * 20, .n = n};
    if (!c->ws || c->state != CONV_OPEN) {
        c->figures.dropped += c->state == CONV_OPENING; /* it is being connected again */
        return;
    }
    for (unsigned i = 0; i < n; i++)
        ulaw[i] = codec_ulaw_code(t->pcm[i]);
    m.ulaw = ulaw;
    buf_init(&b, mem, sizeof(mem));
    twilio_media(&b, ++c->seq, &c->ids, &m);
    say(c, &b, WEB_MAY_DROP);
}

/* ---- to the caller --------------------------------------------------------------------------- */

static int feed(struct conv *c, struct media_feed *f)
{
    f->feed.id = c->media;
    f->feed.link = c->order.id;
    f->feed.came = c->came;
    return media_thread_feed(c->b->conf.media, f);
}

static bool feed_mark_due(struct conv *c)
{
    return c->pend_marks && c->pend_mark[0].at <= c->pend_at;
}

/* The next of what waits; false: there is nothing, or no room for it. */
static bool pend_one(struct conv *c)
{
    struct media_feed f; /* only what is sound is filled */
    f.feed = (struct plane_feed){0};
    if (c->clear_due) {
        f.feed.kind = PLANE_FEED_CLEAR;
        c->clear_due = feed(c, &f) != 0;
        return !c->clear_due;
    }
    if (feed_mark_due(c)) {
        f.feed.kind = PLANE_FEED_MARK;
        f.feed.token = c->pend_mark[0].token;
        if (feed(c, &f))
            return false;
        memmove(c->pend_mark, c->pend_mark + 1, --c->pend_marks * sizeof(c->pend_mark[0]));
        return true;
    }
    uint32_t left = c->pend_n - c->pend_at;
    uint32_t most = c->pend_marks ? c->pend_mark[0].at - c->pend_at : left;
    if (!left || !c->budget || c->ahead_ms >= AHEAD_MS)
        return false;
    f.feed.kind = PLANE_FEED_SOUND;
    f.feed.n = most < FRAME ? most : FRAME;
    for (unsigned i = 0; i < f.feed.n; i++)
        f.pcm[i] = codec_ulaw_sample(c->pend[c->pend_at + i]);
    if (feed(c, &f))
        return false;
    c->pend_at += f.feed.n;
    c->ahead_ms += 20;
    c->budget--;
    return true;
}

/* What comes to the plane before its tap is there would be lost: the first frame says that it is.
 */
static void pend_run(struct conv *c)
{
    while (c->tapped && pend_one(c))
        ;
    if (c->pend_at == c->pend_n && !c->pend_marks)
        c->pend_at = c->pend_n = 0;
}

/* Room for n more; NULL: too much waits. */
static uint8_t *pend_room(struct conv *c, size_t n)
{
    uint32_t left = c->pend_n - c->pend_at;
    if (left + n > PEND_MOST + 3)
        return NULL;
    if (c->pend_n + n > c->pend_cap && c->pend_at) {
        memmove(c->pend, c->pend + c->pend_at, left);
        for (unsigned i = 0; i < c->pend_marks; i++) {
            uint32_t *at = &c->pend_mark[i].at; /* what was cleared has marks behind us */
            *at -= *at < c->pend_at ? *at : c->pend_at;
        }
        c->pend_at = 0;
        c->pend_n = left;
    }
    if (c->pend_n + n <= c->pend_cap)
        return c->pend + c->pend_n;
    uint32_t cap = c->pend_cap ? c->pend_cap : RATE_HZ;
    while (cap < c->pend_n + n)
        cap *= 2;
    uint8_t *p = mem_resize(c->pend, cap);
    if (!p)
        return NULL;
    c->pend = p;
    c->pend_cap = cap;
    return p + c->pend_n;
}

static void sound_take(struct conv *c, struct str base64)
{
    uint8_t *to = pend_room(c, base64_most(base64.n));
    long n = to ? base64_get(to, base64) : -ENOBUFS;
    if (n < 0)
        c->figures.errors++;
    else
        c->pend_n += (uint32_t)n;
}

/* Names stay here, the plane has numbers. */
static void mark_take(struct conv *c, struct str name)
{
    for (unsigned i = 0; i < MARKS; i++)
        if (!c->mark[i].used && c->pend_marks < MARKS) {
            c->mark[i].used = true;
            c->mark[i].token = ++c->next_token;
            str_copy_z(c->mark[i].name, sizeof(c->mark[i].name), name);
            c->pend_mark[c->pend_marks].at = c->pend_n;
            c->pend_mark[c->pend_marks++].token = c->mark[i].token;
            return;
        }
    c->figures.errors++; /* more marks than anybody waits for */
}

/* What waits here is gone; its marks come back behind those of the plane. */
static void clear_take(struct conv *c)
{
    c->clear_due = c->tapped;
    c->pend_at = c->pend_n;
}

/* The record of a call keeps no more of them; who sends more makes no work with it. */
static void note_take(struct conv *c, struct str text)
{
    c->noted += (uint32_t)(text.n < WHY_BYTES ? text.n : WHY_BYTES) + NOTE_BYTES;
    if (c->noted <= NOTES_MOST) {
        tell(c, BOTLINK_EV_NOTE, text);
    } else {
        c->noted = NOTES_MOST;
        c->figures.errors++;
    }
}

void conv_message(struct conv *c, bool is_text, struct str bytes)
{
    struct twilio_msg m;
    if (c->state != CONV_OPEN)
        return;
    if (!is_text || twilio_parse(&m, bytes)) {
        c->figures.errors++;
        return;
    }
    c->came = web_now();
    /* What belongs to a stream that is no more is not ours. */
    bool ours = !m.stream.n || str_eq(m.stream, str_z(c->ids.stream));
    if (ours && m.kind == TWILIO_MEDIA)
        sound_take(c, m.payload);
    else if (ours && m.kind == TWILIO_MARK)
        mark_take(c, m.name);
    else if (ours && m.kind == TWILIO_CLEAR)
        clear_take(c);
    else if (ours && m.kind == TWILIO_NOTE)
        note_take(c, m.name);
    else
        c->figures.errors += !ours;
    twilio_msg_done(&m);
    pend_run(c);
}

void conv_tap(struct botlinks *b, const struct media_tap *t)
{
    struct conv *c = conv_find(b, t->tap.link);
    if (!c || !c->started || c->media != t->tap.id)
        return;
    const struct feed_figures *f = &t->tap.figures;
    c->figures.queue_ms = f->queue_ms;
    c->figures.queue_most_ms = f->queue_most_ms;
    c->figures.underruns = f->underruns;
    switch (t->tap.kind) {
    case PLANE_TAP_MARK:
        mark_say(c, t->tap.token);
        break;
    case PLANE_TAP_STOPPED:
        c->pend_at = c->pend_n;
        pend_run(c);
        break;
    case PLANE_TAP_SOUND:
        c->budget = BUDGET;
        c->ahead_ms = f->queue_ms;
        if (c->wait && --c->wait == 0 && c->state == CONV_OPENING)
            connect_again(c);
        c->tapped = true;
        pend_run(c);
        /* Anew when the caller has spoken, though it did not stop for that. */
        if (t->tap.sounding && (!c->sounding || (c->voice && !t->tap.voice)))
            tell(c, BOTLINK_EV_SOUND, STR(""));
        c->sounding = t->tap.sounding;
        c->voice = t->tap.voice;
        sound_say(c, t);
        break;
    }
}

/* ---- the connection -------------------------------------------------------------------------- */

static int connect_it(struct conv *c)
{
    const struct bot_order *o = &c->order;
    char signature[TWILIO_SIGNATURE_BYTES] = "";
    if (!o->ip[0])
        return -ENOENT;
    if (o->token[0] && twilio_signature(signature, str_z(o->token), str_z(o->url)))
        return -EINVAL;
    struct web_ws_conf conf = {.tls = o->tls,
                               .host = o->host,
                               .port = o->port,
                               .path = o->path,
                               .ip = o->ip,
                               .header = o->token[0] ? "X-Twilio-Signature" : NULL,
                               .value = signature,
                               .open_ms = o->open_ms ? o->open_ms : OPEN_MS,
                               .max_message = MAX_MESSAGE,
                               .user = c};
    return web_ws_open(c->b->web, &conf, &c->ws);
}

static void fail(struct conv *c, struct str why)
{
    c->state = CONV_LOST;
    tell(c, c->opened ? BOTLINK_EV_LOST : BOTLINK_EV_FAILED, why);
}

void conv_opened(struct conv *c)
{
    char mem[128];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    c->state = CONV_OPEN;
    twilio_connected(&b);
    say(c, &b, 0);
    if (!c->opened)
        tell(c, BOTLINK_EV_OPENED, STR(""));
    c->opened = true;
    if (c->started)
        start_say(c);
}

static void connect_again(struct conv *c)
{
    c->tries++;
    c->figures.reconnects++;
    /* Names that the new stream never sent are not its own. */
    memset(c->mark, 0, sizeof(c->mark));
    c->pend_marks = 0;
    ids_make(c); /* of another stream */
    if (connect_it(c))
        fail(c, STR("out of memory"));
}

/* A bot that closes as one should has said good-bye; one that breaks off is called again. */
void conv_closed(struct conv *c, unsigned code, struct str why)
{
    c->figures = figures_of(c);
    c->ws = NULL;
    bool polite = code == CLOSE_NORMAL || code == CLOSE_GOING || code == CLOSE_NO_CODE;
    if (c->state == CONV_CLOSING) {
        over(c);
        return;
    }
    c->pend_at = c->pend_n; /* it is asked anew */
    if (!c->opened) {
        fail(c, why);
    } else if (c->state == CONV_OPEN && polite) {
        c->state = CONV_LOST;
        tell(c, BOTLINK_EV_HANGUP, why);
    } else if (c->tries < TRIES) {
        c->state = CONV_OPENING;
        c->wait = c->started && c->tries ? WAIT_TICKS << (c->tries - 1) : 0;
        if (!c->wait)
            connect_again(c);
    } else {
        fail(c, why);
    }
}

/* ---- orders ---------------------------------------------------------------------------------- */

static struct conv *conv_new(struct botlinks *b, const struct bot_order *o)
{
    struct conv *c = b->n < BOTLINK_MAX ? mem_zero(sizeof(*c)) : NULL;
    if (!c)
        return NULL;
    c->b = b;
    c->order = *o;
    b->n++;
    list_append(&b->all, &c->in_all);
    hash_put(&b->by_id, &c->node, hash_bytes(&b->by_id, &o->id, sizeof(o->id)));
    ids_make(c);
    return c;
}

static void open_it(struct botlinks *b, const struct bot_order *o)
{
    struct conv *c = conv_new(b, o);
    if (!c) {
        bot_tell(b, BOTLINK_EV_FAILED, o->id, STR("too many bots at a time"), NULL);
        return;
    }
    if (o->protocol != BOTLINK_TWILIO)
        fail(c, STR("this protocol is not spoken here"));
    else if (!o->host[0])
        fail(c, STR("the URL is not one of a WebSocket"));
    else if (!o->ip[0])
        fail(c, STR("its host is not known"));
    else if (connect_it(c))
        fail(c, STR("out of memory"));
}

static void start_it(struct conv *c, const struct bot_order *o)
{
    if (c->started || c->state == CONV_CLOSING)
        return;
    c->started = true;
    c->media = o->media;
    c->budget = BUDGET;
    if (c->state == CONV_OPEN)
        start_say(c);
    pend_run(c);
}

static void close_it(struct conv *c)
{
    char mem[512];
    struct buf b;
    if (c->state == CONV_CLOSING)
        return;
    if (c->started && c->state == CONV_OPEN) {
        buf_init(&b, mem, sizeof(mem));
        twilio_stop(&b, ++c->seq, &c->ids);
        say(c, &b, 0);
    }
    c->state = CONV_CLOSING;
    if (c->ws)
        web_ws_close(c->ws, CLOSE_NORMAL);
    else
        over(c);
}

static void digit_say(struct conv *c, char digit)
{
    char mem[512];
    struct buf b;
    if (!c->started)
        return;
    buf_init(&b, mem, sizeof(mem));
    c->sounding = false; /* what is said behind the key is said anew */
    twilio_dtmf(&b, ++c->seq, &c->ids, digit);
    say(c, &b, 0);
}

void conv_order(struct botlinks *b, const struct bot_order *o)
{
    struct conv *c = conv_find(b, o->id);
    if (o->kind == BOTLINK_OPEN && !c) {
        open_it(b, o);
        return;
    }
    if (!c) { /* it could not be made, and yet is closed once */
        struct botlink_figures none = {0};
        if (o->kind == BOTLINK_CLOSE)
            bot_tell(b, BOTLINK_EV_CLOSED, o->id, STR(""), &none);
        return;
    }
    switch (o->kind) {
    case BOTLINK_OPEN:
        break;
    case BOTLINK_START:
        start_it(c, o);
        break;
    case BOTLINK_DIGIT:
        digit_say(c, o->digit);
        break;
    case BOTLINK_STOPPED:
        clear_take(c);
        pend_run(c);
        break;
    case BOTLINK_CLOSE:
        close_it(c);
        break;
    }
}

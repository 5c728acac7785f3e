/* One conversation with a bot, in the thread of the web. */
#include <errno.h>
#include <string.h>

#include "app/botlink_int.h"
#include "base/mem.h"
#include "engine/media/codec.h"
#include "io/entropy.h"

#define FRAME_MS 20
/* A bot may send a whole answer at once: so much waits here besides what waits in the plane. */
#define PEND_MS  60000
#define FIRST_MS 1000 /* of room for it */
/* What base64 may take besides. */
#define SPARE 3
/* So much the plane gets in hand at most: what it has no room for would be lost there. */
#define AHEAD_MS 50000
/* Frames for the media thread before its next tick: lest one bot takes the room of all. */
#define BUDGET 200
/* How often a connection that breaks is made again in one conversation. */
#define TRIES       3
#define WAIT_TICKS  12 /* before the second one; twice that before the third */
#define MAX_MESSAGE (2u << 20)
#define OPEN_MS     2000
/* Lines of the transcript: all of them, and what each costs besides its text. */
#define NOTES_MOST (16u << 10)
#define NOTE_BYTES 32
/* How often a bot may want its caller handed over: each makes work for the exchange. */
#define MOVES_MOST 16

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

static bool tell(struct conv *c, enum botlink_event_kind kind, struct str text)
{
    struct botlink_figures f = figures_of(c);
    return bot_tell(c->b, kind, c->order.id, text, &f);
}

static void fail(struct conv *c, struct str why)
{
    c->state = CONV_LOST;
    tell(c, c->opened ? BOTLINK_EV_LOST : BOTLINK_EV_FAILED, why);
}

#define THERE_BYTES (HOST_BYTES + 16 + WEB_WHY_BYTES)

/* Who reads it wants to know where to look: HOST:PORT, then what is wrong. */
static struct str there(const struct conv *c, char mem[THERE_BYTES], struct str why)
{
    const struct bot_order *o = &c->order;
    struct buf b;
    buf_init(&b, mem, THERE_BYTES);
    if (o->host[0]) {
        bool v6 = str_chr(str_z(o->host), ':') >= 0;
        buf_printf(&b, v6 ? "[%s]:%u: " : "%s:%u: ", o->host, o->port);
    }
    buf_str_put(&b, why);
    return b.full ? why : buf_str(&b);
}

static void fail_there(struct conv *c, struct str why)
{
    char mem[THERE_BYTES];
    fail(c, there(c, mem, why));
}

static void over(struct conv *c)
{
    struct botlink_figures f = figures_of(c);
    bot_tell(c->b, BOTLINK_EV_CLOSED, c->order.id, STR(""), &f);
    conv_free(c);
}

/* ---- to the bot ------------------------------------------------------------------------------ */

void conv_say(struct conv *c, const struct buf *b, unsigned flags)
{
    if (b->full || !c->ws || c->state != CONV_OPEN)
        return;
    int err = web_ws_send(c->ws, buf_str(b), flags & WEB_BINARY ? flags : flags | WEB_TEXT);
    if (err == -ENOBUFS || err == -ENOMEM) {
        c->figures.errors++; /* it does not read, and not even sound was left to be dropped */
        c->unread = err == -ENOBUFS;
        web_ws_close(c->ws, CLOSE_PROTOCOL);
    }
}

void conv_ids(struct conv *c)
{
    uint8_t bytes[32] = {0};
    int err = entropy_get(bytes, sizeof(bytes));
    BUG_ON(err);
    if (!c->ids.call[0])
        twilio_sid(c->ids.call, "CA", bytes);
    twilio_sid(c->ids.stream, "MZ", bytes + 16);
    memcpy(c->ids.account, c->order.account, sizeof(c->ids.account));
}

static void mark_say(struct conv *c, uint32_t token)
{
    for (unsigned i = 0; i < MARKS; i++)
        if (c->mark[i].used && c->mark[i].token == token) {
            c->mark[i].used = false;
            if (c->protocol->mark)
                c->protocol->mark(c, str_z(c->mark[i].name));
        }
}

static void sound_say(struct conv *c, const struct media_tap *t)
{
    if (c->ws && c->state == CONV_OPEN)
        c->protocol->sound(c, t->pcm, t->tap.n);
    else
        c->figures.dropped += c->state == CONV_OPENING; /* it is being connected again */
}

/* ---- to the caller --------------------------------------------------------------------------- */

static int feed(struct conv *c, struct media_feed *f)
{
    f->feed.id = c->media;
    f->feed.link = c->order.id;
    f->feed.came = c->came;
    return media_thread_feed(c->b->conf.media, f);
}

static uint32_t bytes_of(const struct conv *c, uint32_t ms)
{
    return c->order.rate_hz / 1000 * ms * c->width;
}

/* 16 bits have the low byte first. */
static void samples_get(const struct conv *c, int16_t *ret, const uint8_t *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        ret[i] = c->width == 1 ? codec_ulaw_sample(p[i])
                               : (int16_t)(uint16_t)(p[2 * i] | p[2 * i + 1] << 8);
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
    if (c->hold)
        return false;
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
    uint32_t frame = bytes_of(c, FRAME_MS), n = most < frame ? most : frame;
    f.feed.kind = PLANE_FEED_SOUND;
    f.feed.n = n / c->width;
    samples_get(c, f.pcm, c->pend + c->pend_at, f.feed.n);
    if (feed(c, &f))
        return false;
    c->pend_at += n;
    c->ahead_ms += FRAME_MS;
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

size_t conv_may_wait(const struct conv *c)
{
    uint32_t left = c->pend_n - c->pend_at, most = bytes_of(c, PEND_MS);
    return left < most ? most - left : 0;
}

uint8_t *conv_room(struct conv *c, size_t n)
{
    uint32_t left = c->pend_n - c->pend_at;
    if (n > conv_may_wait(c) + SPARE)
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
    uint32_t cap = c->pend_cap ? c->pend_cap : bytes_of(c, FIRST_MS);
    while (cap < c->pend_n + n)
        cap *= 2;
    uint8_t *p = mem_resize(c->pend, cap);
    if (!p)
        return NULL;
    c->pend = p;
    c->pend_cap = cap;
    return p + c->pend_n;
}

void conv_sound(struct conv *c, size_t n)
{
    c->pend_n += (uint32_t)n;
}

/* Names stay here, the plane has numbers. */
void conv_mark(struct conv *c, struct str name)
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
    conv_wrong(c, "sent more marks than may wait");
}

/* What waits here is gone; its marks come back behind those of the plane. */
void conv_clear(struct conv *c)
{
    c->clear_due = c->tapped;
    c->pend_at = c->pend_n;
}

/* The record of a call keeps no more of them; who sends more makes no work with it. */
void conv_note(struct conv *c, struct str text)
{
    c->noted += (uint32_t)(text.n < WHY_BYTES ? text.n : WHY_BYTES) + NOTE_BYTES;
    if (c->noted <= NOTES_MOST) {
        tell(c, BOTLINK_EV_NOTE, text);
    } else {
        c->noted = NOTES_MOST;
        c->figures.errors++;
    }
}

void conv_wrong(struct conv *c, const char *why)
{
    c->figures.errors++;
    for (unsigned i = 0; i < c->wrongs; i++)
        if (c->wrong[i] == why)
            return;
    if (c->wrongs < WRONGS && tell(c, BOTLINK_EV_NOTE, str_z(why)))
        c->wrong[c->wrongs++] = why;
}

void conv_flooded(struct conv *c)
{
    conv_wrong(c, "sent more sound than may wait");
}

/* Once: there is room for one, and nothing of the bot is of interest behind it. */
void conv_hang_up(struct conv *c, struct str why)
{
    if (!c->bye)
        tell(c, BOTLINK_EV_HANGUP, why);
    c->bye = true;
}

int conv_move(struct conv *c, struct str to)
{
    if (!c->started) {
        conv_wrong(c, "wanted to hand over a caller who was not there yet");
        return -EPERM;
    }
    if (c->moves >= MOVES_MOST) {
        conv_wrong(c, "wanted to hand over too often");
        return -EPERM;
    }
    if (!tell(c, BOTLINK_EV_TRANSFER, to)) {
        c->figures.errors++;
        return -EBUSY;
    }
    c->moves++;
    return 0;
}

void conv_break(struct conv *c, struct str why)
{
    c->figures.errors++;
    c->tries = TRIES;
    fail(c, why);
    web_ws_close(c->ws, CLOSE_NORMAL);
}

void conv_message(struct conv *c, bool is_text, struct str bytes)
{
    if (c->state != CONV_OPEN || c->bye)
        return;
    c->came = web_now();
    c->protocol->message(c, is_text, bytes);
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
        if (c->protocol->cleared)
            c->protocol->cleared(c);
        pend_run(c);
        break;
    case PLANE_TAP_SOUND:
        c->budget = BUDGET;
        c->hold -= c->hold && !c->clear_due;
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

/* Who has not answered must leave time to the addresses behind it. */
static int connect_it(struct conv *c)
{
    const struct bot_order *o = &c->order;
    const char *name = NULL;
    char value[160] = "";
    usec_t now = web_now();
    if (!o->n_ips)
        return -ENOENT;
    if (c->protocol->sign && c->protocol->sign(c, &name, value, sizeof(value)))
        return -EINVAL;
    uint64_t left_ms = c->open_until > now ? (c->open_until - now) / USEC_MS : 0;
    struct web_ws_conf conf = {.raw = c->protocol->raw,
                               .tls = o->tls,
                               .host = o->host,
                               .port = o->port,
                               .path = o->path,
                               .ip = o->ip[c->ip_at],
                               .header = name,
                               .value = value,
                               .open_ms = (uint32_t)(left_ms / (o->n_ips - c->ip_tried)) + 1,
                               .max_message = MAX_MESSAGE,
                               .user = c};
    return web_ws_open(c->b->web, &conf, &c->ws);
}

/* The address that was there the last time is the first. */
static int connect_any(struct conv *c)
{
    uint32_t ms = c->order.open_ms ? c->order.open_ms : OPEN_MS;
    c->ip_tried = 0;
    c->open_until = web_now() + ms * USEC_MS;
    c->state = CONV_OPENING;
    return connect_it(c);
}

/* It was not there: another address may be. */
static bool connect_next(struct conv *c)
{
    if (c->state != CONV_OPENING || ++c->ip_tried >= c->order.n_ips || web_now() >= c->open_until)
        return false;
    c->ip_at = (c->ip_at + 1) % c->order.n_ips;
    return connect_it(c) == 0;
}

void conv_opened(struct conv *c)
{
    c->state = CONV_OPEN;
    if (c->protocol->opened)
        c->protocol->opened(c);
    if (!c->opened)
        tell(c, BOTLINK_EV_OPENED, STR(""));
    c->opened = true;
    if (c->started)
        c->protocol->start(c);
}

static void connect_again(struct conv *c)
{
    c->tries++;
    c->figures.reconnects++;
    /* Names that the new stream never sent are not its own. */
    memset(c->mark, 0, sizeof(c->mark));
    c->pend_marks = 0;
    /* Those that the plane has would keep the places of the new one's until they are told: one tick
     * may be under way already. */
    c->clear_due = c->tapped;
    c->hold = c->tapped ? 2 : 0;
    pend_run(c);
    conv_ids(c); /* of another stream */
    if (connect_any(c))
        fail(c, STR("out of memory"));
}

/* A bot that closes as one should has said good-bye; one that breaks off is called again. */
void conv_closed(struct conv *c, unsigned code, struct str why)
{
    bool polite = code == CLOSE_NORMAL || code == CLOSE_GOING || code == CLOSE_NO_CODE || c->bye;
    char mem[THERE_BYTES];
    c->figures = figures_of(c);
    c->ws = NULL;
    why = c->unread ? STR("it does not read what it is told") : why;
    c->unread = false;
    if (c->state == CONV_CLOSING) {
        over(c);
        return;
    }
    c->pend_at = c->pend_n; /* it is asked anew */
    if (c->state == CONV_LOST || connect_next(c))
        return;
    if (!c->opened) {
        fail_there(c, why);
    } else if (c->state == CONV_OPEN && polite) {
        c->state = CONV_LOST;
        conv_hang_up(c, why);
    } else if (c->tries < TRIES && !c->protocol->no_return) {
        if (c->state == CONV_OPEN) /* once a break, however often it is tried */
            tell(c, BOTLINK_EV_BROKEN, there(c, mem, why));
        c->state = CONV_OPENING;
        c->wait = c->started && c->tries ? WAIT_TICKS << (c->tries - 1) : 0;
        if (!c->wait)
            connect_again(c);
    } else {
        fail_there(c, why);
    }
}

/* ---- orders ---------------------------------------------------------------------------------- */

static struct conv *conv_new(struct botlinks *b, const struct bot_order *o)
{
    struct conv *c = b->n < b->conf.max ? mem_zero(sizeof(*c)) : NULL;
    if (!c)
        return NULL;
    c->b = b;
    c->order = *o;
    if (c->order.rate_hz != 16000)
        c->order.rate_hz = 8000;
    b->n++;
    list_append(&b->all, &c->in_all);
    hash_put(&b->by_id, &c->node, hash_bytes(&b->by_id, &o->id, sizeof(o->id)));
    conv_ids(c);
    return c;
}

static void open_it(struct botlinks *b, const struct bot_order *o)
{
    static const struct bot_protocol *const protocols[] = {
        [BOTLINK_TWILIO] = &bot_twilio,
        [BOTLINK_JSON] = &bot_json,
        [BOTLINK_AUDIOSOCKET] = &bot_audiosocket,
    };
    struct conv *c = conv_new(b, o);
    if (!c) {
        bot_tell(b, BOTLINK_EV_FAILED, o->id, STR("too many bots at a time"), NULL);
        return;
    }
    c->protocol = o->protocol < ARRAY_LEN(protocols) ? protocols[o->protocol] : NULL;
    c->width = c->protocol ? c->protocol->width : 1;
    if (!c->protocol)
        fail(c, STR("this protocol is not spoken here"));
    else if (!o->host[0])
        fail(c, STR("the URL is not one of its protocol"));
    else if (!o->n_ips)
        fail_there(c, STR("its host is not known"));
    else if (connect_any(c))
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
        c->protocol->start(c);
    pend_run(c);
}

static void close_it(struct conv *c)
{
    if (c->state == CONV_CLOSING)
        return;
    if (c->started && c->state == CONV_OPEN)
        c->protocol->stop(c);
    c->state = CONV_CLOSING;
    if (c->ws)
        web_ws_close(c->ws, CLOSE_NORMAL);
    else
        over(c);
}

static void digit_say(struct conv *c, char digit)
{
    if (!c->started)
        return;
    c->sounding = false; /* what is said behind the key is said anew */
    if (c->state == CONV_OPEN)
        c->protocol->digit(c, digit);
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
        conv_clear(c);
        pend_run(c);
        break;
    case BOTLINK_CLOSE:
        close_it(c);
        break;
    case BOTLINK_SAY: /* a bot behind a socket has its own voice and ears */
    case BOTLINK_HEAR:
    case BOTLINK_DEAF:
        break;
    }
}

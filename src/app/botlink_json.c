/* Control as JSON, sound in binary messages: docs/stream-bots.md. */
#include <stdio.h>
#include <string.h>

#include "app/botlink_int.h"
#include "wire/bot/botjson.h"

#define MESSAGE_MAX 8192
#define SOUND_BYTES (2 * PLANE_TAP_SAMPLES)

/* RFC 6750 section 2.1 */
static int sign(const struct conv *c, const char **name, char *value, size_t cap)
{
    *name = c->order.token[0] ? "Authorization" : NULL;
    snprintf(value, cap, "Bearer %s", c->order.token);
    return 0;
}

static void start(struct conv *c)
{
    char mem[MESSAGE_MAX];
    struct buf b;
    const struct botjson_start s = {.rate_hz = c->order.rate_hz,
                                    .record = c->order.record,
                                    .bot = str_z(c->order.bot),
                                    .from = str_z(c->order.from),
                                    .to = str_z(c->order.to),
                                    .reason = str_z(c->order.reason),
                                    .call_id = str_z(c->order.call_id),
                                    .resumed = c->tries > 0};
    buf_init(&b, mem, sizeof(mem));
    botjson_start(&b, &s);
    conv_say(c, &b, WEB_TEXT);
}

static void sound(struct conv *c, const int16_t *pcm, unsigned n)
{
    char mem[SOUND_BYTES];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    conv_put_samples(&b, pcm, n);
    conv_say(c, &b, WEB_BINARY | WEB_MAY_DROP);
}

static void mark(struct conv *c, struct str name)
{
    char mem[2048];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    botjson_mark(&b, name);
    conv_say(c, &b, WEB_TEXT);
}

static void digit(struct conv *c, char key)
{
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    botjson_dtmf(&b, key);
    conv_say(c, &b, WEB_TEXT);
}

static void plain(struct conv *c, const char *kind)
{
    char mem[64];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    botjson_plain(&b, kind);
    conv_say(c, &b, WEB_TEXT);
}

static void cleared(struct conv *c)
{
    plain(c, "clear");
}

static void stop(struct conv *c)
{
    plain(c, "stop");
}

static void sound_take(struct conv *c, struct str bytes)
{
    size_t n = bytes.n & ~(size_t)1; /* half a sample is none */
    size_t most = conv_may_wait(c) & ~(size_t)1;
    if (n != bytes.n)
        conv_wrong(c, "sent sound that ended within a sample");
    if (n > most) /* what finds room is heard */
        conv_flooded(c);
    n = n < most ? n : most;
    uint8_t *to = n ? conv_room(c, n) : NULL; /* there may be no buffer yet */
    c->figures.errors += n && !to;
    if (!to)
        return;
    memcpy(to, bytes.p, n);
    conv_sound(c, n);
}

/* A number as the configuration has them, or a URI. */
static bool is_target(struct str to)
{
    bool tel = str_istarts(to, STR("tel:"));
    return (to.n && str_made_of(to, "*#+_.-")) || twilio_target_is(tel ? str_from(to, 4) : to);
}

static void move(struct conv *c, struct str to)
{
    if (is_target(to))
        (void)conv_move(c, to); /* what was wrong is noted */
    else
        conv_wrong(c, "sent `transfer` to what is neither a number nor a SIP URI");
}

static void message(struct conv *c, bool is_text, struct str bytes)
{
    struct botjson_msg m;
    if (!is_text) {
        sound_take(c, bytes);
        return;
    }
    const char *why = botjson_read(&m, bytes);
    if (why) {
        conv_wrong(c, why);
        return;
    }
    switch (m.kind) {
    case BOTJSON_OTHER:
        break;
    case BOTJSON_MARK:
        conv_mark(c, m.text);
        break;
    case BOTJSON_CLEAR:
        conv_clear(c);
        break;
    case BOTJSON_TRANSFER:
        move(c, str_trim(m.text));
        break;
    case BOTJSON_HANGUP:
        conv_hang_up(c, STR("the bot asked for it"));
        break;
    case BOTJSON_NOTE:
        conv_note(c, m.text);
        break;
    }
    botjson_done(&m);
}

const struct bot_protocol bot_json = {.width = 2,
                                      .sign = sign,
                                      .start = start,
                                      .sound = sound,
                                      .mark = mark,
                                      .digit = digit,
                                      .cleared = cleared,
                                      .stop = stop,
                                      .message = message};

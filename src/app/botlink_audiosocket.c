/* Asterisk's AudioSocket: sound, keys, and the end; a connection is a call. */
#include <stdio.h>
#include <string.h>

#include "app/botlink_int.h"

#define SOUND_BYTES (2 * PLANE_TAP_SAMPLES)

static void frame(struct conv *c, enum audiosocket_type type, struct str payload, unsigned flags)
{
    char mem[AUDIOSOCKET_HEAD + SOUND_BYTES];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    audiosocket_put(&b, type, payload);
    conv_say(c, &b, flags);
}

/* A server begins to speak when it is told who it is: it is told when the caller is there. */
static void start(struct conv *c)
{
    struct str id = str_of((const char *)c->order.record, sizeof(c->order.record));
    frame(c, AUDIOSOCKET_UUID, id, 0);
}

static enum audiosocket_type sound_type(const struct conv *c)
{
    return c->order.rate_hz == 16000 ? AUDIOSOCKET_SLIN16 : AUDIOSOCKET_SLIN;
}

static void sound(struct conv *c, const int16_t *pcm, unsigned n)
{
    char mem[SOUND_BYTES];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    conv_put_samples(&b, pcm, n);
    frame(c, sound_type(c), buf_str(&b), WEB_MAY_DROP);
}

static void digit(struct conv *c, char key)
{
    frame(c, AUDIOSOCKET_DTMF, str_of(&key, 1), 0);
}

static void stop(struct conv *c)
{
    frame(c, AUDIOSOCKET_HANGUP, STR(""), 0);
}

/* A frame may be cut within a sample. */
static void part_take(struct conv *c, const uint8_t *bytes, size_t n)
{
    size_t all = n + c->halved;
    uint8_t *to = conv_room(c, all);
    if (to) {
        to[0] = c->half;
        memcpy(to + c->halved, bytes, n);
        conv_sound(c, all & ~(size_t)1);
    } else {
        conv_flooded(c);
    }
    c->half = bytes[n - 1];
    c->halved = all & 1;
}

static void sound_take(struct conv *c, const struct audiosocket_piece *k)
{
    if (k->n)
        part_take(c, k->bytes, k->n);
    if (!k->last)
        return;
    if (c->halved)
        conv_wrong(c, "sent sound that ended within a sample");
    c->halved = false;
}

static void failed(struct conv *c, const struct audiosocket_piece *k)
{
    char why[48];
    if (!k->last)
        return;
    snprintf(why, sizeof(why), "the bot reports error %u", k->n ? k->bytes[k->n - 1] : 0);
    conv_break(c, str_z(why));
}

static void take(struct conv *c, const struct audiosocket_piece *k)
{
    if (k->type == sound_type(c))
        sound_take(c, k);
    else if (k->type == AUDIOSOCKET_HANGUP && k->last)
        conv_hang_up(c, STR("the bot hung up"));
    else if (k->type == AUDIOSOCKET_ERROR)
        failed(c, k);
    else if (k->first && k->type >= AUDIOSOCKET_SLIN && k->type <= AUDIOSOCKET_SLIN192)
        conv_wrong(c, "sent sound of another rate than that of the configuration");
}

static void message(struct conv *c, bool is_text, struct str bytes)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    struct audiosocket_piece k;
    (void)is_text;
    for (size_t at = 0; at < bytes.n && !c->bye && c->state == CONV_OPEN;) {
        at += audiosocket_next(&c->reader, &k, p + at, bytes.n - at);
        if (k.first || k.n)
            take(c, &k);
    }
}

const struct bot_protocol bot_audiosocket = {.width = 2,
                                             .raw = true,
                                             .no_return = true,
                                             .start = start,
                                             .sound = sound,
                                             .digit = digit,
                                             .stop = stop,
                                             .message = message};

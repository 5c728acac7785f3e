/* Twilio Media Streams. */
#include <errno.h>

#include "app/botlink_int.h"
#include "engine/media/codec.h"

#define FRAME       160 /* 20 ms of µ-law */
#define MESSAGE_MAX 8192

static int sign(const struct conv *c, const char **name, char *value, size_t cap)
{
    char signature[TWILIO_SIGNATURE_BYTES];
    *name = NULL;
    if (!c->order.token[0])
        return 0;
    if (twilio_signature(signature, str_z(c->order.token), str_z(c->order.url)))
        return -EINVAL;
    *name = "X-Twilio-Signature";
    str_copy_z(value, cap, str_z(signature));
    return 0;
}

static void opened(struct conv *c)
{
    char mem[128];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    twilio_connected(&b);
    conv_say(c, &b, 0);
}

static void start(struct conv *c)
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
    conv_say(c, &b, 0);
}

static void mark(struct conv *c, struct str name)
{
    char mem[2048];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    twilio_mark(&b, ++c->seq, &c->ids, name);
    conv_say(c, &b, 0);
}

static void sound(struct conv *c, const int16_t *pcm, unsigned n)
{
    char mem[1024];
    uint8_t ulaw[FRAME];
    struct buf b;
    n = n < FRAME ? n : FRAME;
    struct twilio_media m = {.chunk = ++c->chunk, .timestamp_ms = (c->chunk - 1) * 20, .n = n};
    for (unsigned i = 0; i < n; i++)
        ulaw[i] = codec_ulaw_code(pcm[i]);
    m.ulaw = ulaw;
    buf_init(&b, mem, sizeof(mem));
    twilio_media(&b, ++c->seq, &c->ids, &m);
    conv_say(c, &b, WEB_TEXT | WEB_MAY_DROP);
}

static void digit(struct conv *c, char key)
{
    char mem[512];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    twilio_dtmf(&b, ++c->seq, &c->ids, key);
    conv_say(c, &b, 0);
}

static void stop(struct conv *c)
{
    char mem[512];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    twilio_stop(&b, ++c->seq, &c->ids);
    conv_say(c, &b, 0);
}

/* What finds room is heard. Line ends may leave one letter of a group there, which is nothing. */
static void sound_take(struct conv *c, struct str base64)
{
    size_t may = conv_may_wait(c), most = may / 3 * 4;
    bool floods = base64_most(base64.n) > base64_most(most);
    if (floods) {
        conv_flooded(c);
        base64 = str_sub(base64, 0, most);
    }
    uint8_t *to = base64.n ? conv_room(c, base64_most(base64.n)) : NULL;
    c->figures.errors += base64.n && !to;
    long n = to ? base64_get(to, base64) : 0;
    for (unsigned i = 1; n < 0 && floods && i < 4; i++)
        n = base64_get(to, str_sub(base64, 0, base64.n - i));
    if (n < 0)
        conv_wrong(c, "sent `media` whose `payload` is not base64");
    else
        conv_sound(c, (size_t)n);
}

static void message(struct conv *c, bool is_text, struct str bytes)
{
    struct twilio_msg m;
    const char *why = is_text ? twilio_read(&m, bytes) : "sent a binary message";
    if (why) {
        conv_wrong(c, why);
        return;
    }
    /* What belongs to a stream that is no more is not ours. */
    bool ours = !m.stream.n || str_eq(m.stream, str_z(c->ids.stream));
    if (ours && m.kind == TWILIO_MEDIA)
        sound_take(c, m.payload);
    else if (ours && m.kind == TWILIO_MARK)
        conv_mark(c, m.name);
    else if (ours && m.kind == TWILIO_CLEAR)
        conv_clear(c);
    else if (ours && m.kind == TWILIO_NOTE)
        conv_note(c, m.name);
    else if (!ours)
        conv_wrong(c, "sent a message of another stream");
    twilio_msg_done(&m);
}

const struct bot_protocol bot_twilio = {.width = 1,
                                        .sign = sign,
                                        .opened = opened,
                                        .start = start,
                                        .sound = sound,
                                        .mark = mark,
                                        .digit = digit,
                                        .stop = stop,
                                        .message = message};

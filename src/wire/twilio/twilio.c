#include "wire/twilio/twilio.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

void twilio_sid(char ret[TWILIO_SID_BYTES], const char *kind, const uint8_t bytes[16])
{
    struct buf b;
    buf_init(&b, ret, TWILIO_SID_BYTES);
    buf_put(&b, kind, 2);
    buf_hex(&b, bytes, 16);
    ret[TWILIO_SID_BYTES - 1] = '\0';
}

bool twilio_sid_is(struct str s, const char *kind)
{
    if (s.n != TWILIO_SID_BYTES - 1 || memcmp(s.p, kind, 2) != 0)
        return false;
    for (size_t i = 2; i < s.n; i++)
        if (!strchr("0123456789abcdefABCDEF", s.p[i]))
            return false;
    return true;
}

/* ---- base64 ---------------------------------------------------------------------------------- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_put(struct buf *b, const uint8_t *in, size_t n)
{
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)in[i] << 16 | (i + 1 < n ? (uint32_t)in[i + 1] << 8 : 0) |
                     (i + 2 < n ? in[i + 2] : 0);
        char four[4] = {letters[v >> 18], letters[v >> 12 & 63],
                        i + 1 < n ? letters[v >> 6 & 63] : '=', i + 2 < n ? letters[v & 63] : '='};
        buf_put(b, four, 4);
    }
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long base64_get(uint8_t *ret, struct str in)
{
    uint32_t v = 0;
    unsigned have = 0;
    long n = 0;
    size_t i = 0;
    for (; i < in.n && in.p[i] != '='; i++) {
        if (in.p[i] == '\r' || in.p[i] == '\n')
            continue;
        int six = value_of(in.p[i]);
        if (six < 0)
            return -EBADMSG;
        v = v << 6 | (uint32_t)six;
        if (++have < 4)
            continue;
        ret[n++] = (uint8_t)(v >> 16);
        ret[n++] = (uint8_t)(v >> 8);
        ret[n++] = (uint8_t)v;
        have = 0;
    }
    for (; i < in.n; i++)
        if (!strchr("=\r\n", in.p[i]) || in.p[i] == '\0')
            return -EBADMSG;
    if (have == 1)
        return -EBADMSG;
    if (have >= 2)
        ret[n++] = (uint8_t)(have == 2 ? v >> 4 : v >> 10);
    if (have == 3)
        ret[n++] = (uint8_t)(v >> 2);
    return n;
}

/* ---- to the bot ------------------------------------------------------------------------------ */

void twilio_connected(struct buf *b)
{
    buf_z(b, "{\"event\":\"connected\",\"protocol\":\"Call\",\"version\":\"1.0.0\"}");
}

static void quoted(struct buf *b, struct str s)
{
    buf_ch(b, '"');
    buf_json(b, s);
    buf_ch(b, '"');
}

/* All numbers of the envelope are strings. */
static void head(struct buf *b, const char *event, uint64_t seq, const struct twilio_ids *ids)
{
    buf_z(b, "{\"event\":\"");
    buf_z(b, event);
    buf_z(b, "\",\"sequenceNumber\":\"");
    buf_u64(b, seq);
    buf_z(b, "\",\"streamSid\":\"");
    buf_z(b, ids->stream);
    buf_z(b, "\",\"");
    buf_z(b, event);
    buf_z(b, "\":{");
}

void twilio_start(struct buf *b, uint64_t seq, const struct twilio_ids *ids,
                  const struct twilio_param *param, unsigned n)
{
    head(b, "start", seq, ids);
    buf_z(b, "\"accountSid\":\"");
    buf_z(b, ids->account);
    buf_z(b, "\",\"callSid\":\"");
    buf_z(b, ids->call);
    buf_z(b, "\",\"streamSid\":\"");
    buf_z(b, ids->stream);
    buf_z(b, "\",\"tracks\":[\"inbound\"],\"mediaFormat\":{\"encoding\":\"audio/x-mulaw\","
             "\"sampleRate\":8000,\"channels\":1},\"customParameters\":{");
    for (unsigned i = 0; i < n; i++) {
        if (i)
            buf_ch(b, ',');
        quoted(b, param[i].name);
        buf_ch(b, ':');
        quoted(b, param[i].value);
    }
    buf_z(b, "}}}");
}

void twilio_media(struct buf *b, uint64_t seq, const struct twilio_ids *ids,
                  const struct twilio_media *m)
{
    head(b, "media", seq, ids);
    buf_z(b, "\"track\":\"inbound\",\"chunk\":\"");
    buf_u64(b, m->chunk);
    buf_z(b, "\",\"timestamp\":\"");
    buf_u64(b, m->timestamp_ms);
    buf_z(b, "\",\"payload\":\"");
    base64_put(b, m->ulaw, m->n);
    buf_z(b, "\"}}");
}

void twilio_dtmf(struct buf *b, uint64_t seq, const struct twilio_ids *ids, char digit)
{
    head(b, "dtmf", seq, ids);
    buf_z(b, "\"track\":\"inbound_track\",\"digit\":");
    quoted(b, str_of(&digit, 1));
    buf_z(b, "}}");
}

void twilio_mark(struct buf *b, uint64_t seq, const struct twilio_ids *ids, struct str name)
{
    head(b, "mark", seq, ids);
    buf_z(b, "\"name\":");
    quoted(b, name);
    buf_z(b, "}}");
}

void twilio_stop(struct buf *b, uint64_t seq, const struct twilio_ids *ids)
{
    head(b, "stop", seq, ids);
    buf_z(b, "\"accountSid\":\"");
    buf_z(b, ids->account);
    buf_z(b, "\",\"callSid\":\"");
    buf_z(b, ids->call);
    buf_z(b, "\"}}");
}

/* ---- from the bot ---------------------------------------------------------------------------- */

static struct str text_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? str_of(json_string_value(v), json_string_length(v)) : STR_NONE;
}

/* What a bot did wrong, and what that is to a program. */
struct wrong {
    int err;
    const char *why;
};
static const struct wrong no_json = {-EBADMSG, "sent text that is not a JSON object"},
                          no_event = {-EBADMSG, "sent a message without `event`"},
                          no_payload = {-EBADMSG, "sent `media` without `payload`"},
                          no_text = {-EBADMSG, "sent `transcript` without `text`"},
                          no_name = {-EBADMSG, "sent `mark` without `name`"},
                          long_name = {-EMSGSIZE, "sent `mark` with a `name` that is too long"};

static const struct wrong *message(struct twilio_msg *m, const json_t *root)
{
    struct str event = text_of(root, "event");
    if (!event.p)
        return &no_event;
    m->stream = text_of(root, "streamSid");
    if (str_eq(event, STR("media"))) {
        m->kind = TWILIO_MEDIA;
        m->payload = text_of(json_object_get(root, "media"), "payload");
        return m->payload.p ? NULL : &no_payload;
    }
    if (str_eq(event, STR("clear"))) {
        m->kind = TWILIO_CLEAR;
        return NULL;
    }
    if (str_eq(event, STR("transcript"))) {
        m->kind = TWILIO_NOTE;
        m->name = text_of(json_object_get(root, "transcript"), "text");
        return m->name.p ? NULL : &no_text;
    }
    if (!str_eq(event, STR("mark")))
        return NULL;
    m->kind = TWILIO_MARK;
    m->name = text_of(json_object_get(root, "mark"), "name");
    return !m->name.p ? &no_name : m->name.n > TWILIO_MARK_MAX ? &long_name : NULL;
}

static const struct wrong *parse(struct twilio_msg *ret, struct str text)
{
    struct twilio_msg m = {0};
    json_t *root = json_loadb(text.p, text.n, 0, NULL);
    const struct wrong *wrong = json_is_object(root) ? message(&m, root) : &no_json;
    if (wrong) {
        json_decref(root);
        return wrong;
    }
    m.json = root;
    *ret = m;
    return NULL;
}

int twilio_parse(struct twilio_msg *ret, struct str text)
{
    const struct wrong *wrong = parse(ret, text);
    return wrong ? wrong->err : 0;
}

const char *twilio_read(struct twilio_msg *ret, struct str text)
{
    const struct wrong *wrong = parse(ret, text);
    return wrong ? wrong->why : NULL;
}

void twilio_msg_done(struct twilio_msg *m)
{
    json_decref(m->json);
    m->json = NULL;
}

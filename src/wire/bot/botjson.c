#include "wire/bot/botjson.h"

#include <errno.h>
#include <jansson.h>

static void quoted(struct buf *b, const char *key, struct str s)
{
    buf_ch(b, '"');
    buf_z(b, key);
    buf_lit(b, "\":\"");
    buf_json(b, s);
    buf_ch(b, '"');
}

void botjson_start(struct buf *b, const struct botjson_start *s)
{
    buf_lit(b, "{\"type\":\"start\",\"version\":1,\"call\":\"");
    buf_hex(b, s->record, 16);
    buf_lit(b, "\",\"encoding\":\"pcm_s16le\",\"rate\":");
    buf_u64(b, s->rate_hz);
    buf_lit(b, ",\"channels\":1,\"frame_ms\":20,");
    quoted(b, "bot", s->bot);
    buf_ch(b, ',');
    quoted(b, "from", s->from);
    buf_ch(b, ',');
    quoted(b, "to", s->to);
    buf_ch(b, ',');
    quoted(b, "reason", s->reason);
    buf_ch(b, ',');
    quoted(b, "call_id", s->call_id);
    buf_z(b, s->resumed ? ",\"resumed\":true}" : ",\"resumed\":false}");
}

void botjson_dtmf(struct buf *b, char digit)
{
    buf_lit(b, "{\"type\":\"dtmf\",");
    quoted(b, "digit", str_of(&digit, 1));
    buf_ch(b, '}');
}

void botjson_mark(struct buf *b, struct str name)
{
    buf_lit(b, "{\"type\":\"mark\",");
    quoted(b, "name", name);
    buf_ch(b, '}');
}

void botjson_plain(struct buf *b, const char *kind)
{
    buf_ch(b, '{');
    quoted(b, "type", str_z(kind));
    buf_ch(b, '}');
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
                          no_type = {-EBADMSG, "sent a message without `type`"};

static const struct botjson_type {
    const char *type, *key; /* NULL: it needs none */
    enum botjson_kind kind;
    size_t most;
    struct wrong missing, longer;
} types[] = {{"mark",
              "name",
              BOTJSON_MARK,
              BOTJSON_NAME_MAX,
              {-EBADMSG, "sent `mark` without `name`"},
              {-EMSGSIZE, "sent `mark` with a `name` that is too long"}},
             {.type = "clear", .kind = BOTJSON_CLEAR},
             {"transfer",
              "to",
              BOTJSON_TRANSFER,
              BOTJSON_NAME_MAX,
              {-EBADMSG, "sent `transfer` without `to`"},
              {-EMSGSIZE, "sent `transfer` with a `to` that is too long"}},
             {.type = "hangup", .kind = BOTJSON_HANGUP},
             {.type = "note",
              .key = "text",
              .kind = BOTJSON_NOTE,
              .most = SIZE_MAX,
              .missing = {-EBADMSG, "sent `note` without `text`"}}};

static const struct wrong *message(struct botjson_msg *m, const json_t *root)
{
    struct str type = text_of(root, "type");
    if (!type.p)
        return &no_type;
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        if (!str_eq(type, str_z(types[i].type)))
            continue;
        m->kind = types[i].kind;
        if (!types[i].key)
            return NULL;
        m->text = text_of(root, types[i].key);
        if (!m->text.p || (m->kind == BOTJSON_TRANSFER && !m->text.n))
            return &types[i].missing;
        return m->text.n > types[i].most ? &types[i].longer : NULL;
    }
    return NULL;
}

static const struct wrong *parse(struct botjson_msg *ret, struct str text)
{
    struct botjson_msg m = {0};
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

int botjson_parse(struct botjson_msg *ret, struct str text)
{
    const struct wrong *wrong = parse(ret, text);
    return wrong ? wrong->err : 0;
}

const char *botjson_read(struct botjson_msg *ret, struct str text)
{
    const struct wrong *wrong = parse(ret, text);
    return wrong ? wrong->why : NULL;
}

void botjson_done(struct botjson_msg *m)
{
    json_decref(m->json);
    m->json = NULL;
}

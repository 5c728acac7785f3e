/* What `ringdown mrcp` tells of a session that is over. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "app/cmd.h"
#include "app/mrcp_word.h"

#define NOTHING 3 /* nothing was said, or nothing understood */

static json_t *text(struct str s)
{
    json_t *j = s.p ? json_stringn(s.p, s.n) : NULL;
    return j ? j : json_null();
}

static json_t *thousandths(int32_t v)
{
    return v == NLSML_NO_VALUE ? json_null() : json_real(v / 1000.0);
}

static json_t *telemetry_json(const struct mrcp_telemetry *t)
{
    json_t *o = json_object();
#define MRCP_TELEMETRY(name, what) json_object_set_new(o, #name, json_integer((json_int_t)t->name));
#include "mrcp/telemetry.def"
#undef MRCP_TELEMETRY
    return o;
}

static json_t *media_json(const struct media_stats *s)
{
    const struct report_quality *q = &s->quality;
    json_t *o = json_pack("{s:I,s:I,s:I,s:f}", "packets_received", (json_int_t)s->rx_packets,
                          "packets_sent", (json_int_t)s->tx_packets, "lost", (json_int_t)s->lost,
                          "jitter_ms", s->jitter_us / 1000.0);
    json_object_set_new(o, "round_trip_ms", q->rtt_n ? json_real(q->rtt_us / 1000.0) : json_null());
    return o;
}

static json_t *results_json(const struct nlsml *n)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < n->n; i++) {
        const struct nlsml_item *k = &n->item[i];
        json_t *o = json_object();
        json_object_set_new(o, "input", text(k->input));
        json_object_set_new(o, "instance", text(k->instance));
        json_object_set_new(o, "grammar", text(k->grammar));
        json_object_set_new(o, "mode", text(k->mode));
        json_object_set_new(o, "confidence", thousandths(k->confidence));
        json_array_append_new(list, o);
    }
    return list;
}

static void print_json(const struct mrcp_wish *wish, const struct mrcp_result *r,
                       const struct nlsml *n)
{
    json_t *o = json_object();
    json_object_set_new(o, "ok", json_boolean(r->err == 0));
    json_object_set_new(o, "error", r->err ? json_string(r->why) : json_null());
    json_object_set_new(o, "status", r->status ? json_integer(r->status) : json_null());
    json_object_set_new(o, "cause", r->cause[0] ? json_string(r->cause) : json_null());
    json_object_set_new(o, "ms", json_integer((json_int_t)r->ms));
    if (wish->word == WORD_SPEAK) {
        json_object_set_new(o, "file", json_string(wish->out));
        json_object_set_new(o, "sound_ms", json_integer((json_int_t)(r->samples / 8)));
        json_object_set_new(o, "first_sound_ms", json_integer((json_int_t)r->first_ms));
    } else if (wish->word == WORD_RECOGNIZE) {
        json_object_set_new(o, "results", results_json(n));
        if (wish->prompt.n)
            json_object_set_new(o, "barge_in", json_boolean(r->barged_in));
    } else if (wish->word == WORD_RECORD) {
        json_object_set_new(o, "uri", r->uri[0] ? json_string(r->uri) : json_null());
    } else {
        json_object_set_new(o, "sessions", json_integer(r->done));
        json_object_set_new(o, "failed", json_integer(r->failed));
    }
    json_object_set_new(o, "telemetry", telemetry_json(&r->telemetry));
    json_object_set_new(o, "media", r->has_stats ? media_json(&r->stats) : json_null());
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(o);
}

/* What a server says goes to a terminal, which obeys control characters, in C1 too (in UTF-8, 0xC2
 * and 0x80 to 0x9F): they are shown, but for those that make lines where they are wanted. */
static void put_safe(FILE *to, struct str s, bool lines)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool c1 = c == 0xC2 && i + 1 < s.n && (unsigned char)s.p[i + 1] >= 0x80 &&
                  (unsigned char)s.p[i + 1] <= 0x9F;
        bool line = c == '\n' || c == '\t' || (c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n');
        if (((c < 0x20 || c == 0x7F) && !(lines && line)) || c1)
            fprintf(to, "\\x%02X", c);
        else if (i && c >= 0x80 && c <= 0x9F && (unsigned char)s.p[i - 1] == 0xC2)
            fprintf(to, "\\x%02X", c); /* the second byte of one that was shown */
        else
            fputc(c, to);
    }
}

static void print_text(const struct mrcp_wish *wish, const struct mrcp_result *r,
                       const struct nlsml *n)
{
    switch (wish->word) {
    case WORD_SPEAK:
        printf("%s: %.1f s\n", wish->out, (double)r->samples / 8000.0);
        break;
    case WORD_RECOGNIZE:
        if (wish->nlsml) {
            put_safe(stdout, r->body, true);
            putchar('\n');
        }
        for (unsigned i = 0; !wish->nlsml && i < n->n; i++) {
            const struct nlsml_item *k = &n->item[i];
            struct str said = k->input.n ? k->input : k->instance;
            put_safe(stdout, said, false);
            if (k->confidence != NLSML_NO_VALUE)
                printf("\t%.3f", k->confidence / 1000.0);
            putchar('\n');
        }
        break;
    case WORD_RECORD:
        put_safe(stdout, str_z(r->uri[0] ? r->uri : r->cause), false);
        putchar('\n');
        break;
    default:
        printf("%u sessions in %.3f s, %.1f a second, %u failed\n", r->done, (double)r->ms / 1000.0,
               r->ms ? r->done * 1000.0 / (double)r->ms : 0.0, r->failed);
    }
}

static void print_telemetry(const struct mrcp_telemetry *t)
{
#define MRCP_TELEMETRY(name, what) fprintf(stderr, "%s %llu\n", #name, (unsigned long long)t->name);
#include "mrcp/telemetry.def"
#undef MRCP_TELEMETRY
}

int mrcp_print(const struct mrcp_wish *wish, const struct mrcp_result *result)
{
    struct mrcp_result r = *result;
    struct nlsml n = {.n = 0};
    struct arena arena;
    arena_init(&arena, 0);
    if (wish->word == WORD_RECOGNIZE && r.body.n) {
        int err = nlsml_parse(&n, r.body, &arena);
        if (err && !r.err) {
            r.err = -EPROTO;
            snprintf(r.why, sizeof(r.why), "the result is no NLSML");
        }
        if (!r.err && (n.noinput || n.nomatch)) {
            r.err = -ENODATA;
            snprintf(r.why, sizeof(r.why), "%s", n.noinput ? "noinput" : "nomatch");
        }
    }
    if (wish->word == WORD_RECOGNIZE && !r.err && !n.n) {
        r.err = -ENODATA;
        snprintf(r.why, sizeof(r.why), "the server says that it has understood, and not what");
    }
    if (wish->as_json)
        print_json(wish, &r, &n);
    else if (!r.err || wish->word == WORD_PROBE)
        print_text(wish, &r, &n);
    if (r.err) {
        fputs("ringdown mrcp: ", stderr);
        put_safe(stderr, str_z(r.why), false);
        fputc('\n', stderr);
    }
    if (wish->telemetry && !wish->as_json)
        print_telemetry(&r.telemetry);
    arena_done(&arena);
    if (r.err == -ENODATA && wish->word != WORD_SPEAK)
        return NOTHING;
    return r.err ? CMD_FAILED : CMD_OK;
}

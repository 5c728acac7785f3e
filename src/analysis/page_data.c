#include "analysis/json.h"
#include "analysis/ladder.h"
#include "analysis/page.h"

void an_page_words(const struct an_report *r, struct an_json *j)
{
    static const char *const names[AN_LANGS] = {"en", "ko"};
    an_json_str(j, "lang", str_z(names[r->style.lang % AN_LANGS]));
    an_json_object(j, "words");
    for (unsigned lang = 0; lang < AN_LANGS; lang++) {
        const char *text[AN_LANGS];
        char group, key[64];
        struct str word;
        an_json_object(j, names[lang]);
        for (unsigned i = 0; an_word_kind(i, &group, &word, text); i++) {
            struct buf b;
            if (!text[lang][0])
                continue;
            buf_init(&b, key, sizeof(key));
            buf_printf(&b, "%c:" STR_FMT, group, STR_ARG(word));
            buf_ch(&b, 0);
            an_json_str(j, key, str_z(text[lang]));
        }
        an_json_end(j);
    }
    an_json_end(j);
}

static void put_rung(const struct an_ladder *l, const struct an_rung *g, struct an_json *j)
{
    const struct an_leg *leg = an_engine_leg(l->r->engine, g->leg);
    const struct an_msg *m = an_rung_msg(l, g);
    char mem[512];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    an_rung_label(&b, l, g);
    an_json_object(j, NULL);
    an_json_fixed(j, "at_s", (int64_t)(g->at_ns - l->r->zero_ns), 9);
    an_json_u64(j, "frame", g->frame);
    an_json_u64(j, "leg", leg->number);
    an_json_u64(j, "from", g->from);
    an_json_u64(j, "to", g->to);
    an_json_str(j, "label", buf_str(&b));
    if (m) {
        an_json_u64(j, "message", g->msg);
        an_json_u64(j, "status", m->status);
        an_json_bool(j, "again", m->flags & AN_MSG_RETRANS);
    } else {
        an_json_null(j, "message");
    }
    an_json_end(j);
}

static void put_ladder(const struct an_ladder *l, struct an_json *j)
{
    an_json_object(j, "ladder");
    an_json_array(j, "columns");
    for (unsigned i = 0; i < l->n_cols; i++) {
        char mem[64];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        an_ladder_put_col(&b, l, i);
        an_json_object(j, NULL);
        an_json_str(j, "address", buf_str(&b));
        an_json_str(j, "name", an_ladder_name(l, i));
        an_json_end(j);
    }
    an_json_end(j);
    an_json_array(j, "rungs");
    for (uint32_t i = 0; i < l->n_rungs; i++)
        put_rung(l, &l->rung[i], j);
    an_json_end(j);
    an_json_u64(j, "more", l->more);
    an_json_end(j);
}

void an_page_call(const struct an_report *r, uint32_t index, struct an_json *j)
{
    const struct an_call *call = an_engine_call(r->engine, index);
    struct an_ladder l;
    if (an_ladder_make(&l, r, index, call->leg, call->n_legs))
        l = (struct an_ladder){.r = r};
    put_ladder(&l, j);
    an_ladder_done(&l);
    if (r->sound)
        r->sound(r, index, j);
}

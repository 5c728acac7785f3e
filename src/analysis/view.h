/* The screen of `ringdown watch`: calls in progress, those that finished last, and one of them
 * whole. Keys go in, text for a terminal comes out; nothing here knows a terminal. */
#ifndef ANALYSIS_VIEW_H
#define ANALYSIS_VIEW_H

#include "analysis/report.h"

#define AN_VIEW_FINISHED     50 /* calls that are kept to be looked at */
#define AN_VIEW_DETAIL_BYTES ((size_t)256 << 10)
#define AN_VIEW_FILTER       40
#define AN_VIEW_MIN_COLUMNS  40
#define AN_VIEW_MIN_ROWS     6

enum an_key { /* others are characters, as code points */
              AN_KEY_ENTER = 13,
              AN_KEY_ESCAPE = 27,
              AN_KEY_BACKSPACE = 127,
              AN_KEY_UP = 0x110000,
              AN_KEY_DOWN,
              AN_KEY_PAGE_UP,
              AN_KEY_PAGE_DOWN,
              AN_KEY_HOME,
              AN_KEY_END
};

/* What stands in the row of a call. */
struct an_view_row {
    uint32_t id; /* of the call */
    uint64_t start_ns;
    char caller[64], callee[64], scenario[64], state[48], codec[16];
    uint64_t lasts_ns; /* AN_NEVER: not answered */
    uint16_t loss_e4, mos_x100;
    bool has_media;
    uint8_t color; /* of the state */
};

/* What the program counts. */
struct an_view_facts {
    uint64_t now_ns;
    struct str sources; /* "eth0, HEP 192.0.2.1:9060" */
    uint64_t frames, messages, finished;
    uint64_t frames_per_s, messages_per_s, packets_per_s;
    uint64_t dropped, iface_dropped, hep_bad;
    uint64_t memory_bytes, store_bytes;
    uint64_t recordings, queue_bytes; /* queue: of sound that waits to be written */
    struct str trouble;               /* the last thing that went wrong; may be empty */
};

struct an_view;

/* 0 or -ENOMEM. */
MUST_CHECK int an_view_new(struct an_view **ret);
/* Accepts NULL. */
void an_view_free(struct an_view *v);
/* Of a settled engine. */
void an_view_row_make(const struct an_report *r, uint32_t call, struct an_view_row *row);
/* A call is over and will be forgotten: its row and what there is to say of it are kept. */
void an_view_finished(struct an_view *v, const struct an_report *r, uint32_t call);
/* False: that was the key to quit. */
bool an_view_key(struct an_view *v, uint32_t key);
/* At most `rows` lines, none wider than r->style.width. r may change between two drawings; it must
 * have been initialised and the engine settled. */
void an_view_draw(struct an_view *v, const struct an_report *r, const struct an_view_facts *facts,
                  unsigned rows, struct an_sink *out);

#endif

/* What the files of `ringdown watch` share. */
#ifndef APP_WATCH_H
#define APP_WATCH_H

#include "analysis/keep_mem.h"
#include "analysis/report.h"
#include "analysis/view.h"
#include "io/diskroom.h"
#include "io/encode.h"
#include "io/hepio.h"
#include "io/linefile.h"
#include "io/loop.h"
#include "io/pcapio.h"
#include "io/term.h"

#define WATCH_INTERFACES 16
#define WATCH_FILES      64
#define WATCH_STREAMS    1000000 /* at a time, at most */
#define WATCH_NAME       160     /* of a file that is written for a call, with its folder */

struct watch_options {
    const char *iface[WATCH_INTERFACES];
    unsigned n_ifaces;
    const char *file[WATCH_FILES]; /* captures that are replayed */
    unsigned n_files;
    uint32_t repeat;
    bool hep;
    struct addr hep_at;
    const char *hep_key;
    char filter[1024];
    uint32_t buffer_mb, snaplen;
    const char *json, *record, *pcap;
    enum sound_format format;
    bool audio; /* of --pcap: RTP, too */
    uint32_t rotate_mb, rotate_hours, keep_days, disk_mb, min_free_mb, store_mb, message_mb;
    uint32_t linger_s, idle_s, max_calls;
    bool lines, quiet, lang_given;
    struct an_style style;
};

/* What is remembered of a call from one second to the next. */
struct watch_call {
    struct hash_node node;
    uint32_t id, seen; /* seen: the tick in which it was there last */
    bool answered, ended;
    handle_t self;
    char sound[WATCH_NAME]; /* its last recording; "": none */
};

struct watch {
    struct watch_options opt;
    struct loop *loop;
    struct an_input *input;
    struct an_engine *engine;
    struct an_keep_mem *messages;
    struct pcapio *pcap[WATCH_INTERFACES];
    struct hepio *hep;
    struct term *term;
    struct an_view *view;
    struct linefile *json;
    struct watch_sounds *sounds;
    struct watch_store *store;
    struct diskroom *room;
    struct slot_table calls;
    struct hash_table by_id;
    struct an_report report; /* of the calls that are over in this tick, once it is made */
    bool report_made;

    uint64_t now_ns; /* time of the traffic */
    uint64_t frames; /* so far */
    uint32_t ticks;
    bool quit, failed, replaying;
    bool busy;             /* with what the engine holds: it must not settle again meanwhile */
    uint64_t next_tick_ns; /* while a capture is replayed */
    uint64_t lost;         /* frames, when it was told */
    uint32_t lost_tick;
    uint64_t finished, warnings, hep_bad, hep_refused, hep_clock_off;
    struct { /* at the last drawing */
        uint64_t at_ns, frames, messages, packets;
        uint64_t frames_s, messages_s, packets_s; /* a second */
    } rate;
    char news[256]; /* the last that was told */
    char *line;     /* of JSON, while it is made */
    size_t line_n, line_cap;
    char hep_frame[CAP_UDP_BYTES + 65536];
};

/* How a call came to its end here. */
enum watch_end {
    WATCH_OVER, /* it ended */
    WATCH_IDLE, /* nothing was heard of it for so long */
    WATCH_CUT   /* the watching ended before */
};

/* Something that the user should know: a sentence. */
void watch_news(void *ctx, const char *text);
/* A second has passed: what has happened is told, what is over is finished. */
void watch_tick(struct watch *w, uint64_t now_ns);
/* What is known of streams and calls as of now, of the calls that are over in this tick. */
const struct an_report *watch_report(struct watch *w);

/* Watches until it is told to stop, or the captures end. The options must be set. 0 or negative
 * errno; what went wrong was said. */
MUST_CHECK int watch_run(struct watch *w);

/* watch_source.c: frames from interfaces, files and HEP. 0, or negative errno, which was said. */
MUST_CHECK int watch_sources_open(struct watch *w);
void watch_sources_close(struct watch *w);
/* Hands over what waits; true if more waits than a turn takes. */
bool watch_sources_tick(struct watch *w);
/* Reads all files of -r. */
void watch_replay(struct watch *w);
void watch_frame(struct watch *w, const struct cap_frame *f);
/* What was held back for more of it comes out. */
void watch_input_end(struct watch *w);
/* "eth0, HEP 192.0.2.1:9060" */
void watch_sources_put(const struct watch *w, struct buf *b);
void watch_lost(struct watch *w, uint64_t *ret_ring, uint64_t *ret_iface);

/* watch_call.c: calls from one second to the next, and their lines. */
MUST_CHECK int watch_calls_open(struct watch *w);
void watch_calls_close(struct watch *w);
void watch_calls_tick(struct watch *w);
/* There is a call of this number. */
bool watch_calls_has(struct watch *w, uint32_t id);
/* It is recorded under this name. */
void watch_calls_recorded(struct watch *w, uint32_t id, const char *folder, const char *base);
/* A call is over: everything that is written for it. */
void watch_call_done(struct watch *w, uint32_t call, enum watch_end end);

/* watch_sound.c: recordings. */
MUST_CHECK int watch_sounds_open(struct watch *w);
void watch_sounds_close(struct watch *w);
/* A packet of a stream, by its index. */
void watch_sounds_rx(struct watch *w, uint32_t stream, const struct an_datum *d);
/* The engine has settled: what has come is sorted into recordings. */
void watch_sounds_tick(struct watch *w);
/* The recording of a call that is over ends. */
void watch_sound_done(struct watch *w, uint32_t call);
bool watch_sounds_has(const struct watch *w, const char *folder, const char *base);
void watch_sounds_remove(struct watch *w, const char *folder, const char *base);
uint32_t watch_sounds_count(const struct watch *w);
/* Bytes that wait to be sorted. */
uint64_t watch_sounds_waiting(const struct watch *w);

/* watch_pcap.c: packets of live calls, and a capture for each that is over. */
MUST_CHECK int watch_store_open(struct watch *w);
void watch_store_close(struct watch *w);
void watch_store_rx(struct watch *w, const struct cap_frame *f, const struct an_datum *d);
void watch_store_done(struct watch *w, uint32_t call, char name[WATCH_NAME]);

/* watch_screen.c: the terminal. */
MUST_CHECK int watch_screen_open(struct watch *w);
void watch_screen_close(struct watch *w);
void watch_screen_tick(struct watch *w);

#endif

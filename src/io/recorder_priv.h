/* Between recorder.c (threads and queues), record_file.c (one recording), record_sidecar.c (its
 * sidecar), record_keep.c (what is in the folder). All but what is said otherwise belongs to the
 * writer's thread. */
#ifndef IO_RECORDER_PRIV_H
#define IO_RECORDER_PRIV_H

#include <limits.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/list.h"
#include "io/mailbox.h"
#include "io/recorder.h"
#include "io/wav.h"

#define RECORD_FILES   (RECORD_TRACKS + 1)
#define RECORD_BUCKETS 256
#define RECORD_CLASSES 18

/* What the main thread is told. */
struct record_note {
    struct record_note *next;
    struct record_event event;
};

/* Of RECORD_FOUND, which stands alone; other notes are in their record. */
struct record_found {
    struct record_note note;
    char folder[RECORD_FOLDER_MAX + 1], base[RECORD_BASE_MAX + 1];
    char meta[];
};

struct record_mark_list {
    struct record_mark *at; /* owned */
    unsigned n, cap;
};

struct record_marks {
    struct record_mark_list gap, shift, clock;
    unsigned unlisted;
    bool changed; /* since the sidecar was written */
    struct {
        uint64_t samples[RECORD_CLOCK];
    } sum[RECORD_TRACKS];
    char *text; /* owned; of a recovered one: what its sidecar said, in place of all that */
};

enum record_state {
    RECORD_STATE_OPEN,
    RECORD_STATE_DONE,
    RECORD_STATE_BAD,
    RECORD_STATE_INTERRUPTED,
    RECORD_STATE_BROKEN
}; /* could not begin; nothing on the disk is its own */

struct record_file {
    struct wav *wav;          /* while it is written */
    enum sound_format format; /* what lies on the disk */
    bool there;
    bool keep_wav; /* it could not be made smaller */
    uint64_t bytes;
};

struct record {
    struct list node; /* in its bucket, or in `encoding` */
    uint64_t number;
    char folder[RECORD_FOLDER_MAX + 1], base[RECORD_BASE_MAX + 1];
    enum sound_format format;
    unsigned files;
    enum record_state state;
    bool ended;    /* recorder_end() came; only encoding is left */
    bool unwanted; /* recorder_delete() came */
    bool told;     /* of its failure */
    uint32_t rate_hz;
    uint64_t samples; /* its length so far */
    struct record_file file[RECORD_FILES];
    struct encode *encode;
    unsigned encode_file; /* the one that is encoded, or will be next */
    char *meta;           /* owned */
    size_t meta_n;
    char *tail; /* owned; of a recovered one: the sidecar from its number on, as it was */
    int err;
    char text[RECORD_TEXT_MAX], note_text[RECORD_TEXT_MAX];
    struct record_gap gap[RECORD_GAPS_MAX];
    unsigned gap_n;
    uint64_t gap_samples;
    struct record_marks marks;
    unsigned stale_s;                /* seconds since the sidecar was written */
    bool recovered;                  /* nobody waits for its events */
    struct record_note failed, over; /* here, so that telling needs no memory */
};

struct record_command;

struct recorder {
    struct loop *loop;
    struct recorder_config cfg;
    char *dir;
    int dir_fd; /* holds the lock */
    /* Media thread to writer, writer to media thread: pointers to blocks. */
    struct mailbox in, back;
    /* The media thread's own. */
    struct record_block *spare[RECORD_CLASSES];
    _Atomic size_t block_bytes;
    /* Main thread's own. */
    struct loop_async async;
    /* Both, under the lock. */
    uv_mutex_t lock;
    struct record_command *given, **given_end;
    struct record_note *notes, **notes_end;
    bool stop;
    int command_fd;
    uv_thread_t thread;
    /* The writer's. */
    struct record_command *pending, **pending_end;
    struct list bucket[RECORD_BUCKETS];
    struct list encoding; /* ended, and waiting to be made smaller */
    uint32_t files_open;
    _Atomic uint32_t open, converting; /* recordings before and after their end; the first is
                                        * counted by the main thread when it begins one */
    uint64_t kept_bytes;               /* of all recordings, from the last look at the folder on */
    _Atomic uint64_t blocks, lost_full, lost_memory, stray, removed, recovered;
};

/* recorder.c */
struct record *recorder_find(struct recorder *r, uint64_t number);
/* The one that is being written, or made smaller, under this name. */
struct record *recorder_find_name(struct recorder *r, const char *folder, const char *base);
void recorder_note(struct recorder *r, struct record_note *n);
void record_free(struct record *rec);

/* record_file.c: file i is track i, or the mix for RECORD_TRACKS. */
/* DIR/FOLDER/NAME and SUFFIX, each of which but the first may be "". 0 or -ENAMETOOLONG. */
MUST_CHECK int record_path(const struct recorder *r, const char *folder, const char *name,
                           const char *suffix, char out[PATH_MAX]);
void record_file_name(const struct record *rec, unsigned i, enum sound_format f,
                      char name[NAME_MAX]);
void record_start(struct recorder *r, struct record *rec);
void record_write(struct recorder *r, struct record *rec, struct record_block *b);
void record_sync(struct recorder *r, struct record *rec);
void record_fail(struct recorder *r, struct record *rec, int err, const char *what);
/* Pads and closes; the record moves to r->encoding. */
void record_end(struct recorder *r, struct record *rec);
/* Of its sound. */
uint64_t record_ms(const struct record *rec);
/* One step of the first in r->encoding, which then goes to the end of it or is over. */
void record_encode(struct recorder *r);
/* Tells of it and lets go of it; a conversion under way is given up. */
void record_over(struct recorder *r, struct record *rec);
/* The bytes of all its files, as they lie on the disk. */
uint64_t record_bytes(struct recorder *r, struct record *rec);

/* record_marks.c */
void record_marks_put(struct record *rec, const struct record_block *b);
void record_marks_free(struct record *rec);
/* So much record_marks_write() needs, at most. */
size_t record_marks_bytes(const struct record *rec);
/* Lines of the sidecar. */
void record_marks_write(struct buf *b, const struct record *rec);

/* record_sidecar.c */
int record_sidecar_write(struct recorder *r, struct record *rec);
/* Of an earlier process's: fills state, format, number and tail or meta. -EBADMSG: not one of ours.
 */
MUST_CHECK int record_sidecar_read(struct recorder *r, struct record *rec);

/* record_keep.c */
bool record_folder_ok(const char *folder);
bool record_base_ok(const char *base);
/* Finishes what an earlier process left. */
void record_recover(struct recorder *r);
/* Removes what is too old or too much. */
void record_retain(struct recorder *r);
/* The same if the recordings are too much since the last time. */
void record_retain_soon(struct recorder *r);
void record_remove(struct recorder *r, const char *folder, const char *base);

#endif

/* Recordings of calls, written by a thread of their own. The media thread hands over blocks of
 * samples and never waits; the main thread begins and ends recordings and hears how they went.
 *
 * A recording has a base name and, in one folder, these files:
 *   BASE.json            the sidecar: what was recorded, and the text given by recorder_meta()
 *   BASE.wav             the mix
 *   BASE-track2.wav      track 2
 * All its files begin with the same sample and are equally long: a track that comes late begins
 * with silence, one that stops ends with silence. While it grows it is WAV with a header that is
 * renewed each second, so a killed process loses a second at most. After its end FLAC or Opus is
 * made from it, and the WAV files are removed. A loss of power may take what is not yet on the
 * disk; a recording that has ended is.
 *
 * The sidecar is one JSON object:
 *   ringdown_recording   1
 *   state                "recording", "done", "failed" (see stopped_by), "interrupted" (the process
 *                        was killed meanwhile)
 *   convert_to           "flac" or "opus" while WAV files are still to be made smaller, else null
 *   files                [{"name", "track" (null: the mix), "bytes"}]; empty while it is recorded
 *   number, rate, samples
 *   gaps                 [[first sample, samples]]: silence in place of what was lost; null when
 *                        that is not known
 *   gap_samples          how long all gaps are together, those beyond RECORD_GAPS_MAX included
 *   track_gaps           [[track, first sample, samples, "lost" or "held"]]: nothing came from the
 *                        party for so long, though it should have, or as had been agreed (hold)
 *   shifts               [[track, sample, samples]]: so many were put in there (above 0) or left
 *                        out, since the party's clock is not ours, or the delay of its path changed
 *   clocks               [{"track", "from", "ppm", "error"}]: how much faster the clock of the
 *                        party is that is in the track from that sample on, and how sure that is
 *   sums                 [{"track", "lost", "held", "added", "left_out"}] in samples, of all that
 *   unlisted             so many entries are in no list, because it was too long
 *   listed_until         the sample up to which the lists go
 *   stopped              "disk-full", "too-long", "error" or "killed": why it ended before its
 *                        call; or null
 *   stopped_at           the sample at which it did, which is its length; or null
 *   stopped_by           the same in words, or null
 *   note                 why it is still a WAV, or null
 *   call                 the JSON text of recorder_meta(), or null */
#ifndef IO_RECORDER_H
#define IO_RECORDER_H

#include <stdbool.h>

#include "base/str.h"
#include "io/encode.h"
#include "io/loop.h"

#define RECORD_TRACKS      64
#define RECORD_MIX         255 /* the number of the mix among tracks */
#define RECORD_PLANES_MAX  42
#define RECORD_SAMPLES_MAX 1600
#define RECORD_BASE_MAX    128
#define RECORD_FOLDER_MAX  32
#define RECORD_GAPS_MAX    256
#define RECORD_MARKS_MAX   16   /* of one block */
#define RECORD_LISTED_MAX  4096 /* gaps of tracks, and likewise shifts */
#define RECORD_CLOCKS_MAX  256
#define RECORD_META_MAX    ((size_t)256 << 10)
#define RECORD_TEXT_MAX    160

/* ---- the media thread ------------------------------------------------------------------------ */

enum { RECORD_SILENT = 1 }; /* this plane's samples are not looked at: silence */

struct record_plane {
    uint8_t track; /* 0 ... RECORD_TRACKS - 1, or RECORD_MIX; others are ignored */
    uint8_t flags;
};

/* What is to be known of a track besides its sound: see the sidecar. */
enum record_mark_kind {
    RECORD_LOST,
    RECORD_HELD,
    RECORD_ADDED,
    RECORD_LEFT_OUT,
    RECORD_CLOCK,
    RECORD_MARKS
};
struct record_mark {
    uint64_t at;
    uint32_t samples;
    uint8_t track, kind;
    int32_t ppm_x10; /* RECORD_CLOCK; the latest with the same track and `at` holds */
    uint32_t error_x10;
};

/* The same stretch of time of several tracks. From recorder_block_get(); planes and samples are
 * filled in by it. */
struct record_block {
    uint64_t record;
    uint64_t at;      /* its first sample, counted from the beginning of the recording */
    uint32_t rate_hz; /* the same in all blocks of a recording */
    uint16_t n_planes, samples, n_marks;
    struct record_plane plane[RECORD_PLANES_MAX];
    struct record_mark mark[RECORD_MARKS_MAX];
    uint32_t size_class;
    struct record_block *next;
    int16_t sample[]; /* plane after plane */
};

static inline int16_t *record_samples(struct record_block *b, unsigned plane)
{
    return b->sample + (size_t)plane * b->samples;
}

struct recorder;

/* Room for that many planes (1 ... RECORD_PLANES_MAX) of that many samples (1 ...
 * RECORD_SAMPLES_MAX); 0 of both: for marks alone. It has no marks. Blocks come back from the
 * writer, so in the steady state nothing is allocated. NULL: too much waits to be written, or
 * memory is out; counted, and a gap. */
struct record_block *recorder_block_get(struct recorder *r, unsigned planes, unsigned samples);
/* The block belongs to the recorder from here on. It never waits. false: the queue was full, the
 * block is lost and counted; where the next block's `at` shows that one is missing, the recording
 * has a gap. Blocks of one recording come in the order of `at`; what overlaps is left out. */
bool recorder_put(struct recorder *r, struct record_block *b);

/* ---- the main thread ------------------------------------------------------------------------- */

enum { RECORD_FILE_MIX = 1, RECORD_FILE_TRACKS = 2 };

struct record_begin {
    uint64_t number;    /* not that of a recording which has not ended */
    const char *folder; /* below the recorder's, made if missing; "": that itself */
    const char *base;   /* no recording has it yet */
    enum sound_format format;
    unsigned files; /* RECORD_FILE_... */
};

struct record_gap {
    uint64_t from, samples;
};

enum record_event_kind {
    RECORD_FAILED, /* it was stopped; what there is until then stays. recorder_end() is still due */
    RECORD_ENDED,  /* all files are there; the number is free again */
    RECORD_FOUND,  /* after the start: one that a killed process was writing. Its number is none of
                      ours; nothing more is told of it */
};

/* Valid during the call. */
struct record_event {
    enum record_event_kind kind;
    uint64_t number;
    int err;          /* 0, or why it was stopped, a negative errno */
    const char *text; /* the same in words, naming the file; "" if err is 0 */
    uint64_t ms;      /* its length, up to which there is sound */
    /* Of RECORD_ENDED: */
    uint64_t bytes; /* of all files */
    uint64_t gap_samples;
    unsigned gap_n;
    const struct record_gap *gap; /* the first RECORD_GAPS_MAX */
    /* Of RECORD_FOUND: */
    const char *folder, *base;
    struct str meta; /* what recorder_meta() had said last; may be STR_NONE */
};

struct recorder_config {
    const char *dir;         /* where recordings are; made if missing */
    uint32_t max_open;       /* 0: 1000 recordings that grow; as many again may wait to be made
                              * smaller, and what ends beyond that stays WAV */
    uint32_t max_files;      /* 0: 4000 files open at once, or half of what the process may */
    uint32_t max_s;          /* 0: 21600, of one recording */
    uint32_t queue_blocks;   /* 0: 65536 that wait */
    size_t queue_bytes;      /* 0: 64 MiB of blocks */
    uint64_t min_free_bytes; /* 0: 256 MiB; with less on the disk all recordings are stopped */
    uint32_t keep_days;      /* 0: for ever; older recordings are removed */
    uint64_t keep_bytes;     /* 0: any amount; the oldest recordings beyond it are removed */
    /* On the loop's thread. */
    void (*event)(void *ctx, const struct record_event *e);
    void *ctx;
};

struct recorder_stats {
    uint64_t open;        /* recordings that grow */
    uint64_t converting;  /* recordings that are made smaller, or wait for it */
    uint64_t blocks;      /* written */
    uint64_t lost_full;   /* blocks that found the queue full */
    uint64_t lost_memory; /* blocks that could not be had */
    uint64_t stray;       /* blocks of no recording, or of one that was stopped */
    uint64_t removed;     /* recordings that were too old or too many */
    uint64_t recovered;   /* recordings that an earlier process had left unfinished */
};

/* Starts the thread, which first finishes what an earlier process left, then removes what is too
 * old. Removing is repeated each hour and after each recording. Only files whose name is that of a
 * recording with a sidecar are touched. One recorder a folder: -EBUSY if another one has it, in
 * whatever process. 0, -ENOMEM or an error of the system. */
MUST_CHECK int recorder_open(struct recorder **ret, struct loop *loop,
                             const struct recorder_config *cfg);
/* Ends all recordings, tells of each, and ends the thread. Conversions under way are repeated by
 * the next recorder_open(). The media thread must have stopped. Not from inside a callback. Accepts
 * NULL. */
void recorder_close(struct recorder *r);

/* All copy what they are given. What goes wrong later is told by RECORD_FAILED. Blocks may be put
 * as soon as this has returned. -EINVAL: a name that is none (letters, digits and "-_.+@", not
 * first of them a dot or a hyphen, the base not ending in -track and digits; too long), or no file
 * is wanted; -EMFILE: max_open; -ENOMEM. */
MUST_CHECK int recorder_begin(struct recorder *r, const struct record_begin *b);
/* `json` is one JSON value; it becomes the sidecar's "call". May be repeated until RECORD_ENDED.
 * -EFBIG: beyond RECORD_META_MAX; -ENOMEM. */
MUST_CHECK int recorder_meta(struct recorder *r, uint64_t number, struct str json);
/* All blocks that were put before this call belong to it. -ENOMEM. */
MUST_CHECK int recorder_end(struct recorder *r, uint64_t number);
/* Removes a recording's files; those of one that has not ended, as soon as it has. -EINVAL: a name
 * that is none; -ENOMEM. */
MUST_CHECK int recorder_delete(struct recorder *r, const char *folder, const char *base);

/* Is this file, beside dir_fd, a recording's sidecar? By its first line, so that no foreign file of
 * such a name is taken for one. In any thread. */
bool recorder_is_sidecar(int dir_fd, const char *name);

struct recorder_stats recorder_stats_get(struct recorder *r);

#endif

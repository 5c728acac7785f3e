/* A limit over all that a program leaves on the disk: recordings, captures of calls, finished files
 * of lines. Folders are looked through by another thread; what is oldest goes first, and nothing
 * goes that is still written or that somebody else has put there. It belongs to the loop's thread.
 */
#ifndef IO_DISKROOM_H
#define IO_DISKROOM_H

#include "io/loop.h"

enum diskroom_kind {
    DISKROOM_RECORDING, /* a sidecar, told by what is in it, and the files of its name (recorder.h)
                         */
    DISKROOM_CAPTURE,   /* TIME-CALLER_DIALLED-N.pcapng in a folder that is called as a date is */
    DISKROOM_LINES,     /* files that a linefile has finished */
    DISKROOM_KINDS
};

struct diskroom_config {
    /* Where they are, NULL: nowhere. Of DISKROOM_LINES it is the path of the file itself. */
    const char *path[DISKROOM_KINDS];
    uint64_t most_bytes; /* 0: any amount */
    uint64_t keep_s;     /* 0: for ever; what is older goes */
    /* Whether the files of this name are still written; folder "": that of the configuration. */
    bool (*is_open)(void *ctx, enum diskroom_kind kind, const char *folder, const char *base);
    /* How a recording goes. */
    void (*remove_recording)(void *ctx, const char *folder, const char *base);
    void *ctx;
};

struct diskroom_stats {
    uint64_t bytes;   /* when it was looked at last */
    uint64_t removed; /* of whatever kind, with all its files */
    uint64_t looks;
};

struct diskroom;

MUST_CHECK int diskroom_open(struct diskroom **ret, struct loop *loop,
                             const struct diskroom_config *cfg);
/* Accepts NULL. Waits until the folders are no longer looked at; its memory goes with the next
 * loop_settle(). */
void diskroom_close(struct diskroom *d);
/* So many bytes were written: it looks when they may have become too many. */
void diskroom_note(struct diskroom *d, uint64_t bytes);
/* Looks now, if it is not at it; it does so by itself each hour. */
void diskroom_look(struct diskroom *d);
/* Looks, and waits until what has to go has gone: for the end of the program. */
void diskroom_finish(struct diskroom *d);
struct diskroom_stats diskroom_stats_get(const struct diskroom *d);

#endif

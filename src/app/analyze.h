/* What the files of `ringdown analyze` share. */
#ifndef APP_ANALYZE_H
#define APP_ANALYZE_H

#include "analysis/report.h"
#include "io/capfile.h"
#include "io/tempfile.h"

#define ANALYZE_MAX_NOTES 50

enum analyze_format { ANALYZE_TEXT, ANALYZE_JSON, ANALYZE_CSV };

struct analyze_options {
    enum analyze_format format;
    uint32_t call; /* its number; 0: none chosen */
    bool ladder, explain, lang_given;
    struct an_style style;
    const char *keylog, *html, *pcap, *wav;
    bool anonymize, keep_audio;
    const char *key; /* of anonymizing; NULL: a random one */
};

struct analyze_source {
    const char *path;
    int fd; /* -1: opened by its path */
    uint64_t first_ns;
    uint32_t order; /* as it was named */
};

struct analyze {
    struct analyze_options opt;
    const char *temp_dir;
    struct analyze_source *source; /* in the order of their first frames */
    uint32_t n_sources;
    struct an_file *file; /* one a source */
    struct an_input *input;
    struct an_engine *engine;
    struct keepfile *keep;
    struct an_keep keep_ops;
    struct an_note note[ANALYZE_MAX_NOTES];
    uint32_t n_notes;
    uint64_t more_notes;
    bool failed; /* something could not be read or written, which was said */
};

/* "ringdown analyze: WHAT: why" on standard error; the exit status will be 1. err: negative errno.
 */
void analyze_fail(struct analyze *a, const char *what, int err);
void analyze_note(struct analyze *a, uint64_t frame, struct str text);

/* Finds the order of the files; standard input, "-", is kept to be read again. 0 or negative
 * errno, which was said. */
MUST_CHECK int analyze_sources(struct analyze *a, char **path, int n);
/* Every frame of every file, with its number in the whole input; `fn` ends it with a negative
 * errno. In the first pass a->file and the notes are filled. */
struct analyze_pass {
    struct analyze *a;
    int (*frame)(struct analyze_pass *p, const struct cap_frame *f, uint64_t number);
    void (*file_begins)(struct analyze_pass *p, uint32_t source);
    void *user;
    bool first;
    uint64_t last;         /* what is behind this frame is not wanted; 0: all is */
    uint64_t frames;       /* so far, without records that only carry keys */
    const struct cap *cap; /* of the file at hand */
};
MUST_CHECK int analyze_pass(struct analyze_pass *p);
/* Reads all and lets the engine conclude. */
MUST_CHECK int analyze_read(struct analyze *a);
/* Gives the keys of --keylog to a reader. */
MUST_CHECK int analyze_keys(struct analyze *a, struct an_input *input);
void analyze_done(struct analyze *a);

/* analyze_pcap.c: the chosen call as a capture of its own. */
MUST_CHECK int analyze_pcap(struct analyze *a, const struct an_report *r);

/* Writes the report into a file or, with path NULL, to standard output. */
MUST_CHECK int analyze_write(struct analyze *a, const char *path,
                             void (*report)(const struct an_report *r, uint32_t call,
                                            struct an_sink *out),
                             const struct an_report *r);

#endif

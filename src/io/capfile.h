/* A capture file, read frame by frame through a window: memory does not grow with the file. What
 * gzip (RFC 1952) has packed is unpacked on the way. */
#ifndef IO_CAPFILE_H
#define IO_CAPFILE_H

#include "wire/cap/cap.h"

struct capfile;

/* Opens a file by its name, or, if fd is not -1, reads that descriptor from its beginning (it must
 * be a regular file, and stays open). 0, -ENOMEM, -EISDIR or what open() says. */
MUST_CHECK int capfile_open(struct capfile **ret, const char *path, int fd);
/* Accepts NULL. */
void capfile_close(struct capfile *f);
/* The next frame; what it points to stays until the next call. 1, 0 at the end, -EBADMSG if
 * something is wrong there (capfile_problem() says what, and reading goes on), or the error of the
 * disk, after which there is nothing more. */
MUST_CHECK int capfile_next(struct capfile *f, struct cap_frame *ret);
/* A part of a sentence, and how many bytes of the capture are before it. */
const char *capfile_problem(const struct capfile *f, uint64_t *ret_at);
/* "pcap", "pcapng", or "" before the first frame and of what is neither. */
struct str capfile_format(const struct capfile *f);
/* Bytes of the capture read so far, unpacked; frames that the capturing system says it lost. */
uint64_t capfile_bytes(const struct capfile *f);
uint64_t capfile_dropped(const struct capfile *f);
/* The interfaces known so far. */
const struct cap *capfile_cap(const struct capfile *f);

/* Copies a descriptor to its end into a file without a name in the folder `dir`, for what can be
 * read only once. The new descriptor in *ret, or negative errno. */
MUST_CHECK int capfile_spool(int *ret, int fd, const char *dir);

#endif

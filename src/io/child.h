/* A program of its own that is run and waited for. No shell is involved. It finds the system's PATH
 * and nothing else of our environment, no descriptors of ours but those given to it, and leads a
 * group of its own, which is gone afterwards however it ended. It blocks: for a thread that may
 * wait. */
#ifndef IO_CHILD_H
#define IO_CHILD_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

#define CHILD_MAX_FDS 4

struct child_request {
    char *const *argv;     /* NULL behind the last; argv[0] without a slash is searched in PATH */
    int fd[CHILD_MAX_FDS]; /* become descriptors 3, 4, ... of the program */
    unsigned n_fds;
    int out;             /* its standard output; -1: nowhere */
    uint32_t timeout_ms; /* then it is killed */
    int cancel_fd;       /* -1, or what makes it be killed when readable */
};

/* 0: it ended with status 0; -ENOENT: no such program; -ETIMEDOUT; -ECANCELED; -EPROTO: another
 * status, or a signal; or an error of the system. */
MUST_CHECK int child_run(const struct child_request *q);

#endif

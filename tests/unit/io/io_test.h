/* What the tests of this folder share: cmocka and waiting without sleeping. */
#ifndef IO_TEST_H
#define IO_TEST_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/loop.h"

static inline uint64_t test_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Turns the loop until cond holds; fails the test after 10 s. */
#define LOOP_UNTIL(loop, cond)                                                                     \
    do {                                                                                           \
        uint64_t until_at = test_ms() + 10000;                                                     \
        while (!(cond)) {                                                                          \
            loop_run_once((loop), 20);                                                             \
            if (test_ms() > until_at)                                                              \
                fail_msg("timed out waiting for: %s", #cond);                                      \
        }                                                                                          \
    } while (0)

/* A folder of its own for one test; removed with all in it by test_dir_remove(). */
static inline void test_dir_make(char dir[64])
{
    strcpy(dir, "/tmp/rd-io-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static inline void test_dir_remove(const char *dir)
{
    char command[128];
    assert_int_equal(strncmp(dir, "/tmp/rd-io-", 11), 0);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

#endif

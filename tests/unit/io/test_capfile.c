/* Capture files through the window, packed and cut off; what is kept in a file without a name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "io/capfile.h"
#include "io/tempfile.h"

#define FRAMES      2000u
#define FRAME_BYTES 1000u

struct bed {
    char dir[64], path[96];
    char *text; /* a pcapng file with FRAMES frames */
    size_t n;
};

static int setup(void **state)
{
    static uint8_t bytes[FRAME_BYTES];
    struct bed *b = calloc(1, sizeof(*b));
    struct buf out;
    size_t cap = FRAMES * (FRAME_BYTES + 64u) + 4096;
    strcpy(b->dir, "/tmp/capfile-XXXXXX");
    if (!mkdtemp(b->dir))
        return -1;
    snprintf(b->path, sizeof(b->path), "%s/a", b->dir);
    b->text = malloc(cap);
    buf_init(&out, b->text, cap);
    cap_write_section(&out, STR("test"));
    cap_write_iface(&out, CAP_RAW, STR_NONE);
    for (unsigned i = 0; i < FRAMES; i++) {
        memset(bytes, (int)i, sizeof(bytes));
        struct cap_frame f = {
            .at_ns = i * 1000u, .p = bytes, .n = sizeof(bytes), .wire_n = sizeof(bytes)};
        cap_write_frame(&out, &f, STR_NONE);
    }
    b->n = out.n;
    *state = b;
    return out.full;
}

static int teardown(void **state)
{
    struct bed *b = *state;
    unlink(b->path);
    rmdir(b->dir);
    free(b->text);
    free(b);
    return mem_live() != 0;
}

static void put(const struct bed *b, const void *p, size_t n)
{
    int fd = open(b->path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), (ssize_t)n);
    close(fd);
}

static size_t pack(char *out, size_t cap, const char *p, size_t n)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)p;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return cap - z.avail_out;
}

/* The frames of the file; *problems counts what was wrong. */
static unsigned frames(const struct bed *b, int fd, unsigned *problems)
{
    struct capfile *f;
    struct cap_frame frame;
    unsigned n = 0;
    *problems = 0;
    assert_int_equal(capfile_open(&f, b->path, fd), 0);
    for (int r; (r = capfile_next(f, &frame)) != 0;) {
        uint64_t at;
        if (r == -EBADMSG) {
            ++*problems;
            assert_non_null(capfile_problem(f, &at));
            continue;
        }
        assert_int_equal(r, 1);
        assert_int_equal(frame.n, FRAME_BYTES);
        assert_int_equal(frame.p[FRAME_BYTES - 1], n & 255);
        n++;
    }
    capfile_close(f);
    return n;
}

static void a_file_is_read_to_its_end(void **state)
{
    struct bed *b = *state;
    unsigned problems;
    put(b, b->text, b->n);
    assert_int_equal(frames(b, -1, &problems), FRAMES);
    assert_int_equal(problems, 0);
}

static void a_packed_file_is_unpacked_also_in_two_parts(void **state)
{
    struct bed *b = *state;
    size_t cap = b->n + 4096, half = b->n / 2, n;
    char *packed = malloc(cap);
    unsigned problems;
    n = pack(packed, cap, b->text, half);
    n += pack(packed + n, cap - n, b->text + half, b->n - half);
    put(b, packed, n);
    assert_int_equal(frames(b, -1, &problems), FRAMES);
    assert_int_equal(problems, 0);
    /* Cut off: what is there is told, and that the rest is not. */
    put(b, packed, n - 20);
    assert_in_range(frames(b, -1, &problems), FRAMES / 2, FRAMES);
    assert_true(problems > 0);
    free(packed);
}

static void a_cut_file_gives_what_it_has(void **state)
{
    struct bed *b = *state;
    unsigned problems;
    put(b, b->text, b->n - 1);
    assert_int_equal(frames(b, -1, &problems), FRAMES - 1);
    assert_int_equal(problems, 1);
}

static void what_is_no_capture_is_said(void **state)
{
    struct bed *b = *state;
    struct capfile *f;
    unsigned problems;
    put(b, "hello, world, this is text and no capture", 40);
    assert_int_equal(frames(b, -1, &problems), 0);
    assert_true(problems > 0);
    assert_int_equal(capfile_open(&f, b->dir, -1), -EISDIR);
    unlink(b->path);
    assert_int_equal(capfile_open(&f, b->path, -1), -ENOENT);
}

static void a_pipe_is_spooled_and_read_twice(void **state)
{
    struct bed *b = *state;
    int pipes[2], fd;
    unsigned problems;
    assert_int_equal(pipe(pipes), 0);
    if (fork() == 0) {
        close(pipes[0]);
        ssize_t n = write(pipes[1], b->text, b->n);
        _exit(n != (ssize_t)b->n);
    }
    close(pipes[1]);
    assert_int_equal(capfile_spool(&fd, pipes[0], b->dir), 0);
    close(pipes[0]);
    assert_int_equal(frames(b, fd, &problems), FRAMES);
    assert_int_equal(frames(b, fd, &problems), FRAMES);
    close(fd);
}

static void what_is_kept_is_found_again(void **state)
{
    struct bed *b = *state;
    struct keepfile *k;
    uint64_t at[FRAMES];
    char out[FRAME_BYTES];
    assert_int_equal(keepfile_new(&k, b->dir), 0);
    for (unsigned i = 0; i < FRAMES; i++)
        assert_int_equal(keepfile_put(k, b->text + i * FRAME_BYTES, FRAME_BYTES, &at[i]), 0);
    for (unsigned i = FRAMES; i-- > 0;) {
        assert_int_equal(keepfile_get(k, at[i], out, sizeof(out)), 0);
        assert_memory_equal(out, b->text + i * FRAME_BYTES, sizeof(out));
    }
    assert_int_equal(keepfile_get(k, at[FRAMES - 1] + 1, out, sizeof(out)), -ENODATA);
    keepfile_free(k);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_file_is_read_to_its_end),        T(a_packed_file_is_unpacked_also_in_two_parts),
        T(a_cut_file_gives_what_it_has),     T(what_is_no_capture_is_said),
        T(a_pipe_is_spooled_and_read_twice), T(what_is_kept_is_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A limit over folders: what is oldest goes, what is open or foreign stays. */
#include "io_test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/diskroom.h"
#include "io/fs.h"

#define KB      1024
#define SIDECAR "{\n\"ringdown_recording\":1,\n"

struct world {
    char dir[64], sound[96], pcap[96], lines[128];
    struct loop *loop;
    struct diskroom *room;
    const char *open; /* base of a recording that is still written */
    unsigned removed;
    char gone[16][64]; /* recordings */
};

static bool is_open(void *ctx, enum diskroom_kind kind, const char *folder, const char *base)
{
    struct world *w = ctx;
    return kind == DISKROOM_RECORDING && w->open && strcmp(base, w->open) == 0;
}

static void on_remove(void *ctx, const char *folder, const char *base)
{
    struct world *w = ctx;
    snprintf(w->gone[w->removed++], sizeof(w->gone[0]), "%s/%s", folder, base);
}

static int up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    *state = w;
    test_dir_make(w->dir);
    snprintf(w->sound, sizeof(w->sound), "%s/sound", w->dir);
    snprintf(w->pcap, sizeof(w->pcap), "%s/pcap", w->dir);
    snprintf(w->lines, sizeof(w->lines), "%s/calls.jsonl", w->dir);
    return loop_new(&w->loop);
}

static int down(void **state)
{
    struct world *w = *state;
    diskroom_close(w->room);
    loop_settle(w->loop);
    loop_free(w->loop);
    test_dir_remove(w->dir);
    free(w);
    return mem_live() != 0;
}

static char *path_of(struct world *w, const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", w->dir, name);
    return path;
}

/* A file of so many kilobytes, written so many seconds ago. */
static void file(struct world *w, const char *name, unsigned kb, unsigned ago_s)
{
    static char bytes[64 * KB];
    char *path = path_of(w, name);
    memset(bytes, 'x', sizeof(bytes));
    if (strcmp(name, "sound/2026-01-01/a.json") == 0 ||
        strcmp(name, "sound/2026-01-01/c.json") == 0)
        memcpy(bytes, SIDECAR, sizeof(SIDECAR) - 1);
    assert_int_equal(fs_mkdirs_for(path), 0);
    assert_int_equal(fs_write(path, str_of(bytes, kb * KB)), 0);
    struct timespec at = {.tv_sec = time(NULL) - ago_s};
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){at, at}, 0), 0);
}

static bool there(struct world *w, const char *name)
{
    return access(path_of(w, name), F_OK) == 0;
}

static void look(struct world *w, uint64_t most_kb, uint64_t keep_s)
{
    struct diskroom_config cfg = {.path = {w->sound, w->pcap, w->lines},
                                  .most_bytes = most_kb * KB,
                                  .keep_s = keep_s,
                                  .is_open = is_open,
                                  .remove_recording = on_remove,
                                  .ctx = w};
    assert_int_equal(diskroom_open(&w->room, w->loop, &cfg), 0);
    LOOP_UNTIL(w->loop, diskroom_stats_get(w->room).looks);
}

static void fill(struct world *w)
{
    file(w, "sound/2026-01-01/a.json", 4, 900);
    file(w, "sound/2026-01-01/a.wav", 32, 900);
    file(w, "sound/2026-01-01/a-track1.wav", 32, 900);
    file(w, "pcap/2026-01-01/120000-1_2-1.pcapng", 32, 800);
    file(w, "calls.jsonl.20260101-000000", 32, 700);
    file(w, "sound/2026-01-01/c.json", 4, 600);
    file(w, "sound/2026-01-01/c.wav", 32, 600);
    file(w, "pcap/2026-01-01/120500-1_2-2.pcapng", 32, 500);
    /* What is somebody else's, older than all of it. */
    file(w, "sound/2026-01-01/mine.wav", 32, 5000);
    file(w, "sound/mine/e.json", 32, 5000);
    file(w, "pcap/mine.pcapng", 32, 5000);
    file(w, "pcap/2026-01-01/mine.txt", 32, 5000);
    file(w, "calls.jsonl", 32, 5000);
    file(w, "calls.jsonl.mine", 32, 5000);
    file(w, "sound/calls.json", 32, 5000);
    file(w, "sound/2026-01-01/mine.json", 32, 5000);
    file(w, "pcap/2026-01-01/mine.pcapng", 32, 5000);
    file(w, "pcap/2026-01-01/120000.pcapng", 32, 5000);
}

static void foreign_stay(struct world *w)
{
    assert_true(there(w, "sound/2026-01-01/mine.wav") && there(w, "sound/mine/e.json"));
    assert_true(there(w, "pcap/mine.pcapng") && there(w, "pcap/2026-01-01/mine.txt"));
    assert_true(there(w, "calls.jsonl") && there(w, "calls.jsonl.mine"));
    assert_true(there(w, "sound/calls.json") && there(w, "sound/2026-01-01/mine.json"));
    assert_true(there(w, "pcap/2026-01-01/mine.pcapng"));
    assert_true(there(w, "pcap/2026-01-01/120000.pcapng"));
}

static void test_all_fits(void **state)
{
    struct world *w = *state;
    fill(w);
    look(w, 200, 0);
    assert_int_equal(w->removed, 0);
    assert_int_equal(diskroom_stats_get(w->room).removed, 0);
    assert_int_equal(diskroom_stats_get(w->room).bytes, 200 * KB);
}

static void test_oldest_first(void **state)
{
    struct world *w = *state;
    fill(w);
    look(w, 110, 0);
    assert_int_equal(w->removed, 1);
    assert_string_equal(w->gone[0], "2026-01-01/a");
    assert_false(there(w, "pcap/2026-01-01/120000-1_2-1.pcapng"));
    assert_true(there(w, "calls.jsonl.20260101-000000"));
    assert_true(there(w, "pcap/2026-01-01/120500-1_2-2.pcapng"));
    foreign_stay(w);
}

static void test_everything(void **state)
{
    struct world *w = *state;
    fill(w);
    look(w, 1, 0);
    assert_int_equal(w->removed, 2);
    assert_false(there(w, "calls.jsonl.20260101-000000"));
    assert_false(there(w, "pcap/2026-01-01/120500-1_2-2.pcapng"));
    foreign_stay(w);
}

static void test_open_stays(void **state)
{
    struct world *w = *state;
    w->open = "a";
    fill(w);
    look(w, 110, 0);
    assert_int_equal(w->removed, 1); /* c, which is younger */
    assert_string_equal(w->gone[0], "2026-01-01/c");
}

static void test_age(void **state)
{
    struct world *w = *state;
    fill(w);
    look(w, 0, 750);
    assert_int_equal(w->removed, 1);
    assert_false(there(w, "pcap/2026-01-01/120000-1_2-1.pcapng"));
    assert_true(there(w, "calls.jsonl.20260101-000000"));
    foreign_stay(w);
}

/* It looks again when so much was written that there may be too much. */
static void test_note(void **state)
{
    struct world *w = *state;
    file(w, "pcap/2026-01-01/120000-1_2-1.pcapng", 32, 800);
    look(w, 64, 0);
    diskroom_note(w->room, 16 * KB);
    loop_run_once(w->loop, 0);
    assert_int_equal(diskroom_stats_get(w->room).looks, 1);
    file(w, "pcap/2026-01-01/120500-1_2-2.pcapng", 60, 100);
    diskroom_note(w->room, 60 * KB);
    LOOP_UNTIL(w->loop, diskroom_stats_get(w->room).looks == 2);
    assert_false(there(w, "pcap/2026-01-01/120000-1_2-1.pcapng"));
    assert_true(there(w, "pcap/2026-01-01/120500-1_2-2.pcapng"));
    unlink(path_of(w, "pcap/2026-01-01/120500-1_2-2.pcapng"));
    diskroom_finish(w->room);
    assert_int_equal(diskroom_stats_get(w->room).bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_fits, up, down),
        cmocka_unit_test_setup_teardown(test_oldest_first, up, down),
        cmocka_unit_test_setup_teardown(test_everything, up, down),
        cmocka_unit_test_setup_teardown(test_open_stays, up, down),
        cmocka_unit_test_setup_teardown(test_age, up, down),
        cmocka_unit_test_setup_teardown(test_note, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

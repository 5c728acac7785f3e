/* A file of lines: whole ones, also where the disk ends; and what becomes of it with size and age.
 */
#include "io_test.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "io/linefile.h"

struct world {
    char dir[64], path[96];
    struct linefile_config cfg;
    struct linefile *file;
    unsigned told;
    char last[512];
};

static void on_news(void *ctx, const char *text)
{
    struct world *w = ctx;
    w->told++;
    snprintf(w->last, sizeof(w->last), "%s", text);
}

static int up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    test_dir_make(w->dir);
    snprintf(w->path, sizeof(w->path), "%s/calls.jsonl", w->dir);
    w->cfg = (struct linefile_config){.path = w->path, .news = on_news, .ctx = w};
    *state = w;
    return 0;
}

static int down(void **state)
{
    struct world *w = *state;
    linefile_close(w->file);
    test_dir_remove(w->dir);
    free(w);
    return mem_live() != 0;
}

static const char *content(const char *path)
{
    static char text[4096];
    FILE *f = fopen(path, "r");
    if (!f)
        return NULL;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = 0;
    fclose(f);
    return text;
}

static unsigned finished(struct world *w)
{
    unsigned n = 0;
    DIR *d = opendir(w->dir);
    for (struct dirent *e; (e = readdir(d));)
        n += linefile_is_finished(e->d_name, "calls.jsonl");
    closedir(d);
    return n;
}

static void test_lines(void **state)
{
    struct world *w = *state;
    assert_int_equal(linefile_open(&w->file, &w->cfg, 1000), 0);
    assert_int_equal(linefile_put(w->file, STR("one"), 1000), 0);
    assert_int_equal(linefile_put(w->file, STR("two"), 1000), 0);
    linefile_close(w->file);
    assert_string_equal(content(w->path), "one\ntwo\n");
    assert_int_equal(linefile_open(&w->file, &w->cfg, 1000), 0);
    assert_int_equal(linefile_put(w->file, STR("three"), 1000), 0);
    assert_string_equal(content(w->path), "one\ntwo\nthree\n");
    assert_int_equal(linefile_stats_get(w->file).lines, 1);
    w->cfg.path = "/nowhere/at/all";
    struct linefile *none;
    assert_int_equal(linefile_open(&none, &w->cfg, 1000), -ENOENT);
}

static void test_size(void **state)
{
    struct world *w = *state;
    w->cfg.rotate_bytes = 10;
    assert_int_equal(linefile_open(&w->file, &w->cfg, 1000), 0);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(linefile_put(w->file, STR("four"), 1000), 0);
    assert_string_equal(content(w->path), "four\nfour\n");
    /* All of one second, and yet each has a name. */
    assert_int_equal(finished(w), 2);
    assert_int_equal(linefile_stats_get(w->file).files, 2);
    /* One line may be longer than a file. */
    assert_int_equal(linefile_put(w->file, STR("much longer than ten"), 1000), 0);
    assert_string_equal(content(w->path), "much longer than ten\n");
}

static void test_age(void **state)
{
    struct world *w = *state;
    w->cfg.rotate_s = 3600;
    assert_int_equal(linefile_open(&w->file, &w->cfg, 1000), 0);
    linefile_tick(w->file, 10000); /* nothing is in it */
    assert_int_equal(finished(w), 0);
    assert_int_equal(linefile_put(w->file, STR("old"), 10000), 0);
    linefile_tick(w->file, 10001);
    assert_int_equal(finished(w), 1);
    assert_int_equal(linefile_put(w->file, STR("new"), 10002), 0);
    linefile_tick(w->file, 13000);
    assert_string_equal(content(w->path), "new\n");
}

static void test_taken_away(void **state)
{
    struct world *w = *state;
    char other[128];
    snprintf(other, sizeof(other), "%s.mine", w->path);
    assert_int_equal(linefile_open(&w->file, &w->cfg, 1000), 0);
    assert_int_equal(linefile_put(w->file, STR("one"), 1000), 0);
    assert_int_equal(rename(w->path, other), 0);
    assert_int_equal(linefile_put(w->file, STR("two"), 1000), 0);
    assert_int_equal(linefile_reopen(w->file, 1000), 0);
    assert_int_equal(linefile_put(w->file, STR("three"), 1000), 0);
    assert_string_equal(content(w->path), "three\n");
    assert_string_equal(content(other), "one\ntwo\n");
}

static void limit(rlim_t bytes)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY}), 0);
}

/* A disk that ends in the middle of a line. */
static void test_full(void **state)
{
    struct world *w = *state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(linefile_open(&w->file, &w->cfg, 1000), 0);
    assert_int_equal(linefile_put(w->file, STR("one"), 1000), 0);
    limit(8);
    assert_true(linefile_put(w->file, STR("two does not fit"), 1000) < 0);
    assert_true(linefile_put(w->file, STR("nor does three"), 1000) < 0);
    limit(RLIM_INFINITY);
    assert_string_equal(content(w->path), "one\n");
    assert_int_equal(w->told, 1);
    assert_true(linefile_stats_get(w->file).full);
    assert_int_equal(linefile_stats_get(w->file).lost, 2);
    assert_int_equal(linefile_put(w->file, STR("four"), 1000), 0);
    assert_string_equal(content(w->path), "one\nfour\n");
    assert_int_equal(w->told, 2);
    assert_non_null(strstr(w->last, "2 lines are lost"));
}

/* Somebody has emptied it: what is undone is the part of a line, not what is counted here. */
static void test_full_and_emptied(void **state)
{
    struct world *w = *state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(linefile_open(&w->file, &w->cfg, 1000), 0);
    assert_int_equal(linefile_put(w->file, STR("one"), 1000), 0);
    assert_int_equal(truncate(w->path, 0), 0);
    limit(8);
    assert_true(linefile_put(w->file, STR("two does not fit"), 1000) < 0);
    limit(RLIM_INFINITY);
    assert_string_equal(content(w->path), "");
    assert_int_equal(linefile_put(w->file, STR("three"), 1000), 0);
    assert_string_equal(content(w->path), "three\n");
}

static void test_floor(void **state)
{
    struct world *w = *state;
    w->cfg.min_free_bytes = UINT64_MAX;
    assert_int_equal(linefile_open(&w->file, &w->cfg, 1000), 0);
    assert_int_equal(linefile_put(w->file, STR("one"), 1000), -ENOSPC);
    assert_string_equal(content(w->path), "");
    assert_non_null(strstr(w->last, "are free on its disk"));
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool is;
    } names[] = {
        {"c.jsonl.20261121-152233", true},
        {"c.jsonl.20261121-152233.2", true},
        {"c.jsonl.20261121-152233.17", true},
        {"c.jsonl", false},
        {"c.jsonl.", false},
        {"c.jsonl.old", false},
        {"c.jsonl.20261121-152233.gz", false},
        {"c.jsonl.20261121-15223", false},
        {"c.jsonl.20261121-152233.", false},
        {"d.jsonl.20261121-152233", false},
        {"c.jsonl.20261121x152233", false},
    };
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (linefile_is_finished(names[i].name, "c.jsonl") != names[i].is)
            fail_msg("%s", names[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines, up, down),
        cmocka_unit_test_setup_teardown(test_size, up, down),
        cmocka_unit_test_setup_teardown(test_age, up, down),
        cmocka_unit_test_setup_teardown(test_taken_away, up, down),
        cmocka_unit_test_setup_teardown(test_full, up, down),
        cmocka_unit_test_setup_teardown(test_full_and_emptied, up, down),
        cmocka_unit_test_setup_teardown(test_floor, up, down),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Slots, blobs, arenas, hash tables: bounds, stale handles, nothing lost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/slot.h"

static void stale_handles_find_nothing(void **state)
{
    struct slot_table t;
    handle_t a, b, c;
    (void)state;
    assert_int_equal(slot_init(&t, 24, 2), 0);
    int *first = slot_take(&t, &a);
    assert_non_null(first);
    *first = 7;
    assert_non_null(slot_take(&t, &b));
    assert_null(slot_take(&t, &c)); /* full is an answer */
    assert_ptr_equal(slot_find(&t, a), first);
    assert_true(slot_handle(&t, first) == a);
    slot_put(&t, a);
    assert_null(slot_find(&t, a));
    int *again = slot_take(&t, &c);
    assert_ptr_equal(again, first);
    assert_int_equal(*again, 0); /* cleared */
    assert_true(c != a);
    assert_null(slot_find(&t, a));
    assert_null(slot_find(&t, 0));
    assert_null(slot_find(&t, UINT64_MAX));
    assert_int_equal(t.used, 2);
    assert_int_equal(t.peak, 2);
    slot_done(&t);
}

static void walking_survives_removal(void **state)
{
    struct slot_table t;
    handle_t h[10], at_handle;
    uint32_t at = 0;
    unsigned seen = 0;
    (void)state;
    assert_int_equal(slot_init(&t, 8, 10), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_non_null(slot_take(&t, &h[i]));
    while (slot_next(&t, &at, &at_handle)) {
        slot_put(&t, at_handle);
        seen++;
    }
    assert_int_equal(seen, 10);
    assert_int_equal(t.used, 0);
    slot_done(&t);
}

static void an_empty_table_gives_its_pages_back(void **state)
{
    struct slot_table t;
    handle_t h, old;
    (void)state;
    assert_int_equal(slot_init(&t, 8, 1000), 0);
    uint64_t *first = slot_take(&t, &old);
    *first = 7;
    assert_non_null(slot_take(&t, &h));
    slot_put(&t, old);
    slot_trim(&t);
    assert_int_equal(t.fresh, 2); /* one is in use */
    assert_int_equal(*first, 7);
    slot_put(&t, h);
    slot_trim(&t);
    assert_int_equal(t.fresh, 0);
    assert_int_equal(*first, 0);
    assert_null(slot_find(&t, old));
    assert_ptr_equal(slot_take(&t, &h), first);
    assert_null(slot_find(&t, old));
    assert_ptr_equal(slot_find(&t, h), first);
    slot_done(&t);
}

static void blobs_of_every_size_come_and_go(void **state)
{
    struct blob_pool pool;
    (void)state;
    blob_pool_init(&pool, 0);
    for (size_t n = 0; n <= 65535; n += n < 300 ? 1 : 997) {
        struct blob *b = blob_new(&pool, n);
        assert_non_null(b);
        memset(b->data, 0xA5, n);
        assert_int_equal(b->n, n);
        assert_null(blob_unref(b));
    }
    assert_int_equal(pool.live, 0);
    assert_int_equal(pool.used_bytes, 0);
    struct blob *b = blob_copy(&pool, STR("text"));
    struct blob *same = blob_ref(b);
    blob_unref(b);
    assert_true(str_eq(blob_str(same), STR("text")));
    blob_unref(same);
    assert_null(blob_unref(NULL));
    blob_pool_done(&pool);
}

static void a_pool_has_a_bound(void **state)
{
    struct blob_pool pool;
    struct blob *kept[1000];
    unsigned n = 0;
    (void)state;
    blob_pool_init(&pool, 1u << 20);
    while (n < ARRAY_LEN(kept) && (kept[n] = blob_new(&pool, 8000)))
        n++;
    assert_in_range(n, 50, 140);
    while (n)
        blob_unref(kept[--n]);
    blob_pool_done(&pool);
}

static void steady_state_takes_nothing_from_the_heap(void **state)
{
    struct arena a;
    struct blob_pool pool;
    (void)state;
    arena_init(&a, 0);
    blob_pool_init(&pool, 0);
    uint64_t before = 0;
    for (unsigned round = 0; round < 100; round++) {
        if (round == 2)
            before = mem_requests();
        for (unsigned i = 0; i < 100; i++)
            assert_non_null(arena_take(&a, 1000));
        arena_reset(&a);
        blob_unref(blob_new(&pool, 700));
    }
    assert_int_equal(mem_requests(), before);
    arena_done(&a);
    blob_pool_done(&pool);
}

static void an_arena_has_a_bound_and_keeps_big_pieces(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 100000);
    assert_null(arena_take(&a, 100001));
    char *big = arena_take(&a, 50000);
    assert_non_null(big);
    memset(big, 1, 50000);
    assert_null(arena_take(&a, 60000));
    struct str s = arena_dup(&a, STR("hello"));
    assert_string_equal(s.p, "hello");
    arena_reset(&a);
    assert_non_null(arena_take(&a, 50000));
    arena_done(&a);
    assert_int_equal(mem_live(), 0);
}

static void an_arena_survives_a_refused_allocation(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, 0);
    mem_fail_after(1);
    assert_null(arena_take(&a, 10));
    mem_fail_after(0);
    assert_non_null(arena_take(&a, 10));
    arena_done(&a);
}

struct item {
    struct hash_node node;
    int key;
};

static void hash_tables_find_what_was_put(void **state)
{
    static struct item items[500];
    struct hash_table t;
    (void)state;
    assert_int_equal(hash_init(&t, 64, 42), 0); /* more items than buckets */
    for (int i = 0; i < 500; i++) {
        items[i].key = i;
        hash_put(&t, &items[i].node, hash_bytes(&t, &i, sizeof(i)));
    }
    for (int i = 0; i < 500; i += 2)
        hash_remove(&t, &items[i].node);
    assert_int_equal(t.count, 250);
    for (int i = 0; i < 500; i++) {
        bool found = false;
        hash_each(n, &t, hash_bytes(&t, &i, sizeof(i))) found |=
            container_of(n, struct item, node)->key == i;
        assert_true(found == (i % 2 == 1));
    }
    assert_true(hash_istr(&t, STR("SIP:Bob")) == hash_istr(&t, STR("sip:bob")));
    assert_true(hash_str(&t, STR("SIP:Bob")) != hash_str(&t, STR("sip:bob")));
    hash_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stale_handles_find_nothing),
        cmocka_unit_test(walking_survives_removal),
        cmocka_unit_test(an_empty_table_gives_its_pages_back),
        cmocka_unit_test(blobs_of_every_size_come_and_go),
        cmocka_unit_test(a_pool_has_a_bound),
        cmocka_unit_test(steady_state_takes_nothing_from_the_heap),
        cmocka_unit_test(an_arena_has_a_bound_and_keeps_big_pieces),
        cmocka_unit_test(an_arena_survives_a_refused_allocation),
        cmocka_unit_test(hash_tables_find_what_was_put),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

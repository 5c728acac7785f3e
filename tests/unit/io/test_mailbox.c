/* The mailbox between two threads. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "io/mailbox.h"

#define ROUNDS 200000

struct item {
    uint64_t n, square;
};

static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) == 1;
}

static void test_order_and_bound(void **state)
{
    (void)state;
    struct mailbox m;
    assert_int_equal(mailbox_init(&m, sizeof(uint64_t), 5), 0); /* 8 */
    uint64_t got, n = 0;
    for (uint64_t round = 0; round < 5; round++) {
        for (uint64_t i = 0; i < 8; i++) {
            uint64_t v = round * 8 + i;
            assert_int_equal(mailbox_room(&m), 8 - i);
            assert_int_equal(mailbox_put(&m, &v), 0);
        }
        assert_int_equal(mailbox_put(&m, &n), -EAGAIN);
        for (uint64_t i = 0; i < 8; i++) {
            assert_true(mailbox_take(&m, &got));
            assert_int_equal(got, round * 8 + i);
        }
        assert_false(mailbox_take(&m, &got));
    }
    mailbox_done(&m);
    assert_int_equal(mem_live(), 0);
}

/* What the sender does before it writes to the descriptor, which may take it long. */
static void put_without_bell(struct mailbox *m, uint64_t v)
{
    memcpy(m->mem + (m->head & m->mask) * m->item_bytes, &v, sizeof(v));
    atomic_store(&m->head, m->head + 1);
    assert_true(atomic_exchange(&m->asleep, false));
}

static void bell(struct mailbox *m)
{
    uint64_t one = 1;
    assert_int_equal(write(m->fd, &one, sizeof(one)), sizeof(one));
}

/* Two bells that both come late are both heard: the descriptor does not stay readable. */
static void test_late_bells(void **state)
{
    (void)state;
    struct mailbox m;
    uint64_t got;
    assert_int_equal(mailbox_init(&m, sizeof(got), 8), 0);
    put_without_bell(&m, 1);
    mailbox_ack(&m);
    assert_true(mailbox_take(&m, &got));
    assert_false(mailbox_take(&m, &got));
    bell(&m);
    put_without_bell(&m, 2);
    mailbox_ack(&m);
    assert_true(mailbox_take(&m, &got));
    assert_false(mailbox_take(&m, &got));
    bell(&m);
    assert_true(readable(m.fd, 0));
    mailbox_ack(&m);
    assert_false(mailbox_take(&m, &got));
    assert_false(readable(m.fd, 0));
    assert_int_equal(mailbox_put(&m, &got), 0);
    assert_true(readable(m.fd, 0));
    mailbox_done(&m);
}

/* One wake-up for many values; none while the reader has not seen the queue empty. */
static void test_wakes_only_a_sleeper(void **state)
{
    (void)state;
    struct mailbox m;
    uint64_t v = 1;
    assert_int_equal(mailbox_init(&m, sizeof(v), 8), 0);
    assert_false(readable(m.fd, 0));
    assert_int_equal(mailbox_put(&m, &v), 0);
    assert_true(readable(m.fd, 0));
    mailbox_ack(&m);
    assert_false(readable(m.fd, 0));
    assert_int_equal(mailbox_put(&m, &v), 0); /* the reader is awake */
    assert_false(readable(m.fd, 0));
    assert_true(mailbox_take(&m, &v));
    assert_true(mailbox_take(&m, &v));
    assert_false(mailbox_take(&m, &v));
    assert_int_equal(mailbox_put(&m, &v), 0);
    assert_true(readable(m.fd, 0));
    mailbox_done(&m);
}

static void *sender(void *arg)
{
    struct mailbox *m = arg;
    for (uint64_t i = 0; i < ROUNDS;) {
        struct item it = {i, i * i};
        if (mailbox_put(m, &it) == 0)
            i++;
        else
            sched_yield();
    }
    return NULL;
}

/* The reader sleeps on the descriptor alone: a lost wake-up would stop it. */
static void test_two_threads_lose_nothing(void **state)
{
    (void)state;
    struct mailbox m;
    pthread_t t;
    uint64_t next = 0;
    assert_int_equal(mailbox_init(&m, sizeof(struct item), 64), 0);
    assert_int_equal(pthread_create(&t, NULL, sender, &m), 0);
    while (next < ROUNDS) {
        assert_true(readable(m.fd, 10000));
        mailbox_ack(&m);
        struct item it;
        while (mailbox_take(&m, &it)) {
            assert_int_equal(it.n, next);
            assert_int_equal(it.square, next * next);
            next++;
        }
    }
    pthread_join(t, NULL);
    /* Nor is there one left over, which would spin a loop that waits for the descriptor. */
    struct item it;
    mailbox_ack(&m);
    assert_false(mailbox_take(&m, &it));
    assert_false(readable(m.fd, 0));
    mailbox_done(&m);
}

static void test_init_without_memory(void **state)
{
    (void)state;
    struct mailbox m;
    mem_fail_after(1);
    assert_int_equal(mailbox_init(&m, 8, 8), -ENOMEM);
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_bound),     cmocka_unit_test(test_wakes_only_a_sleeper),
        cmocka_unit_test(test_late_bells),          cmocka_unit_test(test_two_threads_lose_nothing),
        cmocka_unit_test(test_init_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

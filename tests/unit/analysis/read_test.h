/* Frames made by hand, and what is read out of them, for the tests of what reads captures. */
#ifndef READ_TEST_H
#define READ_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/input.h"
#include "base/be.h"
#include "base/mem.h"

#define MS        1000000ull
#define SEC       1000000000ull
#define T0        (1700000000 * SEC)
#define MAX_FRAME 70000

struct file {
    uint8_t *p;
    size_t n;
};

static inline struct file file_read(const char *path)
{
    struct file r = {NULL, 0};
    FILE *f = fopen(path, "rb");
    if (!f)
        return r;
    fseek(f, 0, SEEK_END);
    r.n = (size_t)ftell(f);
    rewind(f);
    r.p = malloc(r.n + 1);
    assert_non_null(r.p);
    assert_int_equal(fread(r.p, 1, r.n, f), r.n);
    fclose(f);
    return r;
}

/* An IPv4 packet: host numbers are the last byte of 10.0.0.x. */
struct packet {
    uint8_t p[MAX_FRAME];
    uint32_t n;
};

static inline void packet_ip(struct packet *k, unsigned src, unsigned dst, unsigned proto,
                             uint32_t payload)
{
    memset(k->p, 0, 20);
    k->p[0] = 0x45;
    be16_put(k->p + 2, (uint16_t)(20 + payload));
    k->p[8] = 64;
    k->p[9] = (uint8_t)proto;
    k->p[12] = k->p[16] = 10;
    k->p[15] = (uint8_t)src;
    k->p[19] = (uint8_t)dst;
    k->n = 20 + payload;
}

struct ends {
    uint8_t src, dst;
    uint16_t sport, dport;
};

static inline struct ends back(struct ends e)
{
    return (struct ends){e.dst, e.src, e.dport, e.sport};
}

static inline void packet_udp(struct packet *k, struct ends e, struct str s)
{
    packet_ip(k, e.src, e.dst, 17, (uint32_t)(8 + s.n));
    be16_put(k->p + 20, e.sport);
    be16_put(k->p + 22, e.dport);
    be16_put(k->p + 24, (uint16_t)(8 + s.n));
    be16_put(k->p + 26, 0);
    memcpy(k->p + 28, s.p, s.n);
}

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

struct tcp {
    uint32_t seq, ack;
    uint8_t flags;
};

static inline void packet_tcp(struct packet *k, struct ends e, struct tcp t, struct str s)
{
    packet_ip(k, e.src, e.dst, 6, (uint32_t)(20 + s.n));
    be16_put(k->p + 20, e.sport);
    be16_put(k->p + 22, e.dport);
    be32_put(k->p + 24, t.seq);
    be32_put(k->p + 28, t.ack);
    k->p[32] = 0x50;
    k->p[33] = t.flags;
    memset(k->p + 34, 0, 6);
    if (s.n)
        memcpy(k->p + 40, s.p, s.n);
}

/* An input and all that has come out of it. */
#define MAX_GOT 512
struct lab {
    struct an_input *in;
    unsigned n;
    struct an_datum got[MAX_GOT]; /* with copies of the bytes */
    unsigned warnings;
    char warning[128]; /* the last */
    uint64_t now_ns;
    struct packet k;
};

static inline void lab_take(struct lab *l)
{
    struct an_datum d;
    struct an_warning w;
    while (an_input_next(l->in, &d)) {
        assert_true(l->n < MAX_GOT);
        char *copy = malloc(d.bytes.n + 1);
        assert_non_null(copy);
        memcpy(copy, d.bytes.p, d.bytes.n);
        copy[d.bytes.n] = '\0';
        d.bytes.p = copy;
        l->got[l->n++] = d;
    }
    while (an_input_warning(l->in, &w)) {
        l->warnings++;
        str_copy_z(l->warning, sizeof(l->warning), w.text);
    }
}

static inline void lab_open(struct lab *l, const struct an_limits *limits)
{
    memset(l, 0, sizeof(*l));
    l->now_ns = T0;
    assert_int_equal(an_input_new(&l->in, limits), 0);
}

/* What the capture kept of the packet, of `n` bytes, in memory that ends there. */
static inline void lab_frame_cut(struct lab *l, uint32_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, l->k.p, n);
    struct cap_frame f = {.at_ns = l->now_ns, .link = CAP_RAW, .p = copy, .n = n, .wire_n = l->k.n};
    an_input_frame(l->in, &f);
    lab_take(l);
    free(copy);
    l->now_ns += MS;
}

static inline void lab_frame(struct lab *l)
{
    lab_frame_cut(l, l->k.n);
}

static inline void lab_udp(struct lab *l, struct ends e, struct str s)
{
    packet_udp(&l->k, e, s);
    lab_frame(l);
}

static inline void lab_tcp(struct lab *l, struct ends e, struct tcp t, struct str s)
{
    packet_tcp(&l->k, e, t, s);
    lab_frame(l);
}

static inline void lab_end(struct lab *l)
{
    an_input_end(l->in);
    lab_take(l);
}

static inline void lab_close(struct lab *l)
{
    for (unsigned i = 0; i < l->n; i++)
        free((void *)(uintptr_t)l->got[i].bytes.p);
    an_input_free(l->in);
    assert_int_equal(mem_live(), 0);
}

#endif

/* What reading one SIP message costs: ours beside Sofia-SIP and osip2, the same INVITE, one after
 * the other in one run. Ours reads everything into types: the start line, all headers indexed,
 * every Via, From, To, CSeq, the Contact, every Record-Route and Route. The others do what their
 * one call to parse a message does. CPU time, the median of five rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "wire/sip/msg.h"

/* In parse_peers.c: the names of their headers and of ours collide. Each parses one message and
 * frees what that took; false if it was refused. */
bool peer_sofia(const char *bytes, size_t n);
bool peer_osip(const char *bytes, size_t n);

#define ROUNDS 5

static const char invite[] = "INVITE sip:bob@example.com SIP/2.0\r\n"
                             "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds.1;"
                             "received=192.0.2.1\r\n"
                             "Via: SIP/2.0/UDP 192.0.2.10:5071;rport=5071;"
                             "branch=z9hG4bKnashds8\r\n"
                             "Record-Route: <sip:192.0.2.1;lr>\r\n"
                             "Max-Forwards: 69\r\n"
                             "From: \"Alice\" <sip:alice@example.com>;tag=1928301774\r\n"
                             "To: <sip:bob@example.com>\r\n"
                             "Call-ID: a84b4c76e66710@pc33.example.com\r\n"
                             "CSeq: 314159 INVITE\r\n"
                             "Contact: <sip:alice@192.0.2.10:5071;transport=udp>\r\n"
                             "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE, INFO\r\n"
                             "Supported: replaces, timer\r\n"
                             "User-Agent: ExamplePhone/1.0\r\n"
                             "Content-Type: application/sdp\r\n"
                             "Content-Length: 224\r\n"
                             "\r\n"
                             "v=0\r\n"
                             "o=- 20518 20518 IN IP4 192.0.2.10\r\n"
                             "s=-\r\n"
                             "c=IN IP4 192.0.2.10\r\n"
                             "t=0 0\r\n"
                             "m=audio 20000 RTP/AVP 0 8 101\r\n"
                             "a=rtpmap:0 PCMU/8000\r\n"
                             "a=rtpmap:8 PCMA/8000\r\n"
                             "a=rtpmap:101 telephone-event/8000\r\n"
                             "a=fmtp:101 0-15\r\n"
                             "a=ptime:20\r\n"
                             "a=sendrecv\r\n";
static const size_t invite_bytes = sizeof(invite) - 1;

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_parse: %s\n", what);
        exit(1);
    }
}

static unsigned walk_addrs(const struct sip_msg *m, enum sip_hdr_id id)
{
    struct sip_values it = sip_values(m, id);
    struct sip_nameaddr na;
    struct str v;
    unsigned n = 0;
    while (sip_values_next(&it, &v))
        n += sip_nameaddr_parse(&na, v) == 0;
    return n;
}

static void ours_index(void)
{
    static struct sip_msg m;
    check(sip_msg_parse(&m, invite, invite_bytes, false) == SIP_OK, "ours refuses the message");
}

static void ours_full(void)
{
    static struct sip_msg m;
    check(sip_msg_parse(&m, invite, invite_bytes, false) == SIP_OK, "ours refuses the message");
    struct sip_values it = sip_values(&m, SIP_H_VIA);
    struct sip_via via;
    struct str v;
    unsigned n = sip_values_next(&it, &v) && m.via.host.n; /* the topmost is typed already */
    while (sip_values_next(&it, &v))
        n += sip_via_parse(&via, v) == 0;
    n += m.contact.uri.host.n != 0;
    n += walk_addrs(&m, SIP_H_RECORD_ROUTE);
    n += walk_addrs(&m, SIP_H_ROUTE);
    check(n == 4, "ours lost a value");
}

#ifdef HAVE_SOFIA
static void sofia(void)
{
    check(peer_sofia(invite, invite_bytes), "sofia refuses the message");
}
#endif

#ifdef HAVE_OSIP
static void osip(void)
{
    check(peer_osip(invite, invite_bytes), "osip refuses the message");
}
#endif

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double measure(void (*one)(void), unsigned times)
{
    double start = cpu_ns();
    for (unsigned i = 0; i < times; i++)
        one();
    return (cpu_ns() - start) / times;
}

struct subject {
    const char *name;
    void (*one)(void);
    unsigned times;
    double ns[ROUNDS];
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* `bench_parse --only INDEX TIMES` runs one subject alone, for a profiler. */
static int only(const struct subject *subjects, unsigned n, char **argv)
{
    unsigned long which = strtoul(argv[2], NULL, 10), times = strtoul(argv[3], NULL, 10);
    check(which < n, "no such subject");
    for (unsigned long i = 0; i < times; i++)
        subjects[which].one();
    return 0;
}

int main(int argc, char **argv)
{
    struct subject subjects[] = {
        {"ringdown, full", ours_full, 1000000, {0}},
        {"ringdown, sip_msg_parse alone", ours_index, 1000000, {0}},
#ifdef HAVE_SOFIA
        {"sofia-sip", sofia, 200000, {0}},
#endif
#ifdef HAVE_OSIP
        {"osip2", osip, 100000, {0}},
#endif
    };
    if (argc == 4 && str_eq(str_z(argv[1]), STR("--only")))
        return only(subjects, ARRAY_LEN(subjects), argv);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < ARRAY_LEN(subjects); i++)
            subjects[i].ns[round] = measure(subjects[i].one, subjects[i].times);
    uint64_t before = mem_requests();
    for (unsigned i = 0; i < 1000; i++)
        ours_full();
    uint64_t requests = mem_requests() - before;
    for (unsigned i = 0; i < ARRAY_LEN(subjects); i++)
        qsort(subjects[i].ns, ROUNDS, sizeof(double), by_size);
    printf("%-32s %8s %8s\n", "INVITE of 821 octets", "ns/msg", "x ours");
    for (unsigned i = 0; i < ARRAY_LEN(subjects); i++)
        printf("%-32s %8.0f %8.2f\n", subjects[i].name, subjects[i].ns[ROUNDS / 2],
               subjects[i].ns[ROUNDS / 2] / subjects[0].ns[ROUNDS / 2]);
    printf("allocations a message, ours: %.3f\n", (double)requests / 1000);
    return requests != 0;
}

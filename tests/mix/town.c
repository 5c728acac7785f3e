/* The town: an exchange with tenants, groups, rooms and trunks, made from a seed, and the people
 * in it. */
#include <stdlib.h>

#include "mix.h"

uint64_t mix_dice(struct mix *m, uint64_t n)
{
    return rand_below(&m->rand, n);
}

bool mix_chance(struct mix *m, unsigned percent)
{
    return mix_dice(m, 100) < percent;
}

uint32_t mix_ms(struct mix *m, uint32_t low, uint32_t high)
{
    return low + (uint32_t)mix_dice(m, high - low + 1);
}

/* ---- configuration --------------------------------------------------------------------------- */

static void put_forward(struct buf *b, const struct phone *p)
{
    const struct phone *to = p->forward_always ? p->forward_always
                             : p->forward_busy ? p->forward_busy
                                               : p->forward_no_answer;
    if (!to)
        return;
    buf_printf(b, ", forward: {%s: \"" STR_FMT "\", timeout: %u}",
               p->forward_always ? "always"
               : p->forward_busy ? "busy"
                                 : "no_answer",
               STR_ARG(to->number), 6 + p->index % 6);
}

static void put_extensions(struct mix *m, struct buf *b)
{
    buf_lit(b, "extensions:\n");
    for (unsigned i = 0; i < m->n_phones; i++) {
        const struct phone *p = &m->phone[i];
        buf_printf(b,
                   "  - {number: \"" STR_FMT "\", username: \"" STR_FMT "\", password: \"" STR_FMT
                   "\", did: [\"" STR_FMT "\"], pickup_group: g%u%s",
                   STR_ARG(p->number), STR_ARG(p->ua.user), STR_ARG(p->ua.password),
                   STR_ARG(p->did), p->group, p->voicemail ? ", voicemail: true" : "");
        put_forward(b, p);
        buf_lit(b, "}\n");
    }
}

/* A group to hunt in for each pickup group, one after the other and all at once. */
static void put_groups(struct mix *m, struct buf *b)
{
    static const char *const strategies[] = {"sequential", "parallel"};
    buf_lit(b, "groups:\n");
    for (unsigned g = 0; g < 2 * m->groups; g++) {
        bool first = true;
        buf_printf(b, "  - {number: \"20%02u\", did: [\"07080020%02u\"], strategy: %s,", g, g,
                   strategies[g % 2]);
        buf_printf(b, " ring_time: %u, members: [", 4 + g % 5);
        for (unsigned i = 0; i < m->n_phones; i++) {
            if (m->phone[i].group != g / 2)
                continue;
            buf_printf(b, "%s\"" STR_FMT "\"", first ? "" : ", ", STR_ARG(m->phone[i].number));
            first = false;
        }
        buf_lit(b, "]}\n");
    }
}

static struct str config_of(struct mix *m)
{
    struct buf b;
    buf_init(&b, m->config, sizeof(m->config));
    buf_printf(&b,
               "sip:\n  domain: pbx.test\n"
               "  listen: [\"udp:127.0.0.104:5060\", \"tcp:127.0.0.104:5060\"]\n"
               "  call_id_host: 127.0.0.77\n  timers: {invite_timeout: %u}\n"
               "media: {address: 127.0.0.104, ports: 20000-21999}\n"
               "limits: {requests_per_second: 0}\n"
               "trunk: {options_interval: %u}\nlog: {level: error}\n"
               "features: {pickup_order: %s}\n",
               18 + (unsigned)mix_dice(m, 20), mix_chance(m, 50) ? 60 : 0,
               mix_chance(m, 80) ? "longest" : "newest");
    buf_lit(&b, "trunks:\n  - {name: kt, uri: \"sip:127.0.0.77:5080\"}\n");
    if (m->n_trunks > 1)
        buf_lit(&b, "  - {name: sk, uri: \"sip:127.0.0.78:5080\"}\n");
    buf_lit(&b, "routes:\n");
    if (m->n_trunks > 1)
        buf_lit(&b, "  - {match: \"^02[0-9]+$\", to: \"trunk:sk\"}\n");
    buf_lit(&b, "  - {match: \"^0[0-9]+$\", to: \"trunk:kt\"}\nconferences:\n");
    for (unsigned i = 0; i < MIX_ROOMS; i++)
        buf_printf(&b, "  - {number: \"300%u\", did: [\"070800300%u\"]}\n", i, i);
    put_extensions(m, &b);
    put_groups(m, &b);
    BUG_ON(b.full);
    return buf_str(&b);
}

/* ---- people ---------------------------------------------------------------------------------- */

/* Numbers, names and habits, before there is a world to put them into. */
static void person_plan(struct mix *m, unsigned i)
{
    static char text[MIX_PEOPLE][4][24]; /* one town at a time */
    struct phone *p = &m->phone[i];
    unsigned tenant = i % m->tenants, number = 1400 + 100 * tenant + i / m->tenants;
    bool plain = m->seed % 5 == 0; /* users without a tenant in their name */
    p->index = i;
    p->group = tenant * (m->groups / m->tenants) + (i / m->tenants) % (m->groups / m->tenants);
    snprintf(text[i][0], sizeof(text[i][0]), "%u", number);
    snprintf(text[i][1], sizeof(text[i][1]), plain ? "%u" : "%uQ%u", plain ? number : 109 + tenant,
             number);
    snprintf(text[i][2], sizeof(text[i][2]), "0708666%u", number);
    snprintf(text[i][3], sizeof(text[i][3]), "pw-%u", number);
    p->number = str_z(text[i][0]);
    p->ua.user = str_z(text[i][1]);
    p->did = str_z(text[i][2]);
    p->ua.password = str_z(text[i][3]);
    p->voicemail = i >= 4 && i % 5 == 4;
}

static void forwards_plan(struct mix *m)
{
    /* The last three of everybody send their calls on, to somebody who does not. */
    for (unsigned i = 0; i < 3 && m->n_phones > 7 + i; i++) {
        struct phone *p = &m->phone[m->n_phones - 1 - i];
        struct phone *to = &m->phone[mix_dice(m, m->n_phones - 4)];
        p->voicemail = false;
        *(i == 0 ? &p->forward_always : i == 1 ? &p->forward_busy : &p->forward_no_answer) = to;
    }
}

static void weather(struct mix *m, struct world_host *h)
{
    for (unsigned d = 0; d < 2; d++) {
        h->fate[d].delay = mix_ms(m, 1, 30) * USEC_MS;
        h->fate[d].jitter = mix_ms(m, 0, 8) * USEC_MS;
        h->fate[d].loss_pm = m->lossy ? mix_ms(m, 5, 30) : 0;
    }
}

static void person_enter(struct mix *m, unsigned i)
{
    struct phone *p = &m->phone[i], plan = *p;
    bool trunk = i >= m->n_phones;
    bool shared = m->seed % 4 == 1 && !trunk; /* several phones behind one address */
    struct addr a = {.family = ADDR_V4,
                     .port = (uint16_t)(trunk    ? 5080
                                        : shared ? 5060 + 2 * i
                                                 : 5060),
                     .ip = {127, 0, 1, (uint8_t)(10 + (shared ? i / 3 : i))}};
    if (trunk) {
        a.ip[2] = 0;
        a.ip[3] = (uint8_t)(77 + i - m->n_phones);
    }
    struct str name = ua_text(&m->w, trunk ? "T%u" : "P%u", i);
    phone_init(p, m, name.p, &a, !trunk && i % 7 == 3 ? PROTO_TCP : PROTO_UDP);
    p->ua.rtp_base = (uint16_t)(10000 + 400 * i);
    p->ua.user = trunk ? STR("carrier") : plan.ua.user;
    p->ua.password = plan.ua.password;
    p->ua.domain = trunk ? STR("127.0.0.104") : STR("pbx.test");
    if (!trunk && m->seed % 3)
        p->ua.display = ua_text(&m->w, STR_FMT "," STR_FMT, STR_ARG(p->did), STR_ARG(p->number));
    p->trunk = trunk;
    p->index = i;
    weather(m, &p->ua.host);
}

/* Few callers who call again and again, or ever new ones. */
static void callers_plan(struct mix *m)
{
    m->n_callers = m->seed % 2 ? 0 : 2 + (unsigned)mix_dice(m, 5);
    for (unsigned i = 0; i < m->n_callers; i++)
        m->caller[i] = ua_text(&m->w, "010%08u", (unsigned)mix_dice(m, 100000000));
}

static void plays_plan(struct mix *m)
{
    m->n_plays = 5 + (unsigned)mix_dice(m, MIX_PLAYS - 4);
    m->burst = m->seed % 3 == 0;
    usec_t at = 0;
    for (unsigned i = 0; i < m->n_plays; i++) {
        struct play *p = &m->play[i];
        p->mix = m;
        p->index = i;
        p->xfer_key = mix_chance(m, 50);
        bool together = i && m->burst && mix_chance(m, 60);
        at = together ? at + mix_ms(m, 0, 100) * USEC_MS : mix_ms(m, 8000, 68000) * USEC_MS;
        p->start = at;
        story_begin(p);
    }
}

static int capture_begin(struct mix *m)
{
    FILE *file = open_memstream(&m->capture, &m->capture_n);
    return file ? pcap_begin(&m->pcap, file) : -1;
}

int mix_build(struct mix *m, uint64_t seed)
{
    m->seed = seed;
    rand_seed(&m->rand, seed);
    m->lossy = seed % 4 == 3;
    m->mask = seed % 3 == 1;
    m->n_phones = 8 + (unsigned)mix_dice(m, MIX_PEOPLE - MIX_TRUNKS - 7);
    m->n_trunks = 1 + (unsigned)mix_dice(m, 2);
    m->tenants = 1 + (unsigned)mix_dice(m, 3);
    m->groups = m->tenants * (1 + (unsigned)mix_dice(m, 2));
    for (unsigned i = 0; i < m->n_phones; i++)
        person_plan(m, i);
    forwards_plan(m);
    if (capture_begin(m))
        return -1;
    struct world_conf conf = {.config = config_of(m),
                              .seed = seed,
                              .name = STR("mix"),
                              .level = TRACE_ERROR,
                              .pcap = &m->pcap,
                              .tap_at_pbx = seed % 2 == 0};
    if (world_init(&m->w, &conf))
        return -1;
    m->w.dump = m->verbose;
    for (unsigned i = 0; i < m->n_phones + m->n_trunks; i++) {
        person_enter(m, i);
        phone_start(&m->phone[i]);
    }
    callers_plan(m);
    plays_plan(m);
    return 0;
}

void mix_run(struct mix *m)
{
    /* The last story begins within 70 s or a few moments later, and none takes six minutes. */
    world_run(&m->w, m->w.now + 450 * USEC_S);
    pcap_done(&m->pcap);
}

void mix_done(struct mix *m)
{
    world_done(&m->w);
    pcap_done(&m->pcap);
    free(m->capture);
}

/* sim SEEDS [FIRST]: so many worlds, each from its seed: phones and a trunk that call each other at
 * random through one PBX, over a network that loses, delays, repeats and reorders, with restarts.
 * When all have gone quiet, nothing may be left and every call must have one record.
 *
 * Prints "ok SEEDS" lines in blocks and "not ok seed N: why"; exit status 1 if one failed. */
#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "engine/sip/sip_int.h"
#include "pbx/call_int.h"
#include "pbx/feature/conference_int.h"
#include "pbx/feature/voicebot_int.h"
#include "pbx/feature/voicemail_int.h"
#include "pbx/registrar.h"
#include "pbx/subscription.h"
#include "bot.h"
#include "robot.h"
#include "wire/sdp/oa_state.h"

#define MAX_PHONES 6
#define ROBOTS     (MAX_PHONES + 1)
#define BLOCK      100

struct sim {
    struct world w;
    uint64_t seed;
    struct robot robot[ROBOTS];
    struct robot *list[ROBOTS];
    unsigned n;
    char config[8192];
    bool tricks;   /* the phones do more than call */
    bool faithful; /* nothing is lost and nobody dies: then every robot must be content too */
    bool verbose;
    usec_t silent_since[WORLD_STREAMS];
    media_id silent_id[WORLD_STREAMS];
    uint64_t calls_killed, calls_before; /* of PBXs that were killed */
    uint64_t restarts, links, messages;
    uint64_t music, recorded, tapped, spoken; /* streams, each second */
};

static const char config_tail[] = "trunk: {options_interval: 60}\n"
                                  "features: {record: \"*1\", conference_factory: \"3999\"}\n"
                                  "log: {level: error}\n"
                                  "voicemail: {max_messages: 8, max_length: 30, silence: 5}\n"
                                  "trunks:\n  - {name: kt, uri: \"sip:127.0.0.77:5080\"}\n"
                                  "routes:\n"
                                  "  - {match: \"^0[0-9]+$\", to: \"trunk:kt\"}\n"
                                  "  - {match: \"^5000$\", to: \"bot:agent\"}\n"
                                  "extensions:\n";

static void put_groups(struct buf *b, struct rand *r, unsigned phones)
{
    static const char *const strategies[] = {"sequential", "parallel", "queue"};
    buf_lit(b, "groups:\n");
    for (unsigned g = 0; g < ARRAY_LEN(strategies); g++) {
        buf_printf(b,
                   "  - {number: \"200%u\", did: [\"07000002%03u\"], strategy: %s, ring_time: %u,"
                   " queue_timeout: 40, queue_length: 3, %s members: [",
                   g, g, strategies[g], 3 + (unsigned)rand_below(r, 12),
                   rand_below(r, 3) ? "" : "no_answer: \"1000\",");
        for (unsigned i = 0; i < phones; i++)
            buf_printf(b, "%s\"10%02u\"", i ? ", " : "", i);
        buf_ch(b, ']');
        if (rand_below(r, 3) == 0)
            bot_put_stand_in(b, r);
        buf_lit(b, "}\n");
    }
}

static void put_rooms(struct buf *b)
{
    buf_lit(b, "conferences:\n"
               "  - {number: \"3000\", did: [\"07000003000\"], max_members: 5}\n"
               "  - {number: \"3001\", pin: \"12\", moderator_pin: \"34\","
               " wait_for_moderator: true, announce: none}\n");
}

/* Some worlds have short tempers, few ports or little room. */
static struct str config_of(struct sim *s, struct rand *r, unsigned phones)
{
    struct buf b;
    bool few_ports = rand_below(r, 6) == 0, few_calls = rand_below(r, 6) == 0;
    unsigned ports = few_ports ? 4 + 4 * (unsigned)rand_below(r, 3) : 400;
    static const char *const modes[] = {"mixed", "tracks", "both"};
    unsigned calls = few_calls ? 2 + (unsigned)rand_below(r, 3) : 200;
    buf_init(&b, s->config, sizeof(s->config));
    buf_printf(&b,
               "sip:\n  domain: pbx.test\n"
               "  listen: [\"udp:127.0.0.104:5060\", \"tcp:127.0.0.104:5060\"]\n"
               "  timers: {adaptive_t1: %s, invite_timeout: %u, bye_timeout: %u,"
               " session_expires: %u, no_answer_timeout: %u}\n",
               rand_below(r, 3) ? "false" : "true", 5 + (unsigned)rand_below(r, 50),
               rand_below(r, 4) ? 32 : 2 + (unsigned)rand_below(r, 40),
               rand_below(r, 2) ? 90 : 1800, (unsigned)rand_below(r, 5));
    buf_printf(&b,
               "media: {address: 127.0.0.104, ports: 20000-%u, rtp_timeout: 20,"
               " hold_timeout: 60, transcode: %s}\n",
               20000 + ports - 1, rand_below(r, 4) ? "true" : "false");
    buf_printf(&b,
               "limits: {requests_per_second: %u, calls: %u, transactions: %u, dialogs: 1000,"
               " registrations: 100, call_histories: 20}\n",
               rand_below(r, 6) ? 0 : 5, calls, rand_below(r, 8) ? 4000 : 64);
    buf_printf(&b, "sounds: {announce: %s, language: %s}\n",
               (const char *const[]){"none", "tone", "speech"}[rand_below(r, 3)],
               rand_below(r, 2) ? "en" : "ko");
    buf_z(&b, config_tail);
    for (unsigned i = 0; i < phones; i++) {
        buf_printf(
            &b,
            "  - {number: \"10%02u\", password: \"pw-%u\", did: [\"070000010%02u\"],"
            " pickup_group: office, voicemail: true, voicemail_pin: \"%.*s\", mwi_unsolicited: %s",
            i, i, i, (int)rand_below(r, 2), "1", rand_below(r, 4) ? "false" : "true");
        if (s->tricks && rand_below(r, 3) == 0)
            buf_printf(&b, ", forward: {%s: \"10%02u\", timeout: %u}",
                       rand_below(r, 2) ? "no_answer" : "busy", (unsigned)rand_below(r, phones),
                       5 + (unsigned)rand_below(r, 10));
        if (rand_below(r, 3) == 0)
            buf_printf(&b, ", record: %s", modes[rand_below(r, ARRAY_LEN(modes))]);
        if (rand_below(r, 3) == 0)
            bot_put_stand_in(&b, r);
        buf_lit(&b, "}\n");
    }
    put_groups(&b, r, phones);
    put_rooms(&b);
    bot_put_config(&b, r, phones);
    BUG_ON(b.full);
    return buf_str(&b);
}

/* ---- the media: who would hear whom ---------------------------------------------------------- */

static struct rcall *party_of(struct sim *s, const struct world_stream *st)
{
    for (unsigned i = 0; i < s->n; i++)
        if (addr_ip_eq(&s->robot[i].ua.host.addr, &st->rtp))
            return robot_call_at(&s->robot[i], st->rtp.port);
    return NULL;
}

static void on_link(struct world *w, const struct world_stream *a, const struct world_stream *b)
{
    struct sim *s = w->watcher;
    if (!a->set || !b->set || a->rtp.family == ADDR_NONE || b->rtp.family == ADDR_NONE)
        return;
    struct rcall *x = party_of(s, a), *y = party_of(s, b);
    s->links++;
    if (!x || !y)
        world_fail(w, "media goes to an address that is in no call");
    else if (!s->tricks && !str_eq(x->key, y->key))
        world_fail(w, "somebody hears a stranger: call " STR_FMT " and call " STR_FMT,
                   STR_ARG(x->key), STR_ARG(y->key));
}

static const struct leg_stream *stream_of(struct sim *s, media_id id, struct leg **leg)
{
    *leg = leg_of_stream(s->w.pbx, id);
    for (unsigned i = 0; *leg && i < (*leg)->n_streams; i++)
        if ((*leg)->stream[i].id == id)
            return &(*leg)->stream[i];
    return NULL;
}

/* Who is in a room is a member of it, and hears no other. */
static void check_room(struct sim *s, const struct world_stream *st, const struct leg *leg)
{
    struct pbx *p = s->w.pbx;
    const struct member *m = member_of_call(p, call_find(p, leg->call));
    bool own = m && leg_find(p, m->leg) == leg && m->stream == st->id;
    uint64_t room = own ? member_room(p, m)->media : 0;
    if (st->room != room)
        world_fail(&s->w, "media: stream %llu is in room %llu in place of %llu",
                   (unsigned long long)st->id, (unsigned long long)st->room,
                   (unsigned long long)room);
}

/* An early session lives as long as the leg that it is of. */
static bool has_ended(struct pbx *p, const struct leg *leg)
{
    const struct leg *of = leg->regular ? leg_find(p, leg->regular) : leg;
    return !of || of->state == LEG_ENDED;
}

/* Early sessions say themselves with whom they are joined. */
static bool talk(struct pbx *p, struct leg *leg, struct leg *other)
{
    if (leg->regular || other->regular)
        return leg_find(p, leg->opposite) == other && leg_find(p, other->opposite) == leg;
    return call_other(p, call_find(p, leg->call), leg) == other;
}

/* That with a speech server is linked with the caller whom its bot hears, or with nobody. */
static void check_server(struct sim *s, const struct world_stream *st)
{
    struct world *w = &s->w;
    const struct world_link *l = world_link_find(w, st->server);
    const struct world_stream *peer = world_stream_find(w, st->peer);
    s->spoken += peer != NULL;
    if (!l || l->stream != st->id)
        world_fail(w, "media: stream %llu is with a speech server that is gone",
                   (unsigned long long)st->id);
    if (peer && peer->tap != st->server)
        world_fail(w, "media: stream %llu is heard by one whom its bot does not hear",
                   (unsigned long long)st->id);
}

/* What a stream is for: it belongs to a leg, is linked within its call, hears music while the other
 * party holds and not otherwise, and is in the recording of its call. */
static void check_stream(struct sim *s, const struct world_stream *st)
{
    struct world *w = &s->w;
    struct leg *leg, *other = NULL;
    const struct leg_stream *own = stream_of(s, st->id, &leg);
    /* Now, or behind a tone. */
    bool music = !strcmp(st->hears, "music") || !strcmp(st->behind, "music");
    unsigned long long id = st->id;
    if (!own) {
        world_fail(w, "media: stream %llu belongs to no leg", id);
        return;
    }
    const struct call *call = call_find(w->pbx, leg->call);
    s->music += music;
    s->recorded += st->record != 0;
    s->tapped += st->tap != 0;
    if (has_ended(w->pbx, leg))
        world_fail(w, "media: stream %llu belongs to a leg that has ended", id);
    const struct voicebot_session *bot = voicebot_of(w->pbx, call);
    bool spoken_for = bot && st->peer && bot->speech.stream == st->peer;
    if (st->peer && !spoken_for && (!stream_of(s, st->peer, &other) || other->call != leg->call)) {
        world_fail(w, "media: stream %llu is linked to another call", id);
        return;
    }
    /* Who hears itself is in the echo test. */
    if (other && other != leg && !talk(w->pbx, leg, other))
        world_fail(w, "media: stream %llu is linked to one whom it does not talk with", id);
    check_room(s, st, leg);
    if (call->state == CALL_UP && call_is_party(w->pbx, call, leg) && leg->oa == OA_NONE)
        world_fail(w, "media: stream %llu is in a call that is up, and nothing is agreed", id);
    bool agreed = leg_has_agreed(leg) && other && leg_has_agreed(other);
    if (agreed && !(st->formats && world_stream_find(w, st->peer)->formats))
        world_fail(w, "media: stream %llu is linked, and one of the two has no formats", id);
    if (st->tap && (!bot || bot->self != st->tap || !bot->taps || (st->peer && !spoken_for)))
        world_fail(w, "media: stream %llu is tapped, and no bot listens", id);
    if (st->peer && st->room)
        world_fail(w, "media: stream %llu is linked and in a room", id);
    if (own->music != music)
        world_fail(w, "media: stream %llu %s music", id, music ? "hears" : "does not hear");
    if (!strcmp(st->hears, "music") && !own->other_silent)
        world_fail(w, "media: stream %llu hears music, and nobody holds", id);
    /* Rooms and messages have recordings of their own. */
    if (st->record && !call->service && (leg->recorded != st->id || leg->record != call->record))
        world_fail(w, "media: stream %llu is in a recording that is not its call's", id);
    if (leg->recorded == st->id && !st->record)
        world_fail(w, "media: stream %llu should be recorded", id);
}

static bool heard(struct sim *s, const struct world_stream *st)
{
    struct rcall *c = st->set ? party_of(s, st) : NULL;
    return c && rcall_talks(c) && !c->held;
}

static void press(struct world *w, media_id id, char digit)
{
    struct media_ev ev = {.kind = MEDIA_EV_DIGIT, .id = id, .digit = digit};
    world_media_ev(w, &ev);
    ev.over = true;
    world_media_ev(w, &ev);
}

/* Who is recorded speaks and stops; who hears a prompt presses keys. */
static void use_service(struct sim *s, const struct world_stream *st)
{
    static const char keys[] = "1111223456677789900##*";
    struct rand *r = &s->w.rand;
    struct media_ev ev = {.kind = MEDIA_EV_TALK, .id = st->id};
    bool prompted = str_ifind(str_z(st->hears), STR("prompt:")) >= 0;
    if (st->id && rand_below(r, 10) == 0) {
        struct media_ev first = {.kind = MEDIA_EV_FIRST, .id = st->id};
        world_media_ev(&s->w, &first);
    }
    if (!st->id || (!st->record && !prompted && !str_starts(str_z(st->hears), STR("clip:"))))
        return;
    if (st->record && rand_below(r, 2)) {
        ev.talks = rand_below(r, 4) != 0;
        world_media_ev(&s->w, &ev);
    }
    for (uint64_t n = rand_below(r, st->record ? 2 : 4); n > 0; n--)
        if (!st->record || rand_below(r, 8) == 0)
            press(&s->w, st->id, keys[rand_below(r, sizeof(keys) - 1)]);
}

/* Once a second: has a stream and its peer been silent for too long? */
static void listen(void *arg, uint64_t n)
{
    struct sim *s = arg;
    struct world *w = &s->w;
    for (unsigned i = 0; i < w->streams_peak; i++) {
        struct world_stream *st = &w->stream[i];
        struct world_stream *peer = st->id ? world_stream_find(w, st->peer) : NULL;
        if (st->id && st->server)
            check_server(s, st);
        else if (st->id)
            check_stream(s, st);
        if (!st->id || s->silent_id[i] != st->id || !st->timeout_ms || heard(s, st) ||
            (peer && heard(s, peer))) {
            s->silent_id[i] = st->id;
            s->silent_since[i] = w->now;
        } else if (w->now - s->silent_since[i] >= st->timeout_ms * USEC_MS) {
            struct media_ev ev = {.kind = MEDIA_EV_TIMEOUT, .id = st->id};
            world_media_ev(w, &ev);
            s->silent_since[i] = w->now + 1000000 * USEC_S; /* once */
        }
    }
    for (unsigned i = 0; i < w->streams_peak; i++)
        use_service(s, &w->stream[i]);
    for (unsigned i = 0; i < w->streams_peak; i++)
        bot_voice(w, &w->stream[i]);
    world_wake(w, USEC_S, listen, s, 0);
}

/* ---- building a world ------------------------------------------------------------------------ */

static void weather(struct sim *s, struct world_host *h)
{
    struct rand *r = &s->w.rand;
    for (unsigned d = 0; d < 2; d++) {
        struct world_fate *f = &h->fate[d];
        f->delay = rand_below(r, 60) * USEC_MS;
        if (s->faithful)
            continue;
        f->loss_pm = rand_below(r, 3) ? 200 : (uint32_t)rand_below(r, 50);
        f->dup_pm = (uint32_t)rand_below(r, 60);
        f->jitter = rand_below(r, 3) ? rand_below(r, 300) * USEC_MS : 0;
    }
}

static void add_robot(struct sim *s, unsigned i, bool trunk)
{
    struct rand *rand = &s->w.rand;
    struct robot *r = &s->robot[i];
    struct robot_conf conf = {.trunk = trunk,
                              .tricks = s->tricks,
                              .faithful = s->faithful,
                              .calls_s = 4 + (uint32_t)rand_below(rand, 24)};
    struct addr a = {.family = ADDR_V4,
                     .port = trunk ? 5080 : 5060,
                     .ip = {127, 0, 0, trunk ? 77 : (uint8_t)(10 + i)}};
    enum proto proto = !trunk && rand_below(rand, 3) == 0 ? PROTO_TCP : PROTO_UDP;
    struct str name = ua_text(&s->w, trunk ? "T%u" : "P%u", i);
    robot_init(r, &s->w, name.p, &a, proto, &conf);
    r->ua.domain = trunk ? STR("127.0.0.104") : STR("pbx.test");
    /* Some extensions have two phones. */
    unsigned number = !trunk && i && rand_below(rand, 4) == 0 ? i - 1 : i;
    r->ua.user = trunk ? STR("carrier") : ua_text(&s->w, "10%02u", number);
    r->ua.password = ua_text(&s->w, "pw-%u", number);
    r->ua.host.no_tcp = proto == PROTO_UDP && rand_below(rand, 2) == 0;
    r->others = s->list;
    weather(s, &r->ua.host);
    s->list[i] = r;
}

static int build(struct sim *s, uint64_t seed)
{
    struct rand r;
    rand_seed(&r, seed);
    unsigned phones = 2 + (unsigned)rand_below(&r, MAX_PHONES - 1);
    s->seed = seed;
    s->faithful = rand_below(&r, 4) == 0;
    s->tricks = seed % 2 == 0;
    struct world_conf conf = {
        .config = config_of(s, &r, phones), .seed = seed, .name = STR("sim"), .level = TRACE_ERROR};
    if (world_init(&s->w, &conf))
        return -1;
    s->w.dump = s->verbose;
    s->w.watcher = s;
    s->w.on_link = on_link;
    s->w.on_botlink = bot_rx;
    s->n = phones + 1;
    for (unsigned i = 0; i < s->n; i++)
        add_robot(s, i, i == phones);
    for (unsigned i = 0; i < s->n; i++) {
        s->robot[i].n_others = s->n;
        robot_start(&s->robot[i]);
    }
    world_wake(&s->w, USEC_S, listen, s, 0);
    return 0;
}

/* ---- what must hold -------------------------------------------------------------------------- */

static void none(struct sim *s, const char *what, uint64_t n)
{
    if (n)
        world_fail(&s->w, "%llu %s left", (unsigned long long)n, what);
}

static void check_records(struct sim *s, uint64_t calls)
{
    static char seen[1 << 16]; /* of ids, by their first bytes; cleared for each world */
    memset(seen, 0, sizeof(seen));
    if (s->w.n_cdrs != calls)
        world_fail(&s->w, "%llu calls have %u records", (unsigned long long)calls, s->w.n_cdrs);
    list_each(node, &s->w.cdrs)
    {
        struct str id = container_of(node, struct world_row, node)->op.v[0].s;
        list_each(other, &s->w.cdrs)
        {
            if (other == node)
                break;
            if (str_eq(container_of(other, struct world_row, node)->op.v[0].s, id))
                world_fail(&s->w, "two records have the id " STR_FMT, STR_ARG(id));
        }
    }
}

/* Nothing of a mailbox is left but its messages, each with a row and a file. */
static void check_mailboxes(struct sim *s)
{
    struct voicemail *v = s->w.pbx->voicemail;
    uint32_t messages = 0, files = 0, clips = 0;
    none(s, "calls with a mailbox", v->sessions.used);
    none(s, "messages being written", v->takes.used);
    for (unsigned i = 0; i < VM_CLIPS; i++)
        clips += v->clip[i].used;
    none(s, "sounds lent", clips);
    list_each(node, &v->boxes)
    {
        const struct vm_box *b = container_of(node, struct vm_box, node);
        none(s, "messages to come", b->coming);
        messages += b->n[VM_NEW] + b->n[VM_OLD] + b->n[VM_GREETING];
    }
    for (unsigned i = 0; i < WORLD_FILES; i++)
        files += s->w.file[i].there && s->w.file[i].place == PBX_MESSAGES;
    if (messages != s->w.n_messages || messages != files)
        world_fail(&s->w, "%u messages, %u rows, %u files", messages, s->w.n_messages, files);
    s->messages += messages;
}

/* Every pair that the plane has announced is in the stock again. */
static void check_ports(struct sim *s)
{
    const struct port_stock *stock = &s->w.pbx->calls->ports;
    uint32_t announced = 0;
    for (unsigned i = 0; i < sizeof(s->w.port_known) * 8; i++)
        announced += s->w.port_known[i / 8] >> (i % 8) & 1;
    if (stock->n[0] != announced)
        world_fail(&s->w, "of %u port pairs %u are left", announced, stock->n[0]);
}

static void check(struct sim *s)
{
    struct pbx *p = s->w.pbx;
    struct sip_stats st;
    sip_core_stats(p->core, &st);
    none(s, "transactions", st.active_txns);
    none(s, "sessions", st.active_sessions);
    none(s, "dialogs", st.active_dialogs);
    none(s, "timers of the engine", st.active_timers);
    none(s, "calls", p->calls->calls.used);
    none(s, "legs", p->calls->legs.used);
    none(s, "searches", p->calls->dials.used);
    none(s, "transfers", p->calls->transfers.used);
    none(s, "subscriptions", subscription_count(p));
    none(s, "conferences", p->conferences->rooms.used);
    none(s, "members of conferences", p->conferences->members.used);
    none(s, "port pairs", p->calls->ports.in_use);
    none(s, "media streams", s->w.streams_open);
    check_ports(s);
    none(s, "recordings", p->calls->recordings.used);
    for (unsigned i = 0; i < WORLD_FILES; i++)
        none(s, "files being written", s->w.file[i].there && s->w.file[i].number);
    none(s, "blobs of the engine", p->core->pool.live);
    /* What goes on without calls: each binding, the audit, the question to the trunk, bans. */
    uint64_t lasting = registrar_count(p) + 3;
    none(s, "timers of the exchange", p->wheel.armed > lasting ? p->wheel.armed - lasting : 0);
    none(s, "offers or answers out of turn", p->calls->out_of_turn);
    none(s, "conversations with bots", voicebot_count(p));
    none(s, "connections of bots", s->w.links_open);
    none(s, "callers in queues", !list_empty(&p->calls->waiting));
    check_mailboxes(s);
    none(s, "objects that the audit had to reap", st.reaped + p->calls->reaped);
    check_records(s, s->calls_before + p->calls->total - p->calls->dissolved - s->calls_killed);
    for (unsigned i = 0; s->faithful && !s->restarts && i < s->n; i++)
        if (robot_calls_left(&s->robot[i]))
            world_fail(&s->w, "%s still believes in %u calls", s->robot[i].ua.name.p,
                       robot_calls_left(&s->robot[i]));
}

/* ---- one world ------------------------------------------------------------------------------- */

static void restart(struct sim *s)
{
    struct calls *c = s->w.pbx->calls;
    uint64_t unrecorded = 0;
    uint32_t at = 0;
    handle_t h;
    const struct call *call;
    while ((call = slot_next(&c->calls, &at, &h)))
        unrecorded += call->state != CALL_ENDING;
    s->calls_before += c->total - c->dissolved;
    s->calls_killed += unrecorded;
    s->restarts++;
    if (world_restart(&s->w))
        world_fail(&s->w, "the PBX does not start again");
}

static void reload(struct sim *s)
{
    if (world_reload(&s->w, s->w.conf.config))
        world_fail(&s->w, "the configuration it runs with is refused");
}

/* The trunk is asked with OPTIONS for ever; there are moments between two of them. */
static void settle(struct sim *s)
{
    struct sip_stats st;
    for (unsigned i = 0; i < 60 && !s->w.failed; i++) {
        sip_core_stats(s->w.pbx->core, &st);
        if (!st.active_txns)
            return;
        world_run(&s->w, s->w.now + USEC_S);
    }
}

/* An operator gives an order to a room. */
static void order(struct sim *s)
{
    static const char *const actions[] = {"invite", "invite", "invite", "kick",
                                          "mute",   "lock",   "unlock", "end"};
    struct world *w = &s->w;
    char mem[2048];
    struct buf reply;
    buf_init(&reply, mem, sizeof(mem));
    unsigned action = (unsigned)rand_below(&w->rand, ARRAY_LEN(actions));
    bool invite = action < 3;
    world_api(w,
              ua_text(w,
                      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"conference\",\"params\":"
                      "{\"action\":\"%s\",\"room\":\"3000\",\"number\":\"%s%u\"}}",
                      actions[action], invite ? "100" : "",
                      (unsigned)rand_below(&w->rand, s->n + 1)),
              &reply);
}

/* Somebody at the control socket records a call, or no longer; it need not exist. */
static void operator(struct sim *s)
{
    static const char *const actions[] = {"start", "tracks", "both", "stop", "pause", "resume"};
    struct world *w = &s->w;
    char mem[1024];
    struct buf reply;
    uint64_t total = w->pbx->calls->total;
    buf_init(&reply, mem, sizeof(mem));
    world_api(w,
              ua_text(w,
                      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"record\",\"params\":"
                      "{\"call\":%llu,\"action\":\"%s\"}}",
                      (unsigned long long)(total - rand_below(&w->rand, total < 4 ? 1 : 4)),
                      actions[rand_below(&w->rand, ARRAY_LEN(actions))]),
              &reply);
    world_disk_error(w, rand_below(&w->rand, 20) ? 0 : -ENOSPC);
}

/* Time passes, and now and then a mailbox fills or empties. */
static void pass(struct sim *s, usec_t until)
{
    struct world *w = &s->w;
    while (!w->failed && w->now < until) {
        usec_t next = w->now + rand_below(&w->rand, 20 * USEC_S) + 1;
        world_run(w, next < until ? next : until);
        if (s->tricks && rand_below(&w->rand, 3) == 0)
            order(s);
        char mem[1024];
        struct buf reply;
        buf_init(&reply, mem, sizeof(mem));
        operator(s);
        unsigned waiting = (unsigned)rand_below(&w->rand, 5);
        world_api(w,
                  ua_text(w,
                          "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"mwi\",\"params\":"
                          "{\"extension\":\"10%02u\",\"new\":%u,\"old\":1}}",
                          (unsigned)rand_below(&w->rand, s->n), waiting),
                  &reply);
    }
}

static uint64_t run(struct sim *s)
{
    struct world *w = &s->w;
    usec_t end = w->now + (120 + rand_below(&w->rand, 240)) * USEC_S;
    bool restarts = rand_below(&w->rand, 3) == 0, shutdown = rand_below(&w->rand, 8) == 0;
    while (!w->failed && w->now < end) {
        usec_t next = w->now + (10 + rand_below(&w->rand, 200)) * USEC_S;
        pass(s, next < end ? next : end);
        if (restarts && w->now < end && !w->failed)
            restart(s);
        else if (!w->failed && rand_below(&w->rand, 4) == 0)
            reload(s);
    }
    if (shutdown && !w->failed)
        world_shutdown(w);
    for (unsigned i = 0; i < s->n; i++)
        robot_quiet(&s->robot[i]);
    world_run(w, w->now + 400 * USEC_S);
    settle(s);
    if (shutdown && !w->failed && !pbx_is_idle(w->pbx))
        world_fail(w, "the PBX was told to stop and is not idle");
    if (!w->failed)
        check(s);
    return w->hash;
}

static void print_counts(const struct sim *s)
{
    uint32_t made = 0, taken = 0, refused = 0, cancelled = 0, died = 0;
    for (unsigned i = 0; i < s->n; i++) {
        made += s->robot[i].made;
        taken += s->robot[i].taken;
        refused += s->robot[i].refused;
        cancelled += s->robot[i].cancelled;
        died += s->robot[i].died;
    }
    fprintf(stderr,
            "seed %llu%s: %u calls, %u taken, %u refused, %u cancelled, %u deaths, %llu restarts, "
            "%u records, %llu messages, %llu lost, %llu links, %llu kept, "
            "%llu s of music, %llu s recorded, %llu s of bots, %llu s of speech servers\n",
            (unsigned long long)s->seed, s->faithful ? " (faithful)" : "", made, taken, refused,
            cancelled, died, (unsigned long long)s->restarts, s->w.n_cdrs,
            (unsigned long long)s->w.sent, (unsigned long long)s->w.lost,
            (unsigned long long)s->links, (unsigned long long)s->messages,
            (unsigned long long)s->music, (unsigned long long)s->recorded,
            (unsigned long long)s->tapped, (unsigned long long)s->spoken);
}

/* One seed, now and then twice: the same seed must give the same bytes at the same times. */
static bool one(uint64_t seed, bool verbose, bool counts)
{
    struct sim *s = mem_zero(sizeof(*s));
    uint64_t hash[2] = {0, 0};
    bool ok = s != NULL;
    unsigned runs = seed % 16 == 0 ? 2 : 1;
    for (unsigned i = 0; ok && i < runs; i++) {
        memset(s, 0, sizeof(*s));
        s->verbose = verbose;
        ok = build(s, seed) == 0;
        hash[i] = ok ? run(s) : 0;
        ok = ok && !s->w.failed;
        if (!ok)
            printf("not ok seed %llu: at %.3f s: %s\n", (unsigned long long)seed,
                   (double)(s->w.now - s->w.started) / 1e6, s->w.failure);
        if (counts)
            print_counts(s);
        world_done(&s->w);
    }
    if (ok && runs == 2 && hash[0] != hash[1]) {
        printf("not ok seed %llu: a second run sent other bytes\n", (unsigned long long)seed);
        ok = false;
    }
    mem_free(s);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t seeds = 0, first = 1, passed = 0;
    bool verbose = argc > 1 && !strcmp(argv[1], "-v"), counts = argc > 1 && !strcmp(argv[1], "-c");
    int at = 1 + (verbose || counts);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc <= at || num_u64(&seeds, str_z(argv[at]), 1000000000) ||
        (argc > at + 1 && num_u64(&first, str_z(argv[at + 1]), UINT64_MAX / 2))) {
        fprintf(stderr, "usage: sim [-v | -c] SEEDS [FIRST]\n");
        return 2;
    }
    uint64_t good = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        bool ok = one(first + i, verbose, counts);
        good += ok;
        passed += ok;
        if ((i + 1) % BLOCK == 0 || i + 1 == seeds) {
            if (good == i % BLOCK + 1)
                printf("ok seeds %llu to %llu\n", (unsigned long long)(first + i - i % BLOCK),
                       (unsigned long long)(first + i));
            good = 0;
        }
    }
    return passed == seeds ? 0 : 1;
}

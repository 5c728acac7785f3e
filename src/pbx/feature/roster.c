/* Who is in a room, for those who have subscribed to it: application/conference-info+xml. RFC 4575.
 * The first notification tells everything, later ones what has changed. */
#include "pbx/feature/conference_int.h"

#define DEFAULT_S 3600         /* RFC 4575 section 3.4 */
#define INTERVAL  (5 * USEC_S) /* section 3.9 */
#define BODY_MAX  (60 * 1024)
#define BRIEF     64 /* members, beyond which no details are told: a message holds 64 KiB */

/* ---- texts ----------------------------------------------------------------------------------- */

/* sip:user@domain, as the text of an attribute. */
static void put_uri(struct buf *b, const struct pbx *p, struct str user, uint64_t endpoint)
{
    char mem[600];
    struct buf uri;
    buf_init(&uri, mem, sizeof(mem));
    buf_lit(&uri, "sip:");
    sip_escape_user(&uri, user);
    buf_ch(&uri, '@');
    buf_str_put(&uri, p->domain);
    if (endpoint) {
        buf_lit(&uri, ";endpoint=");
        buf_u64(&uri, endpoint);
    }
    buf_xml(b, buf_str(&uri));
}

static void put_text(struct buf *b, const char *name, struct str text)
{
    buf_printf(b, "<%s>", name);
    buf_xml(b, text);
    buf_printf(b, "</%s>", name);
}

/* xs:dateTime in UTC: days to a date by the rules of the Gregorian calendar, counted in years that
 * begin with March. */
static void put_when(struct buf *b, uint64_t wall_us)
{
    uint64_t s = wall_us / USEC_S, days = s / 86400 + 719468, of_day = s % 86400;
    uint64_t era = days / 146097, doe = days % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    unsigned year = (unsigned)(yoe + era * 400 + (month <= 2));
    buf_printf(b, "<when>%04u-%02u-%02uT%02u:%02u:%02uZ</when>", year, month,
               (unsigned)(doy - (153 * mp + 2) / 5 + 1), (unsigned)(of_day / 3600),
               (unsigned)(of_day / 60 % 60), (unsigned)(of_day % 60));
}

/* ---- users ----------------------------------------------------------------------------------- */

static const char *status_of(struct leg *leg, const struct member *m)
{
    if (m->state == MEMBER_CALLED)
        return m->rings ? "alerting" : "dialing-out";
    if (m->state == MEMBER_WAITING)
        return "pending";
    return leg && sound_is_held(leg) ? "on-hold" : m->muted ? "muted-via-focus" : "connected";
}

static void put_details(struct pbx *p, struct buf *b, struct leg *leg, const struct member *m)
{
    bool held = leg && sound_is_held(leg);
    bool out = !leg || leg->outgoing;
    buf_lit(b, "<joining-method>");
    buf_z(b, out ? "dialed-out" : "dialed-in");
    buf_lit(b, "</joining-method>");
    if (m->came) {
        buf_lit(b, "<joining-info>");
        put_when(b, pbx_wall_at(p, m->came));
        buf_lit(b, "</joining-info>");
    }
    if (m->state != MEMBER_INSIDE)
        return;
    buf_lit(b, "<media id=\"1\"><type>audio</type><status>");
    buf_z(b, held ? "inactive" : m->muted ? "recvonly" : "sendrecv");
    buf_lit(b, "</status></media>");
}

static void put_endpoint(struct pbx *p, struct buf *b, const struct member *m, bool brief)
{
    struct leg *leg = leg_find(p, m->leg);
    buf_lit(b, "<endpoint entity=\"");
    put_uri(b, p, m->who, m->number);
    buf_lit(b, "\"><status>");
    buf_z(b, status_of(leg, m));
    buf_lit(b, "</status>");
    if (!brief)
        put_details(p, b, leg, m);
    buf_lit(b, "</endpoint>");
}

/* One user, with each of its phones that are here. */
static void put_user(struct pbx *p, struct buf *b, const struct room *room,
                     const struct member *first)
{
    bool brief = room->n_members > BRIEF;
    buf_lit(b, "<user entity=\"");
    put_uri(b, p, first->who, 0);
    buf_lit(b, "\" state=\"full\">");
    if (!brief)
        put_text(b, "display-text", first->name);
    if (first->moderator)
        buf_lit(b, "<roles><entry>moderator</entry></roles>");
    for (const struct member *m = first; m; m = room_next(room, m))
        if (member_is_shown(m) && str_eq(m->who, first->who))
            put_endpoint(p, b, m, brief);
    buf_lit(b, "</user>\n");
}

/* The first of the members that are one user; NULL: there is none before `m`. */
static const struct member *same_user(const struct room *room, struct str who,
                                      const struct member *before)
{
    const struct member *m = NULL;
    while ((m = room_next(room, m)) && m != before)
        if (member_is_shown(m) && str_eq(m->who, who))
            return m;
    return NULL;
}

static bool user_changed(const struct room *room, const struct member *first, uint64_t since)
{
    for (const struct member *m = first; m; m = room_next(room, m))
        if (member_is_shown(m) && m->changed > since && str_eq(m->who, first->who))
            return true;
    return false;
}

static void put_gone(struct pbx *p, struct buf *b, const struct room *room, uint64_t since)
{
    unsigned n = room->n_gone < ROOM_GONE ? room->n_gone : ROOM_GONE;
    for (unsigned i = 0; i < n; i++) {
        struct str who = room->gone[i].who;
        bool again = false;
        for (unsigned k = 0; k < i; k++)
            again |= room->gone[k].changed > since && str_eq(room->gone[k].who, who);
        if (again || room->gone[i].changed <= since || same_user(room, who, NULL))
            continue;
        buf_lit(b, "<user entity=\"");
        put_uri(b, p, who, 0);
        buf_lit(b, "\" state=\"deleted\"/>\n");
    }
}

/* ---- the document ---------------------------------------------------------------------------- */

/* Do we know everything that has changed since then? */
static bool remembers(const struct room *room, uint64_t since)
{
    return since >= room->born &&
           (room->n_gone < ROOM_GONE || since >= room->gone[room->n_gone % ROOM_GONE].changed);
}

static void put_description(struct buf *b, const struct config_conference *conf)
{
    buf_lit(b, "<conference-description>");
    if (conf && conf->name.n)
        put_text(b, "display-text", conf->name);
    buf_printf(b, "<maximum-user-count>%u</maximum-user-count></conference-description>\n",
               conf ? conf->max_members : ROOM_DEFAULT_MAX);
}

static void put_users(struct pbx *p, struct buf *b, const struct room *room, bool full,
                      uint64_t since)
{
    buf_printf(b, "<users state=\"%s\">\n", full ? "full" : "partial");
    for (const struct member *m = NULL; room && (m = room_next(room, m));)
        if (member_is_shown(m) && !same_user(room, m->who, m) &&
            (full || user_changed(room, m, since)))
            put_user(p, b, room, m);
    if (!full)
        put_gone(p, b, room, since);
    buf_lit(b, "</users>\n");
}

static void package_body(struct pbx *p, struct subscription_view *view, struct buf *b)
{
    const struct room *room = room_find(p, view->resource);
    const struct config_conference *conf =
        room ? room->conf : config_find_conference(p->config, view->resource);
    bool full = view->full || !room || !remembers(room, view->mark);
    buf_lit(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
               "<conference-info xmlns=\"urn:ietf:params:xml:ns:conference-info\" entity=\"");
    put_uri(b, p, view->resource, 0);
    buf_printf(b, "\" state=\"%s\" version=\"%u\">\n", full ? "full" : "partial", view->version);
    if (full)
        put_description(b, conf);
    buf_printf(b, "<conference-state><user-count>%u</user-count>", room ? room->n_inside : 0);
    buf_printf(b, "<active>%s</active>", room && room->n_inside ? "true" : "false");
    buf_printf(b, "<locked>%s</locked></conference-state>\n",
               room && room->locked ? "true" : "false");
    put_users(p, b, room, full, view->mark);
    buf_lit(b, "</conference-info>\n");
    view->mark = p->conferences->changes;
}

/* A room with a PIN is watched by those alone who are inside. */
static unsigned package_accept(struct pbx *p, const struct config_extension *who,
                               const struct sip_uri *ruri, struct str *resource)
{
    struct str user = sip_unescape(&p->turn, ruri->user.p ? ruri->user : STR(""));
    if (!user.p)
        return 400;
    if (ruri->scheme != SIP_SCHEME_TEL && !pbx_is_our_host(p, ruri))
        return 404;
    const struct config_conference *conf = config_find_conference(p->config, user);
    const struct room *room = room_find(p, user);
    if (!conf && !room)
        return 404;
    if (user.n > 63)
        return 400;
    if (conf && conf->pin.n && (!room || !room_member_of(p, room, who)))
        return 403;
    *resource = user;
    return 0;
}

const struct event_package conference_package = {.name = STR_INIT("conference"),
                                                 .type =
                                                     STR_INIT("application/conference-info+xml"),
                                                 .default_s = DEFAULT_S,
                                                 .body_max = BODY_MAX,
                                                 .interval = INTERVAL,
                                                 .accept = package_accept,
                                                 .body = package_body};

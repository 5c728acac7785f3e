/* Conferences. A server that mixes says so (;isfocus, RFC 4579), and its legs share its URI. A
 * phone that mixes says nothing: it holds one call, makes another, and listens to both again. */
#include <stdlib.h>

#include "analysis/tie.h"
#include "base/mem.h"

#define BOTH_LIVE_NS (500 * MS)
#define HOLD_MOST_NS (600000 * MS)

/* ---- a server's ------------------------------------------------------------------------------ */

struct seat {
    struct str room;
    uint32_t fact;
};

static int by_room(const void *x, const void *y)
{
    const struct seat *a = x, *b = y;
    int order = str_cmp(a->room, b->room);
    return order ? order : (a->fact > b->fact) - (a->fact < b->fact);
}

/* The focus that a leg is with, by the user part of its Contact. */
static struct str room_of(const struct an_leg *leg)
{
    for (unsigned side = 0; side < 2; side++) {
        struct sip_uri uri;
        struct str contact = an_leg_text(leg, leg->contact[side]);
        if (leg->focus[side] && sip_uri_parse(&uri, contact) == 0 && uri.user.n)
            return uri.user;
    }
    return STR_NONE;
}

static void rooms_tie(struct tie *t)
{
    struct seat *seat = mem_alloc((t->n_facts + 1) * sizeof(*seat));
    uint32_t n = 0;
    if (!seat) {
        t->failed = true;
        return;
    }
    for (uint32_t f = 0; f < t->n_facts; f++) {
        struct str room = t->fact[f].answer_ns == AN_NEVER ? STR_NONE : room_of(t->fact[f].leg);
        if (room.n)
            seat[n++] = (struct seat){room, f};
    }
    if (n)
        qsort(seat, n, sizeof(*seat), by_room);
    uint64_t open_ns = 0; /* until when the room has somebody in it */
    for (uint32_t i = 1; i < n; i++) {
        struct fact *a = &t->fact[seat[i - 1].fact], *b = &t->fact[seat[i].fact];
        bool same = str_eq(seat[i - 1].room, seat[i].room);
        open_ns = same && open_ns > a->end_ns ? open_ns : a->end_ns;
        if (!same || b->answer_ns > open_ns)
            continue;
        struct score s = {0};
        score_add(&s, AN_BY_FOCUS, tie_frame(b->leg, b->leg->answer_msg));
        tie_add(t, AN_EDGE_JOINED, seat[i - 1].fact, seat[i].fact, &s, 95);
    }
    mem_free(seat);
}

/* ---- a phone's ------------------------------------------------------------------------------- */

/* Is the phone of this side of `l` a party of `k`? By its address, or by its number. */
static bool same_phone(const struct fact *l, unsigned side, const struct fact *k, unsigned *ret)
{
    if (l->leg->n_hosts < 2 || k->leg->n_hosts < 2)
        return false;
    const struct addr *phone = &l->leg->host[side == AN_CALLER ? 0 : 1];
    const struct an_number *number = side == AN_CALLER ? &l->caller : &l->callee;
    for (unsigned i = 0; i < 2; i++) {
        enum an_likeness like = an_number_like(number, i == AN_CALLER ? &k->caller : &k->callee);
        bool number_fits = like == AN_EQUAL || like == AN_ENDS;
        if (addr_eq(phone, &k->leg->host[i]) ||
            (addr_ip_eq(phone, &k->leg->host[i]) && number_fits)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool holds_at(const struct an_leg *leg, unsigned side, uint64_t at)
{
    for (uint32_t i = 0; i < leg->n_holds; i++)
        if (leg->hold[i].side == side && leg->hold[i].from_ns <= at && at < leg->hold[i].to_ns)
            return true;
    return false;
}

/* Both calls of the phone were live for a while after it had resumed the first. */
static bool both_live(const struct fact *l, const struct an_hold *h, const struct fact *k,
                      unsigned k_side)
{
    uint64_t from = k->answer_ns > h->to_ns ? k->answer_ns : h->to_ns;
    uint64_t to = l->end_ns < k->end_ns ? l->end_ns : k->end_ns;
    return h->to_ns != AN_NEVER && k->answer_ns != AN_NEVER && to > from &&
           to - from >= BOTH_LIVE_NS && !holds_at(k->leg, k_side, from + BOTH_LIVE_NS / 2) &&
           !holds_at(l->leg, h->side, from + BOTH_LIVE_NS / 2);
}

static void phone_tie(struct tie *t, uint32_t li, const struct an_hold *h)
{
    const struct fact *l = &t->fact[li];
    uint64_t to = h->to_ns < h->from_ns + HOLD_MOST_NS ? h->to_ns : h->from_ns + HOLD_MOST_NS;
    for (uint32_t ki = tie_from(t, h->from_ns); ki < t->n_facts && t->fact[ki].start_ns <= to;
         ki++) {
        const struct fact *k = &t->fact[ki];
        unsigned k_side;
        if (ki == li || !same_phone(l, h->side, k, &k_side) || !both_live(l, h, k, k_side))
            continue;
        struct score s = {0};
        score_add(&s, AN_BY_SAME_PHONE, tie_frame(k->leg, AN_NONE));
        score_add(&s, AN_BY_HELD, tie_frame(l->leg, h->msg));
        score_add(&s, AN_BY_BOTH_LIVE, tie_frame(l->leg, h->end_msg));
        if (k->leg->xfer_pressed)
            score_add(&s, AN_BY_XFER_KEY, tie_frame(k->leg, AN_NONE));
        tie_add(t, AN_EDGE_CONSULT, li < ki ? li : ki, li < ki ? ki : li, &s,
                k->leg->xfer_pressed ? 95 : 85);
    }
}

void tie_rooms(struct tie *t)
{
    rooms_tie(t);
    for (uint32_t f = 0; f < t->n_facts; f++)
        for (uint32_t i = 0; i < t->fact[f].leg->n_holds; i++)
            phone_tie(t, f, &t->fact[f].leg->hold[i]);
}

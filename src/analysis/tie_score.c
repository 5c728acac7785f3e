/* How much speaks for one leg having been made to connect another: every line here is a piece of
 * evidence of evidence.def, with the frame where it is seen. */
#include "analysis/tie.h"

#define AT_ONCE_NS  (100 * MS)
#define SOON_NS     (1000 * MS)
#define FAILOVER_NS (500 * MS)
#define RING_NS     (200 * MS)
#define TOGETHER_NS (500 * MS)
#define LONG_NS     (2000 * MS)
#define NEAR_POINTS 10

static const int16_t points_of[AN_EVIDENCES] = {
#define EVIDENCE(id, word, points, text) [AN_BY_##id] = points,
#include "analysis/evidence.def"
#undef EVIDENCE
};

void score_add_points(struct score *s, enum an_evidence what, int points, uint64_t frame)
{
    struct an_proof p = {.what = (uint8_t)what, .points = (int16_t)points, .frame = frame};
    s->points += points;
    if (s->bare)
        return;
    unsigned i = s->n;
    while (i > 0 && s->proof[i - 1].points < p.points)
        i--;
    if (i == AN_EDGE_MAX_EVIDENCE)
        return;
    unsigned moved = (s->n < AN_EDGE_MAX_EVIDENCE ? s->n : s->n - 1u) - i;
    memmove(&s->proof[i + 1], &s->proof[i], moved * sizeof(p));
    s->proof[i] = p;
    if (s->n < AN_EDGE_MAX_EVIDENCE)
        s->n++;
}

void score_add(struct score *s, enum an_evidence what, uint64_t frame)
{
    score_add_points(s, what, points_of[what], frame);
}

void score_add_near(struct score *s, enum an_evidence what, uint64_t apart_ns, uint64_t most_ns,
                    int points, uint64_t frame)
{
    int nearer = points - (int)(apart_ns * (uint64_t)points / most_ns);
    score_add_points(s, what, points_of[what] + nearer, frame);
}

uint64_t tie_frame(const struct an_leg *leg, uint32_t msg)
{
    if (msg == AN_NONE)
        msg = leg->invite_msg;
    return msg < leg->n_msgs ? leg->msg[msg].frame : leg->n_msgs ? leg->msg[0].frame : 0;
}

static uint64_t rang_ns(const struct an_leg *leg)
{
    return leg->ringing_ns < leg->progress_ns ? leg->ringing_ns : leg->progress_ns;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static bool together(uint64_t a, uint64_t b, uint64_t within)
{
    return a != AN_NEVER && b != AN_NEVER && apart(a, b) <= within;
}

/* Both were sent by one host to others: attempts of one caller, not one for the other. */
static bool siblings(const struct fact *a, const struct fact *b)
{
    return a->from_host && a->from_host == b->from_host && a->to_host != b->from_host;
}

static bool ref_eq(const struct an_leg *a, struct an_ref x, const struct an_leg *b, struct an_ref y)
{
    return x.n && y.n && str_eq(an_leg_text(a, x), an_leg_text(b, y));
}

static bool text_names(const struct an_leg *leg, struct an_ref where, const struct an_number *n)
{
    return n->n >= 3 && where.n && str_ifind(an_leg_text(leg, where), str_of(n->c, n->n)) >= 0;
}

static bool x_cid_names(const struct an_leg *a, const struct an_leg *b)
{
    return ref_eq(a, a->call_id, b, b->x_cid) || ref_eq(b, b->call_id, a, a->x_cid) ||
           ref_eq(a, a->x_cid, b, b->x_cid);
}

static bool same_session(const struct an_leg *a, const struct an_leg *b)
{
    return ref_eq(a, a->session_id[0], b, b->session_id[0]) ||
           ref_eq(a, a->session_id[0], b, b->session_id[1]);
}

static bool alike(const struct an_number *a, const struct an_number *b)
{
    enum an_likeness like = an_number_like(a, b);
    return like == AN_EQUAL || like == AN_ENDS;
}

/* A phone calls on its own account; one that has not registered here shows its number, not the
 * caller's. An exchange
 * that shows its own number for a call that it forwards is known as one. */
static bool own_call(const struct fact *a, const struct fact *b)
{
    return b->from_phone ||
           (!a->to_exchange && alike(&a->callee, &b->caller) && !alike(&a->caller, &b->caller));
}

/* Who has received one did not send the other. If both have passed one exchange all the same, they
 * came to it from outside, or it has sent one and received the other: two calls. Else the caller
 * must be the same. */
static bool strangers(const struct fact *a, const struct fact *b)
{
    if (!a->to_host || !b->to_host || a->to_host == b->from_host)
        return false;
    return a->to_host == b->to_host || a->from_host == b->to_host || !alike(&a->caller, &b->caller);
}

/* Nobody is called for one whose call has ended. Frames tell where clocks do not. */
static bool over(const struct fact *a, const struct fact *b)
{
    if (a->leg->end_ns == AN_NEVER)
        return false; /* for all that the capture shows */
    return a->end_ns < b->start_ns || (a->end_ns == b->start_ns && a->end_frame < b->first_frame);
}

bool tie_possible(const struct tie *t, const struct fact *a, const struct fact *b)
{
    const struct an_leg *x = a->leg, *y = b->leg;
    if (a->start_ns > b->start_ns || over(a, b))
        return false;
    if (siblings(a, b))
        return false;
    if (!t->e->args.without_names && (x_cid_names(x, y) || same_session(x, y)))
        return true;
    bool named = (!t->e->args.without_names && ref_eq(x, x->icid, y, y->icid)) ||
                 text_names(y, y->diversion, &a->callee) || text_names(y, y->history, &a->callee);
    if (!named && (own_call(a, b) || strangers(a, b)))
        return false;
    /* Who has been answered is connected anew by a menu or a feature: then the caller must be the
     * same. */
    bool connected = a->answer_ns < b->start_ns;
    return !connected || alike(&a->caller, &b->caller);
}

#define CALL_ID_PART_LEAST 8

static void score_names(const struct an_leg *a, const struct an_leg *b, struct score *s)
{
    uint64_t frame = tie_frame(b, AN_NONE);
    if (x_cid_names(a, b))
        score_add(s, AN_BY_X_CID, frame);
    if (same_session(a, b))
        score_add(s, AN_BY_SESSION_ID, frame);
    if (ref_eq(a, a->icid, b, b->icid))
        score_add(s, AN_BY_ICID, frame);
    if (ref_eq(a, a->from.tag, b, b->from.tag))
        score_add(s, AN_BY_SAME_TAG, frame);
    struct str x = an_leg_text(a, a->call_id), y = an_leg_text(b, b->call_id);
    if ((x.n >= CALL_ID_PART_LEAST && str_ifind(y, x) >= 0) ||
        (y.n >= CALL_ID_PART_LEAST && str_ifind(x, y) >= 0))
        score_add(s, AN_BY_CALL_ID_PART, frame);
}

static void score_numbers(const struct fact *a, const struct fact *b, struct score *s)
{
    static const uint8_t caller[] = {
        [AN_DIFFER] = AN_BY_CALLER_OTHER, [AN_ENDS] = AN_BY_CALLER_PART, [AN_EQUAL] = AN_BY_CALLER};
    uint64_t frame = tie_frame(b->leg, AN_NONE);
    enum an_likeness like = an_number_like(&a->caller, &b->caller);
    if (like != AN_UNKNOWN)
        score_add(s, caller[like], frame);
    like = an_number_like(&a->callee, &b->callee);
    if (like == AN_EQUAL)
        score_add(s, AN_BY_CALLEE, frame);
    else if (like == AN_ENDS)
        score_add(s, AN_BY_CALLEE_PART, frame);
}

static void score_diversion(const struct fact *a, const struct fact *b, struct score *s)
{
    const struct an_leg *leg = b->leg;
    if (text_names(leg, leg->diversion, &a->callee) || text_names(leg, leg->history, &a->callee))
        score_add(s, AN_BY_DIVERTED, tie_frame(leg, AN_NONE));
}

static void score_host(const struct fact *a, const struct fact *b, struct score *s)
{
    if (!a->to_host || !b->to_host)
        return;
    uint64_t frame = tie_frame(b->leg, AN_NONE);
    if (a->to_host != b->from_host)
        score_add(s, AN_BY_HOST_OTHER, frame);
    else if (a->leg->host[1].port == b->leg->host[0].port)
        score_add(s, AN_BY_HOST, frame);
    else
        score_add_points(s, AN_BY_HOST, 12, frame);
}

static bool follows(const struct fact *a, const struct fact *b)
{
    if (a->answer_ns < b->start_ns)
        return false;
    return a->child_stop_ns != AN_NEVER && b->start_ns + TIE_TURN_NS >= a->child_stop_ns &&
           b->start_ns <= a->child_stop_ns + FAILOVER_NS;
}

/* An exchange calls somebody because a call has come in, or because the one before does not answer;
 * anything else (a queue, a menu) is rare. */
static void score_begin(const struct fact *a, const struct fact *b, struct score *s)
{
    uint64_t frame = tie_frame(b->leg, AN_NONE), invite_ns = a->leg->invite_ns;
    /* One that was sent back for its password comes in with the second INVITE. */
    uint64_t from = invite_ns <= b->start_ns ? invite_ns : a->start_ns;
    uint64_t since = b->start_ns - from;
    if (since <= AT_ONCE_NS)
        score_add_near(s, AN_BY_AT_ONCE, since, AT_ONCE_NS, NEAR_POINTS, frame);
    else if (follows(a, b))
        score_add_near(s, AN_BY_AFTER_FAILURE, apart(b->start_ns, a->child_stop_ns), FAILOVER_NS,
                       NEAR_POINTS, frame);
    else if (since <= SOON_NS)
        score_add(s, AN_BY_SOON, frame);
    else
        score_add(s, AN_BY_NO_CAUSE, frame);
}

static uint64_t frame_rang(const struct an_leg *leg)
{
    return tie_frame(leg, AN_NONE);
}

static void score_progress(const struct fact *a, const struct fact *b, struct score *s)
{
    const struct an_leg *x = a->leg, *y = b->leg;
    uint64_t rang = rang_ns(y);
    if (together(rang_ns(x), rang, RING_NS))
        score_add_near(s, AN_BY_RING, apart(rang_ns(x), rang), RING_NS, NEAR_POINTS,
                       tie_frame(x, AN_NONE));
    else if (rang != AN_NEVER && rang + RING_NS < rang_ns(x) && rang + RING_NS < a->end_ns &&
             rang + RING_NS < a->answer_ns)
        score_add(s, AN_BY_RING_OTHER, frame_rang(y));
    if (together(a->answer_ns, b->answer_ns, TOGETHER_NS))
        score_add(s, AN_BY_ANSWER, tie_frame(x, x->answer_msg));
    else if (together(a->answer_ns, y->cancel_ns, TOGETHER_NS) && b->answer_ns == AN_NEVER)
        score_add(s, AN_BY_RELIEVED, tie_frame(y, y->cancel_msg));
    else if (b->answer_ns != AN_NEVER && x->final >= 300)
        score_add(s, AN_BY_ANSWER_OTHER, tie_frame(y, y->answer_msg));
}

/* Nobody is called any more for one who has an answer, of whatever kind. */
static bool outlives(const struct fact *a, const struct fact *b)
{
    if (b->stop_ns == AN_NEVER || a->replaced)
        return false;
    if (a->leg->final >= 300)
        return b->stop_ns > a->leg->end_ns + TIE_SAME_NS;
    return a->answer_ns != AN_NEVER && b->start_ns < a->answer_ns &&
           b->stop_ns > a->answer_ns + TOGETHER_NS;
}

static void score_end(const struct fact *a, const struct fact *b, struct score *s)
{
    const struct an_leg *x = a->leg, *y = b->leg;
    if (together(x->cancel_ns, y->cancel_ns, TOGETHER_NS))
        score_add(s, AN_BY_CANCEL, tie_frame(y, y->cancel_msg));
    else if (together(x->bye_ns, y->bye_ns, TOGETHER_NS))
        score_add(s, AN_BY_END, tie_frame(y, y->bye_msg));
    else if (x->bye_ns != AN_NEVER && y->bye_ns != AN_NEVER &&
             apart(x->bye_ns, y->bye_ns) > LONG_NS)
        score_add(s, AN_BY_END_OTHER, tie_frame(y, y->bye_msg));
    if (outlives(a, b))
        score_add(s, AN_BY_OUTLIVED, tie_frame(y, y->final_msg));
    else if (x->final >= 400 && x->final == y->final && together(x->end_ns, y->end_ns, TOGETHER_NS))
        score_add(s, AN_BY_STATUS, tie_frame(y, y->final_msg));
}

/* ---- what their descriptions share ----------------------------------------------------------- */

static bool same_media_addr(const struct an_sdp *x, const struct an_sdp *y)
{
    for (unsigned i = 0; i < x->n_media; i++)
        for (unsigned k = 0; k < y->n_media; k++) {
            const struct addr *p = &x->media[i].rtp, *q = &y->media[k].rtp;
            if (p->family != ADDR_NONE && p->port && !addr_is_any(p) && addr_eq(p, q))
                return true;
        }
    return false;
}

#define SDPS_COMPARED 6

static void score_sdp(const struct an_leg *a, const struct an_leg *b, struct score *s)
{
    bool addr = false, origin = false;
    for (uint32_t i = 0; i < a->n_sdps && i < SDPS_COMPARED; i++)
        for (uint32_t k = 0; k < b->n_sdps && k < SDPS_COMPARED; k++) {
            const struct an_sdp *x = &a->sdp[i], *y = &b->sdp[k];
            addr |= x->side == y->side && same_media_addr(x, y);
            origin |= x->side == y->side && x->origin && x->origin == y->origin;
        }
    uint64_t frame = tie_frame(b, AN_NONE);
    if (addr)
        score_add(s, AN_BY_MEDIA_ADDRESS, frame);
    if (origin)
        score_add(s, AN_BY_ORIGIN, frame);
    if (a->n_sdps && b->n_sdps && a->sdp[0].side == b->sdp[0].side &&
        a->sdp[0].formats == b->sdp[0].formats)
        score_add(s, AN_BY_FORMATS, frame);
}

/* ---- at most --------------------------------------------------------------------------------- */

#define MIX 0x9e3779b97f4a7c15u

static uint64_t mark_of(uint64_t h)
{
    return 1ull << (h * MIX >> 58);
}

/* What holds this text has all of its marks. */
static uint64_t text_marks(struct str s)
{
    uint64_t marks = 0;
    for (size_t i = 0; i + 3 <= s.n; i++)
        marks |= mark_of((uint64_t)chr_lower(s.p[i]) << 16 | (uint64_t)chr_lower(s.p[i + 1]) << 8 |
                         (uint8_t)chr_lower(s.p[i + 2]));
    return marks;
}

static uint64_t addr_mark(const struct addr *a)
{
    uint64_t x[2];
    memcpy(x, a->ip, sizeof(x));
    return mark_of((x[0] ^ x[1] * MIX ^ a->port) * MIX);
}

void tie_marks_set(const struct tie *t, struct fact *f)
{
    const struct an_leg *leg = f->leg;
    struct str tag = an_leg_text(leg, leg->from.tag);
    f->invite_ns = leg->invite_ns;
    f->rang_ns = rang_ns(leg);
    f->cancel_ns = leg->cancel_ns;
    f->bye_ns = leg->bye_ns;
    f->final = leg->final;
    f->id_marks = text_marks(an_leg_text(leg, leg->call_id));
    f->tag_mark = tag.n ? hash_str(&t->e->by_call_id, tag) | 1 : 0;
    for (uint32_t i = 0; i < leg->n_sdps && i < SDPS_COMPARED; i++) {
        const struct an_sdp *s = &leg->sdp[i];
        f->origin_marks |= s->origin ? mark_of(s->origin) : 0;
        for (unsigned k = 0; k < s->n_media; k++)
            f->media_marks |= addr_mark(&s->media[k].rtp);
    }
}

void tie_flows_mark(struct tie *t)
{
    uint32_t n = t->flow_at[an_engine_legs(t->e)];
    for (uint32_t i = 0; i < n; i++) {
        const struct flow_pair *p = &t->flow[i];
        uint32_t a = t->fact_of[p->a], b = t->fact_of[p->b];
        if (a == AN_NONE || b == AN_NONE)
            continue;
        uint64_t mark = mark_of(((uint64_t)p->a << 32 | p->b) * MIX);
        t->fact[a].flow_marks |= mark;
        t->fact[b].flow_marks |= mark;
    }
}

/* Negative points are counted where they are sure. */
static int most_of_begin(const struct fact *a, const struct fact *b)
{
    uint64_t since = b->start_ns - (a->invite_ns <= b->start_ns ? a->invite_ns : a->start_ns);
    if (since <= AT_ONCE_NS)
        return points_of[AN_BY_AT_ONCE] + NEAR_POINTS;
    if (follows(a, b))
        return points_of[AN_BY_AFTER_FAILURE] + NEAR_POINTS;
    return points_of[since <= SOON_NS ? AN_BY_SOON : AN_BY_NO_CAUSE];
}

static int most_of_numbers(const struct fact *a, const struct fact *b)
{
    bool silent = a->caller.silent || b->caller.silent;
    int n = silent                             ? 0
            : a->caller.tail == b->caller.tail ? points_of[AN_BY_CALLER]
                                               : points_of[AN_BY_CALLER_OTHER];
    return n + (a->callee.tail == b->callee.tail ? points_of[AN_BY_CALLEE] : 0);
}

static int most_of_times(const struct fact *a, const struct fact *b)
{
    int n = together(a->rang_ns, b->rang_ns, RING_NS) ? points_of[AN_BY_RING] + NEAR_POINTS : 0;
    if (together(a->answer_ns, b->answer_ns, TOGETHER_NS))
        n += points_of[AN_BY_ANSWER];
    else if (together(a->answer_ns, b->cancel_ns, TOGETHER_NS))
        n += points_of[AN_BY_RELIEVED];
    if (together(a->cancel_ns, b->cancel_ns, TOGETHER_NS))
        n += points_of[AN_BY_CANCEL];
    else if (together(a->bye_ns, b->bye_ns, TOGETHER_NS))
        n += points_of[AN_BY_END];
    return n + (a->final >= 400 && a->final == b->final ? points_of[AN_BY_STATUS] : 0);
}

static int most_of_names(const struct fact *a, const struct fact *b)
{
    int n = a->tag_mark == b->tag_mark ? points_of[AN_BY_SAME_TAG] : 0;
    if (!(a->id_marks & ~b->id_marks) || !(b->id_marks & ~a->id_marks))
        n += points_of[AN_BY_CALL_ID_PART];
    return n;
}

int tie_score_most(const struct tie *t, const struct fact *a, const struct fact *b)
{
    int n = points_of[AN_BY_HOST] + points_of[AN_BY_FORMATS] + most_of_begin(a, b) +
            most_of_numbers(a, b) + most_of_times(a, b);
    if (a->media_marks & b->media_marks)
        n += points_of[AN_BY_MEDIA_ADDRESS];
    if (a->origin_marks & b->origin_marks)
        n += points_of[AN_BY_ORIGIN];
    if (a->flow_marks & b->flow_marks)
        n += points_of[AN_BY_MEDIA_FLOW];
    if (b->leg->diversion.n || b->leg->history.n)
        n += points_of[AN_BY_DIVERTED];
    return t->e->args.without_names ? n : n + most_of_names(a, b);
}

void tie_score(const struct tie *t, const struct fact *a, const struct fact *b, struct score *s)
{
    s->points = s->n = 0;
    if (!t->e->args.without_names)
        score_names(a->leg, b->leg, s);
    score_host(a, b, s);
    score_numbers(a, b, s);
    score_diversion(a, b, s);
    score_begin(a, b, s);
    score_progress(a, b, s);
    score_end(a, b, s);
    score_sdp(a->leg, b->leg, s);
    if (tie_flow_count(t, a->index, b->index) >= 2)
        score_add(s, AN_BY_MEDIA_FLOW, tie_frame(b->leg, b->leg->answer_msg));
}

#include "engine/media/latch.h"

/* RFC 3550 A.1 takes a jump of up to 3000 packets for the same stream. */
#define MAX_GAP 3000

static bool usable(const struct addr *a)
{
    return a->family != ADDR_NONE && a->port != 0 && !addr_is_any(a) && !addr_is_multicast(a);
}

void latch_set(struct latch *l, const struct addr *signalled, bool learn, usec_t now,
               usec_t grace_us)
{
    l->learn = learn;
    l->open = usable(signalled);
    if (!l->open || addr_eq(&l->signalled, signalled))
        return;
    /* RFC 7362 section 4: a source learnt before the party's first SDP stays; one that belongs to
     * an earlier SDP must not be learnt again from packets that are still under way. */
    if (l->signalled.family != ADDR_NONE && !addr_eq(&l->source, signalled)) {
        l->old = l->source;
        l->old_until = now + grace_us;
        l->source = (struct addr){0};
    }
    l->signalled = *signalled;
    l->trial_n = 0;
}

static enum latch_verdict learn_source(struct latch *l, const struct latch_packet *p)
{
    l->source = *p->from;
    l->heard = p->now;
    l->ssrc = p->ssrc;
    l->seq = p->seq;
    l->trial_n = 0;
    return LATCH_LEARNT;
}

/* A NAT that forgot its binding gives the same stream a new address: same SSRC, and the sequence
 * goes on. Who only sprays packets knows neither. */
static bool continues_stream(struct latch *l, const struct latch_packet *p)
{
    if (p->now < l->heard + p->silence_us || p->ssrc != l->ssrc)
        return false;
    if (!p->sequenced)
        return true;
    bool next = l->trial_n && addr_eq(&l->trial, p->from) && p->seq == (uint16_t)(l->trial_seq + 1);
    if (!next) {
        uint16_t gap = (uint16_t)(p->seq - l->seq);
        if (gap == 0 || gap > MAX_GAP)
            return false;
        l->trial = *p->from;
        l->trial_n = 0;
    }
    l->trial_seq = p->seq;
    return ++l->trial_n >= LATCH_TRIAL;
}

enum latch_verdict latch_rx(struct latch *l, const struct latch_packet *p)
{
    if (addr_eq(&l->source, p->from)) {
        l->heard = p->now;
        l->ssrc = p->ssrc;
        l->seq = p->seq;
        l->trial_n = 0;
        return LATCH_HEARD;
    }
    /* What cannot be answered (port 0, a forged multicast address) is not worth knowing. */
    if (!usable(p->from))
        return LATCH_STRANGER;
    /* The address that signalling vouches for wins over whatever was learnt. */
    if (addr_eq(&l->signalled, p->from))
        return learn_source(l, p);
    if (l->source.family == ADDR_NONE) {
        if (p->now < l->old_until && addr_eq(&l->old, p->from))
            return LATCH_HEARD;
        return learn_source(l, p);
    }
    return continues_stream(l, p) ? learn_source(l, p) : LATCH_STRANGER;
}

const struct addr *latch_dest(const struct latch *l)
{
    if (!l->open)
        return NULL;
    return l->learn && l->source.family != ADDR_NONE ? &l->source : &l->signalled;
}

bool latch_knows_ip(const struct latch *l, const struct addr *a)
{
    return addr_ip_eq(&l->signalled, a) || addr_ip_eq(&l->source, a);
}

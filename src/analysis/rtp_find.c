/* RTP that nobody announced, found by its form: three datagrams with one SSRC whose numbers follow
 * each other. What other protocols send has other things in these places. */
#include "analysis/rtp_int.h"

#define AWAY_NS    (2000 * RTP_MS) /* more between two packets and they are no stream */
#define TS_AWAY    (2u * 90000)    /* and in their timestamps */
#define SEQ_AWAY   3
#define LEAST_PORT 1024
#define LONGEST    1500

/* RFC 3551 table 4 and 5: 35 to 95 are not given to anything, or would look like RTCP. */
static bool pt_plausible(uint8_t pt)
{
    return pt <= 34 || pt >= 96;
}

static bool plausible(const struct an_datum *d, const struct rtp_in *in)
{
    return in->ssrc && pt_plausible(in->pt) && (in->payload_n || in->cut) && in->n <= LONGEST &&
           d->src.port >= LEAST_PORT && d->dst.port >= LEAST_PORT;
}

static bool same_key(const struct rtp_candidate *c, const struct an_datum *d, uint32_t ssrc,
                     uint64_t hash)
{
    return c->n && c->hash == hash && c->ssrc == ssrc && addr_eq(&c->dst, &d->dst) &&
           addr_eq(&c->src, &d->src);
}

/* 0: it is the one before, once more; below 0: it does not follow. */
static int follows(const struct rtp_first *p, const struct rtp_in *in)
{
    int seq = (int16_t)(uint16_t)(in->seq - p->seq);
    int64_t ts = (int32_t)(in->ts - p->ts);
    if (seq == 0)
        return ts == 0 ? 0 : -1;
    if (seq > SEQ_AWAY || seq < -SEQ_AWAY || ts > TS_AWAY || ts < -(int64_t)TS_AWAY)
        return -1;
    if ((seq > 0 && ts < 0) || (seq < 0 && ts > 0) || in->at_ns > p->at_ns + AWAY_NS)
        return -1;
    return 1;
}

static void remember(struct rtp_candidate *c, const struct rtp_in *in)
{
    c->first[c->n++] = (struct rtp_first){.at_ns = in->at_ns,
                                          .frame = in->frame,
                                          .ts = in->ts,
                                          .seq = in->seq,
                                          .n = (uint16_t)in->n,
                                          .pt = in->pt,
                                          .marker = in->marker};
}

static struct rtp_candidate *slot_of(struct an_rtp *r, uint64_t hash)
{
    return &r->candidate[hash % RTP_CANDIDATES];
}

bool rtp_probe(struct an_rtp *r, const struct an_datum *d, const struct rtp_in *in, uint64_t hash,
               struct rtp_candidate *ret)
{
    struct rtp_candidate *c = slot_of(r, hash);
    if (!plausible(d, in))
        return false;
    int order = same_key(c, d, in->ssrc, hash) ? follows(&c->first[c->n - 1], in) : -1;
    if (order == 0)
        return false;
    if (order < 0) {
        *c = (struct rtp_candidate){.hash = hash, .src = d->src, .dst = d->dst, .ssrc = in->ssrc};
        remember(c, in);
        return false;
    }
    if (c->n < RTP_PROBATION - 1) {
        remember(c, in);
        return false;
    }
    *ret = *c;
    c->n = 0;
    return true;
}

bool rtp_probe_take(struct an_rtp *r, const struct an_datum *d, const struct rtp_in *in,
                    uint64_t hash, struct rtp_candidate *ret)
{
    struct rtp_candidate *c = slot_of(r, hash);
    if (!same_key(c, d, in->ssrc, hash) || follows(&c->first[c->n - 1], in) <= 0)
        return false;
    *ret = *c;
    c->n = 0;
    return true;
}

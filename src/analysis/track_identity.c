/* Who a leg is between, as its first messages say, and the names of other legs in its headers. */
#include "analysis/engine_int.h"

#define MAX_NUMBER 128
#define MAX_NAME   128
#define MAX_ID     256
#define MAX_LIST   512

static struct an_ref put(struct track *t, struct str s, uint32_t most)
{
    return an_text_put(&t->leg->text, s, most);
}

/* The user part as it is compared: its escapes undone (RFC 3261 19.1.2), "%2A8" is "*8". */
static struct an_ref put_user(struct track *t, struct str user)
{
    struct str plain = user.n ? sip_unescape(&t->e->scratch, user) : user;
    return put(t, plain.n ? plain : user, MAX_NUMBER);
}

static void party_set(struct track *t, struct an_party *p, const struct sip_nameaddr *n)
{
    p->user = put_user(t, n->uri.user);
    p->host = put(t, n->uri.host, MAX_NAME);
    p->display = put(t, sip_unquote(&t->e->scratch, n->display), MAX_NAME);
    p->tag = put(t, n->tag, MAX_ID);
}

static struct an_ref header_put(struct track *t, enum sip_hdr_id id, uint32_t most)
{
    return put(t, sip_msg_get(t->m, id), most);
}

static void asserted_set(struct track *t)
{
    struct sip_values it = sip_values(t->m, SIP_H_P_ASSERTED_IDENTITY);
    struct str value;
    struct sip_nameaddr n;
    if (!sip_values_next(&it, &value) || sip_nameaddr_parse(&n, value))
        return;
    t->leg->asserted = put_user(t, n.uri.user);
    t->leg->asserted_display = put(t, sip_unquote(&t->e->scratch, n.display), MAX_NAME);
}

/* RFC 3891, RFC 3911: "call-id;to-tag=...;from-tag=...". */
static void replaces_set(struct track *t)
{
    struct an_leg *leg = t->leg;
    struct str v = sip_msg_get(t->m, SIP_H_REPLACES);
    struct str join = sip_msg_get(t->m, SIP_H_JOIN);
    ptrdiff_t semi = str_chr(v, ';');
    if (v.n) {
        struct str params = semi < 0 ? STR_NONE : str_from(v, (size_t)semi + 1);
        leg->replaces = put(t, str_trim(semi < 0 ? v : str_sub(v, 0, (size_t)semi)), MAX_ID);
        leg->replaces_to_tag = put(t, sip_param_get(params, STR("to-tag")), MAX_ID);
        leg->replaces_from_tag = put(t, sip_param_get(params, STR("from-tag")), MAX_ID);
        leg->has_replaces_early_only = sip_param_get(params, STR("early-only")).p != NULL;
    }
    if (join.n) {
        semi = str_chr(join, ';');
        leg->join = put(t, str_trim(semi < 0 ? join : str_sub(join, 0, (size_t)semi)), MAX_ID);
    }
}

/* RFC 7989: "<local uuid>;remote=<uuid>", where a uuid of zeros is none. */
static void session_id_set(struct track *t)
{
    struct str v = sip_msg_get(t->m, SIP_H_SESSION_ID);
    ptrdiff_t semi = str_chr(v, ';');
    struct str own = str_trim(semi < 0 ? v : str_sub(v, 0, (size_t)semi));
    struct str remote =
        semi < 0 ? STR_NONE : sip_param_get(str_from(v, (size_t)semi + 1), STR("remote"));
    const struct str null = STR("00000000000000000000000000000000");
    if (own.n == 32 && !str_eq(own, null))
        t->leg->session_id[0] = put(t, own, 32);
    if (remote.n == 32 && !str_eq(remote, null))
        t->leg->session_id[1] = put(t, remote, 32);
}

static void ties_set(struct track *t)
{
    struct an_leg *leg = t->leg;
    struct str cid = sip_msg_get_name(t->m, STR("X-CID"));
    struct str charging = sip_msg_get_name(t->m, STR("P-Charging-Vector"));
    if (!cid.n)
        cid = sip_msg_get_name(t->m, STR("X-Call-ID"));
    leg->x_cid = put(t, cid, MAX_ID);
    leg->icid = put(t, sip_param_get(charging, STR("icid-value")), MAX_ID);
    leg->diversion = header_put(t, SIP_H_DIVERSION, MAX_LIST);
    leg->history = header_put(t, SIP_H_HISTORY_INFO, MAX_LIST);
    leg->referred_by = header_put(t, SIP_H_REFERRED_BY, MAX_LIST);
    leg->xfer_pressed = str_ieq(sip_msg_get_name(t->m, STR("X-xfer-pressed")), STR("True"));
    replaces_set(t);
    session_id_set(t);
}

static bool focus_is(const struct sip_nameaddr *contact)
{
    return sip_param_get(contact->params, STR("isfocus")).p != NULL;
}

static void agent_set(struct track *t, enum an_side side)
{
    struct str agent = sip_msg_get(t->m, SIP_H_USER_AGENT);
    if (!agent.n)
        agent = sip_msg_get(t->m, SIP_H_SERVER);
    if (agent.n)
        t->leg->agent[side] = put(t, agent, MAX_NAME);
    if (t->m->contact.uri.user.n || t->m->contact.uri.host.n)
        t->leg->contact[side] = put(t, t->m->contact.uri.whole, MAX_ID);
    t->leg->focus[side] |= focus_is(&t->m->contact);
    t->leg->instance[side] |= sip_param_get(t->m->contact.params, STR("+sip.instance")).p != NULL;
}

void track_identity(struct track *t)
{
    struct an_leg *leg = t->leg;
    party_set(t, &leg->from, &t->m->from);
    party_set(t, &leg->to, &t->m->to);
    if (!t->m->is_request)
        return; /* the capture begins late */
    an_leg_host(leg, &t->d->src);
    an_leg_host(leg, &t->d->dst);
    leg->ruri_user = put_user(t, t->m->ruri.user);
    leg->ruri_host = put(t, t->m->ruri.host, MAX_NAME);
    asserted_set(t);
    ties_set(t);
    agent_set(t, AN_CALLER);
}

/* The answer says who has answered, and under which tag. */
void track_answerer(struct track *t)
{
    struct an_leg *leg = t->leg;
    struct sip_values it = sip_values(t->m, SIP_H_P_ASSERTED_IDENTITY);
    struct str value;
    struct sip_nameaddr n;
    agent_set(t, AN_CALLEE);
    leg->to.tag = put(t, t->m->to.tag, MAX_ID);
    if (sip_values_next(&it, &value) && sip_nameaddr_parse(&n, value) == 0)
        leg->connected = put_user(t, n.uri.user);
}

/* What the peer has said that it can do. */
#include "engine/sip/sip_int.h"

static void note_supported(struct sip_session *s, const struct sip_msg *m)
{
    struct sip_values it = sip_values(m, SIP_H_SUPPORTED);
    struct str tag;
    s->peer_timer = s->peer_rel = s->peer_replaces = s->peer_from_change = false;
    s->peer_norefersub = s->peer_early_session = false;
    while (sip_values_next(&it, &tag)) {
        s->peer_timer |= str_ieq(tag, STR("timer"));
        s->peer_rel |= str_ieq(tag, STR("100rel"));
        s->peer_replaces |= str_ieq(tag, STR("replaces"));
        s->peer_from_change |= str_ieq(tag, STR("from-change"));
        s->peer_norefersub |= str_ieq(tag, STR("norefersub"));
        s->peer_early_session |= str_ieq(tag, STR("early-session"));
    }
}

static void note_allow(struct sip_session *s, const struct sip_msg *m)
{
    struct sip_values it = sip_values(m, SIP_H_ALLOW);
    struct str name;
    s->peer_allow = 0;
    while (sip_values_next(&it, &name))
        s->peer_allow |= 1u << sip_method_of(name);
    s->peer_allow_known = true;
    s->peer_update = s->peer_allow >> SIP_UPDATE & 1;
}

void peer_note(struct sip_session *s, const struct sip_msg *m)
{
    /* A re-INVITE or a 2xx without the header says nothing new. */
    if (sip_msg_has(m, SIP_H_SUPPORTED))
        note_supported(s, m);
    if (sip_msg_has(m, SIP_H_ALLOW))
        note_allow(s, m);
    if (m->is_request && sip_msg_lists(m, SIP_H_REQUIRE, STR("100rel")))
        s->peer_rel = s->peer_rel_required = true;
    /* RFC 3959 section 6: the tag says the same in both fields. */
    if (m->is_request && sip_msg_lists(m, SIP_H_REQUIRE, STR("early-session")))
        s->peer_early_session = true;
}

bool sip_session_peer(const struct sip_core *c, handle_t session, struct sip_peer *ret)
{
    const struct sip_session *s = session_find(c, session);
    if (!s)
        return false;
    *ret = (struct sip_peer){.timer = s->peer_timer,
                             .rel100 = s->peer_rel,
                             .rel100_required = s->peer_rel_required,
                             .replaces = s->peer_replaces,
                             .from_change = s->peer_from_change,
                             .norefersub = s->peer_norefersub,
                             .early_session = s->peer_early_session,
                             .allow_known = s->peer_allow_known,
                             .allow = s->peer_allow};
    return true;
}

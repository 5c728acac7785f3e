/* The dial plan: who is meant by what was dialled. */
#include "pbx/feature/code.h"
#include "pbx/feature/conference.h"
#include "pbx/feature/voicemail.h"
#include "pbx/trunk.h"

static struct str number_of(struct pbx *p, const struct sip_uri *uri)
{
    struct str user = uri->user;
    ptrdiff_t semi = str_chr(user, ';'); /* telephone-subscriber parameters: RFC 3261 19.1.6 */
    if (semi >= 0)
        user = str_sub(user, 0, (size_t)semi);
    return sip_unescape(&p->turn, user);
}

static struct plan refuse(unsigned status, struct str number)
{
    return (struct plan){.kind = PLAN_NONE, .status = status, .number = number};
}

static struct plan to_extension(const struct config_extension *e, struct str number, bool by_did)
{
    return (struct plan){
        .kind = PLAN_EXTENSION, .extension = e, .number = number, .by_did = by_did};
}

static struct plan to_group(const struct config_group *g, struct str number, bool by_did)
{
    return (struct plan){.kind = PLAN_GROUP, .group = g, .number = number, .by_did = by_did};
}

static struct plan to_conference(const struct config_conference *c, struct str number, bool by_did)
{
    return (struct plan){
        .kind = PLAN_CONFERENCE, .conference = c, .number = number, .by_did = by_did};
}

static struct plan by_route(struct pbx *p, const struct plan_from *from, struct str number)
{
    const struct config *c = from->config;
    enum config_target_kind kind = from->trunk ? CONF_TARGET_TRUNK : CONF_TARGET_EXTENSION;
    uint32_t index = from->trunk       ? (uint32_t)(from->trunk - c->trunks)
                     : from->extension ? (uint32_t)(from->extension - c->extensions)
                                       : UINT32_MAX;
    const struct config_route *r = config_find_route(c, kind, index, number);
    if (!r)
        return refuse(404, number);
    switch ((enum config_target_kind)r->to.kind) {
    case CONF_TARGET_TRUNK:
        return (struct plan){.kind = PLAN_TRUNK,
                             .trunk = &c->trunks[r->to.index],
                             .number = trunk_number(p, number, r->strip, r->prepend)};
    case CONF_TARGET_EXTENSION:
        return to_extension(&c->extensions[r->to.index], number, false);
    case CONF_TARGET_GROUP:
        return to_group(&c->groups[r->to.index], number, false);
    case CONF_TARGET_CONFERENCE:
        return to_conference(&c->conferences[r->to.index], number, false);
    case CONF_TARGET_BOT:
        return (struct plan){.kind = PLAN_BOT, .bot = &c->bots[r->to.index], .number = number};
    case CONF_TARGET_REJECT:
        return (struct plan){.kind = PLAN_REJECT, .status = r->to.status, .number = number};
    default:
        return refuse(404, number);
    }
}

static struct plan by_did(const struct config *c, struct str number)
{
    const struct config_extension *e = config_find_did(c, number);
    const struct config_group *g = e ? NULL : config_find_did_group(c, number);
    const struct config_conference *o = config_find_did_conference(c, number);
    if (e)
        return to_extension(e, number, true);
    if (o)
        return to_conference(o, number, true);
    return g ? to_group(g, number, true) : refuse(404, number);
}

struct plan plan_number(struct pbx *p, const struct plan_from *from, struct str number)
{
    const struct config *c = from->config;
    struct plan plan;
    if (from->trunk) {
        plan = by_did(c, number);
        if (plan.kind != PLAN_NONE)
            return plan;
    }
    const struct config_extension *e = config_find_extension(c, number);
    if (!e)
        e = config_find_user(c, number);
    if (e)
        return to_extension(e, number, false);
    const struct config_group *g = config_find_group(c, number);
    if (g)
        return to_group(g, number, false);
    const struct config_conference *o = config_find_conference(c, number);
    if (o)
        return to_conference(o, number, false);
    return by_route(p, from, number);
}

struct plan plan_forward(struct pbx *p, const struct plan_from *from, struct str number)
{
    const struct config_extension *e = from->extension;
    bool mailbox = str_eq(number, STR(VOICEMAIL_WORD)) ||
                   (number.n && str_eq(number, from->config->features.voicemail));
    if (mailbox && e && e->voicemail)
        return (struct plan){.kind = PLAN_MAILBOX, .extension = e, .number = number};
    return plan_number(p, from, number);
}

struct plan plan_find(struct pbx *p, const struct plan_from *from, const struct sip_uri *ruri)
{
    struct str number = number_of(p, ruri);
    struct plan plan;
    if (!number.p)
        return refuse(400, STR(""));
    if (from->trunk)
        number = trunk_number(p, number, from->trunk->in_strip, from->trunk->in_prepend);
    if (!number.n)
        return refuse(404, number);
    /* We are no open relay: phones reach other domains by routes only. */
    if (from->extension && ruri->scheme != SIP_SCHEME_TEL && !pbx_is_our_host(p, ruri))
        return refuse(404, number);
    if (from->extension && conference_is_open(p, number))
        return to_conference(NULL, number, false);
    if (from->extension && code_find(from->config, number, &plan))
        return plan;
    return plan_number(p, from, number);
}

/* Dialogs named by other messages. RFC 3891 section 3, RFC 4538. */
#include "engine/sip/sip_int.h"

static bool matches(const struct sip_dialog *d, struct str call_id, struct str local,
                    struct str remote)
{
    return memcmp(d->local_tag, local.p, SIP_TAG_CHARS) == 0 && str_eq(d->call_id, call_id) &&
           (str_eq(d->remote_tag, remote) || /* "0" is a peer without a tag: RFC 3891 section 3 */
            (!d->remote_tag.n && str_eq(remote, STR("0"))));
}

static struct sip_dialog *find(const struct sip_core *c, struct str call_id, struct str local,
                               struct str remote)
{
    if (local.n != SIP_TAG_CHARS)
        return NULL;
    hash_each(node, &c->by_tag, hash_str(&c->by_tag, local))
    {
        struct sip_dialog *d = container_of(node, struct sip_dialog, by_tag);
        if (matches(d, call_id, local, remote))
            return d;
    }
    return NULL;
}

bool sip_dialog_lookup(const struct sip_core *c, const struct sip_dialog_id *id,
                       struct sip_dialog_found *ret)
{
    struct sip_dialog *d = find(c, id->call_id, id->to_tag, id->from_tag);
    bool swapped = !d;
    if (!d) /* phones that take the tags of a dialog-info document as they stand there */
        d = find(c, id->call_id, id->from_tag, id->to_tag);
    struct sip_session *s = d ? slot_find(&c->sessions, d->session) : NULL;
    if (!s)
        return false;
    *ret = (struct sip_dialog_found){.session = d->session,
                                     .dialog = slot_handle(&c->dialogs, d),
                                     .user = s->user,
                                     .early = s->state < SES_ANSWERED,
                                     .uac = s->uac,
                                     .ended = s->state >= SES_ENDING,
                                     .swapped = swapped};
    return true;
}

struct str sip_txn_local_tag(const struct sip_core *c, handle_t txn)
{
    const struct sip_txn *t = txn_find(c, txn);
    if (!t || !t->head)
        return STR_NONE;
    struct str head = blob_str(t->head);
    ptrdiff_t to = str_ifind(head, STR("\r\nTo: "));
    struct str line = to < 0 ? STR_NONE : str_from(head, (size_t)to + 2);
    ptrdiff_t end = str_ifind(line, STR("\r\n"));
    line = end < 0 ? STR_NONE : str_sub(line, 0, (size_t)end);
    struct str mark = STR(";tag=");
    if (line.n < mark.n + SIP_TAG_CHARS)
        return STR_NONE;
    struct str tail = str_from(line, line.n - SIP_TAG_CHARS - mark.n);
    return str_starts(tail, mark) ? str_from(tail, mark.n) : STR_NONE;
}

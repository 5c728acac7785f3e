#include "load_req.h"

static void put_call_id(struct buf *b, const struct load_req *r)
{
    buf_ch(b, 's');
    buf_u64(b, r->slot);
    buf_ch(b, '-');
    buf_u64(b, r->generation);
}

/* Via and Max-Forwards. RFC 3581: rport, so that answers find us. */
static void put_top(struct buf *b, const struct load_req *r, char kind)
{
    buf_lit(b, "Via: SIP/2.0/UDP 127.0.0.1:");
    buf_u64(b, r->port);
    buf_lit(b, ";rport;branch=z9hG4bK-");
    buf_ch(b, kind);
    put_call_id(b, r);
    buf_lit(b, "\r\nMax-Forwards: 70\r\n");
}

static void put_aor(struct buf *b, const struct load_req *r)
{
    buf_lit(b, "<sip:");
    buf_z(b, r->user->number);
    buf_lit(b, "@127.0.0.1>");
}

static void put_ids(struct buf *b, const struct load_req *r, const char *cseq)
{
    buf_lit(b, "Call-ID: ");
    put_call_id(b, r);
    buf_lit(b, "\r\nCSeq: ");
    buf_z(b, cseq);
    buf_lit(b, "\r\n");
}

static void put_tag(struct buf *b, const struct load_req *r)
{
    buf_lit(b, ";tag=t");
    buf_u64(b, r->generation);
    buf_lit(b, "\r\n");
}

void load_register(struct buf *b, const struct load_req *r, struct str challenge, unsigned expires)
{
    buf_lit(b, "REGISTER sip:127.0.0.1 SIP/2.0\r\n");
    put_top(b, r, challenge.p ? 'a' : 'r');
    buf_lit(b, "From: ");
    put_aor(b, r);
    put_tag(b, r);
    buf_lit(b, "To: ");
    put_aor(b, r);
    buf_lit(b, "\r\n");
    put_ids(b, r, challenge.p ? "2 REGISTER" : "1 REGISTER");
    buf_lit(b, "Contact: <sip:");
    buf_z(b, r->user->number);
    buf_lit(b, "@127.0.0.1:");
    buf_u64(b, r->port);
    buf_lit(b, ">\r\n");
    if (challenge.p)
        load_authorization(b, r->user, challenge, STR("sip:127.0.0.1"));
    buf_lit(b, "Expires: ");
    buf_u64(b, expires);
    buf_lit(b, "\r\nUser-Agent: sipload\r\nContent-Length: 0\r\n\r\n");
}

static void put_from(struct buf *b, const struct load_req *r)
{
    buf_lit(b, "From: \"Caller\" <sip:01077141436@127.0.0.1>");
    put_tag(b, r);
}

static void put_target(struct buf *b, const struct load_req *r)
{
    buf_lit(b, "sip:");
    buf_z(b, r->user->number);
    buf_lit(b, "@127.0.0.1:");
    buf_u64(b, r->server_port);
}

void load_invite(struct buf *b, const struct load_req *r, unsigned rtp_port)
{
    buf_lit(b, "INVITE ");
    put_target(b, r);
    buf_lit(b, " SIP/2.0\r\n");
    put_top(b, r, 'i');
    put_from(b, r);
    buf_lit(b, "To: ");
    put_aor(b, r);
    buf_lit(b, "\r\n");
    put_ids(b, r, "1 INVITE");
    buf_lit(b, "Contact: <sip:01077141436@127.0.0.1:");
    buf_u64(b, r->port);
    buf_lit(b, ">\r\nAllow: INVITE, ACK, CANCEL, OPTIONS, BYE, UPDATE, INFO\r\n"
               "Supported: replaces, timer\r\nUser-Agent: sipload\r\n");
    load_sdp_body(b, rtp_port);
}

void load_in_dialog(struct buf *b, const struct load_req *r, const char *method, const char *cseq)
{
    buf_z(b, method);
    buf_ch(b, ' ');
    buf_put(b, r->target, r->target_n);
    buf_lit(b, " SIP/2.0\r\n");
    put_top(b, r, method[0] == 'A' ? 'k' : 'b');
    buf_put(b, r->route, r->route_n);
    put_from(b, r);
    buf_lit(b, "To: ");
    buf_put(b, r->to, r->to_n);
    buf_lit(b, "\r\n");
    put_ids(b, r, cseq);
    buf_lit(b, "User-Agent: sipload\r\nContent-Length: 0\r\n\r\n");
}

/* RFC 3261 17.1.1.3: the ACK of a failure has the branch and the target of its INVITE. */
void load_failure_ack(struct buf *b, const struct load_req *r, struct str to)
{
    buf_lit(b, "ACK ");
    put_target(b, r);
    buf_lit(b, " SIP/2.0\r\n");
    put_top(b, r, 'i');
    put_from(b, r);
    buf_lit(b, "To: ");
    buf_str_put(b, to);
    buf_lit(b, "\r\n");
    put_ids(b, r, "1 ACK");
    buf_lit(b, "Content-Length: 0\r\n\r\n");
}

bool load_keep_dialog(struct load_req *r, const struct load_seen *m)
{
    struct buf b;
    buf_init(&b, r->to, sizeof(r->to));
    buf_str_put(&b, m->to);
    r->to_n = (uint16_t)b.n;
    bool full = b.full;
    ptrdiff_t open = str_chr(m->contact, '<');
    struct str uri = open < 0 ? m->contact : str_from(m->contact, (size_t)open + 1);
    ptrdiff_t end = str_chr(uri, '>');
    buf_init(&b, r->target, sizeof(r->target));
    buf_str_put(&b, end < 0 ? uri : str_sub(uri, 0, (size_t)end));
    r->target_n = (uint16_t)b.n;
    full |= b.full;
    buf_init(&b, r->route, sizeof(r->route));
    for (unsigned i = m->routes; i-- > 0;) {
        buf_lit(&b, "Route: ");
        buf_str_put(&b, m->route[i]);
        buf_lit(&b, "\r\n");
    }
    r->route_n = (uint16_t)b.n;
    return !full && !b.full && r->target_n > 0;
}

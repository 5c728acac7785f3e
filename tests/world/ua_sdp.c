/* Session descriptions of the user agents. */
#include "wire/sip/multipart.h"
#include "world/ua.h"

struct ua_codec {
    struct str name;
    unsigned pt;
    const char *map, *fmtp;
};

static const struct ua_codec codecs[] = {
    {STR_INIT("PCMU"), 0, "PCMU/8000", NULL},
    {STR_INIT("GSM"), 3, "GSM/8000", NULL},
    {STR_INIT("PCMA"), 8, "PCMA/8000", NULL},
    {STR_INIT("G722"), 9, "G722/8000", NULL},
    {STR_INIT("G729"), 18, "G729/8000", "annexb=no"},
    {STR_INIT("iLBC"), 97, "iLBC/8000", "mode=20"},
    {STR_INIT("speex"), 98, "speex/16000", NULL},
    {STR_INIT("opus"), 111, "opus/48000/2", "useinbandfec=1"},
    {STR_INIT("te"), 101, "telephone-event/8000", "0-16"},
    {STR_INIT("silk"), 104, "SILK/16000", NULL},
};

static const struct ua_codec *find(struct str name)
{
    for (unsigned i = 0; i < ARRAY_LEN(codecs); i++)
        if (str_ieq(codecs[i].name, name))
            return &codecs[i];
    return NULL;
}

static bool next(struct str *rest, struct str *ret)
{
    if (!rest->n)
        return false;
    ptrdiff_t comma = str_chr(*rest, ',');
    *ret = comma < 0 ? *rest : str_sub(*rest, 0, (size_t)comma);
    *rest = comma < 0 ? str_of(rest->p, 0) : str_from(*rest, (size_t)comma + 1);
    return true;
}

struct str ua_sdp_early(struct ua *ua, struct ua_call *call, const struct ua_spec *spec)
{
    struct ua_spec s = *spec;
    struct ua_call c = *call;
    s.sdp = spec->early;
    s.dir = spec->early_dir;
    s.sdp_port = spec->early_port >= 0 ? spec->early_port : call->rtp_port + UA_EARLY_PORT;
    s.sdp_mux = false;
    c.index += 500; /* a session of its own in o= */
    return ua_sdp(ua, &c, &s);
}

struct str ua_sdp_both(struct ua *ua, struct str session, struct str early, struct str *type)
{
    struct sip_part part[2] = {{.content_type = STR("application/sdp"), .body = session},
                               {.content_type = STR("application/sdp"),
                                .content_disposition = STR("early-session"),
                                .body = early}};
    size_t cap = session.n + early.n + 400;
    struct buf b;
    buf_init(&b, arena_take(&ua->host.w->arena, cap), cap);
    for (unsigned i = 0; i < ARRAY_LEN(part); i++)
        sip_multipart_put(&b, STR("two-parts"), &part[i]);
    sip_multipart_end(&b, STR("two-parts"));
    *type = STR("multipart/mixed; boundary=\"two-parts\"");
    return buf_str(&b);
}

struct str ua_sdp(struct ua *ua, struct ua_call *call, const struct ua_spec *spec)
{
    char *mem = arena_take(&ua->host.w->arena, 2048), host[64];
    struct buf b, h;
    struct str list = spec->sdp, one;
    buf_init(&h, host, sizeof(host));
    addr_put_ip(&h, &ua->host.addr);
    struct str c = spec->sdp_host.n ? spec->sdp_host : buf_str(&h);
    if (!call->sdp_version || !spec->same_sdp)
        call->sdp_version++;
    buf_init(&b, mem, 2048);
    buf_printf(&b, "v=0\r\no=- %u %u IN IP4 " STR_FMT "\r\ns=call\r\nc=IN IP4 " STR_FMT "\r\n",
               1000 + call->index, call->sdp_version, STR_ARG(buf_str(&h)), STR_ARG(c));
    unsigned port = spec->sdp_port >= 0 ? (unsigned)spec->sdp_port : call->rtp_port;
    buf_printf(&b, "t=0 0\r\nm=audio %u RTP/AVP", port);
    while (next(&list, &one))
        if (find(one))
            buf_printf(&b, " %u", find(one)->pt);
    buf_lit(&b, "\r\n");
    list = spec->sdp;
    while (next(&list, &one)) {
        const struct ua_codec *codec = find(one);
        if (!codec)
            continue;
        buf_printf(&b, "a=rtpmap:%u %s\r\n", codec->pt, codec->map);
        if (codec->fmtp)
            buf_printf(&b, "a=fmtp:%u %s\r\n", codec->pt, codec->fmtp);
    }
    if (spec->sdp_mux)
        buf_lit(&b, "a=rtcp-mux\r\n");
    list = spec->sdp_attr;
    while (next(&list, &one))
        buf_printf(&b, "a=" STR_FMT "\r\n", STR_ARG(one));
    if (spec->dir.n)
        buf_printf(&b, "a=" STR_FMT "\r\n", STR_ARG(spec->dir));
    return buf_str(&b);
}

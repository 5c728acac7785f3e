/* The first line is the Content-Type, the rest the body. Parts lie inside the body, in order. */
#include "wire/sip/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = str_of((const char *)data, size);
    ptrdiff_t lf = str_chr(s, '\n');
    if (lf < 0)
        return 0;
    struct str type = str_trim(str_sub(s, 0, (size_t)lf)), body = str_from(s, (size_t)lf + 1);
    struct sip_multipart it;
    struct sip_part part;
    const char *at = body.p;
    if (sip_multipart_init(&it, type, body) == 0) {
        while (sip_multipart_next(&it, &part)) {
            BUG_ON(part.headers.p < at || part.body.p + part.body.n > body.p + body.n);
            BUG_ON(part.headers.p + part.headers.n > part.body.p);
            at = part.body.p + part.body.n;
        }
    }
    static struct sip_msg m;
    m.first[SIP_H_CONTENT_TYPE] = 1;
    m.hdr[0].value = type;
    m.body = body;
    (void)sip_body_find(&m, STR("application/sdp"));
    return 0;
}

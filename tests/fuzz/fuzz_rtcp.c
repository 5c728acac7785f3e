/* Compound RTCP from anybody. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/rtp/rtcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint32_t sink;

static void touch(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        sink += (uint8_t)s.p[i];
}

static void look_at_xr(const struct rtcp_packet *k)
{
    struct rtcp_xr_block x;
    struct rtcp_voip voip;
    for (size_t at = 0; rtcp_xr_next(&x, k, &at);) {
        touch(str_of((const char *)x.body, x.body_bytes));
        if (rtcp_voip_get(&voip, &x) == 0)
            sink += voip.mos_lq;
    }
}

static void look(const struct rtcp_packet *k)
{
    struct rtcp_sender sr;
    struct rtcp_report r;
    struct rtcp_app app;
    struct rtcp_sdes_item item;
    struct rtcp_sdes_walk walk = {0};
    uint32_t ssrc;
    touch(str_of((const char *)k->body, k->body_bytes));
    if (rtcp_ssrc_get(&ssrc, k) == 0 && rtcp_sender_get(&sr, k) == 0)
        sink += ssrc + sr.packets;
    for (unsigned i = 0; i < 33; i++) {
        if (rtcp_report_get(&r, k, i) == 0 && (r.lost < -0x800000 || r.lost > 0x7FFFFF))
            abort();
        if (rtcp_bye_get(&ssrc, k, i) == 0)
            sink += ssrc;
    }
    touch(rtcp_bye_reason(k));
    if (rtcp_app_get(&app, k) == 0)
        touch(str_of((const char *)app.data, app.data_bytes));
    while (rtcp_sdes_next(&item, k, &walk))
        touch(item.text);
    look_at_xr(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rtcp_packet k;
    size_t at = 0;
    unsigned n = 0;
    while (rtcp_next(&k, data, size, &at)) {
        look(&k);
        n++;
    }
    /* What passes the check is walked to its last byte. */
    if (rtcp_check(data, size, true) == 0 && (at != size || n == 0))
        abort();
    if (rtcp_check(data, size, false) == 0 && rtcp_check(data, size, true))
        abort();
    return 0;
}

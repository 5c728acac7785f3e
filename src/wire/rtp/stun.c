#include "wire/rtp/stun.h"

#include <errno.h>

#include "wire/rtp/be.h"

bool stun_is(const void *p, size_t n)
{
    const uint8_t *b = p;
    /* RFC 8489 section 5. */
    return n >= STUN_HEADER_BYTES && b[0] >> 6 == 0 && be32_get(b + 4) == STUN_MAGIC &&
           be16_get(b + 2) % 4 == 0 && be16_get(b + 2) == n - STUN_HEADER_BYTES;
}

bool stun_attr_next(struct stun_attr *ret, const struct stun_view *v, size_t *at)
{
    if (*at > v->attrs_bytes || v->attrs_bytes - *at < 4)
        return false;
    const uint8_t *a = v->attrs + *at;
    size_t bytes = be16_get(a + 2), room = v->attrs_bytes - *at - 4;
    if (bytes > room)
        return false;
    *ret = (struct stun_attr){.type = be16_get(a), .bytes = (uint16_t)bytes, .value = a + 4};
    /* RFC 8489 section 14: values are padded to four bytes; the length says nothing of it. */
    *at += 4 + ((bytes + 3) & ~(size_t)3);
    return true;
}

int stun_parse(struct stun_view *ret, const void *p, size_t n)
{
    const uint8_t *b = p;
    if (!stun_is(p, n))
        return -EBADMSG;
    uint16_t type = be16_get(b);
    struct stun_view v = {
        /* The two class bits stand between the bits of the method. */
        .method = (uint16_t)((type & 0x000F) | (type & 0x00E0) >> 1 | (type & 0x3E00) >> 2),
        .class_ = (enum stun_class)((type >> 4 & 1) | (type >> 7 & 2)),
        .txn = b + 8,
        .attrs = b + STUN_HEADER_BYTES,
        .attrs_bytes = n - STUN_HEADER_BYTES,
    };
    struct stun_attr a;
    size_t at = 0;
    while (stun_attr_next(&a, &v, &at))
        ;
    if (at != v.attrs_bytes)
        return -EBADMSG;
    *ret = v;
    return 0;
}

int stun_attr_find(struct stun_attr *ret, const struct stun_view *v, uint16_t type)
{
    struct stun_attr a;
    for (size_t at = 0; stun_attr_next(&a, v, &at);)
        if (a.type == type) {
            *ret = a;
            return 0;
        }
    return -ENOENT;
}

int stun_addr_get(struct addr *ret, const struct stun_view *v, const struct stun_attr *attr)
{
    const uint8_t *p = attr->value;
    size_t ip_bytes = attr->bytes == 8 ? 4 : attr->bytes == 20 ? 16 : 0;
    if (ip_bytes == 0 || p[1] != (ip_bytes == 4 ? 1 : 2))
        return -EBADMSG;
    struct addr a = {.family = ip_bytes == 4 ? ADDR_V4 : ADDR_V6, .port = be16_get(p + 2)};
    memcpy(a.ip, p + 4, ip_bytes);
    if (attr->type == STUN_A_XOR_MAPPED_ADDRESS) {
        /* RFC 8489 section 14.2: the cookie, then the transaction id. */
        a.port ^= STUN_MAGIC >> 16;
        for (size_t i = 0; i < ip_bytes; i++)
            a.ip[i] ^= v->txn[(ptrdiff_t)i - 4];
    }
    *ret = a;
    return 0;
}

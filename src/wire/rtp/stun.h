/* STUN (RFC 8489): enough to tell it from RTP and to walk its attributes. */
#ifndef WIRE_RTP_STUN_H
#define WIRE_RTP_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define STUN_HEADER_BYTES 20
#define STUN_TXN_BYTES    12
#define STUN_MAGIC        0x2112A442u

enum stun_class { STUN_REQUEST, STUN_INDICATION, STUN_SUCCESS, STUN_ERROR };

enum { STUN_METHOD_BINDING = 1 };

enum stun_attr_type {
    STUN_A_MAPPED_ADDRESS = 0x0001,
    STUN_A_USERNAME = 0x0006,
    STUN_A_MESSAGE_INTEGRITY = 0x0008,
    STUN_A_ERROR_CODE = 0x0009,
    STUN_A_XOR_MAPPED_ADDRESS = 0x0020,
    STUN_A_PRIORITY = 0x0024,
    STUN_A_USE_CANDIDATE = 0x0025,
    STUN_A_SOFTWARE = 0x8022,
    STUN_A_FINGERPRINT = 0x8028
};

struct stun_view {
    uint16_t method;
    enum stun_class class_;
    const uint8_t *txn;   /* STUN_TXN_BYTES */
    const uint8_t *attrs; /* behind the header */
    size_t attrs_bytes;
};

struct stun_attr {
    uint16_t type, bytes;
    const uint8_t *value;
};

/* The header says so: two zero bits, the magic cookie and a length that is all of the datagram. */
bool stun_is(const void *p, size_t n);
/* As stun_is(), and every attribute fits. 0 or -EBADMSG. */
MUST_CHECK int stun_parse(struct stun_view *ret, const void *p, size_t n);
/* Walks the attributes: *at begins at 0. False at the end. */
bool stun_attr_next(struct stun_attr *ret, const struct stun_view *v, size_t *at);
/* -ENOENT. */
MUST_CHECK int stun_attr_find(struct stun_attr *ret, const struct stun_view *v, uint16_t type);
/* MAPPED-ADDRESS or XOR-MAPPED-ADDRESS. -EBADMSG. */
MUST_CHECK int stun_addr_get(struct addr *ret, const struct stun_view *v,
                             const struct stun_attr *attr);

#endif

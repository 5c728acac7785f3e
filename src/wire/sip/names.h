/* Header names to numbers, inline for the message pass. For the files of this folder only. */
#ifndef WIRE_SIP_NAMES_H
#define WIRE_SIP_NAMES_H

#include "wire/sip/msg.h"
#include "wire/sip/names_slot.h"

#define NAMES_LONGEST 22

struct names_entry {
    char text[NAMES_LONGEST + 1];
    uint8_t n;
};

extern const struct names_entry names_header[SIP_H_COUNT];

enum sip_hdr_kind { SIP_KIND_ONE, SIP_KIND_LIST, SIP_KIND_FREE, SIP_KIND_AUTH };
extern const uint8_t names_kind[SIP_H_COUNT];

/* Eight bytes of a token in lower case. On token characters setting bit 5 changes letters only, so
 * for a name without CR it compares exactly as RFC 3261 7.3.1 asks. */
static inline uint64_t names_word(const char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w | 0x2020202020202020u;
}

/* The same of fewer bytes, when no more may be read. */
uint64_t names_word_short(const char *p, size_t n);

static inline enum sip_hdr_id names_compact_find(char c)
{
    unsigned i = (unsigned)chr_lower(c) - 'a';
    return i < 26 ? names_compact[i] : SIP_H_OTHER;
}

/* The header with this name, or SIP_H_OTHER; `slack` bytes may be read from name.p on. */
static inline enum sip_hdr_id names_find(struct str name, size_t slack)
{
    uint64_t first, last = 0, mask = UINT64_MAX;
    if (name.n >= 8) {
        if (name.n > NAMES_LONGEST)
            return SIP_H_OTHER;
        first = names_word(name.p);
        last = names_word(name.p + name.n - 8);
    } else {
        if (name.n < 2)
            return name.n ? names_compact_find(name.p[0]) : SIP_H_OTHER;
        mask >>= 64 - 8 * name.n;
        first = slack < 8 ? names_word_short(name.p, name.n) : names_word(name.p);
        first &= mask;
    }
    uint64_t mixed = (first ^ (last >> 7 | last << 57)) * NAMES_KEY;
    enum sip_hdr_id id = names_slot[mixed >> (64 - NAMES_BITS)];
    const struct names_entry *e = &names_header[id];
    if (e->n != name.n || (names_word(e->text) & mask) != first)
        return SIP_H_OTHER;
    if (name.n > 8 && names_word(e->text + name.n - 8) != last)
        return SIP_H_OTHER;
    return name.n <= 16 || names_word(e->text + 8) == names_word(name.p + 8) ? id : SIP_H_OTHER;
}

#endif

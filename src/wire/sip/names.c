/* The fixed words of SIP: methods, header names, reason phrases. */
#include "wire/sip/lex.h"
#include "wire/sip/names_slot.h"

struct name_entry {
    char text[23];
    uint8_t n;
};

#define LONGEST 22

static const struct name_entry headers[SIP_H_COUNT] = {
#define HEADER(id, name, compact, kind, source) [SIP_H_##id] = {name, sizeof(name) - 1},
#include "wire/sip/header.def"
#undef HEADER
};

static const uint8_t kinds[SIP_H_COUNT] = {
    [SIP_H_OTHER] = SIP_KIND_FREE,
#define HEADER(id, name, compact, kind, source) [SIP_H_##id] = SIP_KIND_##kind,
#include "wire/sip/header.def"
#undef HEADER
};

static const struct str methods[SIP_METHOD_COUNT] = {
#define METHOD(id, text, source) [SIP_##id] = STR_INIT(text),
#include "wire/sip/method.def"
#undef METHOD
};

struct status_entry {
    uint16_t code;
    struct str reason;
};

static const struct status_entry statuses[] = {
#define STATUS(code, reason) {code, STR_INIT(reason)},
#include "wire/sip/status.def"
#undef STATUS
};

#define FOLD 0x2020202020202020u

/* Eight bytes of a token in lower case. On token characters setting bit 5 changes letters only, so
 * for a name without CR it compares exactly as RFC 3261 7.3.1 asks. */
static inline uint64_t word(const char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w | FOLD;
}

/* The first eight bytes of a name of which fewer than eight may be read. */
static __attribute__((noinline)) uint64_t short_word(struct str name)
{
    char room[8] = {0};
    memcpy(room, name.p, name.n);
    return word(room);
}

static enum sip_hdr_id find_compact(char c)
{
    unsigned i = (unsigned)chr_lower(c) - 'a';
    return i < 26 ? names_compact[i] : SIP_H_OTHER;
}

enum sip_hdr_id names_find(struct str name, size_t slack)
{
    uint64_t first, last = 0, mask = UINT64_MAX;
    if (name.n >= 8) {
        if (name.n > LONGEST)
            return SIP_H_OTHER;
        first = word(name.p);
        last = word(name.p + name.n - 8);
    } else {
        if (name.n < 2)
            return name.n ? find_compact(name.p[0]) : SIP_H_OTHER;
        mask = (UINT64_C(1) << (8 * name.n)) - 1;
        first = (slack < 8 ? short_word(name) : word(name.p)) & mask;
    }
    uint64_t mixed = (first ^ (last >> 7 | last << 57)) * NAMES_KEY;
    enum sip_hdr_id id = names_slot[mixed >> (64 - NAMES_BITS)];
    const struct name_entry *e = &headers[id];
    if (e->n != name.n || (word(e->text) & mask) != first)
        return SIP_H_OTHER;
    if (name.n > 8 && word(e->text + e->n - 8) != last)
        return SIP_H_OTHER;
    return name.n <= 16 || word(e->text + 8) == word(name.p + 8) ? id : SIP_H_OTHER;
}

enum sip_hdr_kind names_kind(enum sip_hdr_id id)
{
    return id < SIP_H_COUNT ? kinds[id] : SIP_KIND_FREE;
}

enum sip_hdr_id sip_hdr_of(struct str name)
{
    return sip_is_token(name) ? names_find(name, name.n) : SIP_H_OTHER;
}

struct str sip_hdr_name(enum sip_hdr_id id)
{
    if (id == SIP_H_OTHER || id >= SIP_H_COUNT)
        return STR_NONE;
    return str_of(headers[id].text, headers[id].n);
}

enum sip_method sip_method_of(struct str s)
{
    for (unsigned i = 1; i < SIP_METHOD_COUNT; i++)
        if (methods[i].n == s.n && memcmp(methods[i].p, s.p, s.n) == 0)
            return (enum sip_method)i;
    return SIP_METHOD_UNKNOWN;
}

struct str sip_method_name(enum sip_method m)
{
    return m < SIP_METHOD_COUNT ? methods[m] : STR_NONE;
}

struct str sip_status_reason(unsigned status)
{
    for (unsigned i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i].code == status)
            return statuses[i].reason;
    return STR("Unknown");
}

bool sip_is_token(struct str s)
{
    return s.n && lex_span(s.p, s.p + s.n, LEX_TOKEN) == s.p + s.n;
}

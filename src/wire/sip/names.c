/* The fixed words of SIP: methods, header names, reason phrases. */
#include "wire/sip/lex.h"
#include "wire/sip/names.h"

const struct names_entry names_header[SIP_H_COUNT] = {
#define HEADER(id, name, compact, kind, source) [SIP_H_##id] = {name, sizeof(name) - 1},
#include "wire/sip/header.def"
#undef HEADER
};

const uint8_t names_kind[SIP_H_COUNT] = {
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

uint64_t names_word_short(const char *p, size_t n)
{
    char room[8] = {0};
    memcpy(room, p, n);
    return names_word(room);
}

enum sip_hdr_id sip_hdr_of(struct str name)
{
    return sip_is_token(name) ? names_find(name, name.n) : SIP_H_OTHER;
}

struct str sip_hdr_name(enum sip_hdr_id id)
{
    if (id == SIP_H_OTHER || id >= SIP_H_COUNT)
        return STR_NONE;
    return str_of(names_header[id].text, names_header[id].n);
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

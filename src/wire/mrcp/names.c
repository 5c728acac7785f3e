/* The names of MRCPv2, from their lists. */
#include "wire/mrcp/mrcp.h"

static const struct str methods[MRCP_METHODS] = {
#define MRCP_METHOD(id, text, section) [MRCP_M_##id] = STR_INIT(text),
#include "wire/mrcp/method.def"
#undef MRCP_METHOD
};
static const struct str events[MRCP_EVENTS] = {
#define MRCP_EVENT_LINE(id, text, section) [MRCP_E_##id] = STR_INIT(text),
#include "wire/mrcp/event.def"
#undef MRCP_EVENT_LINE
};
static const struct str headers[MRCP_HEADERS] = {
#define MRCP_HEADER(id, text, section) [MRCP_H_##id] = STR_INIT(text),
#include "wire/mrcp/header.def"
#undef MRCP_HEADER
};
static const struct {
    struct str name;
    enum mrcp_kind kind;
} resources[MRCP_RESOURCES] = {
    [MRCP_R_OTHER] = {STR_INIT(""), MRCP_KINDS},
#define MRCP_RESOURCE_LINE(id, text, kind) [MRCP_R_##id] = {STR_INIT(text), MRCP_##kind},
#include "wire/mrcp/resource.def"
#undef MRCP_RESOURCE_LINE
};
static const struct {
    enum mrcp_kind kind;
    unsigned code;
    struct str name;
} causes[] = {
#define MRCP_CAUSE_LINE(kind, code, text) {MRCP_##kind, code, STR_INIT(text)},
#include "wire/mrcp/cause.def"
#undef MRCP_CAUSE_LINE
};
static const struct {
    unsigned code;
    struct str text;
} statuses[] = {
#define MRCP_STATUS_LINE(code, text) {code, STR_INIT(text)},
#include "wire/mrcp/status.def"
#undef MRCP_STATUS_LINE
};

struct str mrcp_method_name(enum mrcp_method m)
{
    return m < MRCP_METHODS ? methods[m] : STR_NONE;
}

struct str mrcp_event_name(enum mrcp_event e)
{
    return e < MRCP_EVENTS ? events[e] : STR_NONE;
}

struct str mrcp_header_name(enum mrcp_header h)
{
    return h < MRCP_HEADERS ? headers[h] : STR_NONE;
}

struct str mrcp_resource_name(enum mrcp_resource r)
{
    return r < MRCP_RESOURCES ? resources[r].name : STR_NONE;
}

enum mrcp_kind mrcp_resource_kind(enum mrcp_resource r)
{
    return r < MRCP_RESOURCES ? resources[r].kind : MRCP_KINDS;
}

struct str mrcp_state_name(enum mrcp_state s)
{
    static const struct str names[] = {[MRCP_COMPLETE] = STR_INIT("COMPLETE"),
                                       [MRCP_IN_PROGRESS] = STR_INIT("IN-PROGRESS"),
                                       [MRCP_PENDING] = STR_INIT("PENDING")};
    return s < ARRAY_LEN(names) ? names[s] : STR_NONE;
}

struct str mrcp_status_text(unsigned code)
{
    for (unsigned i = 0; i < ARRAY_LEN(statuses); i++)
        if (statuses[i].code == code)
            return statuses[i].text;
    return STR_NONE;
}

struct str mrcp_cause_name(enum mrcp_kind kind, unsigned code)
{
    for (unsigned i = 0; i < ARRAY_LEN(causes); i++)
        if (causes[i].kind == kind && causes[i].code == code)
            return causes[i].name;
    return STR_NONE;
}

static unsigned find(const struct str *list, unsigned n, struct str name)
{
    for (unsigned i = 1; i < n; i++)
        if (str_ieq(list[i], name))
            return i;
    return 0;
}

enum mrcp_method mrcp_method_find(struct str name)
{
    return (enum mrcp_method)find(methods, MRCP_METHODS, name);
}

enum mrcp_header mrcp_header_find(struct str name)
{
    return (enum mrcp_header)find(headers, MRCP_HEADERS, name);
}

enum mrcp_resource mrcp_resource_find(struct str name)
{
    for (unsigned i = 1; i < MRCP_RESOURCES; i++)
        if (str_ieq(resources[i].name, name))
            return (enum mrcp_resource)i;
    return MRCP_R_OTHER;
}

/* Messages of MRCPv2 (RFC 6787 section 5): bytes of a control connection to structs and back.
 * Nothing is copied: struct str members point into the bytes given. */
#ifndef WIRE_MRCP_MRCP_H
#define WIRE_MRCP_MRCP_H

#include "base/assert.h"
#include "base/buf.h"

#define MRCP_MAX_BYTES  (1u << 20) /* of one message; a longer one ends its connection */
#define MRCP_MAX_FIELDS 64
#define MRCP_MAX_IDS    32 /* of an Active-Request-Id-List */

enum mrcp_method {
    MRCP_M_OTHER,
#define MRCP_METHOD(id, text, section) MRCP_M_##id,
#include "wire/mrcp/method.def"
#undef MRCP_METHOD
    MRCP_METHODS
};

enum mrcp_event {
    MRCP_E_OTHER,
#define MRCP_EVENT_LINE(id, text, section) MRCP_E_##id,
#include "wire/mrcp/event.def"
#undef MRCP_EVENT_LINE
    MRCP_EVENTS
};

enum mrcp_header {
    MRCP_H_OTHER,
#define MRCP_HEADER(id, text, section) MRCP_H_##id,
#include "wire/mrcp/header.def"
#undef MRCP_HEADER
    MRCP_HEADERS
};

enum mrcp_resource {
    MRCP_R_OTHER,
#define MRCP_RESOURCE_LINE(id, name, kind) MRCP_R_##id,
#include "wire/mrcp/resource.def"
#undef MRCP_RESOURCE_LINE
    MRCP_RESOURCES
};

/* Resources that follow one state machine and share their causes. */
enum mrcp_kind { MRCP_SYNTH, MRCP_RECOG, MRCP_RECORDER, MRCP_VERIFY, MRCP_KINDS };

enum mrcp_state { MRCP_COMPLETE, MRCP_IN_PROGRESS, MRCP_PENDING };

enum mrcp_type { MRCP_REQUEST, MRCP_RESPONSE, MRCP_EVENT };

struct mrcp_field {
    enum mrcp_header id;
    struct str name, value; /* of a builder: the name counts only with MRCP_H_OTHER */
};

struct mrcp_msg {
    enum mrcp_type type;
    uint8_t major, minor;
    uint64_t request_id;
    enum mrcp_method method; /* of a request */
    enum mrcp_event event;   /* of an event */
    struct str name;         /* of either, as it was written */
    uint16_t status;         /* of a response */
    enum mrcp_state state;   /* of a response or an event */
    struct str channel;      /* Channel-Identifier, whole */
    enum mrcp_resource resource;
    unsigned n_fields;
    struct mrcp_field field[MRCP_MAX_FIELDS];
    struct str body; /* empty if there is none */
};

/* How long the message is that begins with `bytes`: its own length counts everything, itself too
 * (section 5.1). -EAGAIN: not enough has come to tell; -EBADMSG: no message of MRCP; -EMSGSIZE:
 * longer than max_bytes. CRLFs in front of it, which some servers send, belong to it. */
MUST_CHECK int mrcp_frame(size_t *ret, struct str bytes, size_t max_bytes);

/* One whole message. -EBADMSG, -E2BIG (more than MRCP_MAX_FIELDS). Tolerated, since servers send
 * them: header fields without a space behind the colon or with one before it, lines ended by LF
 * alone, continued lines, a status code in an event line (as RFC 6787's own examples have it), and
 * a Content-Length that is missing or differs from what the message's length leaves. */
MUST_CHECK int mrcp_parse(struct mrcp_msg *ret, struct str bytes);

/* The first field of this kind; STR_NONE if there is none. */
struct str mrcp_field_get(const struct mrcp_msg *m, enum mrcp_header id);
/* Completion-Cause: "000 success", or the number alone. -ENOENT, -EBADMSG. */
MUST_CHECK int mrcp_cause(uint16_t *ret, const struct mrcp_msg *m);
/* The name of a cause; STR_NONE if the RFC has none for it. */
struct str mrcp_cause_name(enum mrcp_kind kind, unsigned code);
/* The requests named in an Active-Request-Id-List. How many; what is no number is left out. */
unsigned mrcp_id_list(uint64_t *out, unsigned cap, struct str value);

/* A message to be written. Content-Length is made of the body; it is the last field. */
struct mrcp_write {
    enum mrcp_type type;
    uint64_t request_id;
    enum mrcp_method method;
    enum mrcp_event event;
    uint16_t status;
    enum mrcp_state state;
    struct str channel;
    const struct mrcp_field *field;
    unsigned n_fields;
    struct str body; /* none: no body and no Content-Length */
};
/* -EINVAL: CR, LF or NUL in a field, no such method or event, or a status that is none; -ENOBUFS. b
 * stays as it was. */
MUST_CHECK int mrcp_build(struct buf *b, const struct mrcp_write *w);

struct str mrcp_method_name(enum mrcp_method m);
struct str mrcp_event_name(enum mrcp_event e);
struct str mrcp_header_name(enum mrcp_header h);
struct str mrcp_resource_name(enum mrcp_resource r);
struct str mrcp_state_name(enum mrcp_state s);
/* STR_NONE if it is none of the RFC's. */
struct str mrcp_status_text(unsigned code);
enum mrcp_method mrcp_method_find(struct str name);
enum mrcp_header mrcp_header_find(struct str name);
enum mrcp_resource mrcp_resource_find(struct str name);
/* Of MRCP_R_OTHER: MRCP_KINDS. */
enum mrcp_kind mrcp_resource_kind(enum mrcp_resource r);

#endif

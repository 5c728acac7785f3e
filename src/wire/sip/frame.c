#include "wire/sip/frame.h"

#include "base/num.h"
#include "wire/sip/lex.h"

/* *scanned holds how far the header part was searched; once its end is found, the length of the
 * whole message with this bit. Either way no byte is looked at twice while a message trickles in.
 */
#define LENGTH_KNOWN (SIZE_MAX ^ SIZE_MAX >> 1)

static struct sip_frame bad(size_t n, size_t header_bytes, enum sip_verdict v)
{
    return (struct sip_frame){
        .kind = SIP_FRAME_BAD, .len = header_bytes, .consumed = n, .verdict = v};
}

/* Behind the empty line, or 0 with *scanned moved on. */
static size_t find_headers_end(const char *p, size_t n, size_t *scanned)
{
    size_t at = *scanned;
    while (at < n) {
        const char *lf = memchr(p + at, '\n', n - at);
        if (!lf) {
            *scanned = n;
            return 0;
        }
        at = (size_t)(lf - p);
        if (at + 1 < n && p[at + 1] == '\n')
            return at + 2;
        if (at + 2 < n && p[at + 1] == '\r' && p[at + 2] == '\n')
            return at + 3;
        /* Undecided: look at this line end again when more has come. */
        if (at + 1 == n || (at + 2 == n && p[at + 1] == '\r')) {
            *scanned = at;
            return 0;
        }
        at++;
    }
    return 0;
}

/* The logical line at p, folds included; *next is the line after it. */
static struct str line_take(const char *p, const char *end, const char **next)
{
    const char *q = p;
    for (;;) {
        q = memchr(q, '\n', (size_t)(end - q));
        q = q ? q + 1 : end;
        if (q == end || (*q != ' ' && *q != '\t'))
            break;
    }
    *next = q;
    return str_trim(lex_str(p, q));
}

/* RFC 3261 18.3: on a stream there must be one, and it must be a number. Two are an invitation to
 * smuggle (RFC 4475 3.3.9). */
static enum sip_verdict content_length(const char *p, const char *end, uint64_t *ret)
{
    bool found = false;
    line_take(p, end, &p);
    while (p < end) {
        struct str line = line_take(p, end, &p);
        ptrdiff_t colon = str_chr(line, ':');
        if (colon <= 0)
            continue;
        if (sip_hdr_of(str_trim(str_sub(line, 0, (size_t)colon))) != SIP_H_CONTENT_LENGTH)
            continue;
        if (found || num_u64(ret, str_trim(str_from(line, (size_t)colon + 1)), UINT32_MAX))
            return SIP_BAD_CONTENT_LENGTH;
        found = true;
    }
    return found ? SIP_OK : SIP_BAD_CONTENT_LENGTH;
}

/* How many octets of line ends are in front; *undecided if the rest could still make a ping. */
static size_t skip_line_ends(const char *p, size_t n, bool *ping, bool *undecided)
{
    size_t at = 0;
    *ping = *undecided = false;
    for (;;) {
        if (at < n && p[at] == '\n') {
            at++;
        } else if (n - at >= 2 && p[at] == '\r' && p[at + 1] == '\n') {
            static const char twice[4] = {'\r', '\n', '\r', '\n'};
            size_t have = n - at < 4 ? n - at : 4;
            bool same = memcmp(p + at, twice, have) == 0;
            *ping = same && have == 4;
            *undecided = same && have < 4;
            if (same)
                return *ping ? at + 4 : at;
            at += 2;
        } else {
            *undecided = n - at == 1 && p[at] == '\r';
            return at;
        }
    }
}

struct sip_frame sip_frame_next(const char *p, size_t n, size_t max_bytes, size_t *scanned)
{
    struct sip_frame more = {.kind = SIP_FRAME_MORE};
    if (!(*scanned & LENGTH_KNOWN)) {
        bool ping, undecided;
        size_t skip = *scanned ? 0 : skip_line_ends(p, n, &ping, &undecided);
        if (*scanned == 0 && (ping || undecided || skip)) {
            /* Pings and stray line ends go at once, so a message always starts at 0. */
            enum sip_frame_kind kind = ping ? SIP_FRAME_PING : SIP_FRAME_MORE;
            if (ping || undecided || skip == n)
                return (struct sip_frame){.kind = kind, .consumed = skip};
            struct sip_frame f = sip_frame_next(p + skip, n - skip, max_bytes, scanned);
            f.start += skip;
            f.consumed += skip;
            if (f.kind == SIP_FRAME_MORE)
                *scanned = 0;
            return f;
        }
        size_t header_bytes = find_headers_end(p, n, scanned);
        if (header_bytes == 0)
            return n > max_bytes ? bad(n, 0, SIP_TOO_LARGE) : more;
        uint64_t length = 0;
        enum sip_verdict v = content_length(p, p + header_bytes, &length);
        if (v == SIP_OK && (header_bytes > max_bytes || length > max_bytes - header_bytes))
            v = SIP_TOO_LARGE;
        if (v)
            return bad(n, header_bytes, v);
        *scanned = (header_bytes + (size_t)length) | LENGTH_KNOWN;
    }
    size_t total = *scanned & ~LENGTH_KNOWN;
    if (n < total)
        return more;
    *scanned = 0;
    return (struct sip_frame){.kind = SIP_FRAME_MSG, .len = total, .consumed = total};
}

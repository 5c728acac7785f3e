/* A stream of MRCP messages, whole and in pieces: the same messages, and what is read can be
 * written. */
#include "wire/mrcp/mrcp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rewrite(const struct mrcp_msg *m)
{
    static char mem[MRCP_MAX_BYTES];
    struct buf b;
    struct mrcp_msg again;
    struct mrcp_write w = {.type = m->type,
                           .request_id = m->request_id,
                           .method = m->method,
                           .event = m->event,
                           .status = m->status,
                           .state = m->state,
                           .channel = m->channel,
                           .body = m->body};
    size_t n;
    buf_init(&b, mem, sizeof(mem));
    if (mrcp_build(&b, &w))
        return;
    BUG_ON(mrcp_frame(&n, buf_str(&b), MRCP_MAX_BYTES) || n != b.n);
    BUG_ON(mrcp_parse(&again, buf_str(&b)));
    BUG_ON(again.type != m->type || again.request_id != m->request_id);
    BUG_ON(!str_eq(again.channel, m->channel) || !str_eq(again.body, m->body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size);
    size_t n, shorter;
    while (mrcp_frame(&n, rest, MRCP_MAX_BYTES) == 0) {
        struct mrcp_msg m;
        uint64_t ids[MRCP_MAX_IDS];
        uint16_t cause;
        BUG_ON(n == 0 || n > rest.n);
        /* One byte less is not yet a message, and no other one. */
        BUG_ON(mrcp_frame(&shorter, str_sub(rest, 0, n - 1), MRCP_MAX_BYTES) == 0);
        if (mrcp_parse(&m, str_sub(rest, 0, n)) == 0) {
            struct str list = mrcp_field_get(&m, MRCP_H_ACTIVE_REQUEST_ID_LIST);
            BUG_ON(mrcp_id_list(ids, MRCP_MAX_IDS, list) > MRCP_MAX_IDS);
            (void)!mrcp_cause(&cause, &m);
            rewrite(&m);
        }
        rest = str_from(rest, n);
    }
    return 0;
}

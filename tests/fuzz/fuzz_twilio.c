/* What a bot sends: JSON messages of both kinds, base64, the form and path of its HTTP request.
 * What is written for it must be JSON that our own reader takes. */
#include <string.h>

#include "base/mem.h"
#include "wire/bot/botjson.h"
#include "wire/twilio/twilio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void round_trip(struct str name)
{
    static const struct twilio_ids ids = {.account = "AC", .call = "CA", .stream = "MZ"};
    static char mem[8192];
    struct buf b;
    struct twilio_msg m;
    if (name.n > TWILIO_MARK_MAX)
        return;
    buf_init(&b, mem, sizeof(mem));
    twilio_mark(&b, UINT64_MAX, &ids, name);
    BUG_ON(b.full || twilio_parse(&m, buf_str(&b)));
    BUG_ON(m.kind != TWILIO_MARK || !str_eq(m.name, name));
    twilio_msg_done(&m);
}

static void payload(struct str text)
{
    uint8_t *out = mem_alloc(base64_most(text.n));
    char *again = mem_alloc(text.n + 8);
    struct buf b;
    BUG_ON(!out || !again);
    long n = base64_get(out, text);
    if (n >= 0) {
        BUG_ON((size_t)n > base64_most(text.n));
        buf_init(&b, again, text.n + 8);
        base64_put(&b, out, (size_t)n);
        BUG_ON(b.full);
        uint8_t *second = mem_alloc(base64_most(b.n));
        BUG_ON(!second || base64_get(second, buf_str(&b)) != n);
        BUG_ON(n && memcmp(second, out, (size_t)n) != 0);
        mem_free(second);
    }
    mem_free(again);
    mem_free(out);
}

/* The other JSON. */
static void control(struct str text)
{
    static char mem[8192];
    struct botjson_msg m, again;
    struct buf b;
    if (botjson_parse(&m, text))
        return;
    BUG_ON((m.kind == BOTJSON_MARK || m.kind == BOTJSON_TRANSFER) && m.text.n > BOTJSON_NAME_MAX);
    if (m.kind == BOTJSON_MARK) {
        buf_init(&b, mem, sizeof(mem));
        botjson_mark(&b, m.text);
        BUG_ON(b.full || botjson_parse(&again, buf_str(&b)));
        BUG_ON(again.kind != BOTJSON_MARK || !str_eq(again.text, m.text));
        botjson_done(&again);
    }
    botjson_done(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = str_of((const char *)data, n);
    struct twilio_msg m;
    struct twilio_update u = {0};
    struct twilio_path p;
    if (twilio_parse(&m, text) == 0) {
        BUG_ON(m.kind == TWILIO_MARK && m.name.n > TWILIO_MARK_MAX);
        if (m.kind == TWILIO_MARK)
            round_trip(m.name);
        if (m.kind == TWILIO_MEDIA)
            payload(m.payload);
        twilio_msg_done(&m);
    }
    payload(text);
    control(text);
    int err = twilio_update(&u, text);
    BUG_ON((err != 0) != (u.why != NULL));
    BUG_ON(!err && u.order == TWILIO_TRANSFER && !u.target[0]);
    BUG_ON(twilio_path(&p, text) == 0 && p.call.n != TWILIO_SID_BYTES - 1);
    BUG_ON(twilio_basic_is(text, STR("AC"), STR("")));
    return 0;
}

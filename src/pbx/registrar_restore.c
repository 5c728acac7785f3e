/* Bindings as they come back from the database at the start. */
#include "pbx/location.h"

/* "udp 0 192.0.2.1:5060" and " nat" */
static bool flow_parse(const struct pbx *p, struct str s, struct flow *ret, bool *natted)
{
    struct str word[4] = {STR_NONE, STR_NONE, STR_NONE, STR_NONE};
    unsigned n = 0;
    while (s.n && n < ARRAY_LEN(word)) {
        ptrdiff_t space = str_chr(s, ' ');
        word[n++] = space < 0 ? s : str_sub(s, 0, (size_t)space);
        s = space < 0 ? STR_NONE : str_from(s, (size_t)space + 1);
    }
    enum proto proto;
    struct flow flow = {0};
    if (n < 3 || proto_parse(&proto, word[0]) || word[1].n < 1 || word[1].n > 3 ||
        addr_parse_port(&flow.peer, word[2]))
        return false;
    unsigned listener = 0;
    for (size_t i = 0; i < word[1].n; i++)
        listener = listener * 10 + (unsigned)(word[1].p[i] - '0');
    flow.proto = (uint8_t)proto;
    flow.listener = listener < p->n_listeners && p->listener[listener].proto == proto
                        ? (uint8_t)listener
                        : 0xFF;
    *natted = str_eq(word[3], STR("nat"));
    *ret = flow;
    return true;
}

static struct str text_or_none(const struct row_value *v)
{
    return v->type == ROW_TEXT ? v->s : STR_NONE;
}

static bool restore(struct pbx *p, const struct row_value *v)
{
    struct flow flow;
    bool natted;
    uint64_t now_ms = pbx_wall_ms(p), max_ms = p->config->sip.timers.register_max_ms;
    if (v[4].i < 0 || (uint64_t)v[4].i <= now_ms || !location_extension(p, v[0].s) ||
        !flow_parse(p, v[7].s, &flow, &natted))
        return false;
    /* Connections did not survive. */
    if (natted && proto_reliable((enum proto)flow.proto))
        return false;
    struct location_texts t = {.aor = v[0].s,
                               .contact = v[1].s,
                               .call_id = v[2].s,
                               .path = text_or_none(&v[6]),
                               .user_agent = text_or_none(&v[9]),
                               .params = text_or_none(&v[10])};
    struct binding *b = location_take(p, &t);
    if (!b)
        return true; /* no room now; the row may serve a later start */
    uint64_t left_ms = (uint64_t)v[4].i - now_ms;
    b->cseq = (uint32_t)v[3].i;
    b->q = (uint16_t)(v[5].i >= 0 && v[5].i <= 1000 ? v[5].i : 1000);
    location_flow_put(p, b, &flow, natted);
    location_live(p, b, (left_ms < max_ms ? left_ms : max_ms) * USEC_MS);
    return true;
}

void registrar_restore(struct pbx *p, const struct row_value *v, unsigned n)
{
    static const enum row_type want[] = {ROW_TEXT, ROW_TEXT, ROW_TEXT, ROW_INT,
                                         ROW_INT,  ROW_INT,  ROW_NULL, ROW_TEXT};
    if (n < 11)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(want); i++)
        if (want[i] != ROW_NULL && v[i].type != want[i])
            return;
    if (!restore(p, v))
        location_row_del(p, v[0].s, v[1].s);
}

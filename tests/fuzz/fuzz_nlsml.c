/* Results of recognition from a server that nobody trusts. */
#include "wire/mrcp/nlsml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena arena;
    struct nlsml r;
    if (!arena.max_bytes)
        arena_init(&arena, 4u << 20);
    arena_reset(&arena);
    if (nlsml_parse(&r, str_of((const char *)data, size), &arena))
        return 0;
    BUG_ON(r.n > NLSML_MAX_ITEMS);
    for (unsigned i = 0; i < r.n; i++)
        BUG_ON(r.item[i].confidence > 1000 || r.item[i].input_conf > 1000);
    return 0;
}

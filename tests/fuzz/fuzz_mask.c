/* Any bytes, masked: as long as before, only with asterisks in them, and masked again the same. A
 * message that was read before is read the same afterwards. */
#include "base/assert.h"
#include "wire/sip/mask.h"
#include "wire/sip/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char once[SIP_MAX_BYTES], twice[SIP_MAX_BYTES];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sip_msg before, after;
    if (size > sizeof(once))
        return 0;
    memcpy(once, data, size);
    struct str id = sip_mask(once, size);
    BUG_ON(id.n && (id.p < once || id.p + id.n > once + size));
    for (size_t i = 0; i < size; i++)
        BUG_ON(once[i] != (char)data[i] && once[i] != '*');
    memcpy(twice, once, size);
    (void)sip_mask(twice, size);
    BUG_ON(memcmp(once, twice, size) != 0);
    if (sip_msg_parse(&before, (const char *)data, size, false))
        return 0;
    BUG_ON(sip_msg_parse(&after, once, size, false));
    BUG_ON(!str_eq(before.call_id, id) || !str_eq(after.call_id, id));
    return 0;
}

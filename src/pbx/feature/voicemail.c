#include "pbx/feature/voicemail.h"

void voicemail_recorded(struct pbx *p, const struct pbx_recorded *r)
{
}

void voicemail_loaded(struct pbx *p, uint32_t clip, int err, uint32_t ms)
{
}

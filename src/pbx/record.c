#include "pbx/record.h"

void record_done(struct pbx *p, const struct pbx_recorded *r)
{
}

#include "pbx/feature/conference_int.h"
static unsigned package_accept(struct pbx *p, const struct config_extension *who,
                               const struct sip_uri *ruri, struct str *resource)
{
    return 404;
}
static void package_body(struct pbx *p, struct subscription_view *view, struct buf *b)
{
}
const struct event_package conference_package = {.name = STR_INIT("conference"),
                                                 .type =
                                                     STR_INIT("application/conference-info+xml"),
                                                 .accept = package_accept,
                                                 .body = package_body};

/* The numbers of base/be.h, under the name by which the media files know them. */
#ifndef WIRE_RTP_BE_H
#define WIRE_RTP_BE_H

#include "base/be.h"

#endif

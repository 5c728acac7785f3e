/* Between the files of the capture reader. */
#ifndef WIRE_CAP_CAP_INT_H
#define WIRE_CAP_CAP_INT_H

#include "base/be.h"
#include "wire/cap/cap.h"

/* What one step over the window came to. */
enum cap_step {
    CAP_WANT,   /* the record is not all there */
    CAP_TAKEN,  /* a frame */
    CAP_PASSED, /* a record without a frame */
    CAP_BAD
};

struct cap_window {
    const uint8_t *p;
    size_t n, at; /* at: how far the steps have come */
    bool last;
};

static inline uint16_t cap_u16(const struct cap *c, const uint8_t *p)
{
    return c->swapped ? be16_get(p) : le16_get(p);
}

static inline uint32_t cap_u32(const struct cap *c, const uint8_t *p)
{
    return c->swapped ? be32_get(p) : le32_get(p);
}

/* Notes what is wrong at w->at. */
enum cap_step cap_bad(struct cap *c, const struct cap_window *w, const char *error);
/* The same, and the next record has to be looked for, from the next byte on. */
enum cap_step cap_lose(struct cap *c, struct cap_window *w, const char *error);

enum cap_step capng_step(struct cap *c, struct cap_window *w, struct cap_frame *f);
/* Could a block begin here? 1, 0, or -1 if more bytes would tell. */
int capng_plausible(const struct cap *c, const struct cap_window *w, size_t at);

#endif

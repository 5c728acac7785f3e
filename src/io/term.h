/* A terminal as a screen: its alternate screen is taken and given back, keys come one by one, and a
 * change of its size is told. What is shown is text with ISO 6429 sequences, made elsewhere. It
 * belongs to the loop's thread. */
#ifndef IO_TERM_H
#define IO_TERM_H

#include "base/str.h"
#include "io/loop.h"

enum term_key { /* characters are themselves, as code points */
                TERM_ENTER = 13,
                TERM_ESCAPE = 27,
                TERM_BACKSPACE = 127,
                TERM_UP = 0x110000,
                TERM_DOWN,
                TERM_LEFT,
                TERM_RIGHT,
                TERM_PAGE_UP,
                TERM_PAGE_DOWN,
                TERM_HOME,
                TERM_END
};

struct term_config {
    int in_fd, out_fd; /* both of one terminal */
    void (*key)(void *ctx, uint32_t key);
    void (*resized)(void *ctx);
    void (*gone)(void *ctx); /* nobody is there any more */
    void *ctx;
};

struct term;

/* -ENOTTY, -ENOMEM or what the system says. */
MUST_CHECK int term_open(struct term **ret, struct loop *loop, const struct term_config *cfg);
/* The terminal is as it was. Accepts NULL. Its memory goes with the next loop_settle(). */
void term_close(struct term *t);
void term_size(const struct term *t, unsigned *columns, unsigned *rows);
/* Shows a whole screen: lines that end with '\n', no more of them than there are rows. What is the
 * same as before is not sent. */
void term_show(struct term *t, struct str screen);

/* For tests: the next key of bytes that came, 0 if they are too few (`last`: no more come). */
uint32_t term_key_parse(struct str bytes, bool last, size_t *ret_n);

#endif

/* The legs that one may have been dialed for, of thousands that are up at a time. Legs are asked
 * for and put in the order of time. */
#ifndef ANALYSIS_TIE_OPEN_H
#define ANALYSIS_TIE_OPEN_H

#include "analysis/tie.h"

struct tie_open;

/* NULL without memory. */
struct tie_open *tie_open_new(struct tie *t);
void tie_open_free(struct tie_open *o);
/* Attempts that stopped when b began, or were about to: who they were made for may have had b made.
 */
void tie_open_stops(struct tie_open *o, uint32_t b);
/* All for which b may have been dialed, and some others, in no order; valid until the next call. */
uint32_t tie_open_for(struct tie_open *o, uint32_t b, const uint32_t **ret);
/* One names the other by X-CID, Session-ID or charging identity. Of what was found for b. */
bool tie_open_named(const struct tie_open *o, uint32_t a, uint32_t b);
/* b is up from now on. Its guess is known. */
void tie_open_put(struct tie_open *o, uint32_t b);

#endif

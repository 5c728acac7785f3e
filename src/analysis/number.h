/* Telephone numbers as people compare them: "+82 70-8666-1427", "0708666 1427", "109Q1427" and
 * "1427" may be one. */
#ifndef ANALYSIS_NUMBER_H
#define ANALYSIS_NUMBER_H

#include "base/str.h"

#define AN_NUMBER_MAX 31

struct an_number {
    uint8_t n;
    bool silent;           /* it says nothing: empty, "anonymous", ... */
    uint32_t tail;         /* the last three, which decide most comparisons; 0: there are fewer */
    uint8_t tenant;        /* characters in front that name its tenant: 4 of 109Q1427 */
    char c[AN_NUMBER_MAX]; /* visual separators and a leading '+' left out; the last ones if long */
};

enum an_likeness {
    AN_UNKNOWN, /* one of them says nothing: empty, "anonymous", ... */
    AN_DIFFER,
    AN_ENDS, /* one is the end of the other, by three characters or more */
    AN_EQUAL
};

struct an_number an_number_of(struct str user);
enum an_likeness an_number_like(const struct an_number *a, const struct an_number *b);
/* What surrounds the number that both end with is the same: "109Q" of 109Q1427 and 109Q1428. */
bool an_number_same_tenant(const struct an_number *a, const struct an_number *b);

#endif

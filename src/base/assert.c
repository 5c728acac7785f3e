#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void bug_report(const char *cond, const char *file, int line)
{
    fprintf(stderr, "ringdown: bug: %s at %s:%d\n", cond, file, line);
    abort();
}

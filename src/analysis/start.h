/* Where a SIP message begins: told by its start line, on whatever port. For the files of this
 * folder that read. */
#ifndef ANALYSIS_START_H
#define ANALYSIS_START_H

#include "base/str.h"

#define AN_START_LINE 8192 /* bytes; a longer first line is not believed */

enum an_start { AN_START_NO = -1, AN_START_MAYBE = 0, AN_START_YES = 1 };

/* Do these bytes begin a SIP message? MAYBE: the line goes on; never said of a whole datagram. */
enum an_start an_start_like(const char *p, size_t n, bool whole);
/* The offset of the first line that begins a SIP message, in a stream that was lost; *found tells
 * whether there is one. If not, what is before the offset holds none and may be dropped. */
size_t an_start_find(const char *p, size_t n, bool *found);

#endif

/* BUG_ON: a programming error stops the process, in release builds too. What a peer sends never
 * comes here; that is a verdict (see wire/sip/msg.h) and a SIP status. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define BUG_ON(cond)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!!(cond), 0))                                                         \
            bug_report(#cond, __FILE__, __LINE__);                                                 \
    } while (0)

#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Prints the broken condition on standard error and aborts. */
_Noreturn void bug_report(const char *cond, const char *file, int line);

#endif

/* The one door to the heap. It counts, and a test can make the n-th request fail. Large tables
 * come from mem_map(): address space now, pages when they are touched. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* NULL when memory is out (or the test said so). Free with mem_free(). */
void *mem_alloc(size_t n);
void *mem_zero(size_t n);
void *mem_resize(void *p, size_t n);
void mem_free(void *p);
char *mem_strndup(const char *p, size_t n);

/* Zeroed pages, reserved but not yet counted as used memory; NULL on failure. */
void *mem_map(size_t bytes);
void mem_unmap(void *p, size_t bytes);
/* What is in mapped pages is not needed any more: they are zero, and take no memory until they are
 * touched. */
void mem_clear(void *p, size_t bytes);
/* What mem_map() gave is used densely, or all over at random: in large pages, where the system has
 * them, it costs fewer faults and look-ups of pages. */
void mem_dense(void *p, size_t bytes);

/* Blocks handed out and not freed by mem_alloc()/mem_resize(), and requests made so far. */
uint64_t mem_live(void);
uint64_t mem_requests(void);
/* The request number `nth` from now (1 is the next) and all later ones fail; 0 ends it. Tests. */
void mem_fail_after(uint64_t nth);

#endif

/* Runs of plain characters, sixteen bytes at a time. Plain are letters, digits, '-' and '.': they
 * belong to every word of the SIP grammar and are most of what is sent, so a scanner that skips
 * them here is left with one look at the separator behind. For the files of this folder only. */
#ifndef WIRE_SIP_SPAN_H
#define WIRE_SIP_SPAN_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __SSE2__
#    include <emmintrin.h>

/* The bytes from first to last. They are moved to the top of what a signed byte holds, where one
 * comparison tells them from all others. */
static inline __m128i span_range(__m128i x, char first, char last)
{
    __m128i top = _mm_add_epi8(x, _mm_set1_epi8((char)(127 - last)));
    return _mm_cmpgt_epi8(top, _mm_set1_epi8((char)(126 - (last - first))));
}

/* Bit i: byte i is not plain. */
static inline unsigned span_others(__m128i x)
{
    /* Bit 5 joins the cases. */
    __m128i letter = span_range(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 'z');
    /* From '-' to '9' there are '-', '.', '/' and the digits. */
    __m128i digit = span_range(x, '-', '9');
    __m128i slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('/'));
    __m128i plain = _mm_or_si128(letter, _mm_andnot_si128(slash, digit));
    return (unsigned)_mm_movemask_epi8(plain) ^ 0xFFFF;
}

static inline __m128i span_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i span_load_half(const char *p)
{
    return _mm_loadl_epi64((const __m128i *)(const void *)p);
}

/* Eight to fifteen bytes, as their first eight and their last eight. */
static inline unsigned span_others_short(const char *p, size_t n)
{
    unsigned both = span_others(_mm_unpacklo_epi64(span_load_half(p), span_load_half(p + n - 8)));
    return (both & 0xFF) | both >> 8 << (n - 8) | 1U << n;
}

/* span_plain() where sixteen bytes were not enough. */
const char *span_plain_more(const char *p, const char *end);

/* Behind the plain characters at p, or somewhere among the last seven bytes before end. Most runs
 * are short, so one step is inline, without a loop for which constants would have to be loaded. */
static inline const char *span_plain(const char *p, const char *end)
{
    if (end - p < 16)
        return end - p < 8 ? p
                           : p + (unsigned)__builtin_ctz(span_others_short(p, (size_t)(end - p)));
    unsigned others = span_others(span_load(p));
    return others ? p + (unsigned)__builtin_ctz(others) : span_plain_more(p + 16, end);
}

static inline __m128i span_at_most(__m128i x, char limit)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(limit)), x);
}

/* Behind the bytes at p above CR, or somewhere among the last 31 before end. */
static inline const char *span_text(const char *p, const char *end)
{
    for (; end - p >= 32; p += 32) {
        unsigned low = (unsigned)_mm_movemask_epi8(span_at_most(span_load(p), '\r'));
        unsigned high = (unsigned)_mm_movemask_epi8(span_at_most(span_load(p + 16), '\r'));
        low |= high << 16;
        if (low)
            return p + (unsigned)__builtin_ctz(low);
    }
    return p;
}

/* How many of the sixteen bytes at p are above SP and no colon, up to the first that is not. */
static inline unsigned span_name_short(const char *p)
{
    __m128i x = span_load(p);
    __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(':')), span_at_most(x, ' '));
    return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8(stop) | 1U << 16);
}
#else
static inline const char *span_plain(const char *p, const char *end)
{
    return p;
}

static inline const char *span_text(const char *p, const char *end)
{
    return p;
}

#endif

#endif

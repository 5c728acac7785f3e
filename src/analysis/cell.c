#include "analysis/cell.h"

#define STAND_IN "\xEF\xBF\xBD" /* U+FFFD */
#define ELLIPSIS "\xE2\x80\xA6"

struct range {
    uint32_t from, to;
};

/* Unicode 15, EastAsianWidth W and F, in blocks. */
static const struct range wide[] = {
    {0x1100, 0x115F},   {0x231A, 0x231B},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},
    {0xA960, 0xA97F},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE10, 0xFE19},
    {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
    {0x1F680, 0x1F6FF}, {0x1F900, 0x1FAFF}, {0x20000, 0x3FFFD},
};
/* What takes no column: combining marks. */
static const struct range mark[] = {
    {0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x064B, 0x065F}, {0x1160, 0x11FF},
    {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F},
};
/* What moves or hides other text: C1, zero width and bidirectional controls. */
static const struct range control[] = {
    {0x7F, 0x9F},     {0xAD, 0xAD},     {0x061C, 0x061C}, {0x200B, 0x200F},
    {0x2028, 0x202E}, {0x2060, 0x206F}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB},
};

static bool in(const struct range *r, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c >= r[i].from && c <= r[i].to)
            return true;
    return false;
}

/* One character of text and how to show it. */
struct glyph {
    size_t n; /* bytes of the text */
    struct str shown;
    unsigned width;
};

/* RFC 3629 section 4; the code point, or UINT32_MAX. */
static uint32_t decode(struct str s, size_t *ret_n)
{
    const uint8_t *p = (const uint8_t *)s.p;
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    *ret_n = 1;
    if (n == 0 || p[0] > 0xF4 || n > s.n)
        return UINT32_MAX;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return UINT32_MAX;
        c = c << 6 | (p[i] & 0x3F);
    }
    bool overlong = (n == 3 && c < 0x800) || (n == 4 && c < 0x10000);
    if (overlong || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
        return UINT32_MAX;
    *ret_n = n;
    return c;
}

static struct glyph next(struct str s)
{
    struct glyph g = {.width = 1};
    uint32_t c = decode(s, &g.n);
    g.shown = str_sub(s, 0, g.n);
    if (c < 0x20) {
        g.shown = STR(".");
    } else if (c == UINT32_MAX || in(control, ARRAY_LEN(control), c)) {
        g.shown = STR(STAND_IN);
    } else if (c >= 0x300) {
        if (in(mark, ARRAY_LEN(mark), c))
            g.width = 0;
        else if (in(wide, ARRAY_LEN(wide), c))
            g.width = 2;
    }
    return g;
}

unsigned an_cell_width(struct str s)
{
    unsigned width = 0;
    while (s.n) {
        struct glyph g = next(s);
        width += g.width;
        s = str_from(s, g.n);
    }
    return width;
}

void an_cell_text(struct an_sink *out, struct str s)
{
    while (s.n) {
        struct glyph g = next(s);
        an_sink_str(out, g.shown);
        s = str_from(s, g.n);
    }
}

void an_cell_put(struct an_sink *out, struct str s, unsigned width, bool right)
{
    unsigned whole = an_cell_width(s), used = 0;
    if (right && whole < width)
        an_sink_fill(out, STR(" "), width - whole);
    unsigned room = whole > width && width ? width - 1 : width;
    while (s.n) {
        struct glyph g = next(s);
        if (used + g.width > room)
            break;
        an_sink_str(out, g.shown);
        used += g.width;
        s = str_from(s, g.n);
    }
    if (whole > width && width) {
        an_sink_z(out, ELLIPSIS);
        used++;
    }
    if (used < width && !(right && whole < width))
        an_sink_fill(out, STR(" "), width - used);
}

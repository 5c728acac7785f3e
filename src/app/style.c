#include "app/style.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"

#define PIPE_COLUMNS 140 /* of what is no terminal */

static unsigned columns(void)
{
    struct winsize size;
    const char *env = getenv("COLUMNS");
    uint64_t n;
    if (env && num_u64(&n, str_z(env), 1000) == 0 && n >= STYLE_MIN_COLUMNS)
        return (unsigned)n;
    if (isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col < STYLE_MIN_COLUMNS ? STYLE_MIN_COLUMNS : size.ws_col;
    return PIPE_COLUMNS;
}

/* no-color.org: set and not empty. */
static bool colors(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(no && no[0]) && !(term && strcmp(term, "dumb") == 0);
}

void style_default(struct an_style *style)
{
    enum an_lang lang = AN_ENGLISH;
    setlocale(LC_CTYPE, "");
    const char *locale = setlocale(LC_MESSAGES, "");
    if (locale && an_lang_parse(&lang, str_z(locale)))
        lang = AN_ENGLISH;
    *style = (struct an_style){.width = columns(),
                               .color = colors(),
                               .unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                               .lang = (uint8_t)lang};
}

int32_t style_zone_at(uint64_t at_ns)
{
    time_t at_s = (time_t)(at_ns / 1000000000u);
    struct tm tm;
    tzset();
    return localtime_r(&at_s, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

const char *style_color_set(struct an_style *style, const char *when)
{
    if (strcmp(when, "always") == 0)
        style->color = true;
    else if (strcmp(when, "never") == 0)
        style->color = false;
    else if (strcmp(when, "auto") != 0)
        return "--color takes auto, always or never";
    return NULL;
}

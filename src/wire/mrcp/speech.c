/* SSML and SRGS, written. */
#include "wire/mrcp/speech.h"

#include <errno.h>

static int done(struct buf *b, size_t from)
{
    if (!b->full)
        return 0;
    b->n = from;
    return -ENOBUFS;
}

int speech_ssml(struct buf *b, struct str text, struct str lang, struct str voice)
{
    size_t from = b->n;
    buf_lit(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<speak version=\"1.0\" "
               "xmlns=\"http://www.w3.org/2001/10/synthesis\" xml:lang=\"");
    buf_xml(b, lang);
    buf_lit(b, "\">");
    if (voice.n) {
        buf_lit(b, "<voice name=\"");
        buf_xml(b, voice);
        buf_lit(b, "\">");
    }
    buf_xml(b, text);
    if (voice.n)
        buf_lit(b, "</voice>");
    buf_lit(b, "</speak>\r\n");
    return done(b, from);
}

bool speech_is_ssml(struct str text)
{
    struct str s = str_trim(text);
    return str_starts(s, STR("<speak")) ||
           (str_starts(s, STR("<?xml")) && str_ifind(s, STR("<speak")) >= 0);
}

static void head(struct buf *b, struct str lang, bool keys)
{
    buf_lit(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<grammar version=\"1.0\" "
               "xmlns=\"http://www.w3.org/2001/06/grammar\" root=\"r\"");
    if (keys) {
        buf_lit(b, " mode=\"dtmf\"");
    } else {
        buf_lit(b, " xml:lang=\"");
        buf_xml(b, lang);
        buf_lit(b, "\"");
    }
    buf_lit(b, "><rule id=\"r\" scope=\"public\">");
}

int speech_srgs(struct buf *b, const struct speech_phrases *p)
{
    size_t from = b->n;
    if (!p->n)
        return -EINVAL;
    head(b, p->lang, false);
    buf_lit(b, "<one-of>");
    for (unsigned i = 0; i < p->n; i++) {
        buf_lit(b, "<item>");
        buf_xml(b, p->phrase[i]);
        buf_lit(b, "</item>");
    }
    buf_lit(b, "</one-of></rule></grammar>\r\n");
    return done(b, from);
}

int speech_srgs_digits(struct buf *b, unsigned least, unsigned most)
{
    size_t from = b->n;
    if (!least || least > most)
        return -EINVAL;
    head(b, STR_NONE, true);
    buf_printf(b, "<item repeat=\"%u-%u\"><one-of>", least, most);
    for (char c = '0'; c <= '9'; c++)
        buf_printf(b, "<item>%c</item>", c);
    buf_lit(b, "</one-of></item></rule></grammar>\r\n");
    return done(b, from);
}

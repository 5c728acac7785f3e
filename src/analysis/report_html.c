/* One page for a browser that needs nothing from anywhere: the document of report_json.c with the
 * texts of the messages, and the script that shows it. Its policy lets that script run and no
 * other, and lets nothing be loaded. */
#include "analysis/json.h"
#include "analysis/page.h"
#include "analysis/report.h"

static void put_hash(struct an_sink *out, const char *what, const struct embedded *e)
{
    an_sink_fmt(out, "; %s 'sha256-", what);
    an_sink_base64(out, e->sha256, sizeof(e->sha256));
    an_sink_ch(out, '\'');
}

static void put_head(const struct an_report *r, struct an_sink *out)
{
    an_sink_fmt(out, "<!doctype html>\n<html lang=\"%s\">\n<head>\n<meta charset=\"utf-8\">\n",
                r->style.lang == AN_KOREAN ? "ko" : "en");
    an_sink_z(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                   "img-src data:; media-src data:");
    put_hash(out, "style-src", &page_css);
    put_hash(out, "script-src", &page_js);
    an_sink_z(out, "\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"
                   "<title>Ringdown</title>\n<style>");
    an_sink_str(out, page_css.text);
    an_sink_z(out, "</style>\n</head>\n<body>\n<header></header>\n<main><nav id=\"list\"></nav>"
                   "<article id=\"detail\"></article></main>\n");
}

void an_report_html(const struct an_report *r, uint32_t call, struct an_sink *out)
{
    struct an_json j;
    an_json_init(&j, out);
    j.in_page = true;
    put_head(r, out);
    an_sink_z(out, "<script type=\"application/json\" id=\"data\">");
    an_report_json_to(r, call, &j);
    an_sink_z(out, "</script>\n<script>");
    an_sink_str(out, page_js.text);
    an_sink_z(out, "</script>\n</body>\n</html>\n");
}

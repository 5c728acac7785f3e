/* The way through a sip: URI that most of them take, inline for the message pass; what is rare is
 * in uri.c. For the files of this folder only. A scanner returns where it stopped, at the end or at
 * a character that no URI has there, or NULL. RFC 3261 19.1. */
#ifndef WIRE_SIP_URI_SCAN_H
#define WIRE_SIP_URI_SCAN_H

#include "wire/sip/lex.h"

/* p is at the first ';'. Returns behind the last parameter. */
const char *uri_params_scan(const char *p, const char *end, struct sip_uri *u);
/* Behind visible characters but those that would break the header the URI stands in. */
const char *uri_visible_scan(const char *p, const char *end);
/* User and password from p on, if there is an '@' at or behind q; returns behind it, or p. */
const char *uri_user_scan(const char *p, const char *q, const char *end, struct sip_uri *u);
/* A URI whose scheme is not written "sip:". */
const char *uri_other_scan(const char *p, const char *end, struct sip_uri *u);

/* p is behind the scheme and its colon. */
static inline const char *uri_sip_scan(const char *p, const char *end, struct sip_uri *u)
{
    /* Most users are made of host characters, so one span finds '@' or proves the short form. */
    const char *q = lex_span(p, end, LEX_HOST);
    if (q < end && *q == '@' && q > p) {
        u->user = lex_str(p, q);
        p = q + 1;
        q = lex_host(p, end);
    } else if (q == p || q == end || *q != '>') {
        p = uri_user_scan(p, q, end, u);
        q = p ? lex_host(p, end) : NULL;
    }
    if (!q)
        return NULL;
    u->host = lex_str(p, q);
    if (q < end && *q == ':')
        q = lex_port(q + 1, end, &u->port);
    if (q && q < end && *q == ';')
        q = uri_params_scan(q, end, u);
    if (q && q < end && *q == '?') {
        /* The header part is loose: Refer-To of real phones carries unescaped '@', ';', '='. */
        p = q + 1;
        q = uri_visible_scan(p, end);
        u->headers = lex_str(p, q);
    }
    return q;
}

/* *ret holds uri_none before. */
static inline const char *uri_scan_at(const char *p, const char *end, struct sip_uri *ret)
{
    const char *q;
    if (end - p > 4 && memcmp(p, "sip:", 4) == 0) {
        ret->scheme_text = str_of(p, 3);
        q = uri_sip_scan(p + 4, end, ret);
    } else {
        q = uri_other_scan(p, end, ret);
    }
    if (q)
        ret->whole = lex_str(p, q);
    return q;
}

#endif

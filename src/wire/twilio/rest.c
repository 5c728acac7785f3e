/* What a bot asks of a call by HTTP, and what proves who asks. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "wire/twilio/twilio.h"

#define FORM_MOST 16384

int twilio_signature(char ret[TWILIO_SIGNATURE_BYTES], struct str token, struct str url)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct buf b;
    if (token.n > INT32_MAX || !HMAC(EVP_sha1(), token.p ? token.p : "", (int)token.n,
                                     (const uint8_t *)url.p, url.n, mac, &n))
        return -EINVAL;
    buf_init(&b, ret, TWILIO_SIGNATURE_BYTES);
    base64_put(&b, mac, n);
    ret[TWILIO_SIGNATURE_BYTES - 1] = '\0';
    return 0;
}

static bool eat(struct str *s, struct str prefix)
{
    if (!str_starts(*s, prefix))
        return false;
    *s = str_from(*s, prefix.n);
    return true;
}

int twilio_path(struct twilio_path *ret, struct str path)
{
    if (!eat(&path, STR("/2010-04-01/Accounts/")))
        return -ENOENT;
    struct twilio_path p = {.account = str_sub(path, 0, TWILIO_SID_BYTES - 1)};
    path = str_from(path, p.account.n);
    if (!twilio_sid_is(p.account, "AC") || !eat(&path, STR("/Calls/")))
        return -ENOENT;
    p.call = str_sub(path, 0, TWILIO_SID_BYTES - 1);
    path = str_from(path, p.call.n);
    if (!twilio_sid_is(p.call, "CA") || (!str_eq(path, STR(".json")) && path.n))
        return -ENOENT;
    *ret = p;
    return 0;
}

/* ---- the form -------------------------------------------------------------------------------- */

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = chr_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* WHATWG URL section 5.1: + is a space, %XX a byte. */
static int unescape(struct buf *b, struct str in)
{
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] != '%') {
            buf_ch(b, in.p[i] == '+' ? ' ' : in.p[i]);
            continue;
        }
        int high = i + 2 < in.n ? hex_of(in.p[i + 1]) : -1;
        int low = i + 2 < in.n ? hex_of(in.p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return -EINVAL;
        buf_ch(b, (char)(high << 4 | low));
        i += 2;
    }
    return b->full ? -EINVAL : 0;
}

/* The value of a field, as it is written; STR_NONE: there is none. */
static struct str field(struct str form, struct str name)
{
    while (form.n) {
        ptrdiff_t end = str_chr(form, '&');
        struct str one = end < 0 ? form : str_sub(form, 0, (size_t)end);
        form = end < 0 ? str_sub(form, 0, 0) : str_from(form, (size_t)end + 1);
        if (one.n > name.n && str_starts(one, name) && one.p[name.n] == '=')
            return str_from(one, name.n + 1);
    }
    return STR_NONE;
}

/* ---- TwiML, as much of it as ends or moves a call -------------------------------------------- */

/* What is behind the first `end`; STR_NONE: there is none. */
static struct str behind(struct str s, struct str end)
{
    ptrdiff_t at = str_ifind(s, end);
    return at < 0 ? STR_NONE : str_from(s, (size_t)at + end.n);
}

/* The next tag of the document, without its brackets; what is before it goes to `text`. A comment
 * is one, whatever is in it. */
static bool tag_next(struct str *xml, struct str *text, struct str *tag)
{
    ptrdiff_t open = str_chr(*xml, '<');
    if (open < 0)
        return false;
    *text = str_sub(*xml, 0, (size_t)open);
    struct str rest = str_from(*xml, (size_t)open + 1);
    bool comment = str_starts(rest, STR("!--"));
    struct str next = comment ? behind(str_from(rest, 3), STR("-->")) : behind(rest, STR(">"));
    if (!next.p)
        return false;
    *tag = str_sub(rest, 0, rest.n - next.n - 1);
    *xml = next;
    return true;
}

static bool tag_is(struct str tag, struct str name)
{
    return str_starts(tag, name) && (tag.n == name.n || strchr(" \t\r\n/", tag.p[name.n]) != NULL);
}

static int fail(struct twilio_update *u, const char *why)
{
    u->why = why;
    return -EINVAL;
}

/* Nothing of it is quoted: a number, or a URI whose few special characters TwiML would write as
 * entities. */
bool twilio_target_is(struct str s)
{
    bool uri = str_istarts(s, STR("sip:")) || str_istarts(s, STR("sips:"));
    ptrdiff_t scheme = uri ? str_chr(s, ':') + 1 : 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 127 || strchr("<>\"&", c) || (!uri && !strchr("+*#0123456789", c)))
            return false;
    }
    return s.n > (size_t)scheme;
}

static int target_put(struct twilio_update *u, struct str text)
{
    text = str_trim(text);
    if (text.n == 0 || text.n >= sizeof(u->target))
        return fail(u, "<Dial> needs a number, or <Number> or <Sip> with one");
    if (!twilio_target_is(text))
        return fail(u, "this is neither a number nor a SIP URI");
    str_copy_z(u->target, sizeof(u->target), text);
    u->order = TWILIO_TRANSFER;
    return 0;
}

/* Whom the bot means to call would be a guess, if more than one number were passed over. */
static int dial(struct twilio_update *u, struct str xml)
{
    struct str text, tag, behind_it, noun = STR_NONE;
    if (!tag_next(&xml, &text, &tag))
        return fail(u, "<Dial> does not end");
    if (!str_trim(text).n && (tag_is(tag, STR("Number")) || tag_is(tag, STR("Sip")))) {
        noun = tag;
        if (!tag_next(&xml, &text, &tag) || !str_starts(tag, STR("/")) ||
            !tag_is(noun, str_trim(str_from(tag, 1))))
            return fail(u, "<Number> or <Sip> holds a number and nothing else");
        if (!tag_next(&xml, &behind_it, &tag) || str_trim(behind_it).n)
            return fail(u, "<Dial> does not end behind its number");
    }
    if (!tag_is(tag, STR("/Dial")))
        return fail(u, "<Dial> takes one number, or one <Number> or <Sip>, and nothing else");
    return target_put(u, text);
}

/* The first verb decides, since behind a <Dial> or <Hangup> nothing of a document is heard here. */
static int twiml(struct twilio_update *u, struct str xml)
{
    struct str text, tag;
    bool response = false;
    while (tag_next(&xml, &text, &tag)) {
        if (str_starts(tag, STR("?")) || str_starts(tag, STR("!--")))
            continue;
        if (str_starts(tag, STR("!"))) /* who reads its entities can be made to read for ever */
            return fail(u, "a document type is not read, nor CDATA");
        if (!response && tag_is(tag, STR("Response")) && tag.p[tag.n - 1] == '/')
            return 0;
        if (!response && tag_is(tag, STR("Response")))
            response = true;
        else if (!response)
            break;
        else if (tag_is(tag, STR("Hangup")) || tag_is(tag, STR("/Response")))
            return 0; /* an empty document ends the call too */
        else if (tag_is(tag, STR("Dial")) && tag.p[tag.n - 1] != '/')
            return dial(u, xml);
        else
            return fail(u, "of TwiML there are <Dial> and <Hangup>, as the first verb");
    }
    return fail(u, "this is no <Response>");
}

int twilio_update(struct twilio_update *ret, struct str form)
{
    struct twilio_update u = {.order = TWILIO_HANGUP};
    static const char nothing[] = "nothing to do: Status=completed or Twiml= is understood";
    char mem[FORM_MOST];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    struct str status = field(form, STR("Status")), doc = field(form, STR("Twiml"));
    int err = 0;
    if (status.p && str_ieq(status, STR("canceled"))) /* it has a sid since it was answered */
        err = fail(&u, "a call that was answered is not canceled: Status=completed ends it");
    else if (status.p && !str_ieq(status, STR("completed")))
        err = fail(&u, "of Status there is \"completed\"");
    else if (!status.p && doc.p)
        err = unescape(&b, doc) ? fail(&u, "Twiml is not well escaped, or too long")
                                : twiml(&u, buf_str(&b));
    else if (!status.p)
        err = fail(&u, field(form, STR("Url")).p ? "Url is not fetched: give the document as Twiml"
                                                 : nothing);
    *ret = u;
    return err;
}

bool twilio_basic_is(struct str basic, struct str account, struct str token)
{
    uint8_t got[512];
    char want[512];
    struct buf b;
    if (!token.n || !str_istarts(basic, STR("Basic ")))
        return false;
    struct str code = str_trim(str_from(basic, 6));
    if (base64_most(code.n) > sizeof(got))
        return false;
    long n = base64_get(got, code);
    buf_init(&b, want, sizeof(want));
    buf_str_put(&b, account);
    buf_ch(&b, ':');
    buf_str_put(&b, token);
    return n >= 0 && !b.full && (size_t)n == b.n && CRYPTO_memcmp(got, want, b.n) == 0;
}

/* What must not be seen is not, and everything else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/sip/mask.h"

/* `want` has a '*' for each byte that must be masked. */
static void check(const char *text, const char *want, const char *call_id)
{
    size_t n = strlen(text);
    char *mem = malloc(n + 1); /* of its own, so that a byte too many is seen */
    assert_non_null(mem);
    memcpy(mem, text, n);
    struct str id = sip_mask(mem, n);
    assert_int_equal(id.n, strlen(call_id));
    assert_memory_equal(id.p ? id.p : "", call_id, id.n);
    mem[n] = '\0';
    assert_string_equal(mem, want);
    free(mem);
}

static void credentials(void **state)
{
    (void)state;
    check("REGISTER sip:a SIP/2.0\r\nCall-ID: 1@b\r\n"
          "Authorization: Digest username=\"u\", nonce=\"n\", response=\"0123\", "
          "cnonce=\"c\"\r\n\r\n",
          "REGISTER sip:a SIP/2.0\r\nCall-ID: 1@b\r\n"
          "Authorization: Digest username=\"u\", nonce=\"n\", response=\"****\", "
          "cnonce=\"c\"\r\n\r\n",
          "1@b");
    check("INVITE sip:a SIP/2.0\r\ni:x\r\nPROXY-authorization :\r\n digest Response = abc,\r\n"
          "\tresponse=\"d\\\"e\"\r\n\r\n",
          "INVITE sip:a SIP/2.0\r\ni:x\r\nPROXY-authorization :\r\n digest Response = ***,\r\n"
          "\tresponse=\"****\"\r\n\r\n",
          "x");
    check("INVITE sip:a SIP/2.0\r\nAuthorization: Basic dXNlcg==\r\nCall-ID: 2\r\n\r\n",
          "INVITE sip:a SIP/2.0\r\nAuthorization: Basic ********\r\nCall-ID: 2\r\n\r\n", "2");
    check("INVITE sip:a SIP/2.0\r\nAuthorization: X\r\n a b\r\nCall-ID: 2\r\n\r\n",
          "INVITE sip:a SIP/2.0\r\nAuthorization: X\r\n * *\r\nCall-ID: 2\r\n\r\n", "2");
    check("SIP/2.0 200 OK\r\nAuthentication-Info: qop=auth, rspauth=\"0a\", nc=1\r\nCall-ID: "
          "2\r\n\r\n",
          "SIP/2.0 200 OK\r\nAuthentication-Info: qop=auth, rspauth=\"**\", nc=1\r\nCall-ID: "
          "2\r\n\r\n",
          "2");
    /* A response to a challenge is no secret anywhere else. */
    check("SIP/2.0 200 OK\nCall-ID:\n 3 \nX-A: response=1\n\nresponse=\"2\"",
          "SIP/2.0 200 OK\nCall-ID:\n 3 \nX-A: response=1\n\nresponse=\"2\"", "3");
}

static void bodies(void **state)
{
    (void)state;
    check("INVITE sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nv=0\r\n"
          "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:abcd|2^20|1:4;inline:ef\r\n"
          "a=x:inline:seen\r\n",
          "INVITE sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nv=0\r\n"
          "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:****|2^20|1:4;inline:**\r\n"
          "a=x:inline:seen\r\n",
          "1");
    check("INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nSignal= 5\r\nDuration=160\r\n",
          "INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nSignal= *\r\nDuration=160\r\n", "1");
    check("INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n7\r\n",
          "INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n*\r\n", "1");
    /* Everything that dtmf_info_parse() takes for a key. */
    check("INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nsignal : 5\r\nDuration=160\r\n",
          "INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nsignal : *\r\nDuration=160\r\n", "1");
    check("INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nDuration=160\r Signal=\" 5 \"\r\n",
          "INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nDuration=160\r Signal=* * *\r\n", "1");
    check("INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n5\r\nDuration=160\r\n",
          "INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n*\r\nDuration=160\r\n", "1");
    check("INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n<media_control/>\r\n",
          "INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n<media_control/>\r\n", "1");
    /* Behind empty lines it is still a message. */
    check("\r\nINFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nSignal=5\r\n",
          "\r\nINFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nSignal=*\r\n", "1");
    check("\r\n\r\nREGISTER sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n",
          "\r\n\r\nREGISTER sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\n", "1");
    /* What a stream holds that could not be cut into messages. */
    check("INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nREGISTER sip:a SIP/2.0\r\n"
          "Authorization: Digest response=abc\r\n\r\n",
          "INFO sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nREGISTER sip:a SIP/2.0\r\n"
          "Authorization: Digest response=***\r\n\r\n",
          "1");
    check("MESSAGE sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nSignal=5\r\n",
          "MESSAGE sip:a SIP/2.0\r\nCall-ID: 1\r\n\r\nSignal=5\r\n", "1");
}

static void no_message(void **state)
{
    (void)state;
    check("", "", "");
    check("\r\n\r\n", "\r\n\r\n", "");
    check("junk", "junk", "");
    check("INVITE x\r\nAuthorization", "INVITE x\r\nAuthorization", "");
    check("INVITE x\r\nAuthorization:", "INVITE x\r\nAuthorization:", "");
    check("INVITE x\r\nAuthorization: Digest response=\"abc",
          "INVITE x\r\nAuthorization: Digest response=\"***", "");
    check("INVITE x\r\nAuthorization: Digest response=\"",
          "INVITE x\r\nAuthorization: Digest response=\"", "");
    check("INFO x\r\n\r\nSignal", "INFO x\r\n\r\nSignal", "");
}

/* Cut anywhere, it reads and writes nothing that is not there: each copy is of its own size. */
static void cut_anywhere(void **state)
{
    (void)state;
    static const char text[] =
        "INFO sip:a SIP/2.0\r\nCall-ID: 1\r\nAuthorization: Digest a=\"\\\"\", response=\"12\"\r\n"
        "\r\nSignal=5\r\na=crypto:1 X inline:abc\r\n";
    for (size_t n = 0; n < sizeof(text); n++) {
        char *mem = malloc(n ? n : 1);
        assert_non_null(mem);
        memcpy(mem, text, n);
        (void)sip_mask(mem, n);
        free(mem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credentials),
        cmocka_unit_test(bodies),
        cmocka_unit_test(no_message),
        cmocka_unit_test(cut_anywhere),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The configuration: what an empty file gives, what a full one gives, and the exact words for what
 * is wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "pbx/config.h"

static struct config_errors errs;

static struct config *load(const char *text)
{
    struct config *c = NULL;
    int err = config_load(&c, "f", str_z(text), &errs);
    if (err && errs.n)
        print_message("%s\n", errs.v[0].text);
    assert_int_equal(err, 0);
    assert_int_equal(errs.total, 0);
    return c;
}

static void assert_str(struct str s, const char *want)
{
    assert_int_equal(s.n, strlen(want));
    assert_memory_equal(s.p, want, s.n);
}

static void empty_file_gives_the_documented_defaults(void **state)
{
    struct config *c = load("");
    assert_int_equal(c->sip.timers.t1_ms, 500);
    assert_int_equal(c->sip.timers.t2_ms, 4000);
    assert_int_equal(c->sip.timers.t4_ms, 5000);
    assert_int_equal(c->sip.timers.invite_timeout_ms, 30000);
    assert_int_equal(c->sip.timers.bye_timeout_ms, 32000);
    assert_int_equal(c->sip.timers.register_expires_ms, 3600000);
    assert_int_equal(c->sip.timers.session_expires_ms, 1800000);
    assert_int_equal(c->sip.timers.min_se_ms, 90000);
    assert_int_equal(c->sip.timers.session_refresher, CONF_REFRESHER_UAS);
    assert_int_equal(c->sip.timers.no_answer_timeout_ms, 10000);
    assert_false(c->sip.timers.adaptive_t1);
    assert_int_equal(c->media.rtp_timeout_ms, 60000);
    assert_int_equal(c->media.ports.low, 20000);
    assert_int_equal(c->media.ports.high, 29999);
    assert_int_equal(c->media.codecs.n, 4);
    assert_int_equal(c->media.codecs.v[0], CONF_CODEC_OPUS);
    assert_int_equal(c->media.codecs.v[3], CONF_CODEC_PCMA);
    assert_int_equal(c->sip.listen.n, 2);
    assert_int_equal(c->sip.listen.v[1].proto, PROTO_TCP);
    assert_int_equal(c->sip.listen.v[1].addr.port, 5060);
    assert_str(c->sip.domain, "ringdown");
    assert_str(c->store.url, "sqlite:var/ringdown.db");
    assert_int_equal(c->n_extensions, 0);
    assert_null(config_unref(c));
    assert_int_equal(config_default(&c), 0);
    assert_int_equal(c->sip.timers.t1_ms, 500);
    config_unref(config_ref(c));
    config_unref(c);
}

/* As many as there may be, and one. */
#define CERT4                                                                                      \
    "{certificate: c, private_key: k}, {certificate: c, private_key: k},\n"                        \
    "{certificate: c, private_key: k}, {certificate: c, private_key: k},\n"
#define CERT32 CERT4 CERT4 CERT4 CERT4 CERT4 CERT4 CERT4 CERT4
#define CERT33 CERT32 "{certificate: c, private_key: k}"

static const char full[] =
    "sip:\n"
    "  domain: pbx.test\n"
    "  listen: [\"udp:127.0.0.104:5060\", 'tcp:[::1]:5070', tls:127.0.0.1]\n"
    "  external: 203.0.113.7\n"
    "  call_id_host: 127.0.0.77\n"
    "  tls: {certificate: a.pem, private_key: b.pem}\n"
    "  timers: {t1: 0.25, t2: 4.0, invite_timeout: 5, session_refresher: uac, adaptive_t1: true}\n"
    "media: {address: 127.0.0.1, ports: 30000-30099, codecs: [PCMA, pcmu], rtp_timeout: 2.5}\n"
    "extensions:\n"
    "  - {number: \"1427\", username: \"109Q1427\", password: \"x:y\", name: 'Büro, eins',\n"
    "     did: [\"07086661427\"], pickup_group: sales, voicemail: true, record: mixed,\n"
    "     forward: {busy: \"1428\", timeout: 12}}\n"
    "  - number: 1428\n"
    "    ha1:\n"
    "      MD5: 0123456789abcdef0123456789ABCDEF\n"
    "      SHA-256: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
    "    bot: agent\n"
    "groups:\n"
    "  - {number: \"2000\", members: [\"1427\", \"1428\"], strategy: parallel, ring_time: 7,\n"
    "     did: \"0708\"}\n"
    "trunks:\n"
    "  - {name: kt, uri: \"sip:127.0.0.77:5080\", codecs: [PCMA], failover: [kt2],\n"
    "     addresses: [\"127.0.0.64/26\", \"2001:db8::/33\"]}\n"
    "  - {name: kt2, uri: \"sip:b\", username: u, password: p, register: true}\n"
    "routes:\n"
    "  - {match: \"^0[0-9]{2,}$\", to: \"trunk:kt\", strip: 1, prepend: \"82\"}\n"
    "  - {from: \"trunk:kt2\", match: \"^.*1427$\", to: \"extension:1427\"}\n"
    "  - {match: \"^9\", to: \"reject:403\"}\n"
    "features: {pickup: \"*8\", directed_pickup: [\"**\", \"*97\"], echo: \"\"}\n"
    "conferences: [{number: \"3000\", pin: \"12\", record: both}]\n"
    "bots:\n"
    "  - {name: reception, engine: builtin}\n"
    "  - {name: agent, engine: stream, url: \"ws://127.0.0.1:9000/call\"}\n"
    "  - {name: ivr, engine: mrcp, server: \"sip:127.0.0.1:8060\"}\n"
    "recording: {dir: rec, mode: tracks}\n"
    "web: {listen: \"\"}\n"
    "store: {url: \"postgresql://db/ringdown\"}\n"
    "log: {level: debug, format: json}\n";

static void full_file_is_read(void **state)
{
    struct config *c = load(full);
    assert_int_equal(c->sip.timers.t1_ms, 250);
    assert_int_equal(c->sip.timers.invite_timeout_ms, 5000);
    assert_int_equal(c->sip.timers.no_answer_timeout_ms, 0); /* 10 s would come too late */
    assert_int_equal(c->sip.timers.session_refresher, CONF_REFRESHER_UAC);
    assert_true(c->sip.timers.adaptive_t1);
    assert_int_equal(c->sip.listen.v[1].addr.family, ADDR_V6);
    assert_int_equal(c->sip.listen.v[2].addr.port, 5061);
    assert_int_equal(c->media.codecs.v[1], CONF_CODEC_PCMU);
    assert_int_equal(c->media.rtp_timeout_ms, 2500);
    assert_int_equal(c->n_extensions, 2);
    const struct config_extension *e = config_find_user(c, STR("109Q1427"));
    assert_ptr_equal(e, &c->extensions[0]);
    assert_str(e->password.secret, "x:y");
    assert_str(e->name, "Büro, eins");
    assert_str(e->caller_id, "07086661427");
    assert_str(e->forward.busy, "1428");
    assert_int_equal(e->forward.timeout_ms, 12000);
    assert_int_equal(e->codecs.n, 2);
    assert_int_equal(config_record_of(c, e), CONF_RECORD_MIXED);
    assert_int_equal(config_record_of(c, &c->extensions[1]), CONF_RECORD_TRACKS);
    assert_ptr_equal(config_find_extension(c, STR("1427")), e);
    assert_ptr_equal(config_find_did(c, STR("07086661427")), e);
    assert_null(config_find_did(c, STR("0708")));
    assert_ptr_equal(config_find_did_group(c, STR("0708")), &c->groups[0]);
    assert_null(config_find_user(c, STR("1427")));
    e = config_find_user(c, STR("1428"));
    assert_str(e->ha1.v[CONF_ALGORITHM_MD5], "0123456789abcdef0123456789ABCDEF");
    assert_int_equal(e->ha1.v[CONF_ALGORITHM_SHA256].n, 64);
    assert_null(e->ha1.v[CONF_ALGORITHM_SHA512_256].p);
    assert_int_equal(c->groups[0].strategy, CONF_STRATEGY_PARALLEL);
    assert_ptr_equal(config_find_group(c, STR("2000")), &c->groups[0]);
    assert_null(config_find_extension(c, STR("2000")));
    assert_ptr_equal(config_find_conference(c, STR("3000")), &c->conferences[0]);
    assert_int_equal(c->features.directed_pickup.n, 2);
    assert_int_equal(c->web.listen.family, ADDR_NONE);
    assert_str(config_codec_name(CONF_CODEC_AMR_WB), "AMR-WB");
    config_unref(c);
}

static void routes_are_found_in_order(void **state)
{
    struct config *c = load(full);
    const struct config_route *r = config_find_route(c, CONF_TARGET_EXTENSION, 0, STR("0105"));
    assert_ptr_equal(r, &c->routes[0]);
    assert_int_equal(r->to.kind, CONF_TARGET_TRUNK);
    assert_int_equal(r->to.index, 0);
    assert_null(config_find_route(c, CONF_TARGET_EXTENSION, 0, STR("0a")));
    /* The text is compared by its length, not to a NUL. */
    assert_null(config_find_route(c, CONF_TARGET_EXTENSION, 0, str_of("0105", 2)));
    assert_ptr_equal(config_find_route(c, CONF_TARGET_TRUNK, 1, STR("+8221427")), &c->routes[1]);
    assert_null(config_find_route(c, CONF_TARGET_TRUNK, 0, STR("+8221427")));
    assert_int_equal(config_find_route(c, CONF_TARGET_EXTENSION, 1, STR("9"))->to.status, 403);
    struct addr a;
    const struct config_nets *nets = &config_find_trunk(c, STR("kt"))->addresses;
    assert_int_equal(addr_parse(&a, STR("127.0.0.77"), 5080), 0);
    assert_true(config_nets_match(nets, &a));
    assert_int_equal(addr_parse(&a, STR("127.0.0.129"), 0), 0);
    assert_false(config_nets_match(nets, &a));
    assert_int_equal(addr_parse(&a, STR("2001:db8:8000::1"), 0), 0);
    assert_false(config_nets_match(nets, &a));
    config_unref(c);
}

/* What is derived from what was given. */
static void derived_values(void **state)
{
    struct config *c =
        load("sip: {timers: {t1: 5, register_expires: 30}, listen: 'udp:192.0.2.1'}\n");
    assert_int_equal(c->sip.timers.t2_ms, 5000);
    assert_int_equal(c->sip.timers.t1_max_ms, 5000);
    assert_int_equal(c->sip.timers.register_min_ms, 30000);
    assert_str(c->sip.domain, "192.0.2.1");
    assert_str(c->sip.call_id_host, "192.0.2.1");
    config_unref(c);
    c = load("sip: {timers: {preset: unstable}}\n");
    assert_int_equal(c->sip.timers.t1_ms, 1000);
    assert_int_equal(c->sip.timers.t2_ms, 8000);
    config_unref(c);
    c = load("sip: {timers: {preset: unstable, t1: 0.1}}\n");
    assert_int_equal(c->sip.timers.t1_ms, 100);
    config_unref(c);
    c = load("limits: {requests_per_second: 5000}\nauth:\n# nothing\nextensions:\n");
    assert_int_equal(c->limits.requests_burst, 5000);
    config_unref(c);
}

#define STREAM(url) "bots: [{name: a, engine: stream, url: \"" url "\""
#define EXT(number) "extensions:\n  - {number: \"" number "\", password: p"

static const struct {
    const char *text, *want;
} bad[] = {
    {"sip: {timers: {t1: 0}}\n", "f:1: sip.timers.t1: must be from 0.01 to 10 seconds"},
    {"sip:\n  timers:\n    t1: fast\n", "f:3: sip.timers.t1: must be from 0.01 to 10 seconds"},
    {"sip: {timers: {t1: -1}}\n", "f:1: sip.timers.t1: must be from 0.01 to 10 seconds"},
    {"sip: {timers: {t1: 1, t2: 0.5}}\n", "f:1: sip.timers.t2: must not be below t1"},
    {"sip: {timers: {t1: 10}}\n", NULL}, /* 64*T1 is 640 s, within half of 1800 */
    {"sip: {timers:\n  {t1: 1,\n   session_expires: 90}}\n",
     "f:3: sip.timers.session_expires: must be at least 128 times t1"},
    {"sip: {timers: {min_se: 3600}}\n",
     "f:1: sip.timers.min_se: must not be above session_expires"},
    {"sip: {timers: {session_expires: 89}}\n",
     "f:1: sip.timers.session_expires: must be 0 or at least 90"},
    {"sip: {timers: {subscribe_min: 700, subscribe_max: 600}}\n",
     "f:1: sip.timers.subscribe_min: must not be above subscribe_max"},
    {"extensions: [{number: \"1\", password: x, mwi_unsolicited: true}]\n",
     "f:1: extensions[0].mwi_unsolicited: needs voicemail"},
    {"extensions: [{number: \"1\", password: x, forward: {busy: voicemail}}]\n",
     "f:1: extensions[0].forward: voicemail is false"},
    {"voicemail: {time_zone: \"+15:00\"}\n", "f:1: voicemail.time_zone: must be the time ahead of "
                                             "UTC, like +09:00 or -03:30, not \"+15:00\""},
    {"voicemail: {time_zone: \"+09:60\"}\n", "f:1: voicemail.time_zone: must be the time ahead of "
                                             "UTC, like +09:00 or -03:30, not \"+09:60\""},
    {"voicemail: {time_zone: \"0900++\"}\n", "f:1: voicemail.time_zone: must be the time ahead of "
                                             "UTC, like +09:00 or -03:30, not \"0900++\""},
    {"voicemail: {time_zone: Asia/Seoul}\n",
     "f:1: voicemail.time_zone: must be the time ahead of UTC, like +09:00 or -03:30, not "
     "\"Asia/Seoul\""},
    {"voicemail:\n  time_zone: \"\"\n",
     "f:2: voicemail.time_zone: must be the time ahead of UTC, like +09:00 or -03:30, not \"\""},
    {"recording: {dir: a/b}\nvoicemail:\n  dir: ./a/b/\n",
     "f:3: voicemail.dir: must not be recording.dir, nor the one in the other"},
    {"recording: {dir: a/b}\nvoicemail: {dir: a}\n",
     "f:2: voicemail.dir: must not be recording.dir, nor the one in the other"},
    {"recording: {dir: a}\nvoicemail: {dir: ab}\n", NULL},
    {EXT("1") ",\n voicemail_pin: 12}\n",
     "f:3: extensions[0].voicemail_pin: needs voicemail: true"},
    {"features: {record: \"*3\"}\n",
     "f:1: features.record: \"*3\" is already taken by features.conference"},
    {"features: {record: \"*97\"}\n",
     "f:1: features.record: \"*97\" is already taken by features.voicemail"},
    {"features: {record: \"**\"}\n",
     "f:1: features.record: \"**\" is already taken by features.directed_pickup"},
    {"sip: {timers: {register_min: 7200}}\n",
     "f:1: sip.timers.register_min: must not be above register_expires"},
    {"sip: {timers: {no_answer_timeout: 30}}\n",
     "f:1: sip.timers.no_answer_timeout: must be below invite_timeout"},
    {"sip: {timers: {session_refresher: both}}\n",
     "f:1: sip.timers.session_refresher: must be one of uas uac"},
    {"sip: {timers: {adaptive_t1: maybe}}\n", "f:1: sip.timers.adaptive_t1: must be true or false"},
    {"sip: {timers: {t9: 1}}\n", "f:1: sip.timers.t9: unknown key"},
    {"spi: {}\n", "f:1: spi: unknown key"},
    {"log: {}\nlog: {}\n", "f:2: log: given twice"},
    {"log: info\n", "f:1: log: must be a map of keys and values"},
    {"- a\n", "f:1: must be a map of keys and values"},
    {"extensions: 1\n", "f:1: extensions: must be a list"},
    {"extensions: [1]\n", "f:1: extensions[0]: must be a map of keys and values"},
    {"log: {level: [a]}\n", "f:1: log.level: must be a single value"},
    {"media: {codecs: {a: b}}\n", "f:1: media.codecs: must be a list"},
    {"media: {codecs: [[a]]}\n", "f:1: media.codecs: must be a list of single values"},
    {"media: {codecs: []}\n", "f:1: media.codecs: must have from 1 to 16 items"},
    {"media: {codecs: [PCMU, PCMU]}\n", "f:1: media.codecs: names one of them twice"},
    {"media: {ports: 5000}\n", "f:1: media.ports: must be two port numbers such as 20000-29999"},
    {"media: {ports: 5000-5001}\n", "f:1: media.ports: must hold at least four ports from 1024 on"},
    {"media: {ports: 5000-70000}\n",
     "f:1: media.ports: must be two port numbers such as 20000-29999"},
    {"media: {address: here}\n", "f:1: media.address: must be an IP address"},
    {"sip: {listen: [\"udp:0.0.0.0:99999\"]}\n",
     "f:1: sip.listen: udp:0.0.0.0:99999 must be transport:address:port such as udp:0.0.0.0:5060"},
    {"sip: {listen: [\"udp:1.2.3.4:1\", \"udp:1.2.3.4:1\"]}\n",
     "f:1: sip.listen: udp:1.2.3.4:1 is given twice"},
    {"sip: {listen: []}\n", "f:1: sip.listen: must have from 1 to 32 items"},
    {"sip: {tls: {pins: [abc]}}\n", "f:1: sip.tls.pins: each must be 64 hexadecimal digits"},
    {"sip: {tls: {certificate: a.pem}}\n", "f:1: sip.tls: certificate and private_key go together"},
    {"trunks: [{name: kt, uri: \"sips:gw.test\"}]\n",
     "f:1: trunks[0].uri: to send by TLS, sip.listen must have a tls: address"},
    {"trunks: [{name: kt, uri: \"sip:gw.test;transport=tls\"}]\n",
     "f:1: trunks[0].uri: to send by TLS, sip.listen must have a tls: address"},
    {"trunks: [{name: kt, uri: \"sip:gw.test\", tls_pins: [\"00\"]}]\n",
     "f:1: trunks[0].tls_pins: each must be 64 hexadecimal digits"},
    {"trunks: [{name: kt, uri: \"sip:gw.test\", tls_name: gw.test}]\n",
     "f:1: trunks[0].tls_name: sip.listen must have a tls: address"},
    {"sip: {listen: [\"tls:1.2.3.4\"], tls: {certificates: [" CERT32 "]}}\n", NULL},
    {"sip: {listen: [\"tls:1.2.3.4\"], tls: {certificates: [" CERT33 "]}}\n",
     "f:17: sip.tls.certificates: at most 32"},
    {"sip: {tls: {certificates: [{certificate: a.pem}]}}\n",
     "f:1: sip.tls.certificates[0].private_key: is needed"},
    {"dns: {servers: [ns.test]}\n",
     "f:1: dns.servers: each must be an IP address, and perhaps a port"},
    {"sip: {listen: [\"tls:1.2.3.4\"]}\n",
     "f:1: sip.listen: tls: and wss: need sip.tls.certificate and sip.tls.private_key"},
    {"sip: {domain: \"a\\nb\"}\n", "f:1: sip.domain: control characters are not allowed"},
    {"limits: {calls: 0}\n", "f:1: limits.calls: must be a whole number from 1 to 1000000"},
    {"limits: {calls: 99999999999999999999999}\n",
     "f:1: limits.calls: must be a whole number from 1 to 1000000"},
    {"extensions:\n  - {password: p}\n", "f:2: extensions[0].number: is needed"},
    {EXT("") "}\n", "f:2: extensions[0].number: must not be empty"},
    {EXT("1 2") "}\n",
     "f:2: extensions[0].number: must be made of letters, digits and * # + _ . -"},
    {"extensions:\n  - number: \"1\"\n    name: a\n",
     "f:2: extensions[0]: password or ha1 is needed"},
    {EXT("1") ", ha1: 00}\n",
     "f:2: extensions[0].ha1: must be 32 hexadecimal digits, or a map by algorithm"},
    {EXT("1") ", ha1: {SHA-256: 00}}\n", "f:2: extensions[0].ha1: must be 64 hexadecimal digits"},
    {EXT("1") ", ha1: {SHA-1: 00}}\n",
     "f:2: extensions[0].ha1: must be one MD5 value or a map of MD5, SHA-256, SHA-512-256"},
    {EXT("1") ", ha1: 0123456789abcdef0123456789abcdef}\n",
     "f:2: extensions[0].ha1: not together with password"},
    {EXT("1") ", username: \"a@b\"}\n",
     "f:2: extensions[0].username: has a character no SIP user may have"},
    {EXT("1") ", bot: x}\n", "f:2: extensions[0].bot: there is no bot \"x\""},
    {EXT("1") "}\n  - {number: \"1\", username: u, password: p}\n",
     "f:3: extensions[1].number: \"1\" is already taken by extensions[0].number"},
    {EXT("1") ", username: u}\n  - {number: \"2\", username: u, password: p}\n",
     "f:3: extensions[1].username: \"u\" is already taken by extensions[0].username"},
    {EXT("1") ", username: \"2\"}\n  - {number: \"2\", username: u, password: p}\n",
     "f:2: extensions[0].username: \"2\" is the number of another extension"},
    {EXT("1") ", did: [\"5\", \"5\"]}\n",
     "f:2: extensions[0].did: \"5\" is already taken by extensions[0].did"},
    {EXT("*8") "}\n", "f:1: features.pickup: \"*8\" is already taken by extensions[0].number"},
    {EXT("1") "}\ngroups:\n  - {number: \"1\", members: [\"1\"]}\n",
     "f:4: groups[0].number: \"1\" is already taken by extensions[0].number"},
    {"groups:\n  - {number: \"1\",\n     members: [\"7\"]}\n",
     "f:3: groups[0].members: there is no extension \"7\""},
    {"groups: [{number: \"1\", members: []}]\n",
     "f:1: groups[0].members: must have from 1 to 256 items"},
    {"trunks: [{name: a, uri: \"tel:1\"}]\n", "f:1: trunks[0].uri: must begin with sip: or sips:"},
    {"trunks: [{name: a, uri: \"sip:a b\"}]\n", "f:1: trunks[0].uri: is not a SIP URI"},
    {"trunks: [{name: a b, uri: \"sip:a\"}]\n",
     "f:1: trunks[0].name: must be made of letters, digits and _ . -"},
    {"trunks: [{name: a, uri: \"sip:a\", register: true}]\n",
     "f:1: trunks[0].register: needs username and password"},
    {"trunks: [{name: a, uri: \"sip:a\", failover: [b]}]\n",
     "f:1: trunks[0].failover: there is no trunk \"b\""},
    {"trunks: [{name: a, uri: \"sip:a\", failover: [a]}]\n",
     "f:1: trunks[0].failover: is the trunk itself"},
    {"trunks: [{name: a, uri: \"sip:a\", addresses: [1.2.3.4/33]}]\n",
     "f:1: trunks[0].addresses: must be IP addresses such as 192.0.2.1, 192.0.2.0/24 or "
     "2001:db8::/32"},
    {"routes: [{match: \"(\", to: \"reject:404\"}]\n",
     "f:1: routes[0].match: is not a regular expression: Unmatched ( or \\("},
    {"routes: [{match: \"((a{99}){99}){99}\", to: \"reject:404\"}]\n",
     "f:1: routes[0].match: repeats too much"},
    {"routes: [{match: \"1\", to: \"trunk:x\"}]\n", "f:1: routes[0].to: there is no trunk \"x\""},
    {"routes: [{match: \"1\", to: \"extension:*8\"}]\n",
     "f:1: routes[0].to: there is no extension \"*8\""},
    {"routes: [{match: \"1\", to: \"nowhere\"}]\n",
     "f:1: routes[0].to: must be trunk:NAME, extension:NUMBER, group:NUMBER, conference:NUMBER, "
     "bot:NAME, reject:STATUS"},
    {"routes: [{match: \"1\", to: \"reject:200\"}]\n",
     "f:1: routes[0].to: reject: takes a status from 400 to 699"},
    {"routes: [{from: \"reject:404\", match: \"1\", to: \"reject:404\"}]\n",
     "f:1: routes[0].from: must be trunk:NAME or extension:NUMBER"},
    {"routes: [{match: \"1\"}]\n", "f:1: routes[0].to: is needed"},
    {"bots: [{name: a, engine: stream}]\n",
     "f:1: bots[0].url: engine stream needs a ws:// or wss:// URL"},
    {"bots: [{name: a, engine: stream, url: \"audiosocket://h:1\"}]\n",
     "f:1: bots[0].url: engine stream needs a ws:// or wss:// URL"},
    {"bots: [{name: a, engine: stream, protocol: audiosocket, url: \"ws://h:1\"}]\n",
     "f:1: bots[0].url: protocol audiosocket needs audiosocket://HOST:PORT"},
    {STREAM("ws:///x") "}]\n", "f:1: bots[0].url: has no host"},
    {STREAM("ws://127.0.0.1:99999/x") "}]\n",
     "f:1: bots[0].url: has a port that is not from 1 to 65535"},
    {STREAM("ws://user:pw@127.0.0.1:9000/x") "}]\n",
     "f:1: bots[0].url: must not have a user or a password"},
    {STREAM("ws://127.0.0.1:9000/x?a=b c") "}]\n",
     "f:1: bots[0].url: has a character that no URL has, such as a blank, or a #"},
    {STREAM("audiosocket://127.0.0.1") ", protocol: audiosocket}]\n",
     "f:1: bots[0].url: protocol audiosocket needs audiosocket://HOST:PORT, and no path"},
    {STREAM("audiosocket://127.0.0.1:9/x") ", protocol: audiosocket}]\n",
     "f:1: bots[0].url: protocol audiosocket needs audiosocket://HOST:PORT, and no path"},
    {STREAM("ws://h") ",\n account: AC12}]\n",
     "f:2: bots[0].account: must be AC and 32 hexadecimal digits"},
    {"bots: [{name: a,\n url: \"ws://h/x\"}]\n", "f:2: bots[0].url: needs engine: stream"},
    {"bots: [{name: a,\n server: \"sip:h\"}]\n", "f:2: bots[0].server: needs engine: mrcp"},
    {"bots: [{name: a, menu: [{key: \"1\", words: [one, two]},\n"
     " {key: \"2\", words: [three, \"Two \"]}]}]\n",
     "f:2: bots[0].menu[1].words: \"Two \" is among those of menu[0]"},
    {"bots: [{name: a,\n fallback: \"say hi\"}]\n",
     "f:2: bots[0].fallback: must be transfer:NUMBER, voicemail:EXTENSION, message or hangup"},
    {"bots: [{name: a,\n fallback: repeat}]\n",
     "f:2: bots[0].fallback: must be transfer:NUMBER, voicemail:EXTENSION, message or hangup"},
    {"bots: [{name: a, menu: [{key: \"1\", do: sing}]}]\n",
     "f:1: bots[0].menu[0].do: must be transfer:NUMBER, voicemail:EXTENSION, message, repeat or "
     "hangup"},
    {EXT("1") ",\n     bot_when: [busy]}\n", "f:3: extensions[0].bot_when: needs bot"},
    {"schedules: [{name: o, hours: [\"mon 09:00-10:00\"],\n closed: [\"2026-02-30\"]}]\n",
     "f:2: schedules[0].closed: \"2026-02-30\" is no date YYYY-MM-DD"},
    {"schedules: [{name: o, hours: [\"mon 09:00-10:00\"],\n closed: [\"2027-02-29\"]}]\n",
     "f:2: schedules[0].closed: \"2027-02-29\" is no date YYYY-MM-DD"},
    {"schedules: [{name: o, hours: [\"mon 09:00-10:00\"],\n"
     " closed: [\"2028-02-29\", \"2026-04-30\", \"2026-12-31\"]}]\n",
     NULL},
    {"bots: [{name: a, engine: stream, rate: 16000, url: \"ws://h\"}]\n",
     "f:1: bots[0].rate: protocol twilio has 8000"},
    {"bots: [{name: a, engine: stream, protocol: sip, url: \"ws://h\"}]\n",
     "f:1: bots[0].protocol: must be one of twilio json audiosocket"},
    {"bots: [{name: a, engine: mrcp}]\n",
     "f:1: bots[0].server: engine mrcp needs a sip: or sips: URI"},
    {"bots: [{name: a, engine: mrcp, server: \"sip:\"}]\n",
     "f:1: bots[0].server: engine mrcp needs a sip: or sips: URI"},
    {"bots: [{name: a, engine: mrcp, server: \"tel:+4989\"}]\n",
     "f:1: bots[0].server: engine mrcp needs a sip: or sips: URI"},
    {"bots: [{name: a, engine: mrcp, server: \"sip:asr@192.0.2.1:99999\"}]\n",
     "f:1: bots[0].server: engine mrcp needs a sip: or sips: URI"},
    {"bots: [{name: a, engine: mrcp, server: \"sip:asr@192.0.2.1\", server_password: x}]\n",
     "f:1: bots[0].server_user: a password needs one"},
    {"bots: [{name: a, min_confidence: \"1.01\"}]\n",
     "f:1: bots[0].min_confidence: must be from 0 to 1"},
    {"bots: [{name: a, menu: [{key: \"1\", words: [a, \"\"]}]}]\n",
     "f:1: bots[0].menu[0].words: has an empty item"},
    {"bots: [{name: a, menu: [{key: \"1\", words: [\"press 1\"]}]}]\n",
     "f:1: bots[0].menu[0].words: engine builtin knows English words"},
    {"bots: [{name: a, engine: mrcp, server: \"sip:h\", menu: [{key: \"1\", words: [a0, a1, a2, "
     "a3, a4, a5, a6, a7, "
     "a8, a9, a10, a11, a12, a13, a14, a15]},\n"
     "{key: \"2\", words: [b0, b1, b2, b3, b4, b5, b6, b7, "
     "b8, b9, b10, b11, b12, b13, b14, b15]},\n {key: \"3\", words: [c]}]}]\n",
     "f:3: bots[0].menu[2].words: at most 32 in a menu"},
    {"store: {url: \"mysql://x\"}\n", "f:1: store.url: must be sqlite:FILE or postgresql://..."},
    {"web: {listen: \"8080\"}\n",
     "f:1: web.listen: must be an IP address and a port such as 127.0.0.1:8080"},
    {"auth: {algorithms: [SHA1]}\n",
     "f:1: auth.algorithms: must be one of MD5 SHA-256 SHA-512-256"},
    {"auth: {ban_seconds: 60,\n ban_max_seconds: 30}\n",
     "f:2: auth.ban_max_seconds: must not be below ban_seconds"},
    {"conferences: [{number: \"1\", pin: abc}]\n", "f:1: conferences[0].pin: must be digits"},
    {"conferences: [{number: \"1\", max_members: 201}]\n",
     "f:1: conferences[0].max_members: must be a whole number from 2 to 200"},
    {"conferences: [{number: \"1\", pin: \"12\",\n moderator_pin: \"12\"}]\n",
     "f:2: conferences[0].moderator_pin: must not be the pin"},
    {"conferences: [{number: \"1\", wait_for_moderator: true}]\n",
     "f:1: conferences[0].wait_for_moderator: needs moderator_pin"},
    {"conferences: [{number: \"1\", did: [\"07\"]}, {number: \"2\",\n did: [\"07\"]}]\n",
     "f:2: conferences[1].did: \"07\" is already taken by conferences[0].did"},
    {"conferences: [{number: \"*3\"}]\n",
     "f:1: features.conference: \"*3\" is already taken by conferences[0].number"},
    {"a: [\n", "f:2: did not find expected node content"},
    {"a: \x80\n", "f:1: this is not UTF-8 text"},
    {"a:\n\tb: 1\n", "f:2: found character that cannot start any token"},
    {"log: {}\n---\nlog: {}\n", "f:2: what follows the first document is not allowed"},
};

static void every_mistake_has_its_words(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config *c = NULL;
        int err = config_load(&c, "f", str_z(bad[i].text), &errs);
        if (!bad[i].want) {
            assert_int_equal(err, 0);
            config_unref(c);
            continue;
        }
        if (err != -EINVAL)
            print_message("accepted: %s", bad[i].text);
        assert_int_equal(err, -EINVAL);
        assert_null(c);
        assert_string_equal(errs.v[0].text, bad[i].want);
        assert_int_equal(errs.total, 1);
    }
}

static void all_errors_are_reported_in_order(void **state)
{
    struct config *c = NULL;
    char text[256];
    struct buf out;
    const char *yaml = "log: {level: loud, color: red}\nsip:\n  timers: {t1: x}\nbogus: 1\n";
    assert_int_equal(config_load(&c, "dir/f.yaml", str_z(yaml), &errs), -EINVAL);
    buf_init(&out, text, sizeof(text));
    config_errors_put(&out, &errs);
    assert_str(buf_str(&out),
               "dir/f.yaml:1: log.level: must be one of error warn notice info debug\n"
               "dir/f.yaml:1: log.color: unknown key\n"
               "dir/f.yaml:3: sip.timers.t1: must be from 0.01 to 10 seconds\n"
               "dir/f.yaml:4: bogus: unknown key\n");
}

static void errors_are_bounded(void **state)
{
    size_t cap = 200000;
    char *mem = mem_alloc(cap);
    struct buf text;
    struct config *c = NULL;
    buf_init(&text, mem, cap);
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, "key%d: 1\n", 4999 - i);
    assert_int_equal(config_load(&c, "f", buf_str(&text), &errs), -EINVAL);
    assert_int_equal(errs.total, 5000);
    assert_int_equal(errs.n, CONFIG_MAX_ERRORS);
    assert_string_equal(errs.v[49].text, "f:50: key4950: unknown key");
    text.n = 0;
    buf_lit(&text, "extensions:\n");
    for (int i = 0; i < 4000; i++)
        buf_printf(&text, "  - {number: \"%d\"}\n", i);
    assert_false(text.full);
    assert_int_equal(config_load(&c, "f", buf_str(&text), &errs), -EINVAL);
    assert_int_equal(errs.total, 4000);
    assert_string_equal(errs.v[0].text, "f:2: extensions[0]: password or ha1 is needed");
    mem_free(mem);
}

static void ten_thousand_extensions_load_and_are_found(void **state)
{
    size_t cap = 4 << 20;
    char *mem = mem_alloc(cap);
    struct buf text;
    buf_init(&text, mem, cap);
    buf_lit(&text, "extensions:\n");
    for (int i = 0; i < 10000; i++)
        buf_printf(
            &text,
            "  - {number: \"%d\", username: \"u%d\", password: \"secret%d\", did: [\"9%d\"]}\n",
            10000 + i, i, i, i);
    assert_false(text.full);
    struct config *c = NULL;
    assert_int_equal(config_load(&c, "f", buf_str(&text), &errs), 0);
    assert_ptr_equal(config_find_extension(c, STR("19999")), &c->extensions[9999]);
    assert_ptr_equal(config_find_user(c, STR("u1234")), &c->extensions[1234]);
    assert_ptr_equal(config_find_did(c, STR("9777")), &c->extensions[777]);
    assert_null(config_find_user(c, STR("u10000")));
    config_unref(c);
    mem_free(mem);
}

/* Every request for memory fails once; nothing is leaked and nothing is half made. */
static void memory_running_out_is_an_error(void **state)
{
    uint64_t live = mem_live();
    int err = -ENOMEM;
    for (uint64_t n = 1; n < 1000 && err; n++) {
        struct config *c = NULL;
        mem_fail_after(n);
        err = config_load(&c, "f", str_z(full), &errs);
        mem_fail_after(0);
        if (err) {
            assert_int_equal(err, -ENOMEM);
            assert_null(c);
        }
        config_unref(c);
        assert_int_equal(mem_live(), live);
    }
    assert_int_equal(err, 0);
}

/* The committed page is what the tables say. */
static void reference_page_is_current(void **state)
{
    size_t cap = 256 << 10;
    char *want = mem_alloc(cap), *have = mem_alloc(cap);
    struct buf page;
    buf_init(&page, want, cap);
    config_reference(&page);
    assert_false(page.full);
    FILE *f = fopen(TEST_DATA "/../../docs/configuration.md", "r");
    assert_non_null(f);
    size_t n = fread(have, 1, cap, f);
    fclose(f);
    assert_int_equal(n, page.n);
    assert_memory_equal(have, want, n);
    mem_free(have);
    mem_free(want);
}

static void documented_example_is_sound(void **state)
{
    char text[32768];
    FILE *f = fopen(TEST_DATA "/../../config/ringdown.yaml", "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    struct config *c = NULL;
    int err = config_load(&c, "config/ringdown.yaml", str_of(text, n), &errs);
    if (err)
        print_message("%s\n", errs.v[0].text);
    assert_int_equal(err, 0);
    config_unref(c);
}

static int no_leak(void **state)
{
    return mem_live() == 0 ? 0 : -1;
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, no_leak)
    const struct CMUnitTest tests[] = {
        T(empty_file_gives_the_documented_defaults),
        T(full_file_is_read),
        T(routes_are_found_in_order),
        T(derived_values),
        T(every_mistake_has_its_words),
        T(all_errors_are_reported_in_order),
        T(errors_are_bounded),
        T(ten_thousand_extensions_load_and_are_found),
        T(memory_running_out_is_an_error),
        T(reference_page_is_current),
        T(documented_example_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

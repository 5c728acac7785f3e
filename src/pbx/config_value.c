/* One value of the configuration from its text, by type. */
#include <errno.h>
#include <stdlib.h>

#include "base/num.h"
#include "pbx/config_table.h"

static int wrong(const struct config_value *v, const char *why)
{
    buf_z(v->why, why);
    return -EINVAL;
}

struct str config_word_at(struct str words, unsigned i)
{
    for (;; i--) {
        ptrdiff_t bar = str_chr(words, '|');
        struct str word = bar < 0 ? words : str_sub(words, 0, (size_t)bar);
        if (i == 0)
            return word.n ? word : STR_NONE;
        if (bar < 0)
            return STR_NONE;
        words = str_from(words, (size_t)bar + 1);
    }
}

static int word_find(struct str words, struct str word)
{
    struct str at;
    for (unsigned i = 0; (at = config_word_at(words, i)).p; i++)
        if (str_ieq(at, word))
            return (int)i;
    return -1;
}

/* Text that ends up in SIP headers must not be able to end one. */
static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F)
            return true;
    return false;
}

static int check_length(const struct config_value *v, struct str s)
{
    if (has_control(s))
        return wrong(v, "control characters are not allowed");
    if (s.n == 0 && v->key->min)
        return wrong(v, "must not be empty");
    if (s.n < v->key->min) {
        buf_printf(v->why, "must have at least %llu characters", (unsigned long long)v->key->min);
        return -EINVAL;
    }
    if (!config_type_is_list(v->key->type) && s.n > v->key->max) {
        buf_printf(v->why, "must have at most %llu bytes", (unsigned long long)v->key->max);
        return -EINVAL;
    }
    return 0;
}

/* Every byte a letter, a digit, or one of `also`. */
static int check_text(const struct config_value *v, struct str s)
{
    switch (v->key->type) {
    case CONFIG_T_NAME:
    case CONFIG_T_NAMES:
        return str_made_of(s, "_.-") ? 0 : wrong(v, "must be made of letters, digits and _ . -");
    case CONFIG_T_NUMBER:
    case CONFIG_T_NUMBERS:
        return str_made_of(s, "*#+_.-")
                   ? 0
                   : wrong(v, "must be made of letters, digits and * # + _ . -");
    case CONFIG_T_USER:
        return str_made_of(s, "_.-!~*'()&=+$,;?/")
                   ? 0
                   : wrong(v, "has a character no SIP user may have");
    case CONFIG_T_DIGITS:
        for (size_t i = 0; i < s.n; i++)
            if (s.p[i] < '0' || s.p[i] > '9')
                return wrong(v, "must be digits");
        return 0;
    case CONFIG_T_URI:
        if (!str_istarts(s, STR("sip:")) && !str_istarts(s, STR("sips:")))
            return wrong(v, "must begin with sip: or sips:");
        return str_made_of(s, "_.-!~*'()&=+$,;?/:@[]%") ? 0 : wrong(v, "is not a SIP URI");
    case CONFIG_T_STORE:
        if (str_starts(s, STR("sqlite:")) && s.n > strlen("sqlite:"))
            return 0;
        if (str_starts(s, STR("postgresql://")) || str_starts(s, STR("postgres://")))
            return 0;
        return wrong(v, "must be sqlite:FILE or postgresql://...");
    default:
        return 0;
    }
}

static int text_take(const struct config_value *v, struct str s, struct str *out)
{
    int err = check_length(v, s);
    if (!err && s.n)
        err = check_text(v, s);
    if (err)
        return err;
    struct str copy = arena_dup(v->arena, s);
    if (!copy.p)
        return -ENOMEM;
    *out = copy;
    return 0;
}

static int parse_text(const struct config_value *v)
{
    return text_take(v, v->item[0], v->out);
}

static int parse_secret(const struct config_value *v)
{
    struct config_secret *out = v->out;
    return text_take(v, v->item[0], &out->secret);
}

static int parse_bool(const struct config_value *v)
{
    static const char words[] = "false|true|no|yes|off|on";
    int i = word_find(STR(words), v->item[0]);
    if (i < 0)
        return wrong(v, "must be true or false");
    *(bool *)v->out = i % 2;
    return 0;
}

static int parse_count(const struct config_value *v)
{
    uint64_t n;
    if (num_u64(&n, v->item[0], v->key->max) || n < v->key->min) {
        buf_printf(v->why, "must be a whole number from %llu to %llu",
                   (unsigned long long)v->key->min, (unsigned long long)v->key->max);
        return -EINVAL;
    }
    *(uint32_t *)v->out = (uint32_t)n;
    return 0;
}

/* Milliseconds as seconds, and the like: 500 is "0.5". */
static void put_thousandths(struct buf *b, uint64_t ms)
{
    buf_u64(b, ms / 1000);
    if (ms % 1000 == 0)
        return;
    char digits[5];
    struct buf part;
    buf_init(&part, digits, sizeof(digits));
    buf_printf(&part, ".%03u", (unsigned)(ms % 1000));
    while (part.p[part.n - 1] == '0')
        part.n--;
    buf_str_put(b, buf_str(&part));
}

static int parse_ms(const struct config_value *v)
{
    uint64_t ms;
    if (num_fixed(&ms, v->item[0], 3) || ms < v->key->min || ms > v->key->max) {
        buf_lit(v->why, "must be from ");
        put_thousandths(v->why, v->key->min);
        buf_lit(v->why, " to ");
        put_thousandths(v->why, v->key->max);
        buf_lit(v->why, " seconds");
        return -EINVAL;
    }
    *(uint32_t *)v->out = (uint32_t)ms;
    return 0;
}

static int parse_fraction(const struct config_value *v)
{
    uint64_t n;
    if (num_fixed(&n, v->item[0], 3) || n < v->key->min || n > v->key->max) {
        buf_lit(v->why, "must be from ");
        put_thousandths(v->why, v->key->min);
        buf_lit(v->why, " to ");
        put_thousandths(v->why, v->key->max);
        return -EINVAL;
    }
    *(uint32_t *)v->out = (uint32_t)n;
    return 0;
}

static int wrong_word(const struct config_value *v)
{
    buf_lit(v->why, "must be one of");
    struct str word;
    for (unsigned i = 0; (word = config_word_at(v->key->unit, i)).p; i++) {
        buf_lit(v->why, " ");
        buf_str_put(v->why, word);
    }
    return -EINVAL;
}

static int parse_choice(const struct config_value *v)
{
    int i = word_find(v->key->unit, v->item[0]);
    if (i < 0)
        return wrong_word(v);
    *(uint8_t *)v->out = (uint8_t)i;
    return 0;
}

static int check_items(const struct config_value *v)
{
    if (v->n >= v->key->min && v->n <= v->key->max)
        return 0;
    buf_printf(v->why, "must have from %llu to %llu items", (unsigned long long)v->key->min,
               (unsigned long long)v->key->max);
    return -EINVAL;
}

static int parse_choices(const struct config_value *v)
{
    struct config_choices out = {0};
    int err = check_items(v);
    for (uint32_t i = 0; !err && i < v->n; i++) {
        int word = word_find(v->key->unit, v->item[i]);
        if (word < 0)
            return wrong_word(v);
        if (memchr(out.v, word, out.n))
            return wrong(v, "names one of them twice");
        out.v[out.n++] = (uint8_t)word;
    }
    if (!err)
        *(struct config_choices *)v->out = out;
    return err;
}

static int parse_texts(const struct config_value *v)
{
    int err = check_items(v);
    if (err)
        return err;
    struct str *copy = arena_take(v->arena, (v->n ? v->n : 1) * sizeof(*copy));
    if (!copy)
        return -ENOMEM;
    for (uint32_t i = 0; i < v->n; i++) {
        if (v->item[i].n == 0)
            return wrong(v, "has an empty item");
        if (v->item[i].n > 255)
            return wrong(v, "has an item longer than 255 bytes");
        if (has_control(v->item[i]))
            return wrong(v, "control characters are not allowed");
        if ((err = check_text(v, v->item[i])))
            return err;
        if (!(copy[i] = arena_dup(v->arena, v->item[i])).p)
            return -ENOMEM;
    }
    *(struct config_texts *)v->out = (struct config_texts){copy, v->n};
    return 0;
}

static int net_parse(struct config_net *ret, struct str s)
{
    ptrdiff_t slash = str_chr(s, '/');
    struct config_net net;
    int err = addr_parse(&net.addr, slash < 0 ? s : str_sub(s, 0, (size_t)slash), 0);
    if (err)
        return err;
    uint64_t bits = net.addr.family == ADDR_V4 ? 32 : 128;
    if (slash >= 0)
        err = num_u64(&bits, str_from(s, (size_t)slash + 1), bits);
    if (err)
        return err;
    net.bits = (uint8_t)bits;
    *ret = net;
    return 0;
}

static int parse_nets(const struct config_value *v)
{
    int err = check_items(v);
    if (err)
        return err;
    struct config_net *nets = arena_take(v->arena, (v->n ? v->n : 1) * sizeof(*nets));
    if (!nets)
        return -ENOMEM;
    for (uint32_t i = 0; i < v->n; i++)
        if (net_parse(&nets[i], v->item[i]))
            return wrong(v,
                         "must be IP addresses such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32");
    *(struct config_nets *)v->out = (struct config_nets){nets, v->n};
    return 0;
}

static int parse_addr(const struct config_value *v)
{
    struct addr a = {0};
    if (v->item[0].n && addr_parse(&a, v->item[0], 0))
        return wrong(v, "must be an IP address");
    *(struct addr *)v->out = a;
    return 0;
}

static int parse_hostport(const struct config_value *v)
{
    struct addr a = {0};
    if (v->item[0].n && addr_parse_port(&a, v->item[0]))
        return wrong(v, "must be an IP address and a port such as 127.0.0.1:8080");
    *(struct addr *)v->out = a;
    return 0;
}

static int listen_parse(struct config_listen *ret, struct str s)
{
    ptrdiff_t colon = str_chr(s, ':');
    enum proto proto;
    struct addr addr;
    if (colon < 0 || proto_parse(&proto, str_sub(s, 0, (size_t)colon)))
        return -EINVAL;
    struct str rest = str_from(s, (size_t)colon + 1);
    /* RFC 3261 section 19.1.2: 5061 is the port of TLS. */
    uint16_t port = proto == PROTO_TLS || proto == PROTO_WSS ? 5061 : 5060;
    if (addr_parse_port(&addr, rest) && addr_parse(&addr, rest, port))
        return -EINVAL;
    *ret = (struct config_listen){(uint8_t)proto, addr};
    return 0;
}

static int parse_listens(const struct config_value *v)
{
    struct config_listens out = {0};
    int err = check_items(v);
    if (err)
        return err;
    for (uint32_t i = 0; i < v->n; i++) {
        if (listen_parse(&out.v[i], v->item[i])) {
            buf_json(v->why, v->item[i]);
            return wrong(v, " must be transport:address:port such as udp:0.0.0.0:5060");
        }
        for (uint32_t j = 0; j < i; j++)
            if (out.v[i].addr.port && out.v[i].proto == out.v[j].proto &&
                addr_eq(&out.v[i].addr, &out.v[j].addr)) {
                buf_json(v->why, v->item[i]);
                return wrong(v, " is given twice");
            }
    }
    out.n = v->n;
    *(struct config_listens *)v->out = out;
    return 0;
}

static int parse_ports(const struct config_value *v)
{
    ptrdiff_t dash = str_chr(v->item[0], '-');
    uint64_t low, high;
    if (dash < 0 || num_u64(&low, str_sub(v->item[0], 0, (size_t)dash), 65535) ||
        num_u64(&high, str_from(v->item[0], (size_t)dash + 1), 65535))
        return wrong(v, "must be two port numbers such as 20000-29999");
    if (low < 1024 || high < low + 3)
        return wrong(v, "must hold at least four ports from 1024 on");
    *(struct config_ports *)v->out = (struct config_ports){(uint16_t)low, (uint16_t)high};
    return 0;
}

bool config_ha1_is_sound(struct str hex, enum config_algorithm algorithm)
{
    if (hex.n != (algorithm == CONF_ALGORITHM_MD5 ? 32 : 64))
        return false;
    for (size_t i = 0; i < hex.n; i += 2)
        if (num_hex2(hex.p + i) < 0)
            return false;
    return true;
}

/* The short form: one MD5 value. The map by algorithm is config_bind.c's. */
static int parse_ha1(const struct config_value *v)
{
    struct config_ha1 out = {{STR_NONE, STR_NONE, STR_NONE}};
    if (v->item[0].n) {
        if (!config_ha1_is_sound(v->item[0], CONF_ALGORITHM_MD5))
            return wrong(v, "must be 32 hexadecimal digits, or a map by algorithm");
        if (!(out.v[0] = arena_dup(v->arena, v->item[0])).p)
            return -ENOMEM;
    }
    *(struct config_ha1 *)v->out = out;
    return 0;
}

/* Repetitions multiply in the compiled form: together they may not exceed a sane size. */
static bool repeats_too_much(struct str s)
{
    uint64_t product = 1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] != '{')
            continue;
        uint64_t n = 0;
        for (i++; i < s.n && s.p[i] != '}'; i++)
            n = s.p[i] == ',' ? 0 : n > 9999 ? n : n * 10 + (uint64_t)(s.p[i] & 15);
        product *= n ? n : 1;
        if (product > 4096)
            return true;
    }
    return false;
}

static int parse_regex(const struct config_value *v)
{
    struct config_regex out;
    int err = text_take(v, v->item[0], &out.text);
    if (err)
        return err;
    if (repeats_too_much(out.text))
        return wrong(v, "repeats too much");
    out.compiled = arena_zero(v->arena, sizeof(*out.compiled));
    if (!out.compiled)
        return -ENOMEM;
    err = regcomp(out.compiled, out.text.p, REG_EXTENDED | REG_NOSUB);
    if (err == REG_ESPACE)
        return -ENOMEM;
    if (err) {
        char why[128];
        regerror(err, out.compiled, why, sizeof(why));
        buf_lit(v->why, "is not a regular expression: ");
        return wrong(v, why);
    }
    *(struct config_regex *)v->out = out;
    return 0;
}

static int parse_target(const struct config_value *v)
{
    struct config_target out = {0};
    struct str s = v->item[0];
    ptrdiff_t colon = str_chr(s, ':');
    if (s.n) {
        int kind = colon < 0 ? -1
                             : word_find(STR("trunk|extension|group|conference|bot|reject"),
                                         str_sub(s, 0, (size_t)colon));
        if (kind < 0 || (size_t)colon + 1 == s.n) {
            buf_lit(v->why, "must be ");
            buf_z(v->why, v->key->text);
            return -EINVAL;
        }
        out.kind = (uint8_t)(CONF_TARGET_TRUNK + kind);
        int err = text_take(v, str_from(s, (size_t)colon + 1), &out.name);
        if (err)
            return err;
        uint64_t status = 0;
        if (out.kind == CONF_TARGET_REJECT && (num_u64(&status, out.name, 699) || status < 400))
            return wrong(v, "reject: takes a status from 400 to 699");
        out.status = (uint16_t)status;
    } else if (v->key->min) {
        return wrong(v, "must not be empty");
    }
    *(struct config_target *)v->out = out;
    return 0;
}

bool config_type_is_list(enum config_type type)
{
    return type == CONFIG_T_CHOICES || type == CONFIG_T_TEXTS || type == CONFIG_T_NAMES ||
           type == CONFIG_T_NUMBERS || type == CONFIG_T_NETS || type == CONFIG_T_LISTENS;
}

int config_value_parse(const struct config_value *v)
{
    static int (*const parse[CONFIG_T_COUNT_OF])(const struct config_value *) = {
        [CONFIG_T_TEXT] = parse_text,       [CONFIG_T_NAME] = parse_text,
        [CONFIG_T_USER] = parse_text,       [CONFIG_T_NUMBER] = parse_text,
        [CONFIG_T_DIGITS] = parse_text,     [CONFIG_T_URI] = parse_text,
        [CONFIG_T_STORE] = parse_text,      [CONFIG_T_SECRET] = parse_secret,
        [CONFIG_T_BOOL] = parse_bool,       [CONFIG_T_COUNT] = parse_count,
        [CONFIG_T_MS] = parse_ms,           [CONFIG_T_FRACTION] = parse_fraction,
        [CONFIG_T_CHOICE] = parse_choice,   [CONFIG_T_CHOICES] = parse_choices,
        [CONFIG_T_TEXTS] = parse_texts,     [CONFIG_T_NAMES] = parse_texts,
        [CONFIG_T_NUMBERS] = parse_texts,   [CONFIG_T_NETS] = parse_nets,
        [CONFIG_T_ADDR] = parse_addr,       [CONFIG_T_HOSTPORT] = parse_hostport,
        [CONFIG_T_LISTENS] = parse_listens, [CONFIG_T_PORTS] = parse_ports,
        [CONFIG_T_HA1] = parse_ha1,         [CONFIG_T_REGEX] = parse_regex,
        [CONFIG_T_TARGET] = parse_target,
    };
    BUG_ON(v->key->type >= CONFIG_T_MAP || !parse[v->key->type]);
    return parse[v->key->type](v);
}

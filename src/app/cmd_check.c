#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "app/cmd.h"
#include "app/tls_files.h"
#include "base/mem.h"
#include "io/fs.h"
#include "io/tls.h"
#include "pbx/config.h"

#define MAX_FILE_BYTES ((size_t)64 << 20)
#define PAGE_BYTES     ((size_t)256 << 10)

static const char help[] =
    "usage: ringdown check [--json] FILE\n"
    "       ringdown check --reference\n\n"
    "Reads a configuration file and reports every error in it, one a line, as FILE:LINE: KEY:\n"
    "what is wrong. Says nothing when the file is sound, but for warnings: of certificates that\n"
    "end soon, or that are not for the domain. The folders of recordings and messages must be\n"
    "such that this user can write there, from the present folder; none is made. The files of\n"
    "sip.tls must be such that this user can read them, and their keys those of their\n"
    "certificates.\n\n"
    "  -j, --json        {\"ok\": ..., \"errors\": [{\"line\": ..., \"text\": ...}], \"warnings\": "
    "...}\n"
    "  -r, --reference   print the page that describes every key\n"
    "  -h, --help        this text\n\n"
    "Exit status: 0 sound, 1 not sound or not readable, 2 wrong usage.\n";

static int put_reference(void)
{
    char *mem = mem_alloc(PAGE_BYTES);
    struct buf page;
    if (!mem)
        return CMD_FAILED;
    buf_init(&page, mem, PAGE_BYTES);
    config_reference(&page);
    size_t written = fwrite(page.p, 1, page.n, stdout);
    mem_free(mem);
    return written == page.n && !page.full ? CMD_OK : CMD_FAILED;
}

static void put_json_list(const struct config_errors *errs)
{
    for (uint32_t i = 0; i < errs->n; i++) {
        char mem[8 * sizeof(errs->v[i].text)];
        struct buf text;
        buf_init(&text, mem, sizeof(mem));
        buf_json(&text, str_z(errs->v[i].text));
        printf("%s{\"line\":%u,\"text\":\"" STR_FMT "\"}", i ? "," : "", errs->v[i].line,
               STR_ARG(buf_str(&text)));
    }
}

static void put_json(const struct config_errors *errs, const struct config_errors *warnings)
{
    printf("{\"ok\":%s,\"total\":%u,\"errors\":[", errs->total ? "false" : "true", errs->total);
    put_json_list(errs);
    printf("],\"warnings\":[");
    put_json_list(warnings);
    puts("]}");
}

static void put_text(const struct config_errors *errs)
{
    char mem[CONFIG_MAX_ERRORS * sizeof(errs->v[0].text) + 64];
    struct buf text;
    buf_init(&text, mem, sizeof(mem));
    config_errors_put(&text, errs);
    fwrite(text.p, 1, text.n, stderr);
}

/* What is tried, and where its errors go. */
struct trial {
    const char *path;
    struct config_errors *errs;
};

static void fault(struct trial *t, uint32_t line, const char *key, const char *why)
{
    t->errs->total++;
    if (t->errs->n == CONFIG_MAX_ERRORS)
        return;
    struct config_error *e = &t->errs->v[t->errs->n++];
    e->line = line;
    snprintf(e->text, sizeof(e->text), "%.60s:%u: %s: %s", t->path, line, key, why);
}

static void try_dir(struct trial *t, uint32_t line, const char *key, struct str dir)
{
    char name[PATH_MAX], at[PATH_MAX] = "", why[160];
    str_copy_z(name, sizeof(name), dir);
    int err = fs_try_dir(name, at);
    snprintf(why, sizeof(why), "cannot be written to: %.60s: %s", at, strerrordesc_np(-err));
    if (err)
        fault(t, line, key, why);
}

/* `map` is "sip.tls" or one of its certificates. */
static void try_pair(struct trial *t, const char *map, const uint32_t line[2],
                     const struct str file[2])
{
    char name[2][PATH_MAX], key[64], mem[160];
    struct tls_certificate files = {.certificate = name[0], .private_key = name[1]};
    struct buf why;
    bool of_key;
    str_copy_z(name[0], sizeof(name[0]), file[0]);
    str_copy_z(name[1], sizeof(name[1]), file[1]);
    buf_init(&why, mem, sizeof(mem) - 1);
    int err = tls_pair_check(&files, &of_key, &why);
    mem[why.n] = '\0';
    snprintf(key, sizeof(key), "%s.%s", map, of_key ? "private_key" : "certificate");
    if (err)
        fault(t, line[of_key], key, mem);
}

/* What serves, and yet not for long, or not those whom it is meant for. */
static void try_certificates(struct trial *t, const struct config *c)
{
    struct tls_files *f = tls_files_of(c);
    struct tls_ctx *tls = NULL;
    struct tls_certificate_view v;
    struct buf none = {0};
    int err = f ? tls_ctx_new(&tls, &f->cfg, &none) : -ENOMEM;
    bool one = c->sip.tls.certificate.n != 0;
    for (unsigned i = 0; !err && tls_ctx_certificate_get(tls, i, &v, &none) == 0; i++) {
        char day[32], key[64] = "sip.tls.certificate", why[96];
        unsigned at = i - one; /* in the list */
        if (i >= one)
            snprintf(key, sizeof(key), "sip.tls.certificates[%u].certificate", at);
        tls_day_put(day, v.expires_s);
        snprintf(why, sizeof(why), "warning: it is good only until %s", day);
        if (tls_ends_soon(&v, time(NULL)))
            fault(t, i < one ? c->line.certificate : c->line.certificates[at].certificate, key,
                  why);
    }
    if (!err && tls_lacks_domain(tls, c))
        fault(t, c->line.domain, "sip.domain",
              "warning: no certificate of sip.tls is for it, and phones ask for it");
    tls_ctx_free(tls);
    mem_free(f);
}

static void try_authorities(struct trial *t, uint32_t line, struct str file)
{
    char name[PATH_MAX], mem[160];
    struct buf why;
    str_copy_z(name, sizeof(name), file);
    buf_init(&why, mem, sizeof(mem) - 1);
    int err = tls_authorities_check(name, &why);
    mem[why.n] = '\0';
    if (err)
        fault(t, line, "sip.tls.ca", mem);
}

static void try_tls(struct trial *t, const struct config *c)
{
    const struct config_tls *tls = &c->sip.tls;
    if (tls->certificate.n)
        try_pair(t, "sip.tls", (uint32_t[]){c->line.certificate, c->line.private_key},
                 (struct str[]){tls->certificate, tls->private_key});
    for (uint32_t i = 0; i < tls->n_certificates; i++) {
        char map[48];
        snprintf(map, sizeof(map), "sip.tls.certificates[%u]", i);
        try_pair(
            t, map,
            (uint32_t[]){c->line.certificates[i].certificate, c->line.certificates[i].private_key},
            (struct str[]){tls->certificates[i].certificate, tls->certificates[i].private_key});
    }
    try_authorities(t, c->line.ca, tls->ca);
}

/* A path that is not absolute counts from where the program runs, here as there. */
static int try_files(struct config_errors *errs, struct config_errors *warnings, const char *path,
                     const struct config *c)
{
    struct trial t = {path, errs}, doubt = {path, warnings};
    try_dir(&t, c->line.recording_dir, "recording.dir", c->recording.dir);
    try_dir(&t, c->line.voicemail_dir, "voicemail.dir", c->voicemail.dir);
    try_tls(&t, c);
    if (!errs->total)
        try_certificates(&doubt, c);
    return errs->total ? -EINVAL : 0;
}

static int check(const char *path, bool json)
{
    char *text;
    size_t n;
    struct config *config = NULL;
    struct config_errors errs, warnings = {0};
    int err = fs_read(path, MAX_FILE_BYTES, &text, &n);
    if (err) {
        errno = -err;
        perror(path);
        return CMD_FAILED;
    }
    err = config_load(&config, path, str_of(text, n), &errs);
    mem_free(text);
    err = err ? err : try_files(&errs, &warnings, path, config);
    config_unref(config);
    if (err && err != -EINVAL) {
        errno = -err;
        perror(path);
        return CMD_FAILED;
    }
    if (json)
        put_json(&errs, &warnings);
    else
        put_text(err ? &errs : &warnings);
    return err ? CMD_FAILED : CMD_OK;
}

int cmd_check(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"reference", no_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool json = false, reference = false;
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "jrh", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(help, stdout);
            return CMD_OK;
        }
        if (c == '?')
            return cmd_usage("check", "unknown option");
        json |= c == 'j';
        reference |= c == 'r';
    }
    if (argc - optind != (reference ? 0 : 1))
        return cmd_usage("check", reference ? "too many arguments" : "one file is needed");
    return reference ? put_reference() : check(argv[optind], json);
}

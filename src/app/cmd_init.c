#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "app/cmd.h"
#include "base/rand.h"
#include "io/entropy.h"
#include "io/fs.h"

static const char help[] =
    "usage: ringdown init [-o FILE] [--force]\n\n"
    "Writes a first configuration: extensions 1001 and 1002 with random passwords, SIP on UDP and\n"
    "TCP port 5060 of every address. Only its owner may read the file.\n\n"
    "  -o, --output FILE   where to (default ringdown.yaml)\n"
    "  -f, --force         replace a file that is there\n"
    "  -h, --help          this text\n\n"
    "Exit status: 0 written, 1 failed, 2 wrong usage.\n";

/* %1 and %2 stand for the two passwords. */
static const char template[] =
    "# Ringdown's configuration. `ringdown check ringdown.yaml` says whether it is sound,\n"
    "# `ringdown ctl reload` applies it. Every key is described in docs/configuration.md;\n"
    "# those not given here have their defaults.\n"
    "\n"
    "sip:\n"
    "  # domain: pbx.example.com          # what stands behind the @; default: ringdown\n"
    "  listen: [\"udp:0.0.0.0:5060\", \"tcp:0.0.0.0:5060\"]\n"
    "  # external: 203.0.113.7            # the public address when this is behind NAT\n"
    "\n"
    "media:\n"
    "  address: 0.0.0.0\n"
    "  ports: 20000-29999                 # open them in the firewall, UDP\n"
    "  codecs: [opus, G722, PCMU, PCMA]\n"
    "\n"
    "# One entry a phone. The user name is the number unless `username` says otherwise.\n"
    "extensions:\n"
    "  - {number: \"1001\", name: First phone, password: \"%1\"}\n"
    "  - {number: \"1002\", name: Second phone, password: \"%2\"}\n"
    "\n"
    "# A line to a provider, and the calls that take it.\n"
    "# trunks:\n"
    "#   - {name: line, uri: \"sip:sip.example.net\", username: \"\", password: \"\", register: "
    "true}\n"
    "# routes:\n"
    "#   - {match: \"^0[0-9]+$\", to: \"trunk:line\"}\n"
    "#   - {from: \"trunk:line\", match: \".*\", to: \"extension:1001\"}\n"
    "\n"
    "store:\n"
    "  url: \"sqlite:var/ringdown.db\"\n"
    "\n"
    "log: {level: info, format: text}\n"
    "ctl: {socket: var/ringdown.sock}\n";

/* Letters that nobody confuses when typing them into a phone. */
static void password_put(struct rand *rand, struct buf *out)
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXYZ2346789";
    for (unsigned i = 0; i < 20; i++)
        buf_ch(out, letters[rand_below(rand, sizeof(letters) - 1)]);
}

static int write_config(const char *path)
{
    uint8_t key[32];
    struct rand rand;
    char mem[sizeof(template) + 64];
    struct buf out;
    int err = entropy_get(key, sizeof(key));
    if (err)
        return err;
    rand_init(&rand, key);
    buf_init(&out, mem, sizeof(mem));
    for (const char *p = template; *p; p++) {
        if (p[0] == '%' && (p[1] == '1' || p[1] == '2')) {
            password_put(&rand, &out);
            p++;
        } else {
            buf_ch(&out, *p);
        }
    }
    BUG_ON(out.full);
    return fs_write(path, buf_str(&out));
}

int cmd_init(int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"force", no_argument, NULL, 'f'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *path = "ringdown.yaml";
    bool force = false;
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "o:fh", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(help, stdout);
            return CMD_OK;
        }
        if (c == '?')
            return cmd_usage("init", "unknown option, or a value is missing");
        force |= c == 'f';
        path = c == 'o' ? optarg : path;
    }
    if (optind < argc)
        return cmd_usage("init", "too many arguments");
    if (!force && access(path, F_OK) == 0) {
        fprintf(stderr, "ringdown init: %s is there already; --force replaces it\n", path);
        return CMD_FAILED;
    }
    int err = write_config(path);
    if (err) {
        errno = -err;
        perror(path);
        return CMD_FAILED;
    }
    printf("wrote %s: extensions 1001 and 1002, with their passwords\n", path);
    return CMD_OK;
}

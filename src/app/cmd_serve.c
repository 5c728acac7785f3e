/* ringdown serve: the exchange itself. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <unistd.h>

#include "app/cmd.h"
#include "app/wire.h"
#include "base/mem.h"
#include "io/iface.h"

#define DEFAULT_FILE "ringdown.yaml"

static void help(void)
{
    puts("usage: ringdown serve [-c FILE] [--phones]\n"
         "\n"
         "Serves SIP as FILE (ringdown.yaml) says, until SIGTERM or SIGINT. SIGHUP applies a\n"
         "changed file, whole or not at all.\n"
         "\n"
         "  -c, --config FILE  the configuration\n"
         "      --phones       print what to type into the first two phones, with passwords;\n"
         "                     done by itself when standard output is a terminal\n"
         "\n"
         "Exit status: 0 stopped when asked, 1 cannot start, 2 wrong usage.");
}

static void print_phone(const struct wire *w, const struct config_extension *e, struct str host,
                        uint16_t port)
{
    printf("  Phone " STR_FMT "\n", STR_ARG(e->number));
    printf("    server    " STR_FMT ":%u (UDP or TCP)\n", STR_ARG(host), port);
    printf("    user      " STR_FMT "\n", STR_ARG(e->username));
    if (e->password.secret.n)
        printf("    password  " STR_FMT "\n", STR_ARG(e->password.secret));
    if (w->config->sip.domain.n)
        printf("    domain    " STR_FMT "\n", STR_ARG(w->config->sip.domain));
}

static void print_phones(struct wire *w)
{
    const struct config *c = w->config;
    struct addr bound = c->sip.listen.v[0].addr, nobody = {0};
    struct local_addrs *local = mem_zero(sizeof(*local));
    char mem[80];
    struct buf host;
    if (!local || iface_list(local)) {
        mem_free(local);
        return;
    }
    struct addr own = local_for(local, &bound, &nobody);
    if (addr_is_any(&own)) /* no network but loopback */
        own = (struct addr){.family = ADDR_V4, .port = own.port, .ip = {127, 0, 0, 1}};
    buf_init(&host, mem, sizeof(mem));
    addr_put_host(&host, &own);
    printf("Ringdown is serving. Type this into two phones:\n\n");
    for (uint32_t i = 0; i < c->n_extensions && i < 2; i++)
        print_phone(w, &c->extensions[i], buf_str(&host), own.port);
    if (c->n_extensions >= 2)
        printf("\nThen dial " STR_FMT " from the first. `%s ctl calls` shows the call.\n",
               STR_ARG(c->extensions[1].number), program_invocation_name);
    fflush(stdout);
    mem_free(local);
}

int cmd_serve(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"phones", no_argument, NULL, 'p'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *file = DEFAULT_FILE;
    bool phones = isatty(STDOUT_FILENO);
    int c;
    while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (c == 'h') {
            help();
            return CMD_OK;
        }
        if (c == 'c')
            file = optarg;
        else if (c == 'p')
            phones = true;
        else
            return cmd_usage("serve", "unknown option");
    }
    if (optind < argc)
        return cmd_usage("serve", "no such argument");
    struct wire *w = mem_zero(sizeof(*w));
    if (!w)
        return CMD_FAILED;
    int err = wire_open(w, file);
    if (!err) {
        if (phones)
            print_phones(w);
        wire_run(w);
    }
    wire_close(w);
    mem_free(w);
    return err ? CMD_FAILED : CMD_OK;
}

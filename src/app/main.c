/* ringdown: a SIP telephone exchange. This file finds the subcommand. */
#include <stdio.h>
#include <string.h>

#include "app/cmd.h"
#include "base/assert.h"

static const struct {
    const char *name, *text;
    int (*run)(int argc, char **argv);
} commands[] = {
#define COMMAND(name, text) {#name, text, cmd_##name},
#include "app/commands.def"
#undef COMMAND
};

static void help(FILE *out)
{
    fputs("ringdown: a SIP telephone exchange\n\nusage: ringdown COMMAND [ARGUMENTS]\n\n", out);
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].text);
    fputs("\nringdown COMMAND --help explains one.\n"
          "Exit status: 0 done, 1 failed, 2 wrong usage.\n",
          out);
}

int cmd_usage(const char *name, const char *problem)
{
    fprintf(stderr, "ringdown %s: %s; try ringdown %s --help\n", name, problem, name);
    return CMD_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        help(stderr);
        return CMD_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help(stdout);
        return CMD_OK;
    }
    const char *name = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "ringdown: no command %s\n", name);
    help(stderr);
    return CMD_USAGE;
}

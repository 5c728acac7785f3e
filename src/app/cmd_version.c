#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>

#include "app/cmd.h"

static const char help[] = "usage: ringdown version [--json]\n\n"
                           "Prints the version of this program.\n\n"
                           "  -j, --json   as a JSON object\n"
                           "  -h, --help   this text\n\n"
                           "Exit status: 0 done, 2 wrong usage.\n";

int cmd_version(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool json = false;
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "jh", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(help, stdout);
            return CMD_OK;
        }
        if (c != 'j')
            return cmd_usage("version", "unknown option");
        json = true;
    }
    if (optind < argc)
        return cmd_usage("version", "too many arguments");
    if (json)
        printf("{\"name\":\"ringdown\",\"version\":\"%s\"}\n", RD_VERSION);
    else
        printf("ringdown %s\n", RD_VERSION);
    return CMD_OK;
}

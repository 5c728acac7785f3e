/* The subcommands of the program. Each gets its own arguments, argv[0] being its name. */
#ifndef APP_CMD_H
#define APP_CMD_H

#define COMMAND(name, text) int cmd_##name(int argc, char **argv);
#include "app/commands.def"
#undef COMMAND

/* Exit statuses of every subcommand. */
enum { CMD_OK = 0, CMD_FAILED = 1, CMD_USAGE = 2 };

/* "ringdown NAME: try --help" on standard error. Returns CMD_USAGE. */
int cmd_usage(const char *name, const char *problem);

#endif

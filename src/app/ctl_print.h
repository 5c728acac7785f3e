/* Answers of the control socket as text for people. */
#ifndef APP_CTL_PRINT_H
#define APP_CTL_PRINT_H

#include <jansson.h>

/* Prints the result of `word` on standard output: lists as tables, objects as lines. */
void ctl_print(const char *word, const json_t *result);

#endif

/* What --help and --version print, on standard output. */
#ifndef CMD_HELP_H
#define CMD_HELP_H

#include "cmd/flags.h"

void help_program(void);
void help_server(const struct flag *table, size_t count);
void help_version(void);

#endif

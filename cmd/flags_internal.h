/* What the files that read flags share. */
#ifndef CMD_FLAGS_INTERNAL_H
#define CMD_FLAGS_INTERNAL_H

#include "cmd/flags.h"

/* The row of that name (size bytes of it); f->count when there is none. */
size_t flags_row(const struct flags *f, const char *name, size_t size);

/* Checks and keeps a value.  origin names the flag in messages: "--name", or
 * the variable. */
enum status flags_set(struct flags *f, size_t row, enum flag_source source,
                      const char *origin, const char *value,
                      struct fault *reterr) MUST_USE;

#endif

/* What is to be said about the flags that were given: which of them this
 * version does not honour, and which it refuses. */

#include "cmd/flags.h"

#include <stdio.h>
#include <string.h>

#include "cmd/flag_value.h"

static bool is_normal(const struct flag *row, const char *value)
{
    bool a, b;
    int64_t x, y;
    switch (row->kind) {
    case FLAG_BOOL:
        return flag_value_bool(row->normal, &a) && flag_value_bool(value, &b) &&
               a == b;
    case FLAG_INT:
    case FLAG_COUNT:
        return flag_value_int(row->normal, &x) && flag_value_int(value, &y) &&
               x == y;
    case FLAG_DURATION:
        return flag_value_duration(row->normal, &x) &&
               flag_value_duration(value, &y) && x == y;
    case FLAG_TEXT:
    case FLAG_URLS:
    case FLAG_CHOICE:
    case FLAG_LIST:
        return strcmp(row->normal, value) == 0;
    }
    unreachable("kind of flag");
}

/* "--name" or "ETCD_NAME", wherever the value came from. */
static void origin_of(const struct flag *row, const struct flag_setting *s,
                      char *ret, size_t size)
{
    if (s->source == FLAG_FROM_ENVIRONMENT) {
        (void)flag_variable(row, ret, size);
    } else {
        (void)snprintf(ret, size, "--%s", row->name);
    }
}

/* A switch that is off, or a list of nothing, asks for nothing. */
static bool asks_for_nothing(const struct flag *row, const char *value)
{
    bool on;
    return value[0] == '\0' ||
           (row->kind == FLAG_BOOL && flag_value_bool(value, &on) && !on);
}

static bool deserves_warning(const struct flag *row,
                             const struct flag_setting *s)
{
    switch (row->fate) {
    case FLAG_LATER:
        return !asks_for_nothing(row, s->value) ||
               (row->kind == FLAG_BOOL && !is_normal(row, s->value));
    case FLAG_MOOT:
        return !is_normal(row, s->value);
    case FLAG_USED:
    case FLAG_REFUSED:
        return false;
    }
    unreachable("fate of a flag");
}

enum status flags_review(const struct flags *f,
                         void (*warn)(void *arg, const char *line), void *arg,
                         struct fault *reterr)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct flag *row = &f->table[i];
        const struct flag_setting *s = &f->settings[i];
        char origin[96];
        char line[512];
        origin_of(row, s, origin, sizeof origin);
        if (s->shadowed) {
            char variable[96];
            (void)flag_variable(row, variable, sizeof variable);
            (void)snprintf(line, sizeof line, "%s: overridden by --%s",
                           variable, row->name);
            warn(arg, line);
        }
        if (s->source == FLAG_FROM_DEFAULT) {
            continue;
        }
        if (row->fate == FLAG_REFUSED && !is_normal(row, s->value)) {
            return fault_set(reterr, ST_INVALID, "%s: %s", origin, row->note);
        }
        if (deserves_warning(row, s)) {
            (void)snprintf(line, sizeof line, "%s: %s", origin, row->note);
            warn(arg, line);
        }
    }
    return ST_OK;
}

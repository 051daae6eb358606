/* Flags from variables of the environment: ETCD_DATA_DIR is --data-dir. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/flags_internal.h"

#define VARIABLE_SIZE_MAX 96

static const char *prefix_of(const struct flag *row)
{
    return strcmp(row->group, FLAG_GROUP_OWN) == 0 ? "KEELFS_" : "ETCD_";
}

size_t flag_variable(const struct flag *row, char *ret, size_t size)
{
    const int length = snprintf(ret, size, "%s%s", prefix_of(row), row->name);
    for (char *p = ret; *p != '\0'; p++) {
        *p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    }
    return (size_t)length;
}

/* The value when `pair` is "<variable>=…"; NULL when it is another's. */
static const char *value_in(const char *pair, const char *variable)
{
    const size_t size = strlen(variable);
    return strncmp(pair, variable, size) == 0 && pair[size] == '='
               ? pair + size + 1
               : NULL;
}

/* Each part of "a:b:c" is one value of the list. */
static enum status set_list(struct flags *f, size_t row, const char *variable,
                            const char *value, struct fault *reterr)
{
    must(f->environment_copy == NULL); /* one list flag has a variable */
    f->environment_copy = strdup(value);
    must(f->environment_copy != NULL);
    char *rest = f->environment_copy;
    char *part;
    while ((part = strsep(&rest, ":")) != NULL) {
        const enum status st =
            flags_set(f, row, FLAG_FROM_ENVIRONMENT, variable, part, reterr);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

static enum status read_variable(struct flags *f, size_t row, const char *pair,
                                 struct fault *reterr)
{
    char variable[VARIABLE_SIZE_MAX];
    const size_t length =
        flag_variable(&f->table[row], variable, sizeof variable);
    must(length < sizeof variable);
    const char *value = value_in(pair, variable);
    if (value == NULL || value[0] == '\0') {
        return ST_OK;
    }
    if (f->settings[row].source == FLAG_FROM_LINE) {
        f->settings[row].shadowed = true;
        return ST_OK;
    }
    if (f->table[row].kind == FLAG_LIST) {
        return set_list(f, row, variable, value, reterr);
    }
    return flags_set(f, row, FLAG_FROM_ENVIRONMENT, variable, value, reterr);
}

enum status flags_read_environment(struct flags *f, char *const *environment,
                                   struct fault *reterr)
{
    for (; *environment != NULL; environment++) {
        for (size_t row = 0; row < f->count; row++) {
            const enum status st = read_variable(f, row, *environment, reterr);
            if (st != ST_OK) {
                return st;
            }
        }
    }
    return ST_OK;
}

static bool is_known(const struct flags *f, const char *pair)
{
    for (size_t row = 0; row < f->count; row++) {
        char variable[VARIABLE_SIZE_MAX];
        (void)flag_variable(&f->table[row], variable, sizeof variable);
        if (value_in(pair, variable) != NULL) {
            return true;
        }
    }
    return false;
}

void flags_each_unknown_variable(const struct flags *f,
                                 char *const *environment,
                                 void (*unknown)(void *arg, const char *name),
                                 void *arg)
{
    for (; *environment != NULL; environment++) {
        char name[VARIABLE_SIZE_MAX];
        if (strncmp(*environment, "ETCD_", 5) == 0 &&
            !is_known(f, *environment)) {
            (void)snprintf(name, sizeof name, "%.*s",
                           (int)strcspn(*environment, "="), *environment);
            unknown(arg, name);
        }
    }
}

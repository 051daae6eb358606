/* Reading command lines and environments by a table of flags. */

#include "cmd/flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/flag_value.h"
#include "cmd/flags_internal.h"
#include "cmd/nearest.h"

void flags_init(struct flags *f, const struct flag *table, size_t count)
{
    must(count > 0);
    *f = (struct flags){.table = table, .count = count};
    f->settings = xcalloc(count, sizeof f->settings[0]);
    for (size_t i = 0; i < count; i++) {
        f->settings[i].value = table[i].normal;
    }
}

void flags_fini(struct flags *f)
{
    for (size_t i = 0; f->settings != NULL && i < f->count; i++) {
        free(f->settings[i].values);
    }
    free(f->settings);
    free(f->environment_copy);
    *f = (struct flags){0};
}

/* --- the rows --- */

size_t flags_row(const struct flags *f, const char *name, size_t size)
{
    size_t i = 0;
    while (i < f->count && (strncmp(f->table[i].name, name, size) != 0 ||
                            f->table[i].name[size] != '\0')) {
        i++;
    }
    return i;
}

const struct flag_setting *flags_setting(const struct flags *f,
                                         const char *name)
{
    const size_t row = flags_row(f, name, strlen(name));
    must(row < f->count);
    return &f->settings[row];
}

const char *flags_text(const struct flags *f, const char *name)
{
    return flags_setting(f, name)->value;
}

bool flags_bool(const struct flags *f, const char *name)
{
    bool value;
    must(flag_value_bool(flags_text(f, name), &value));
    return value;
}

int64_t flags_int(const struct flags *f, const char *name)
{
    int64_t value;
    must(flag_value_int(flags_text(f, name), &value));
    return value;
}

int64_t flags_duration_ns(const struct flags *f, const char *name)
{
    int64_t value;
    must(flag_value_duration(flags_text(f, name), &value));
    return value;
}

const char *flags_nearest(const struct flags *f, const char *word)
{
    const char *nearest = NULL;
    size_t best = nearest_distance_max(word) + 1;
    for (size_t i = 0; i < f->count; i++) {
        const size_t distance = nearest_distance(word, f->table[i].name);
        if (distance < best) {
            best = distance;
            nearest = f->table[i].name;
        }
    }
    return nearest;
}

/* --- values --- */

static bool is_choice(const char *choices, const char *value)
{
    const size_t size = strlen(value);
    while (*choices != '\0') {
        const size_t word = strcspn(choices, " ");
        if (word == size && memcmp(choices, value, size) == 0) {
            return true;
        }
        choices += word;
        choices += *choices == ' ';
    }
    return false;
}

/* origin: "--name", or the variable's name. */
static enum status check_value(const struct flag *row, const char *origin,
                               const char *value, struct fault *reterr)
{
    bool yes;
    int64_t number;
    struct flag_url_error url;
    switch (row->kind) {
    case FLAG_TEXT:
        return ST_OK;
    case FLAG_LIST:
        return value[0] != '\0' ? ST_OK
                                : fault_set(reterr, ST_INVALID,
                                            "%s: the value is empty", origin);
    case FLAG_BOOL:
        return flag_value_bool(value, &yes)
                   ? ST_OK
                   : fault_set(reterr, ST_INVALID,
                               "%s: '%s' is neither true nor false", origin,
                               value);
    case FLAG_INT:
    case FLAG_COUNT:
        if (!flag_value_int(value, &number)) {
            return fault_set(reterr, ST_INVALID,
                             "%s: '%s' is not a whole number", origin, value);
        }
        return number >= 0 || row->kind == FLAG_INT
                   ? ST_OK
                   : fault_set(reterr, ST_INVALID, "%s: %s is negative", origin,
                               value);
    case FLAG_DURATION:
        return flag_value_duration(value, &number) && number >= 0
                   ? ST_OK
                   : fault_set(reterr, ST_INVALID,
                               "%s: '%s' is not a length of time (write 500ms, "
                               "10s, 1h30m)",
                               origin, value);
    case FLAG_URLS:
        return value[0] == '\0' || flag_value_urls(value, &url)
                   ? ST_OK
                   : fault_set(reterr, ST_INVALID, "%s: '%.*s' %s", origin,
                               url.size, url.url, url.why);
    case FLAG_CHOICE:
        return is_choice(row->choices, value) || strcmp(value, row->normal) == 0
                   ? ST_OK
                   : fault_set(reterr, ST_INVALID, "%s: '%s' is not one of: %s",
                               origin, value, row->choices);
    }
    unreachable("kind of flag");
}

static enum status add_to_list(struct flag_setting *s, const char *origin,
                               const char *value, struct fault *reterr)
{
    if (s->count == FLAG_LIST_MAX) {
        return fault_set(reterr, ST_TOO_MANY, "%s: given more than %d times",
                         origin, FLAG_LIST_MAX);
    }
    if (s->values == NULL) {
        s->values = xcalloc(FLAG_LIST_MAX, sizeof s->values[0]);
    }
    s->values[s->count++] = value;
    return ST_OK;
}

enum status flags_set(struct flags *f, size_t row, enum flag_source source,
                      const char *origin, const char *value,
                      struct fault *reterr)
{
    must(row < f->count);
    enum status st = check_value(&f->table[row], origin, value, reterr);
    if (st == ST_OK && f->table[row].kind == FLAG_LIST) {
        st = add_to_list(&f->settings[row], origin, value, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    f->settings[row].source = source;
    f->settings[row].value = value;
    return ST_OK;
}

/* --- the command line --- */

static enum status unknown_flag(const struct flags *f, const char *word,
                                int size, struct fault *reterr)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s", size, word);
    const char *nearest =
        size < (int)sizeof name ? flags_nearest(f, name) : NULL;
    return nearest != NULL
               ? fault_set(reterr, ST_INVALID,
                           "unknown flag '--%.*s': did you mean '--%s'?", size,
                           word, nearest)
               : fault_set(reterr, ST_INVALID, "unknown flag '--%.*s'", size,
                           word);
}

/* Reads argv[at] and perhaps the word behind it; *ret_next is the next one. */
static enum status read_word(struct flags *f, int argc, char *const *argv,
                             int at, int *ret_next, struct fault *reterr)
{
    const char *word = argv[at];
    if (word[0] != '-' || word[1] == '\0') {
        return fault_set(reterr, ST_INVALID,
                         "'%s' is not a flag: flags begin with --", word);
    }
    const char *name = word + 1 + (word[1] == '-');
    const size_t size = strcspn(name, "=");
    *ret_next = at + 1;
    if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0) {
        f->help = true;
        return ST_OK;
    }
    if (strcmp(name, "version") == 0) {
        f->version = true;
        return ST_OK;
    }
    const size_t row = flags_row(f, name, size);
    if (row == f->count) {
        return unknown_flag(f, name, (int)size, reterr);
    }
    char origin[96];
    (void)snprintf(origin, sizeof origin, "--%s", f->table[row].name);
    if (name[size] == '=') {
        return flags_set(f, row, FLAG_FROM_LINE, origin, name + size + 1,
                         reterr);
    }
    if (f->table[row].kind == FLAG_BOOL) {
        return flags_set(f, row, FLAG_FROM_LINE, origin, "true", reterr);
    }
    if (at + 1 == argc) {
        return fault_set(reterr, ST_INVALID, "%s: its value is missing",
                         origin);
    }
    *ret_next = at + 2;
    return flags_set(f, row, FLAG_FROM_LINE, origin, argv[at + 1], reterr);
}

enum status flags_read_line(struct flags *f, int argc, char *const *argv,
                            struct fault *reterr)
{
    int at = 0;
    while (at < argc) {
        const enum status st = read_word(f, argc, argv, at, &at, reterr);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

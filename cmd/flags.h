/* Command lines and environments, read by a table.
 *
 * A flag is given as --name=value, --name value, or with one dash; a boolean
 * one as --name or --name=value (never in two words, as in etcd).  The last one
 * wins; a list collects all.  Precedence: command line, environment, default.
 * Values are borrowed from the command line, the environment and the table.
 */
#ifndef CMD_FLAGS_H
#define CMD_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

enum flag_kind {
    FLAG_TEXT,
    FLAG_BOOL,
    FLAG_INT,      /* may be negative */
    FLAG_COUNT,    /* 0 or more */
    FLAG_DURATION, /* 0 or more */
    FLAG_URLS,
    FLAG_CHOICE,
    FLAG_LIST, /* given as often as wanted; ':' between them in the environment
                */
};

/* What this version does with a flag. */
enum flag_fate {
    FLAG_USED,
    FLAG_LATER, /* accepted with a warning: what it asks for is not there yet */
    FLAG_MOOT,  /* tunes what does not exist here: a warning unless default */
    FLAG_REFUSED /* anything but the default is an error */
};

/* The group of flags that etcd does not have; their variables begin with
 * KEELFS_ and not with ETCD_. */
#define FLAG_GROUP_OWN "Mounts and the loop"

struct flag {
    const char *name;
    enum flag_kind kind;
    const char *normal;  /* the default; "" is none */
    const char *choices; /* FLAG_CHOICE: "a b c" */
    enum flag_fate fate;
    const char *note; /* why, when it is not FLAG_USED */
    const char *group;
    const char *help;
};

enum flag_source { FLAG_FROM_DEFAULT, FLAG_FROM_ENVIRONMENT, FLAG_FROM_LINE };

#define FLAG_LIST_MAX 64

struct flag_setting {
    enum flag_source source;
    const char *value;   /* never NULL; FLAG_LIST: the last one */
    const char **values; /* FLAG_LIST: count of them */
    size_t count;
    bool shadowed; /* in the environment too, where it does not count */
};

struct flags {
    const struct flag *table;
    size_t count;
    struct flag_setting *settings; /* one for each row */
    bool help, version;            /* --help, -h; --version */
    char *environment_copy;        /* lists of the environment, cut up */
};

/* All at their defaults. The table must outlive it. */
void flags_init(struct flags *f, const struct flag *table, size_t count);
void flags_fini(struct flags *f);

/* Reads the words behind the command.  ST_INVALID: an unknown flag (the nearest
 * known one is named), a value that is missing or malformed, a word that is no
 * flag.  Values are checked by kind. */
enum status flags_read_line(struct flags *f, int argc, char *const *argv,
                            struct fault *reterr) MUST_USE;

/* The variable of a flag: "ETCD_DATA_DIR", and KEELFS_… for flags that etcd
 * does not have.  Returns its length; the text is cut to size. */
size_t flag_variable(const struct flag *row, char *ret, size_t size);

/* Reads NAME=value pairs, NULL at the end.  Empty values count as unset.  Call
 * after flags_read_line(). */
enum status flags_read_environment(struct flags *f, char *const *environment,
                                   struct fault *reterr) MUST_USE;

/* unknown(arg, …) for each ETCD_ variable that no flag of the table has. */
void flags_each_unknown_variable(const struct flags *f,
                                 char *const *environment,
                                 void (*unknown)(void *arg, const char *name),
                                 void *arg);

/* One call for each flag that was given and is not simply used: a line to warn
 * with.  ST_INVALID for the first that is refused. */
enum status flags_review(const struct flags *f,
                         void (*warn)(void *arg, const char *line), void *arg,
                         struct fault *reterr) MUST_USE;

/* The row of that name must exist and be of that kind. */
const struct flag_setting *flags_setting(const struct flags *f,
                                         const char *name);
const char *flags_text(const struct flags *f, const char *name);
bool flags_bool(const struct flags *f, const char *name);
int64_t flags_int(const struct flags *f, const char *name);
int64_t flags_duration_ns(const struct flags *f, const char *name);

/* The name of the row most like `word`; NULL when none is. */
const char *flags_nearest(const struct flags *f, const char *word);

#endif

/* The final history of a run: what each revision changed, as a watch of
 * everything from the first revision saw it.  It is the model that every answer
 * is held against. */
#ifndef TESTS_SIM_HISTORY_H
#define TESTS_SIM_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYS        8
#define VALUE_EMPTY UINT64_MAX /* the number of a value without bytes */

/* One event of a watch. */
struct change {
    int64_t revision;
    uint32_t key;   /* KEYS: some other file's; above: locks' */
    uint64_t name;  /* a hash of the key, whosever it is */
    uint64_t value; /* unique; 0: deleted */
    uint64_t prev;  /* the value before, where it was asked for */
    bool is_last;   /* of its call: a revision is never split */
};
struct changes {
    struct change *list;
    size_t count, capacity;
    size_t *by_value; /* places, by value and key: changes_index() */
};
void changes_add(struct changes *c, struct change one);
void changes_fini(struct changes *c);

/* Nothing is added any more. */
void changes_index(struct changes *c);
/* The first change that wrote this value to the key; NULL: there is none. */
const struct change *changes_find(const struct changes *c, uint32_t key,
                                  uint64_t value);

/* First change at or after that revision; changes.count when there is none. */
size_t changes_at(const struct changes *c, int64_t revision);

/* What a key was at a revision. 0: it was not there. */
uint64_t value_at(const struct changes *c, uint32_t key, int64_t revision,
                  int64_t *ret_mod_revision);

/* What a client asked, and what it heard. */
enum call_kind {
    CALL_PUT,
    CALL_PAIR, /* puts two keys at one revision */
    CALL_DELETE,
    CALL_SWAP,
    CALL_GET,
    CALL_LIST, /* all keys */
    CALL_COMPACT,
    CALL_APPEND, /* by processes alone, as CALL_CREATE: with O_EXCL */
    CALL_CREATE
};
struct record {
    enum call_kind kind;
    uint32_t key;   /* KEYS: some other file's */
    uint64_t value; /* written, or read */
    int64_t begin_ns, end_ns;
    int64_t revision; /* of the store after it */
    int64_t expected; /* CALL_SWAP: mod_revision compared with */
    uint64_t was;     /* CALL_SWAP: the value that goes with it */
    int64_t asked;    /* CALL_LIST: at this revision; 0: the newest;
                         CALL_COMPACT: this one; CALL_APPEND, CALL_CREATE: the
                         number of the file */
    uint64_t other;   /* CALL_PAIR: written to the next key */
    uint64_t listed[KEYS];
    bool serializable;
    bool by_file; /* through a mount: no revision is told */
    bool renames; /* of these, a PUT: of another file, renamed over it */
    uint32_t at_mount;
    bool answered;   /* false: the outcome is not known */
    bool never;      /* promised: it did not and will not happen */
    bool took_place; /* answered, and changed something */
    bool vanished;   /* by_file: with a file that somebody unlinked or replaced,
                        or with a name unlinked before it was in the store */
    bool compacted;  /* answered: the revision asked for is gone */
};

struct history {
    struct record *records;
    size_t count, capacity;
    size_t *file_puts; /* places of CALL_PUT by_file: history_index() */
    size_t file_puts_count;
};
struct record *history_add(struct history *h);
/* Nothing is added any more. */
void history_index(struct history *h);
void history_fini(struct history *h);

static inline uint32_t key_after(uint32_t key)
{
    return (key + 1) % KEYS;
}

#endif

/* What flushes wrote, kept to be written once more (defragment.h). */
#ifndef STORE_KEPT_H
#define STORE_KEPT_H

#include "store/flush.h"

struct kept_flush {
    struct list link;
    struct memtable *frozen;
    struct state_numbers numbers;
    struct state_records records;
    int64_t garbage_revision;
};

struct kept_flushes {
    struct list list; /* the oldest first */
    uint64_t bytes;
};

/* Takes what a flush that has been run had, with its memtable. */
void kept_add(struct kept_flushes *kept, struct store_flush *f,
              struct memtable *frozen);
void kept_free(struct kept_flush *k);

#endif

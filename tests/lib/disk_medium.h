/* The medium below disk_sim.c: files and names, each with what is cached and
 * what is durable, and the rules by which a power cut settles the difference.
 * Private to tests/lib. */
#ifndef TESTS_LIB_DISK_MEDIUM_H
#define TESTS_LIB_DISK_MEDIUM_H

#include "base/buf.h"
#include "base/list.h"
#include "base/prng.h"

#define MEDIUM_SECTOR_SIZE 512
#define MEDIUM_NAME_MAX    255

struct medium_file {
    struct list in_medium;
    struct buf cached;  /* what readers see */
    struct buf durable; /* what surely survives */
    struct list writes; /* in order, not synced */
    size_t writes_count;
    size_t opens;   /* handles that point here */
    bool reachable; /* scratch of the sweep */
};

struct medium_names {
    struct medium_entry {
        char name[MEDIUM_NAME_MAX + 1];
        struct medium_file *file;
    } * entries; /* in order of names */
    size_t count;
};

struct medium {
    struct list files;
    struct medium_names cached, durable;
    struct list changes; /* of names, in order, not synced */
    struct prng chance;
    uint64_t lost, torn; /* writes; sectors */
};

void medium_init(struct medium *m, uint64_t seed);
void medium_fini(struct medium *m);
void medium_copy(struct medium *to, const struct medium *from);

/* NULL when there is no such name. */
struct medium_file *medium_find(const struct medium *m, const char *name);
/* The name must be free. */
struct medium_file *medium_create(struct medium *m, const char *name);
/* `from` must be there; what `to` named before loses its name. */
void medium_rename(struct medium *m, const char *from, const char *to);
/* The name must be there. */
void medium_remove(struct medium *m, const char *name);
/* Frees the files that no name, no unsynced change and no handle reaches. */
void medium_sweep(struct medium *m);
/* Bytes of all files that a reader can reach. */
uint64_t medium_used(const struct medium *m);

void medium_write(struct medium_file *f, uint64_t offset, struct bytes data);
void medium_sync(struct medium_file *f);
/* Inverts bits of one byte wherever the medium holds it. */
void medium_flip(struct medium_file *f, uint64_t offset, uint8_t mask);
/* Makes or replaces a file, durable at once. */
void medium_put(struct medium *m, const char *name, struct bytes contents);
void medium_sync_names(struct medium *m);

/* What a failed sync leaves: durable as after a power cut, nothing counts as
 * unsynced any more, readers see no difference. */
void medium_half_sync(struct medium *m, struct medium_file *f);
void medium_half_sync_names(struct medium *m);
/* The power cut. */
void medium_crash(struct medium *m);

#endif

/* A watcher of a directory through one mount, as inotify would have it: what it
 * was told must be so in the end. */
#ifndef TESTS_SIM_TOLD_H
#define TESTS_SIM_TOLD_H

#include <stdint.h>

struct told;
struct mount;
struct sim;

enum told_what {
    TOLD_THERE, /* made, or moved there */
    TOLD_GONE,  /* removed, or moved away */
    TOLD_CHANGED
};

/* Begins as soon as there is the directory. */
struct told *told_new(struct sim *s, struct mount *m);
void told_free(struct told *x);
/* What the kernel says of a name in a directory, by its inode's number. */
void told_hear(struct told *x, uint64_t directory, const char *name,
               enum told_what what);
/* After quiet. */
void told_check_end(struct told *x);

#endif

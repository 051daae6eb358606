/* The mounts of a server, wired into its loop. */
#ifndef CMD_MOUNTS_H
#define CMD_MOUNTS_H

#include "fs/fs.h"
#include "net/loop.h"

struct mounts;

/* Mounts kv at each path; on failure none stays mounted.  The status and text
 * are fs_mount()'s, with advice. */
enum status mounts_open(struct loop *loop, struct kv *kv,
                        const char *const *paths, size_t count,
                        const struct fs_options *options, struct mounts **ret,
                        struct fault *reterr) MUST_USE;

/* Unmounts what is still mounted. NULL is fine. */
void mounts_free(struct mounts *m);

#endif

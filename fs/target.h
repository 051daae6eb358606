/* Names in directories, and what the store has under them. */
#ifndef FS_TARGET_H
#define FS_TARGET_H

#include "fs/call.h"

/* 0, or the errno: ESTALE (no such directory), ENOTDIR, ENAMETOOLONG, EINVAL
 * (not a name that any key has: ENOENT to those who only look). */
int fs_target_resolve(struct fs_call *c, struct fs_target *t, fuse_ino_t parent,
                      const char *name);
void fs_target_clear(struct fs *fs, struct fs_target *t);
void fs_target_fini(struct fs_target *t);

struct kv_keys fs_target_key(const struct fs_target *t);   /* not DIRECTORY */
struct kv_keys fs_target_below(const struct fs_target *t); /* not VALUE */

/* A key that ends in '/' is a directory's marker, and a file only with a
 * value. */
bool fs_key_is_marker(struct bytes key);
bool fs_item_is_file(const struct kv_item *item);

/* The key, without its value; and the group of an ordinary directory. */
struct kv_op fs_op_key(struct kv_keys keys);
struct kv_op fs_op_group(struct bytes below, struct bytes end);

/* Fills in the operations that find out what is there; returns how many. */
size_t fs_target_look(const struct fs_target *t, struct kv_op *ops);
struct fs_found {
    const struct kv_item *file;      /* NULL: none */
    const struct kv_item *directory; /* its group; it wins the name */
};
struct fs_found fs_target_found(const struct fs_target *t,
                                const struct kv_op_result *results);

#endif

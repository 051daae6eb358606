/* .keelfs/leases: a directory for each lease.
 *
 *   leases/grant            write a TTL, read the id on the same handle
 *   leases/ID/ttl           seconds left
 *   leases/ID/granted_ttl   what it was granted
 *   leases/ID/keys          the attached keys, one a line
 *   touch leases/ID         renews it
 *   rmdir leases/ID         revokes it
 *
 * IDs are hex, as user.keelfs.lease shows them.  A lease's node numbers are
 * given out when it is looked up and taken back when the kernel forgets them;
 * what they say is asked of the store each time.
 */
#ifndef FS_LEASE_DIR_H
#define FS_LEASE_DIR_H

#include "fs/call.h"
#include "fs/control.h"

#define FS_LEASES_NAME "leases"

struct fs_leases;
struct fs_leases *fs_leases_new(void);
void fs_leases_free(struct fs_leases *l); /* open files too */

/* Whether the name is the directory's, or would be in it. */
bool fs_leases_is_name(fuse_ino_t parent, const char *name);

/* --- the operations, on nodes and names of it only --- */

void fs_leases_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_leases_forget(struct fs *fs, fuse_ino_t id, uint64_t lookups);
void fs_leases_getattr(fuse_req_t req, fuse_ino_t id);
void fs_leases_setattr(fuse_req_t req, fuse_ino_t id, int to_set);
void fs_leases_access(fuse_req_t req, fuse_ino_t id, int mask);
void fs_leases_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_leases_opendir(fuse_req_t req, fuse_ino_t id,
                       struct fuse_file_info *file);
void fs_leases_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                       struct fuse_file_info *file, bool plus);
void fs_leases_releasedir(fuse_req_t req, struct fuse_file_info *file);

/* lease_files.c; offsets are the handle's own affair. */
void fs_leases_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void fs_leases_read(fuse_req_t req, size_t size, struct fuse_file_info *file);
void fs_leases_write(fuse_req_t req, const char *data, size_t size,
                     struct fuse_file_info *file);
void fs_leases_release(fuse_req_t req, struct fuse_file_info *file);

/* --- lease_nodes.c --- */

enum fs_leases_part {
    FS_LEASES_TOP,   /* leases/ */
    FS_LEASES_GRANT, /* leases/grant */
    FS_LEASES_LEASE, /* leases/ID */
    FS_LEASES_TTL,
    FS_LEASES_GRANTED_TTL,
    FS_LEASES_KEYS
};
#define FS_LEASES_FILES 3
extern const char *const fs_leases_files[FS_LEASES_FILES]; /* in a lease's */

/* What a node number stands for; false: nothing any more. *ret_lease is 0 for
 * the first two. */
bool fs_leases_part_of(const struct fs *fs, fuse_ino_t id,
                       enum fs_leases_part *ret_part, int64_t *ret_lease);
/* The number of a part of a lease, for the kernel to keep: counted. */
fuse_ino_t fs_leases_id(struct fs *fs, int64_t lease, enum fs_leases_part part);
/* An open file of leases/; in the list until it is closed. */
struct fs_lease_file {
    struct list link;
    bool grants;
    struct buf text; /* what is to be read */
    size_t read;     /* of it */
};
/* An open leases/: the leases there were. */
struct fs_lease_list {
    struct list link;
    size_t count;
    int64_t ids[];
};
void fs_leases_keep_file(struct fs *fs, struct fs_lease_file *f);
void fs_leases_drop_file(struct fs_lease_file *f);
void fs_leases_keep_list(struct fs *fs, struct fs_lease_list *l);
void fs_leases_drop_list(struct fs_lease_list *l);

/* Whether the asker may grant, renew and revoke: 0, or the errno. */
int fs_leases_may_change(struct fs *fs, fuse_req_t req);

#endif

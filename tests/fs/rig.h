/* The filesystem driven as the kernel drives it: raw FUSE requests over a
 * socket pair, unprivileged, with a fake keystore behind and no clock. */
#ifndef TESTS_FS_RIG_H
#define TESTS_FS_RIG_H

#include <linux/fuse.h>

#include "fs/fs.h"
#include "fs/internal.h"
#include "tests/fs/fake_kv.h"
#include "tests/lib/test.h"

struct rig {
    struct fake_kv kv;
    struct fs *fs;
    int fd;
    int64_t now_ns;
    uint64_t unique;
    uint32_t pid, uid, gid; /* of the requests to come */
};

struct rig_reply {
    bool there;
    int error; /* positive */
    uint64_t unique;
    size_t size; /* of the body */
    _Alignas(8) uint8_t body[256 * 1024];
};

/* Pids of threads that are none of this machine's. In the rig, the thread group
 * of PID is PID rounded down to tens. */
#define PID_A 5000000
#define PID_B 5000100

void rig_begin(struct rig *r, const char *options);
void rig_end(struct rig *r);

/* Sends one request; its parts are laid one behind the other. */
uint64_t rig_ask(struct rig *r, uint32_t opcode, uint64_t node,
                 const void *head, size_t head_size, const void *tail,
                 size_t tail_size);
/* The filesystem reads its requests, the store answers; until all is quiet. */
void rig_run(struct rig *r);
/* As above, but the store answers nothing. */
void rig_read(struct rig *r);
void rig_pass(struct rig *r, int64_t ms);
/* The next reply; there == false when there is none. In a static buffer that
 * the next call reuses. */
struct rig_reply *rig_reply(struct rig *r);
/* Asks, runs, and wants the one reply to it. */
struct rig_reply *rig_call(struct rig *r, uint32_t opcode, uint64_t node,
                           const void *head, size_t head_size, const void *tail,
                           size_t tail_size);

/* Each returns the errno, 0 for success. */
int rig_lookup(struct rig *r, uint64_t parent, const char *name,
               struct fuse_entry_out *ret);
int rig_getattr(struct rig *r, uint64_t node, struct fuse_attr *ret);
int rig_open(struct rig *r, uint64_t node, uint32_t flags, uint64_t *ret);
int rig_create(struct rig *r, uint64_t parent, const char *name, uint32_t flags,
               uint64_t *ret_node, uint64_t *ret_handle);
int rig_write(struct rig *r, uint64_t node, uint64_t handle, uint64_t offset,
              const char *text, uint32_t flags);
int rig_flush(struct rig *r, uint64_t node, uint64_t handle);
int rig_fsync(struct rig *r, uint64_t node, uint64_t handle);
int rig_release(struct rig *r, uint64_t node, uint64_t handle);
int rig_mkdir(struct rig *r, uint64_t parent, const char *name, uint64_t *ret);
int rig_rmdir(struct rig *r, uint64_t parent, const char *name);
int rig_unlink(struct rig *r, uint64_t parent, const char *name);
int rig_rename(struct rig *r, uint64_t parent, const char *name,
               uint64_t other_parent, const char *other_name, uint32_t flags);
/* Truncates by path (handle 0) or through a handle. */
int rig_truncate(struct rig *r, uint64_t node, uint64_t handle, uint64_t size);
void rig_forget(struct rig *r, uint64_t node, uint64_t lookups);
/* What the handle reads, as text; "errno N" on failure. */
const char *rig_read_text(struct rig *r, uint64_t node, uint64_t handle);
/* The whole directory as "name name/ …", through replies of `size` bytes. */
const char *rig_list(struct rig *r, uint64_t node, uint32_t size, bool plus);
/* A path of directories and a name, from the root; fails the test when it is
 * not there. */
uint64_t rig_walk(struct rig *r, const char *path);
/* What the store has, as text; "-" for nothing. */
const char *rig_value(struct rig *r, const char *key);

#endif

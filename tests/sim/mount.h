/* One of a member's mounts: FUSE requests and their replies, without a kernel
 * (kernel.h stands for it), and with helpers and a watcher of its own. */
#ifndef TESTS_SIM_MOUNT_H
#define TESTS_SIM_MOUNT_H

#include "base/bytes.h"
#include "fs/fs.h"

/* Numbers of askers: processes have the first. */
#define ASKER_WATCHER 16
#define ASKER_HELPERS 20

struct mount;
struct member;
struct kernel;
struct fuse_asker;

/* error: positive errno, or 0; body: borrowed. */
typedef void fuse_reply(struct fuse_asker *a, int error, struct bytes body);

/* Who waits for a reply: one request at a time. */
struct fuse_asker {
    uint32_t number; /* unique among the askers of a mount, below 64 */
    uint32_t pid;
    fuse_reply *on_reply; /* NULL: waits for none */
};

struct mount *mount_new(struct member *m, int64_t now_ns);
/* The daemon dies: no reply comes any more. */
void mount_free(struct mount *m);
/* Requests are handled, timers fire, replies are given; true when there was
 * anything. */
bool mount_turn(struct mount *m, int64_t now_ns);
/* Whether somebody but a helper has asked since the last time. */
bool mount_has_asked(struct mount *m);

struct kernel *mount_kernel(struct mount *m);
/* After quiet: what its watcher was told is so. */
void mount_check_end(struct mount *m);

void mount_ask(struct mount *m, struct fuse_asker *a, uint32_t opcode,
               uint64_t node, struct bytes head, struct bytes tail,
               fuse_reply *on_reply);
/* A request that has no reply, or whose reply nobody wants. */
void mount_tell(struct mount *m, uint32_t opcode, uint64_t node,
                struct bytes head);

#endif

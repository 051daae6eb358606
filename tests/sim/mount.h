/* One member's mount without a kernel: FUSE requests over a socket pair, as the
 * kernel would send them, and their replies. */
#ifndef TESTS_SIM_MOUNT_H
#define TESTS_SIM_MOUNT_H

#include "base/bytes.h"
#include "fs/fs.h"

struct mount;
struct fuse_asker;

/* error: positive errno, or 0; body: borrowed. */
typedef void fuse_reply(struct fuse_asker *a, int error, struct bytes body);

/* Who waits for a reply: one request at a time. */
struct fuse_asker {
    uint32_t number; /* unique among the askers of a mount, below 64 */
    uint32_t pid;
    fuse_reply *on_reply; /* NULL: waits for none */
};

struct mount *mount_new(struct kv *kv, int64_t now_ns);
/* The daemon dies: no reply comes any more. */
void mount_free(struct mount *m);
/* Requests are handled, timers fire, replies are given; true when there was
 * anything. */
bool mount_turn(struct mount *m, int64_t now_ns);

void mount_ask(struct mount *m, struct fuse_asker *a, uint32_t opcode,
               uint64_t node, struct bytes head, struct bytes tail,
               fuse_reply *on_reply);
/* A request that has no reply, or whose reply nobody wants. */
void mount_tell(struct mount *m, uint32_t opcode, uint64_t node,
                struct bytes head);

#endif

/* The kernel's end of a mount, for the fuse targets: requests over a socket
 * pair, and what a kernel keeps of their answers.
 *
 * What a kernel guarantees holds for every request that is sent with this:
 * handles are ones that an open gave and no close has taken, with the node they
 * were opened on, and are not closed while a request of theirs is under way;
 * sizes are those of the body; names have an end; what is forgotten was given.
 * All the rest is up to the input. Checked with every answer: that it belongs
 * to a request that waits for one, and is formed as that request's answers are.
 */
#ifndef TESTS_FUZZ_KERNEL_H
#define TESTS_FUZZ_KERNEL_H

#include <linux/fuse.h>

#include "base/buf.h"
#include "fs/fs.h"
#include "tests/fs/fake_kv.h"

#define KERNEL_REQUESTS 32
#define KERNEL_HANDLES  32
#define KERNEL_VALUE    8192 /* no value is larger */
#define KERNEL_PACKET   (256 * 1024)

struct kernel_handle {
    bool reserved; /* an open is under way, or has given it */
    bool open;
    bool directory;
    uint64_t node, handle;
    uint32_t flags, pid;
    uint32_t in_flight; /* requests that name it */
    uint32_t seen_size; /* of a file that is only read: all of it is the same */
    uint8_t seen[KERNEL_VALUE];
    bool is_seen[KERNEL_VALUE];
};

struct kernel_request {
    uint64_t unique; /* 0: a free place */
    uint32_t opcode, size;
    uint64_t node, offset;
    uint32_t flags, pid;
    struct kernel_handle *handle, *other; /* named, or to be given */
};

struct kernel_node {
    uint64_t id, lookups;
};

struct kernel {
    struct fake_kv kv;
    struct fs *fs;
    int fd;
    int64_t now_ns;
    uint64_t unique;
    size_t unread;       /* requests that the filesystem has not read */
    uint32_t pid, uid;   /* of the requests to come */
    uint64_t interrupts; /* that may be answered */
    uint64_t strays;     /* of them, to be looked after in the end */
    struct kernel_request requests[KERNEL_REQUESTS];
    struct kernel_handle handles[KERNEL_HANDLES];
    struct kernel_node *nodes; /* [0] is the root */
    size_t nodes_count, nodes_capacity;
    /* The last answer. */
    struct {
        uint64_t unique;
        int error; /* positive */
        uint64_t node;
        struct kernel_handle *handle;
        struct bytes body; /* until the next one */
    } answer;
    uint8_t packet[KERNEL_PACKET];
};

void kernel_begin(struct kernel *k, const char *options);
/* Everything is closed and forgotten; then nothing may be left. */
void kernel_end(struct kernel *k);

/* Whether one more request may wait for its answer. */
bool kernel_has_room(const struct kernel *k);
/* A free handle for an open; NULL: there are enough. */
struct kernel_handle *kernel_handle_free(struct kernel *k);
uint64_t kernel_ask(struct kernel *k, const struct kernel_request *q,
                    const void *head, size_t head_size, struct bytes tail);
/* These have no answer. */
void kernel_tell(struct kernel *k, uint32_t opcode, const void *head,
                 size_t head_size, struct bytes tail);
void kernel_forget(struct kernel *k, struct kernel_node *n, uint64_t lookups);
void kernel_interrupt(struct kernel *k, uint64_t unique);
/* Closes; false: not now. */
bool kernel_release(struct kernel *k, struct kernel_handle *h);

/* The filesystem reads, the store answers, until all is quiet. */
void kernel_run(struct kernel *k);
/* As above, but the store answers nothing. */
void kernel_read(struct kernel *k);
void kernel_pass(struct kernel *k, int64_t ms);

#endif

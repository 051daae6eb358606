/* What the kernel knows of one mount, and what it does of a system call there:
 * inodes and names in memory, the locks of both, and tasks, which are threads
 * in a system call.
 *
 * A task sends one request at a time.  As in Linux (6.1), a name that is in
 * memory is looked up again without a lock, any other with the directory's lock
 * shared; who makes, removes or renames a name has that lock alone, and a
 * rename between directories also the one there is for that.  What is in
 * memory goes again at some time, and is forgotten then.
 */
#ifndef TESTS_SIM_KERNEL_H
#define TESTS_SIM_KERNEL_H

#include "base/buf.h"
#include "base/list.h"
#include "tests/sim/event.h"
#include "tests/sim/mount.h"

#define TASK_LOCKS_MAX 6
#define TASK_HOLDS_MAX 12
#define NAME_SIZE      24
#define RENAME_LOCK    0 /* the number of no inode */

struct kernel;
struct member;
struct told;

struct task {
    struct fuse_asker asker;
    struct sim *sim;
    struct kernel *kernel; /* NULL: in no system call */
    bool of_daemon;        /* a thread of the filesystem's own process */

    /* private to kernel.c */
    struct event event; /* the next request, or the next step */
    uint64_t holds[TASK_HOLDS_MAX];
    size_t holds_count;
    struct {
        uint64_t inode;
        bool alone;
    } locks[TASK_LOCKS_MAX], wanted;
    size_t locks_count;
    struct list waits;
    void (*locked)(struct task *t);
    struct {
        uint32_t opcode;
        uint64_t node;
        struct buf head, tail;
        fuse_reply *on_reply;
    } request;
    uint64_t parent;
    char name[NAME_SIZE];
    bool again;
    void (*found)(struct task *t, int error, uint64_t node);

    bool found_directory; /* what a look-up found */
};

/* The member's place stands for the mount's owner. */
struct kernel *kernel_new(struct member *m, struct mount *mount);
void kernel_free(struct kernel *k);

/* The task holds what it looks up, and the locks it takes, until it ends. */
void task_begin(struct task *t, struct kernel *k);
void task_end(struct task *t);
/* Its mount is no more. */
void task_drop(struct task *t);

/* Sends a request, perhaps a little later; what is passed is copied. */
void task_ask(struct task *t, uint32_t opcode, uint64_t node, struct bytes head,
              struct bytes tail, fuse_reply *on_reply);
/* Waits for the lock: of an inode that the task holds, or RENAME_LOCK. */
void task_lock(struct task *t, uint64_t inode, bool alone,
               void (*locked)(struct task *t));
void task_unlock(struct task *t, uint64_t inode);
/* node: 0 with an error. */
void task_look_up(struct task *t, uint64_t parent, const char *name,
                  void (*found)(struct task *t, int error, uint64_t node));

/* What successful calls have done to the names; watchers are told of it. */
uint64_t task_made(struct task *t, uint64_t parent, const char *name,
                   struct bytes entry);
void task_removed(struct task *t, uint64_t parent, const char *name);
struct renaming {
    uint64_t parent, other_parent;
    const char *name, *other_name;
    bool exchange;
};
void task_renamed(struct task *t, const struct renaming *r);
/* Something was written into the file, or its writer has closed it; `parent`
 * and `name` are where it was found. */
void task_changed(struct task *t, uint64_t node, uint64_t parent,
                  const char *name);

/* Who watches a directory (told.c). */
void kernel_watch(struct kernel *k, struct told *told);
struct member *kernel_member(const struct kernel *k);
struct mount *kernel_mount(const struct kernel *k);

#endif

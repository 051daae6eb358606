/* What the files of this folder share: the mounted filesystem itself.
 *
 * Everything here belongs to the loop's thread; the replay helpers see only
 * the messages of fs/replay.h.
 */
#ifndef FS_INTERNAL_H
#define FS_INTERNAL_H

#define FUSE_USE_VERSION 35

#include <fuse_lowlevel.h>

#include "base/buf.h"
#include "base/heap.h"
#include "base/hmap.h"
#include "base/list.h"
#include "base/omap.h"
#include "fs/fs.h"

#define FS_CALLS_MAX        4096       /* parked requests */
#define FS_WRITE_MAX        (1U << 20) /* bytes in one WRITE */
#define FS_CACHE_S          3600.0     /* what is invalidated when it changes */
#define FS_SYNC_GATHER_NS   10000000LL /* a synced write of the largest size */
#define FS_WALKS_MAX        64         /* threads that walk a path again */
#define FS_READ_BATCH       64         /* requests in one fs_on_readable() */
#define FS_REQUEST_OVERHEAD 256        /* of a request beside key and value */
#define FS_LISTING_PAGE     1024       /* items asked for at once */

/* Something to do at a time; embedded in what it is for. */
struct fs_timer {
    struct heap_node node;
    void (*fire)(struct fs *fs, struct fs_timer *timer);
};

/* What the kernel's numbers stand for outside of it; replaced by tests. */
struct fs_system {
    uint32_t (*thread_group)(uint32_t thread);
    /* Whether the thread is about to die of a signal. */
    bool (*is_dying)(uint32_t thread);
    /* Whether the thread is in a system call that changes what it names; false
     * also when that cannot be seen.  Its request must be unanswered. */
    bool (*is_writing)(uint32_t thread);
    /* The device's packets, in the place of the attached descriptor's; NULL:
     * the descriptor is read and written. */
    ssize_t (*read)(void *device, void *to, size_t size);
    ssize_t (*write)(void *device, const struct iovec *parts, int count);
    void *device;
};

struct fs_node;
struct fs_replay;
struct fs_helpers;
struct fs_feed;

struct fs {
    struct kv *kv;
    struct fs_options options; /* prefix points to the buffer below */
    struct buf prefix;
    struct fs_system system;

    struct fuse_session *session;
    struct fuse_buf input;
    char *mount_point; /* NULL when attached */
    int64_t now_ns;    /* the owner's clock, as it said last */
    int64_t wall_offset_ns;
    int64_t started_wall_ns;
    uint32_t write_max;
    bool mounted;
    bool stopping;

    struct hmap nodes_by_id, nodes_by_ino;
    struct omap nodes_by_key;
    struct fs_node *root;
    uint64_t provisional_next;
    struct list pending;   /* nodes that no revision has yet */
    struct list displaced; /* those of which the watch has to tell */
    struct list joined;    /* those whose number is another's */

    struct list calls;      /* parked */
    struct list calls_idle; /* for reuse */
    struct list untold;     /* calls that wait for what the watch tells */
    struct fs_timer tells;  /* looks for them */
    struct {
        uint32_t thread;
        int64_t until_ns;
    } walks_again[FS_WALKS_MAX]; /* fs/told.c; by thread */
    size_t calls_count, calls_max;
    struct heap timers;
    struct list handles, listings; /* open ones */
    struct list controls;          /* open files of the control directory */
    struct fs_leases *leases;      /* what it shows of leases */

    struct fs_feed *feed;
    struct fs_replay *replay;   /* NULL when there is none */
    struct fs_helpers *helpers; /* threads that do it; NULL: none */
    uint32_t renames_parked;    /* across directories */
    size_t batches_abandoned;   /* of changes, which the store still works on */
};

/* Unix time; close enough for what no store has stamped. */
static inline int64_t fs_wall_ns(const struct fs *fs)
{
    return fs->now_ns + fs->wall_offset_ns;
}

void fs_timer_set(struct fs *fs, struct fs_timer *timer, int64_t at_ns);
void fs_timer_stop(struct fs *fs, struct fs_timer *timer);

/* True when a write begun now can succeed; else it is EROFS at once. */
bool fs_is_writable(struct fs *fs);
/* The largest value that one request can carry for this key. */
uint64_t fs_value_size_max(struct fs *fs, struct bytes key);

/* fs/ops.c */
extern const struct fuse_lowlevel_ops fs_operations;
/* fs/system.c: /proc and kill(2) */
extern const struct fs_system fs_system_real;
/* fs/syscall.c: of what /proc/THREAD/syscall says. */
bool fs_syscall_writes(const char *text);

#endif

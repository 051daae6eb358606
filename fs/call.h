/* Parked requests: what the kernel asked and still waits for.
 *
 * A call begins with fs_call_begin() and ends with exactly one of the replies
 * below, after which it is gone.  In between it asks the store, one question at
 * a time, or waits for another call; it never blocks.  When its time is over it
 * ends with ETIMEDOUT, when it is interrupted with EINTR.
 */
#ifndef FS_CALL_H
#define FS_CALL_H

#include "fs/inode.h"

struct fs_handle;
struct fs_listing;
struct fs_call;

/* A name in a directory, with the ranges that say what it is. */
struct fs_target {
    struct fs_node *parent; /* held */
    enum { FS_TARGET_KEY, FS_TARGET_VALUE, FS_TARGET_DIRECTORY } kind;
    struct buf key;   /* of the file; unused for DIRECTORY */
    struct buf below; /* beginning of the keys of the directory; for KEY and
                         DIRECTORY */
    struct buf end;   /* of that range */
};

/* A transaction around another (fs/guard.c). */
struct fs_guard {
    struct buf below, end; /* of the directory */
    struct kv_txn_spec inner;
    struct kv_op change;
    struct kv_compare nothing;
    void (*next)(struct fs_call *c);
};

/* How a call may end early. */
enum fs_call_kind {
    FS_CALL_READS,  /* any signal ends it */
    FS_CALL_WRITES, /* a deadly signal does; no leader is EROFS */
    FS_CALL_CLOSES  /* nothing but its deadline does */
};

struct fs_call {
    struct fs *fs;
    fuse_req_t req;
    struct list link;
    struct fs_timer deadline;
    int64_t deadline_ns;
    enum fs_call_kind kind;

    /* Waiting: for the store (next), or in somebody's list (waiting). */
    bool asked;
    bool interrupted;
    enum status early;    /* why it ends early; ST_OK: it does not */
    struct fs_timer look; /* fs/intent.c */
    uint32_t looks;
    void (*next)(struct fs_call *c);
    void (*after)(struct fs_call *c); /* of a step that several calls have */
    struct list waiting;
    int64_t tells; /* in fs->untold: until the watch has told this */
    uint32_t
        follows; /* how often c->node's file was not where it was asked for */
    struct kv_range range;
    struct kv_txn txn;
    struct kv_lease lease;
    enum { FS_ASKS_RANGE, FS_ASKS_TXN, FS_ASKS_LEASE } asks;

    /* What it is about: for its handler to use. */
    struct fs_node *node; /* held */
    struct fs_handle *handle;
    struct fs_target target, other;
    struct fs_guard guard;
    struct fs_node *locked[2]; /* whose kernel locks it keeps */
    bool renames;              /* counted in fs->renames_parked */
    struct fuse_file_info file;
    size_t size;
    off_t offset;
    int flags;
    mode_t mode;
    struct stat attr;
    struct buf data;
    void *kept; /* freed with the call */
    void (*kept_free)(void *kept);
    struct kv_compare compares[6];
    struct kv_op success[6], failure[6];
};

/* NULL: EAGAIN has been replied, there are too many. */
struct fs_call *fs_call_begin(struct fs *fs, fuse_req_t req,
                              enum fs_call_kind kind);

/* Asks the store; `next` is called with the answer in c->range, c->txn or
 * c->lease, and has to look at its call.status first.  The request is cleared
 * before it is filled in by the caller, with these: */
struct kv_range_spec *fs_call_range(struct fs_call *c);
struct kv_txn_spec *fs_call_txn(struct fs_call *c);
struct kv_lease *fs_call_lease(struct fs_call *c, enum kv_lease_op op,
                               int64_t id);
void fs_call_ask(struct fs_call *c, void (*next)(struct fs_call *c));
/* A transaction that needs the directory to be there; else the call ends with
 * ESTALE.  The answer is as if it had been asked alone. */
void fs_call_ask_within(struct fs_call *c, const struct fs_node *directory,
                        void (*next)(struct fs_call *c));
/* The answer's status, and the revision it was given at. */
enum status fs_call_status(const struct fs_call *c);
int64_t fs_call_revision(const struct fs_call *c);

/* Waits in a list until fs_call_wake() takes it out. */
void fs_call_wait(struct fs_call *c, struct list *in,
                  void (*next)(struct fs_call *c));
/* Goes on with all calls of the list, in order. */
void fs_call_wake(struct list *waiters);
void fs_call_wake_one(struct fs_call *c);

/* The answer shows that the file c->node is not, or not any more, at the key
 * that was asked for, c->target.key.  True: it may be elsewhere, and `again` is
 * called when that is known; false: ESTALE, on which the kernel walks again. */
bool fs_call_follows(struct fs_call *c, void (*again)(struct fs_call *c));
/* The same for a path by which c->node was found, before anything is asked: the
 * file may have left that name between the look-up and this call.  True: ESTALE
 * has been replied. */
bool fs_call_doubts_path(struct fs_call *c);
/* Whether the call's thread was just told to walk again: what it looks up has
 * to be confirmed. */
bool fs_call_walks_again(const struct fs_call *c);

/* Ends a parked call that cannot succeed, since there is no leader: EROFS. */
void fs_call_refuse(struct fs_call *c);

/* This call holds the directory's (or file's) lock in the kernel. */
void fs_call_locks(struct fs_call *c, struct fs_node *n);
void fs_call_locks_once(struct fs_call *c, struct fs_node *n);
/* Memory that the question needs until it is answered. */
void fs_call_keep(struct fs_call *c, void *memory, void (*release)(void *));
void fs_call_hold_node(struct fs_call *c, struct fs_node *n);

/* Replies. */
void fs_reply_status(struct fs_call *c, enum status st);
void fs_reply_errno(struct fs_call *c, int error);
void fs_reply_entry(struct fs_call *c, struct fs_node *n);
void fs_reply_attr(struct fs_call *c, const struct stat *attr);
void fs_reply_write(struct fs_call *c, size_t size);
void fs_reply_bytes(struct fs_call *c, struct bytes b);
void fs_reply_xattr(struct fs_call *c, size_t size);
/* The handle is given up when the kernel no longer wants it. */
void fs_reply_open(struct fs_call *c, struct fs_handle *h);
void fs_reply_opendir(struct fs_call *c, struct fs_listing *l);
/* Ends a call that its handler has replied to. */
void fs_call_replied(struct fs_call *c);
void fs_reply_create(struct fs_call *c, struct fs_node *n, struct fs_handle *h);

/* Answers and forgets everything that is parked. */
void fs_calls_abandon(struct fs *fs);
void fs_calls_fini(struct fs *fs);

#endif

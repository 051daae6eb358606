/* Replay: making inotify report what happened elsewhere.
 *
 * No notification of FUSE produces inotify events; operations on the mounted
 * tree do.  So helpers perform, on our own mount, the operation that matches a
 * change, and the handlers recognise them by their thread and answer without
 * changing anything (fs/answers.c).
 *
 * The loop's thread owns everything here; a helper sees its order (the strings
 * and numbers of struct fs_order) from when it is told to perform it until that
 * is done.
 */
#ifndef FS_REPLAY_H
#define FS_REPLAY_H

#include "fs/call.h"
#include "fs/path.h"

#define FS_HELPERS     8     /* they mostly wait for the loop */
#define FS_OPS_MAX     16384 /* beyond, the watch waits */
#define FS_OPS_WINDOW  64    /* looked at for one that can run */
#define FS_COLLAPSE_AT 16    /* queued ops, before modifications are joined */
#define FS_SOURCE_NAME                                                         \
    "%new" /* no key's name: where renamed values come from */

enum fs_op_type {
    FS_OP_CREATE,
    FS_OP_MODIFY,
    FS_OP_REPLACE, /* a modification, as a rename over the file */
    FS_OP_UNLINK,
    FS_OP_MKDIR,
    FS_OP_RMDIR,
    FS_OP_RENAME,
    FS_OP_EXCHANGE,
    FS_OP_ATTRIB,
    FS_OP_TRUNCATE, /* to the same size: a MODIFY and nothing else */
    FS_OP_STAT      /* so that the kernel learns the committed size */
};

/* A name in a directory. */
struct fs_place {
    struct buf directory; /* its beginning */
    struct buf below;     /* that of the name itself, were it a directory */
    struct fs_name name;
    struct buf path; /* below the mount, ended by a NUL */
};

/* What a helper is told. */
struct fs_order {
    enum fs_op_type type;
    const char *mount_point;
    const char *path;
    const char *other_path; /* of renames: the new name */
    uint64_t size;
    bool refresh; /* the kernel may have attributes that it trusts */
    bool looks;   /* then says in `watched` whether anybody watches the mount */
};

struct fs_op {
    struct list link;
    enum fs_op_type type;
    struct fs_place place, other;
    bool has_other;
    bool running;
    bool told;                  /* the request that tells it was answered */
    bool overtaken[2];          /* while it runs: its name, the other one */
    bool resting;               /* node->resting is this */
    bool moves_below;           /* the table's directory has not followed yet */
    struct fs_node *node;       /* held; NULL: not known when it was queued */
    struct fs_node *other_node; /* what a rename replaces or exchanges */
    struct buf key;             /* of the file */
    struct kv_item item;        /* without its bytes; ino 0: none */
    int64_t revision;
    struct fs_order order;
};

struct fs_helper {
    struct fs_replay *replay;
    uint32_t thread_id; /* its requests come with this */
    struct fs_op *op;   /* what it is doing; NULL: nothing */
    bool watched;       /* the answer to order.looks */
};

/* Who the helpers are: threads with system calls (fs/helpers.c), or somebody
 * who plays the kernel for them. */
struct fs_crew {
    /* Begins with h->op->order; fs_replay_done() comes later, not from here. */
    void (*perform)(struct fs_crew *crew, struct fs_helper *h);
};

/* Private to fs/pace.c. */
struct fs_pace {
    int64_t used_ns;       /* the rate is used up to then */
    struct fs_timer alarm; /* the first that rests may go */
    uint32_t told;         /* modifications since the last look, ... */
    int64_t looked_ns;     /* ... which was then */
    bool unwatched;        /* what it saw */
};

struct fs_replay {
    struct fs *fs;
    struct omap takes_by_name; /* private to fs/overtake.c */
    struct list takes;
    struct list queue;   /* in order, with those that run */
    struct list resting; /* not in the queue yet (fs/pace.h) */
    size_t queued;       /* in both */
    struct fs_pace pace;
    struct fs_crew *crew;
    struct fs_helper helpers[FS_HELPERS];
};

/* From now on changes are replayed, by a crew that outlives this; it gives each
 * helper its thread_id. */
void fs_replay_begin(struct fs *fs, struct fs_crew *crew);
/* The crew works no more; what it has not done is not done. */
void fs_replay_end(struct fs *fs);
/* A helper has performed its order. */
void fs_replay_done(struct fs *fs, struct fs_helper *h);

/* A new operation on the name of this key; NULL when the mount does not show
 * it. `value`: the key is a directory too, and this is its %value. */
struct fs_op *fs_op_new(struct fs *fs, enum fs_op_type type, struct bytes key,
                        bool file, bool value);
bool fs_op_set_other(struct fs *fs, struct fs_op *op, struct bytes key,
                     bool file, bool value);
void fs_op_free(struct fs *fs, struct fs_op *op); /* NULL is fine */
/* It was performed, or need not be. */
void fs_op_finish(struct fs *fs, struct fs_op *op);
/* What it moves has its new name in the table. */
void fs_op_follow(struct fs *fs, struct fs_op *op);
void fs_place_fini(struct fs_place *p);
/* Takes the operation; runs it when its turn has come. NULL is fine. */
void fs_replay_add(struct fs *fs, struct fs_op *op);
/* Of what this mount has done itself just now: no call of it was later. */
void fs_replay_add_own(struct fs *fs, struct fs_op *op);
/* Runs what can be run: after an operation was added, or a lock given back. */
void fs_replay_dispatch(struct fs *fs);

/* Whether two operations must keep their order; whether the kernel holds what
 * one is about. */
bool fs_op_conflicts(const struct fs_op *a, const struct fs_op *b);
bool fs_op_is_wanted(struct fs *fs, const struct fs_op *op);

/* fs/overtake.c: this mount's own call has changed whether there is this name,
 * at `revision`: replays about earlier changes of it would now tell a wrong
 * end.  Of a rename with another name, what is left is told. */
void fs_replay_overtake(struct fs *fs, const struct fs_target *t,
                        int64_t revision);
/* The same for an operation that comes only now; false: there is nothing to
 * tell, and the caller frees it. */
bool fs_overtake_new(struct fs *fs, struct fs_op *op) MUST_USE;
/* All changes up to `revision` are operations by now. */
void fs_overtake_forget(struct fs *fs, int64_t revision);
/* Takes one name out of an operation, or both; false: that was all. */
bool fs_op_reduce(struct fs *fs, struct fs_op *op, bool first,
                  bool second) MUST_USE;
/* It runs, and is not to be told any more. */
static inline bool fs_op_is_overtaken(const struct fs_op *op)
{
    return op->overtaken[0] || op->overtaken[1];
}

/* The helper that a request comes from; NULL: somebody else. */
struct fs_helper *fs_helper_of(struct fs *fs, fuse_req_t req);

#endif

/* Open files.
 *
 * A handle pins one committed revision of a value; all that it reads is that,
 * until it writes.  One that has been read to its end, and is read again there,
 * goes on to a later revision that only adds to it: what it has read is then
 * that revision, whole, and `tail -f` works.  What it writes gathers in its
 * draft and is published as one revision (fs/publish.c).  While a publication
 * is under way, calls that would change the draft wait for it.
 */
#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include "base/payload.h"
#include "fs/call.h"
#include "fs/draft.h"

enum fs_publish_cause {
    FS_PUBLISH_CLOSE, /* a close waits for it */
    FS_PUBLISH_SYNC,  /* an fsync or a synced write does */
    FS_PUBLISH_LATE   /* nobody does: idle, or after the last close */
};

struct fs_publication {
    bool running;
    bool cancelled; /* its deadline has passed */
    enum fs_publish_cause cause;
    struct kv_txn txn;
    struct kv_compare compares[2];
    struct kv_op success[2], failure[1];
    struct buf key, merged;
    struct fs_timer deadline;
    int64_t deadline_ns;
    struct fs_timer told; /* looks whether the watch has told ... */
    int64_t tells;        /* ... what happened up to this revision */
    bool waits;           /* for that; else for the store */
    /* What an attempt of unknown outcome would have made of the file. */
    struct payload *doubt;
};

struct fs_handle {
    struct fs *fs;
    struct fs_node *node; /* held */
    struct list link;     /* in fs->handles */
    struct list node_link;
    bool writes;
    bool released;          /* the kernel has closed it */
    bool came_to_end;       /* a read reached the end of what there is */
    bool at_end;            /* a read was told that there is no more */
    bool failed;            /* the last publication; nothing written since */
    uint32_t thread, group; /* who opened it */

    struct payload *pinned; /* NULL: empty */
    int64_t pinned_revision;
    /* The open was answered by a leader in this term that nobody had confirmed
     * (kv_range_spec.may_presume); 0: it was confirmed, or is by now. */
    uint64_t presumed_term;
    struct fs_draft draft;
    struct fs_publication publication;
    enum status outcome; /* of the last publication */
    struct list waiters; /* calls, until no publication is under way */
    struct fs_timer idle;
};

struct fs_handle *fs_handle_new(struct fs_call *c, struct fs_node *n);
/* For use inside: a handle that no process opened. */
struct fs_handle *fs_handle_inner(struct fs *fs, struct fs_node *n);
/* The kernel closed it: what is unpublished goes out, then it is freed. */
void fs_handle_release(struct fs_handle *h);
/* At the end: nothing goes out. */
void fs_handle_free(struct fs_handle *h);

static inline struct fs_handle *fs_handle_of(const struct fuse_file_info *file)
{
    return (struct fs_handle *)(uintptr_t)file->fh;
}

/* What the handle reads now. */
struct bytes fs_handle_content(const struct fs_handle *h);
/* Whether it was read to its end, and there may be more by now. */
bool fs_handle_is_behind(const struct fs_handle *h);
/* Goes on to the current revision if that begins with what the handle pins,
 * which is c->handle from then on. */
void fs_handle_catch_up(struct fs_call *c, struct fs_handle *h,
                        void (*next)(struct fs_call *c));
/* Begins the draft, when it has not. */
void fs_handle_edit(struct fs_handle *h);
/* After an edit: the idle clock starts again, readers' sizes are mended. */
void fs_handle_edited(struct fs_handle *h);

/* The youngest handle that a thread group has on the node; NULL: none. */
struct fs_handle *fs_handle_of_group(struct fs *fs, const struct fs_node *n,
                                     uint32_t thread);
bool fs_handle_opened_by(const struct fs_handle *h, uint32_t thread);

/* Begins to publish the draft; no publication is under way.  The waiters are
 * woken when it is over, and h->outcome says how; a handle that has been
 * released is freed then. */
void fs_publish(struct fs_handle *h, enum fs_publish_cause cause);
/* At the end: whatever the store answers, nobody is told. */
void fs_publish_abandon(struct fs_handle *h);

#endif

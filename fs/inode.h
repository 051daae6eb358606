/* The inode table: what the kernel's node numbers stand for.
 *
 * A file is known by the identity of its key's life (kv_item.ino) and follows
 * it through renames; a directory by the beginning of its keys.  A node number
 * is the identity where that is free, so that it is the inode number too; only
 * files that were created here and not yet published have a provisional one,
 * and keep it as node number for as long as the kernel knows them.
 */
#ifndef FS_INODE_H
#define FS_INODE_H

#include "fs/internal.h"

struct fs_op;

struct fs_node {
    /* private to inode.c */
    struct hmap_node by_id, by_ino;
    struct omap_node by_key;
    struct buf name;  /* 'd' or 'f', and the key */
    uint64_t lookups; /* what the kernel will forget */
    uint32_t holds;   /* ours: calls, handles */

    /* read-only elsewhere */
    uint64_t id;
    uint64_t ino;   /* the identity; 0 while pending */
    uint64_t shown; /* the inode number, where that is another; else 0: after
                       a rename over a key whose life goes on, the file is
                       another to all programs that look */
    bool directory;
    bool gone;      /* the key's life has ended; unlinked */
    bool pending;   /* created here, never published */
    bool displaced; /* as of `left` its name is another's, or nobody's: moved or
                       gone, as the watch will tell */
    int64_t left;
    int64_t since; /* a directory that was moved here at this revision gave it
                      its name; 0: it is known to have it */

    /* What is known of the key, as of `revision`. */
    int64_t revision;
    int64_t create_revision, mod_revision;
    int64_t mtime_ns;
    uint64_t size;

    int64_t moved_ns; /* when it was last told that it was renamed; 0: never */
    uint32_t mutations_parked; /* that hold its lock in the kernel */
    uint32_t closing;          /* publications after the last close */
    bool refresh_queued;       /* a stat by a helper is under way */
    struct fs_op *resting;  /* a modification to be replayed later, or NULL */
    struct list handles;    /* open ones, oldest first */
    struct list waiters;    /* calls, until `closing` is 0 */
    struct list state_link; /* in fs->pending, displaced or joined */
    struct fs_node *joined; /* held; NULL: none */
};

static inline uint64_t fs_node_shown_ino(const struct fs *fs,
                                         const struct fs_node *n)
{
    return n == fs->root || (n->shown == 0 && n->ino == 0) ? n->id
           : n->shown != 0                                 ? n->shown
                                                           : n->ino;
}

void fs_nodes_init(struct fs *fs);
void fs_nodes_fini(struct fs *fs);

/* NULL when there is none: an answer of ESTALE. */
struct fs_node *fs_node_of(struct fs *fs, fuse_ino_t id);
/* The key's file, or the directory with that beginning; NULL when unknown. */
struct fs_node *fs_node_find(struct fs *fs, bool directory, struct bytes key);
/* The published file that has the key since before `revision`, as far as is
 * known. */
struct fs_node *fs_node_find_before(struct fs *fs, struct bytes key,
                                    int64_t revision);
struct fs_node *fs_node_find_ino(struct fs *fs, uint64_t ino);
/* The file that had the key just before `revision`, as far as is known: it may
 * have been displaced since. */
struct fs_node *fs_node_was_at(struct fs *fs, struct bytes key,
                               int64_t revision);

static inline struct bytes fs_node_key(const struct fs_node *n)
{
    return bytes_after(buf_bytes(&n->name), 1);
}

/* The file that an answer as of `revision` shows under item->key, made when it
 * was unknown.  What is known of it is brought up to date. */
struct fs_node *fs_node_of_item(struct fs *fs, const struct kv_item *item,
                                int64_t revision);
/* The directory, which is there as of `revision`; item is its group, or NULL
 * where the store knows none. */
struct fs_node *fs_node_of_directory(struct fs *fs, struct bytes beginning,
                                     const struct kv_item *item,
                                     int64_t revision);
/* The same, if the file is known; a file that is known to have the key and is
 * another is displaced. */
void fs_node_learn(struct fs *fs, const struct kv_item *item, int64_t revision);
/* This mount's own call has deleted the file of this identity there. */
void fs_node_unlinked(struct fs *fs, struct bytes key, uint64_t ino,
                      int64_t revision);
/* A new pending file, of which there was nothing as of `revision`: what is
 * told of earlier ones is about something else that had the name. */
struct fs_node *fs_node_create(struct fs *fs, struct bytes key,
                               int64_t revision);
/* Something that is not there any more, or never was: for replays. */
struct fs_node *fs_node_ghost(struct fs *fs, bool directory);
/* The directory known by this name in another; NULL: unknown. */
struct fs_node *fs_directory_below(struct fs *fs, const struct fs_node *parent,
                                   const char *name);
/* The pending file has been published as this item; or, was found to exist. */
void fs_node_publish(struct fs *fs, struct fs_node *n,
                     const struct kv_item *item, int64_t revision);
/* The pending file's name is that of `to`, which came there elsewhere: as if it
 * had been opened later.  Its handles, and its number, are the other's now. */
void fs_node_join(struct fs *fs, struct fs_node *pending, struct fs_node *to);
/* The node has ended, and its number is the other's from now on. */
void fs_node_joins(struct fs *fs, struct fs_node *n, struct fs_node *to);
/* Takes in what an answer says about the node's own life. */
void fs_node_update(struct fs *fs, struct fs_node *n,
                    const struct kv_item *item, int64_t revision);

/* Its life has ended: the name is free for another. */
void fs_node_end(struct fs *fs, struct fs_node *n, int64_t revision);
/* An answer as of `revision` says that the file is not where it was known to
 * be.  Only the watch tells what has become of it: it may live on elsewhere. */
void fs_node_displace(struct fs *fs, struct fs_node *n, int64_t revision);
/* The file, or the directory, has a new name as of `revision`.  Whatever had
 * that name before ends; unless it is newer, then the file is displaced. */
void fs_node_move(struct fs *fs, struct fs_node *n, struct bytes key,
                  int64_t revision);
/* Its life goes on as that of the item, which stands under its name. */
void fs_node_adopt(struct fs *fs, struct fs_node *n, const struct kv_item *item,
                   int64_t revision);
/* The file was replaced, and what replaced it lives its life on. */
void fs_node_replace(struct fs *fs, struct fs_node *n, int64_t revision);
/* All below a directory has moved.  What is known to be newer stays. */
void fs_nodes_move_below(struct fs *fs, struct bytes from, struct bytes to,
                         int64_t revision);

static inline struct fs_node *fs_node_hold(struct fs_node *n)
{
    n->holds++;
    return n;
}
void fs_node_drop(struct fs *fs, struct fs_node *n); /* NULL is fine */
void fs_node_forget(struct fs *fs, fuse_ino_t id, uint64_t lookups);

/* The identity shown for an item without one of the store's. */
uint64_t fs_ino_of(const struct kv_item *item);
uint64_t fs_ino_of_directory(struct bytes beginning,
                             const struct kv_item *item);

#endif

/* The changes of one revision, on their way from the watch to replays.
 *
 * What a change looks like from the mount may depend on neighbouring keys: a
 * key that is a directory too is shown as its %value.  A batch asks the store
 * for those, as of its revision, and then becomes operations.
 */
#ifndef FS_CHANGES_H
#define FS_CHANGES_H

#include "fs/replay.h"

#define FS_GROUPS_MAX 16 /* directories that one change makes or removes */
#define FS_PROBES_MAX 64 /* questions in one transaction */

struct fs_change {
    enum kv_event_type type;
    struct buf key, moved_from, moved_to;
    struct kv_item item; /* without its bytes */
    uint32_t groups;     /* made or removed, from the longest up */
    bool attrs_only;
    bool exchange;         /* PUT of a file that changed places */
    struct fs_node *node;  /* held: the file's */
    struct fs_node *other; /* held: what a move replaced */

    /* Found out: */
    bool shown_as_value;            /* a directory has its name */
    bool group_file[FS_GROUPS_MAX]; /* a key has the directory's name */
};

struct fs_batch {
    struct list link;
    struct fs *fs;
    int64_t revision;
    struct fs_change *changes;
    size_t count;
    bool own;
    struct buf made, moved; /* of an own revision */

    struct kv_txn txn;
    struct kv_op *ops;    /* what it asks for at once; NULL: nothing yet */
    struct bytes *probes; /* owned keys, then their answers are stored */
    bool **answers;
    size_t probes_count, probes_done;
    bool asked;
    bool abandoned;
    void (*ready)(struct fs_batch *b);
};

/* Copies the events, all of one revision, and brings the inode table up to
 * date. */
struct fs_batch *fs_batch_new(struct fs *fs, const struct kv_event *events,
                              size_t count, int64_t revision);
void fs_batch_free(struct fs_batch *b);
/* Finds out what it has to; `ready` is called, perhaps at once. */
void fs_batch_probe(struct fs_batch *b, void (*ready)(struct fs_batch *b));
/* Queues the operations. */
void fs_batch_replay(struct fs_batch *b);

/* The size of the i-th longest '/'-ended beginning of the key; 0: none. */
size_t fs_group_size(struct bytes key, size_t i);

#endif

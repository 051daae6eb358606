/* The unpublished contents of a file: what one handle has written so far.
 *
 * A draft begins as a copy of the committed value.  It remembers which bytes
 * were written, where the old value was cut, and what was appended, so that
 * publication changes only those in whatever value is current by then.  Pure.
 */
#ifndef FS_DRAFT_H
#define FS_DRAFT_H

#include "base/buf.h"

struct fs_draft_span {
    uint64_t from, to;
};

struct fs_draft {
    struct buf content; /* what the handle sees */
    bool begun;         /* content holds a copy of the value */
    bool fresh;         /* nothing to cut off at its begin, but O_TRUNC */
    bool written;       /* something to publish, other than a cut by O_TRUNC */
    bool cut;           /* the size was set: it is `content.size` */
    uint64_t kept;      /* bytes of the old value that survived all cuts */
    uint64_t size_min;  /* extended to at least this */
    bool appended;      /* content from tail_from on goes behind the end */
    uint64_t tail_from;
    struct fs_draft_span *spans; /* written, sorted, disjoint, not touching */
    size_t spans_count, spans_capacity;
};

/* Zeroed is one that has not begun. */
void fs_draft_fini(struct fs_draft *d);
/* Starts from `base`, unless it has begun. */
void fs_draft_begin(struct fs_draft *d, struct bytes base);
/* Starts from nothing: what is written will be the whole value, whatever is
 * there by then; as long as nothing is written there is nothing to publish. */
void fs_draft_begin_fresh(struct fs_draft *d);
/* Back to not begun, after a publication. */
void fs_draft_reset(struct fs_draft *d);

/* All of these need a draft that has begun. */
void fs_draft_write(struct fs_draft *d, uint64_t offset, struct bytes more);
void fs_draft_append(struct fs_draft *d, struct bytes more);
void fs_draft_truncate(struct fs_draft *d, uint64_t size);
void fs_draft_extend(struct fs_draft *d, uint64_t size);
/* Writes zeros, of which none are added behind the end. */
void fs_draft_zero(struct fs_draft *d, uint64_t offset, uint64_t size);

static inline bool fs_draft_is_dirty(const struct fs_draft *d)
{
    return d->written || d->cut;
}

/* True when the outcome does not depend on the current value. */
static inline bool fs_draft_replaces(const struct fs_draft *d)
{
    return d->cut && d->kept == 0 && !d->appended;
}

/* What the file becomes when the draft is laid over `current`; ret is
 * replaced. */
void fs_draft_merge(const struct fs_draft *d, struct bytes current,
                    struct buf *ret);

#endif

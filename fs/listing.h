/* An open directory: one moment of it, read in pages.
 *
 * A position is (page, item in it); pages begin at the same keys whenever they
 * are read, since the revision is pinned.  Of the pages behind only where they
 * begin is kept.
 */
#ifndef FS_LISTING_H
#define FS_LISTING_H

#include "fs/call.h"
#include "fs/path.h"

struct fs_listing_entry {
    size_t key_at, key_size; /* in the page's text */
    size_t name_at;          /* there too, ended by a NUL */
    size_t position;         /* of the item in its page, or among the extras */
    bool directory;
    bool doubtful; /* a file, and perhaps a directory behind this page */
    bool pending;  /* known by node number only */
    uint64_t id;
    struct kv_item item; /* its key and value are not kept */
};

struct fs_listing_start {
    struct buf key;       /* the first key asked for */
    struct buf continued; /* the continued name listed last, as a beginning */
};

struct fs_listing_page {
    struct fs_listing_entry *entries;
    size_t entries_count, entries_capacity;
    struct buf text;
};

struct fs_listing {
    struct fs_node *node; /* held */
    struct list link;     /* in fs->handles' fellow list */
    int64_t revision;     /* pinned */
    struct buf below, end;
    struct fs_listing_page extras; /* %value, %root, what is not published */
    struct fs_listing_page page;
    size_t page_number;
    bool page_loaded;
    struct fs_listing_start *starts; /* of all pages so far, and the next */
    size_t starts_count, starts_capacity;
    bool ended;        /* the last page is known */
    size_t unresolved; /* the first doubtful entry */
};

struct fs_listing *fs_listing_new(struct fs_node *n);
void fs_listing_free(struct fs *fs, struct fs_listing *l); /* NULL is fine */

/* The question for a page whose beginning is known. */
void fs_listing_question(const struct fs_listing *l, size_t page,
                         struct kv_range_spec *ret);
/* Takes in the answer.  Afterwards the doubtful entries have to be resolved: a
 * file that is a directory too is listed as the directory. */
void fs_listing_take(struct fs_listing *l, size_t page,
                     const struct kv_range_result *answer);
/* The first doubtful entry; NULL when there is none. */
const struct fs_listing_entry *fs_listing_doubt(const struct fs_listing *l);
void fs_listing_resolve(struct fs_listing *l, bool is_directory);

void fs_listing_add_extra(struct fs_listing *l, struct fs_name name,
                          const struct fs_listing_entry *entry,
                          struct bytes key);

static inline struct bytes fs_listing_key(const struct fs_listing_page *p,
                                          const struct fs_listing_entry *e)
{
    return (struct bytes){p->text.data + e->key_at, e->key_size};
}

#endif

/* OPENDIR, READDIR, READDIRPLUS and RELEASEDIR.
 *
 * Offsets: below EXTRAS_MAX a position among ".", ".." and the extras; else a
 * page and a position in it.  An entry carries the offset of what follows it.
 */

#include <errno.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/control.h"
#include "fs/getattr.h"
#include "fs/handlers.h"
#include "fs/listing.h"
#include "fs/target.h"

#define EXTRAS_MAX (1U << 16)
#define DOTS       2 /* "." and ".." */

static struct fs_listing *listing_of(const struct fuse_file_info *file)
{
    return (struct fs_listing *)(uintptr_t)file->fh;
}

/* --- OPENDIR --- */

static struct fs_name name_of(const char *text)
{
    struct fs_name name = {.size = strlen(text)};
    memcpy(name.text, text, name.size);
    return name;
}

/* Files of this directory that have been created here and not yet published. */
static void add_pending(struct fs *fs, struct fs_listing *l)
{
    const struct bytes below = buf_bytes(&l->below);
    list_each (at, &fs->pending) {
        const struct fs_node *n = container_of(at, struct fs_node, state_link);
        const struct bytes key = fs_node_key(n);
        struct fs_name name;
        if (key.size > below.size && bytes_starts_with(key, below) &&
            fs_path_name(below, key, &name) && !name.more &&
            name.covered == key.size &&
            l->extras.entries_count < EXTRAS_MAX - DOTS - 1) {
            fs_listing_add_extra(
                l, name,
                &(struct fs_listing_entry){.pending = true, .id = n->id}, key);
        }
    }
}

static void take_extras(struct fs_call *c, struct fs_listing *l)
{
    const struct kv_txn_result *r = &c->txn.result;
    const bool is_top = c->node == c->fs->root;
    bool root = false;
    for (size_t i = 1; i < r->results_count; i++) {
        const struct kv_range_result *range = &r->results[i].range;
        if (range->items_count == 0) {
            continue;
        }
        if (is_top) {
            root = true;
        } else if (fs_item_is_file(&range->items[0])) {
            struct fs_listing_entry e = {.item = range->items[0]};
            e.item.key = e.item.value = e.item.attrs = BYTES_NONE;
            fs_listing_add_extra(l, name_of(FS_VALUE_NAME), &e,
                                 range->items[0].key);
        }
    }
    if (root) {
        fs_listing_add_extra(l, name_of(FS_ROOT_NAME),
                             &(struct fs_listing_entry){.directory = true},
                             BYTES_NONE);
    }
    if (is_top && c->fs->options.control_visible) {
        fs_listing_add_extra(l, name_of(FS_CONTROL_NAME),
                             &(struct fs_listing_entry){
                                 .directory = true, .id = FS_CONTROL_ID_FIRST},
                             BYTES_NONE);
    }
    add_pending(c->fs, l);
}

static void opendir_ask(struct fs_call *c);

static void opendir_done(struct fs_call *c)
{
    struct fs *fs = c->fs;
    struct fs_node *n = c->node;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    if (!bytes_equal(fs_node_key(n), buf_bytes(&c->data))) {
        opendir_ask(c); /* the directory was renamed meanwhile */
        return;
    }
    const struct kv_range_result *first = &c->txn.result.results[0].range;
    if (first->items_count == 0 && n != fs->root &&
        !fs_directory_is_virtual(fs, n)) {
        fs_reply_errno(c, ESTALE);
        return;
    }
    struct fs_listing *l = fs_listing_new(n);
    list_push(&fs->listings, &l->link);
    l->revision = fs_call_revision(c);
    fs_listing_take(l, 0, first);
    take_extras(c, l);
    fs_reply_opendir(c, l);
}

static void opendir_ask(struct fs_call *c)
{
    struct fs *fs = c->fs;
    struct fs_node *n = c->node;
    if (n->gone) {
        fs_reply_errno(c, ESTALE);
        return;
    }
    buf_clear(&c->data);
    buf_append(&c->data, fs_node_key(n));
    struct kv_txn_spec *txn = fs_call_txn(c);
    struct fs_listing *l = fs_listing_new(n); /* for its first question */
    fs_listing_question(l, 0, &c->success[0].range);
    c->success[0].type = KV_OP_RANGE;
    c->success[0].range.serializable =
        fs->options.consistency == FS_SERIALIZABLE;
    /* The bytes must outlive the listing: they are the call's. */
    buf_clear(&c->target.key);
    buf_append(&c->target.key, c->success[0].range.keys.key);
    buf_clear(&c->target.end);
    buf_append(&c->target.end, c->success[0].range.keys.end);
    fs_listing_free(fs, l);
    c->success[0].range.keys = (struct kv_keys){
        .key = buf_bytes(&c->target.key), .end = buf_bytes(&c->target.end)};
    txn->success_count = 1;
    const struct bytes below = fs_node_key(n);
    if (n == fs->root && bytes_equal(below, bytes_of("/"))) {
        c->success[1] = fs_op_key((struct kv_keys){
            .key = {(const uint8_t *)"", 1}, .end = bytes_of("/")});
        c->success[2] = fs_op_key((struct kv_keys){
            .key = bytes_of("0"), .end = {(const uint8_t *)"", 1}});
        c->success[1].range.limit = c->success[2].range.limit = 1;
        txn->success_count = 3;
    } else if (n != fs->root && below.size > 1 &&
               !fs_directory_is_virtual(fs, n)) {
        buf_clear(&c->target.below);
        buf_append(&c->target.below,
                   (struct bytes){below.data, below.size - 1});
        c->success[1] =
            fs_op_key((struct kv_keys){.key = buf_bytes(&c->target.below)});
        txn->success_count = 2;
    }
    fs_call_ask(c, opendir_done);
}

void fs_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    struct fs *fs = fuse_req_userdata(req);
    struct fs_call *c = fs_call_begin(fs, req, FS_CALL_READS);
    if (c == NULL) {
        return;
    }
    struct fs_node *n = fs_node_of(fs, id);
    const struct fs_asker who = fs_asker_of(req);
    if (n == NULL || n->gone || !n->directory) {
        fs_reply_errno(c, n == NULL || n->gone ? ESTALE : ENOTDIR);
        return;
    }
    if (!fs_may(fs, n, &who, R_OK)) {
        fs_reply_errno(c, EACCES);
        return;
    }
    c->file = *file;
    fs_call_hold_node(c, n);
    opendir_ask(c);
}

void fs_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    (void)id;
    fs_listing_free(fuse_req_userdata(req), listing_of(file));
    (void)fuse_reply_err(req, 0); /* nobody waits */
}

void fs_fsyncdir(fuse_req_t req, fuse_ino_t id, int data_only,
                 struct fuse_file_info *file)
{
    (void)id;
    (void)data_only;
    (void)file;
    (void)fuse_reply_err(req, 0); /* names are committed when calls return */
}

/* --- READDIR --- */

static void read_step(struct fs_call *c);

/* The inode number of the directory's parent, for "..". */
static uint64_t parent_ino(struct fs *fs, const struct fs_node *n)
{
    struct bytes key = fs_node_key(n);
    while (key.size > 0 && n != fs->root) {
        key.size--;
        if (key.size > 0 && key.data[key.size - 1] != '/') {
            continue;
        }
        const struct fs_node *parent = fs_node_find(fs, true, key);
        if (parent != NULL) {
            return parent->ino != 0 ? parent->ino : parent->id;
        }
    }
    return FUSE_ROOT_ID;
}

/* The node that an entry stands for, as LOOKUP would have it. */
static struct fs_node *node_of(struct fs *fs, const struct fs_listing *l,
                               const struct fs_listing_page *p,
                               const struct fs_listing_entry *e)
{
    if (e->pending) {
        return fs_node_of(fs, e->id);
    }
    struct kv_item item = e->item;
    item.key = fs_listing_key(p, e);
    return e->directory ? fs_node_of_directory(fs, item.key, &item, l->revision)
                        : fs_node_of_item(fs, &item, l->revision);
}

static uint64_t ino_of(struct fs *fs, const struct fs_listing_page *p,
                       const struct fs_listing_entry *e)
{
    if (e->pending) {
        return e->id;
    }
    struct kv_item item = e->item;
    item.key = fs_listing_key(p, e);
    if (e->directory) {
        return fs_ino_of_directory(item.key, &item);
    }
    const struct fs_node *n = fs_node_find_ino(fs, fs_ino_of(&item));
    return n != NULL ? fs_node_shown_ino(fs, n) : fs_ino_of(&item);
}

static bool add_plain(struct fs_call *c, const char *name, uint64_t ino,
                      bool directory, off_t next)
{
    const struct stat attr = {.st_ino = ino,
                              .st_mode = directory ? S_IFDIR : S_IFREG};
    const size_t room = c->size - c->data.size;
    const size_t need = fuse_add_direntry(c->req, NULL, 0, name, NULL, 0);
    if (need > room) {
        return false;
    }
    (void)fuse_add_direntry(c->req, (char *)buf_extend(&c->data, need), need,
                            name, &attr, next);
    return true;
}

static bool add_entry(struct fs_call *c, const struct fs_listing *l,
                      const struct fs_listing_page *p,
                      const struct fs_listing_entry *e, off_t next)
{
    struct fs *fs = c->fs;
    const char *name = (const char *)p->text.data + e->name_at;
    if (c->flags == 0) {
        return add_plain(c, name, ino_of(fs, p, e), e->directory, next);
    }
    const size_t room = c->size - c->data.size;
    const size_t need = fuse_add_direntry_plus(c->req, NULL, 0, name, NULL, 0);
    if (need > room) {
        return false;
    }
    struct fuse_entry_param entry = {.ino = 0};
    struct fs_node *n = node_of(fs, l, p, e);
    if (n != NULL) {
        fs_entry_of(fs, n, &entry);
        n->lookups++;
    }
    (void)fuse_add_direntry_plus(c->req, (char *)buf_extend(&c->data, need),
                                 need, name, &entry, next);
    return true;
}

static bool add_dot(struct fs_call *c, const char *name, uint64_t ino,
                    off_t next)
{
    if (c->flags == 0) {
        return add_plain(c, name, ino, true, next);
    }
    struct fuse_entry_param entry = {.attr.st_ino = ino,
                                     .attr.st_mode = S_IFDIR};
    const size_t need = fuse_add_direntry_plus(c->req, NULL, 0, name, NULL, 0);
    if (need > c->size - c->data.size) {
        return false;
    }
    (void)fuse_add_direntry_plus(c->req, (char *)buf_extend(&c->data, need),
                                 need, name, &entry, next);
    return true;
}

/* ".", ".." and the extras; false when the reply is full. */
static bool add_extras(struct fs_call *c, const struct fs_listing *l)
{
    struct fs *fs = c->fs;
    const struct fs_node *n = l->node;
    const size_t count = DOTS + l->extras.entries_count;
    for (size_t i = (size_t)c->offset; i < count; i++) {
        const off_t next = i + 1 < count ? (off_t)i + 1 : EXTRAS_MAX;
        bool fits;
        if (i == 0) {
            fits = add_dot(c, ".", n->ino != 0 ? n->ino : n->id, next);
        } else if (i == 1) {
            fits = add_dot(c, "..", parent_ino(fs, n), next);
        } else if (fs_control_has(l->extras.entries[i - DOTS].id)) {
            fits = add_dot(c, FS_CONTROL_NAME, FS_CONTROL_ID_FIRST, next);
        } else {
            fits =
                add_entry(c, l, &l->extras, &l->extras.entries[i - DOTS], next);
        }
        if (!fits) {
            return false;
        }
        c->offset = next;
    }
    return true;
}

static bool is_extra(const struct fs_listing *l, struct bytes key)
{
    for (size_t i = 0; i < l->extras.entries_count; i++) {
        const struct fs_listing_entry *e = &l->extras.entries[i];
        if (e->pending && bytes_equal(key, fs_listing_key(&l->extras, e))) {
            return true;
        }
    }
    return false;
}

/* The entries of the page at hand from c->offset on; false when full. */
static bool add_page(struct fs_call *c, const struct fs_listing *l)
{
    const off_t base = (off_t)(l->page_number + 1) * EXTRAS_MAX;
    const size_t from = (size_t)(c->offset - base);
    for (size_t i = 0; i < l->page.entries_count; i++) {
        const struct fs_listing_entry *e = &l->page.entries[i];
        if (e->position < from ||
            (!e->directory && is_extra(l, fs_listing_key(&l->page, e)))) {
            continue;
        }
        const off_t next = base + (off_t)e->position + 1;
        if (!add_entry(c, l, &l->page, e, next)) {
            return false;
        }
        c->offset = next;
    }
    c->offset = base + EXTRAS_MAX; /* the next page */
    return true;
}

static void doubt_resolved(struct fs_call *c)
{
    struct fs_listing *l = listing_of(&c->file);
    if (fs_call_status(c) != ST_OK) {
        l->page_loaded = false;
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    fs_listing_resolve(l, c->range.result.items_count > 0);
    read_step(c);
}

static void ask_doubt(struct fs_call *c, const struct fs_listing_entry *e)
{
    const struct fs_listing *l = listing_of(&c->file);
    buf_clear(&c->target.below);
    buf_append(&c->target.below, fs_listing_key(&l->page, e));
    buf_append_byte(&c->target.below, '/');
    fs_path_end(buf_bytes(&c->target.below), &c->target.end);
    struct kv_range_spec *range = fs_call_range(c);
    *range = fs_op_group(buf_bytes(&c->target.below), buf_bytes(&c->target.end))
                 .range;
    range->revision = l->revision;
    range->serializable = true;
    fs_call_ask(c, doubt_resolved);
}

static void page_done(struct fs_call *c)
{
    struct fs_listing *l = listing_of(&c->file);
    if (fs_call_status(c) == ST_FUTURE_REVISION && c->range.spec.serializable) {
        c->range.spec.serializable = false; /* this replica lags behind */
        const struct kv_range_spec spec = c->range.spec;
        *fs_call_range(c) = spec;
        fs_call_ask(c, page_done);
        return;
    }
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    fs_listing_take(l, (size_t)(c->offset / EXTRAS_MAX) - 1, &c->range.result);
    read_step(c);
}

static void ask_page(struct fs_call *c, size_t page)
{
    const struct fs_listing *l = listing_of(&c->file);
    fs_call_locks_once(c, l->node);
    struct kv_range_spec *range = fs_call_range(c);
    fs_listing_question(l, page, range);
    range->serializable = true; /* a revision does not change */
    fs_call_ask(c, page_done);
}

static void read_step(struct fs_call *c)
{
    struct fs_listing *l = listing_of(&c->file);
    for (;;) {
        if (c->offset < EXTRAS_MAX) {
            if (!add_extras(c, l)) {
                break;
            }
            c->offset = EXTRAS_MAX;
        }
        const size_t page = (size_t)(c->offset / EXTRAS_MAX) - 1;
        if (page >= l->starts_count) {
            break; /* the end */
        }
        if (!l->page_loaded || l->page_number != page) {
            if (c->data.size > 0) {
                break; /* enough for one reply */
            }
            ask_page(c, page);
            return;
        }
        const struct fs_listing_entry *doubt = fs_listing_doubt(l);
        if (doubt != NULL) {
            if (c->data.size > 0) {
                break;
            }
            ask_doubt(c, doubt);
            return;
        }
        if (!add_page(c, l)) {
            break;
        }
    }
    fs_reply_bytes(c, buf_bytes(&c->data));
}

static void begin(fuse_req_t req, size_t size, off_t offset,
                  const struct fuse_file_info *file, bool plus)
{
    struct fs_call *c =
        fs_call_begin(fuse_req_userdata(req), req, FS_CALL_READS);
    if (c == NULL) {
        return;
    }
    if (offset < 0) {
        fs_reply_errno(c, EINVAL);
        return;
    }
    c->file = *file;
    c->size = size;
    c->offset = offset;
    c->flags = plus ? 1 : 0;
    buf_clear(&c->data);
    read_step(c);
}

void fs_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                struct fuse_file_info *file)
{
    (void)id;
    begin(req, size, offset, file, false);
}

void fs_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
    (void)id;
    begin(req, size, offset, file, true);
}

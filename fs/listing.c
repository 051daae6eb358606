/* Pages of a directory, made from answers of the store.  Pure but for memory.
 *
 * A name that is both a file and a directory is listed as the directory.  The
 * file's key comes first, and the directory's may be far behind it, since
 * "x-1" sorts between "x" and "x/".  Within a page that is found by looking
 * ahead; for the few names that reach over its end the store is asked.
 */

#include "fs/listing.h"

#include <stdlib.h>

#include "base/must.h"
#include "fs/target.h"

static void page_clear(struct fs_listing_page *p)
{
    p->entries_count = 0;
    buf_clear(&p->text);
}

static void page_fini(struct fs_listing_page *p)
{
    free(p->entries);
    buf_fini(&p->text);
}

static struct fs_listing_entry *page_add(struct fs_listing_page *p,
                                         const struct fs_name *name,
                                         struct bytes key)
{
    if (p->entries_count == p->entries_capacity) {
        p->entries_capacity = p->entries_capacity * 2 + 16;
        p->entries =
            xrealloc(p->entries, p->entries_capacity * sizeof p->entries[0]);
    }
    struct fs_listing_entry *e = &p->entries[p->entries_count++];
    *e =
        (struct fs_listing_entry){.key_at = p->text.size, .key_size = key.size};
    buf_append(&p->text, key);
    e->name_at = p->text.size;
    buf_append(&p->text,
               (struct bytes){(const uint8_t *)name->text, name->size});
    buf_append_byte(&p->text, 0);
    return e;
}

static void add_start(struct fs_listing *l, struct bytes key,
                      struct bytes continued)
{
    if (l->starts_count == l->starts_capacity) {
        l->starts_capacity = l->starts_capacity * 2 + 4;
        l->starts =
            xrealloc(l->starts, l->starts_capacity * sizeof l->starts[0]);
    }
    struct fs_listing_start *s = &l->starts[l->starts_count++];
    *s = (struct fs_listing_start){.key = {.size = 0}};
    buf_append(&s->key, key);
    buf_append(&s->continued, continued);
}

struct fs_listing *fs_listing_new(struct fs_node *n)
{
    struct fs_listing *l = xcalloc(1, sizeof *l);
    l->node = fs_node_hold(n);
    list_init(&l->link);
    buf_append(&l->below, fs_node_key(n));
    fs_path_end(buf_bytes(&l->below), &l->end);
    if (l->below.size > 0) {
        add_start(l, buf_bytes(&l->below), BYTES_NONE);
    } else {
        add_start(l, (struct bytes){(const uint8_t *)"", 1}, BYTES_NONE);
    }
    return l;
}

void fs_listing_free(struct fs *fs, struct fs_listing *l)
{
    if (l == NULL) {
        return;
    }
    fs_node_drop(fs, l->node);
    list_remove(&l->link);
    for (size_t i = 0; i < l->starts_count; i++) {
        buf_fini(&l->starts[i].key);
        buf_fini(&l->starts[i].continued);
    }
    free(l->starts);
    page_fini(&l->extras);
    page_fini(&l->page);
    buf_fini(&l->below);
    buf_fini(&l->end);
    free(l);
}

/* %root has two ranges, before and behind the keys that begin with '/'. */
static bool is_before_slash(const struct fs_listing *l, struct bytes start)
{
    return l->below.size == 0 && bytes_compare(start, bytes_of("/")) < 0;
}

void fs_listing_question(const struct fs_listing *l, size_t page,
                         struct kv_range_spec *ret)
{
    must(page < l->starts_count);
    const struct bytes start = buf_bytes(&l->starts[page].key);
    const struct bytes end =
        is_before_slash(l, start) ? bytes_of("/") : buf_bytes(&l->end);
    *ret = (struct kv_range_spec){.keys = {.key = start, .end = end},
                                  .limit = FS_LISTING_PAGE,
                                  .count_bounded = true,
                                  .revision = l->revision,
                                  .keys_only = true,
                                  .grouped = true,
                                  .group_from = (uint32_t)l->below.size};
}

/* Whether the file at `at` has a directory of the same name further on. *ret
 * is meant only when the answer is certain. */
static bool is_decided(const struct kv_range_result *answer, size_t at,
                       bool *ret_directory)
{
    const struct bytes key = answer->items[at].key;
    *ret_directory = false;
    for (size_t i = at + 1; i < answer->items_count; i++) {
        const struct bytes next = answer->items[i].key;
        if (!bytes_starts_with(next, key) || next.data[key.size] > '/') {
            return true;
        }
        if (next.data[key.size] == '/') {
            *ret_directory = true;
            return true;
        }
    }
    return !answer->more;
}

static void add_item(struct fs_listing *l, const struct kv_range_result *answer,
                     size_t at, struct buf *continued)
{
    const struct kv_item *item = &answer->items[at];
    struct fs_name name;
    if ((!item->group && !fs_item_is_file(item)) ||
        !fs_path_name(buf_bytes(&l->below), item->key, &name)) {
        return; /* the marker, or a name that is not continued */
    }
    struct bytes key = item->key;
    bool directory = item->group;
    bool hidden = false;
    bool decided = true;
    if (name.more) {
        key.size = name.covered;
        directory = true;
        if (bytes_equal(key, buf_bytes(continued))) {
            return;
        }
        buf_clear(continued);
        buf_append(continued, key);
    } else if (!directory) {
        decided = is_decided(answer, at, &hidden);
    }
    if (hidden) {
        return;
    }
    if (!decided && l->unresolved == SIZE_MAX) {
        l->unresolved = l->page.entries_count;
    }
    struct fs_listing_entry *e = page_add(&l->page, &name, key);
    e->position = at;
    e->directory = directory;
    e->doubtful = !decided;
    e->item = *item;
    e->item.key = e->item.value = e->item.attrs = BYTES_NONE;
    if (name.more) {
        e->item.ino = 0; /* that of one of the keys below */
        e->item.mtime_ns = 0;
    }
}

/* The key to go on with behind the last item. */
static void next_start(struct fs_listing *l, size_t page,
                       const struct kv_range_result *answer,
                       struct bytes continued)
{
    struct buf key = {.size = 0};
    if (answer->more) {
        const struct kv_item *last = &answer->items[answer->items_count - 1];
        if (last->group) {
            fs_path_end(last->key, &key);
        } else {
            buf_append(&key, last->key);
            buf_append_byte(&key, 0);
        }
    } else if (is_before_slash(l, buf_bytes(&l->starts[page].key))) {
        buf_append_byte(&key, '/' + 1);
    } else {
        l->ended = true;
    }
    if (key.size > 0) {
        add_start(l, buf_bytes(&key), continued);
    }
    buf_fini(&key);
}

void fs_listing_take(struct fs_listing *l, size_t page,
                     const struct kv_range_result *answer)
{
    must(page < l->starts_count);
    struct buf continued = {.size = 0};
    buf_append(&continued, buf_bytes(&l->starts[page].continued));
    page_clear(&l->page);
    l->unresolved = SIZE_MAX;
    for (size_t i = 0; i < answer->items_count; i++) {
        add_item(l, answer, i, &continued);
    }
    if (page + 1 == l->starts_count && !l->ended) {
        next_start(l, page, answer, buf_bytes(&continued));
    }
    buf_fini(&continued);
    l->page_number = page;
    l->page_loaded = true;
}

const struct fs_listing_entry *fs_listing_doubt(const struct fs_listing *l)
{
    return l->unresolved < l->page.entries_count
               ? &l->page.entries[l->unresolved]
               : NULL;
}

void fs_listing_resolve(struct fs_listing *l, bool is_directory)
{
    struct fs_listing_page *p = &l->page;
    must(l->unresolved < p->entries_count);
    if (is_directory) {
        p->entries_count--;
        memmove(p->entries + l->unresolved, p->entries + l->unresolved + 1,
                (p->entries_count - l->unresolved) * sizeof p->entries[0]);
    } else {
        l->unresolved++;
    }
    while (l->unresolved < p->entries_count &&
           !p->entries[l->unresolved].doubtful) {
        l->unresolved++;
    }
}

void fs_listing_add_extra(struct fs_listing *l, struct fs_name name,
                          const struct fs_listing_entry *entry,
                          struct bytes key)
{
    struct fs_listing_page *p = &l->extras;
    struct fs_listing_entry *e = page_add(p, &name, key);
    const struct fs_listing_entry made = *e;
    *e = *entry;
    e->key_at = made.key_at;
    e->key_size = made.key_size;
    e->name_at = made.name_at;
    e->position = p->entries_count - 1;
}

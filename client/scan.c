/* Grouped ranges on a store that has none: pages of plain keys, skipping from a
 * group to what lies behind it.
 *
 * The first step asks everything at once, one page of each grouped range; its
 * revision is what all later steps read at, so the whole sees one state.  When
 * that revision is compacted meanwhile, it begins anew.
 *
 * A page grows while its keys are items and shrinks while they lie in one
 * group, so both a flat directory and one of deep trees take few round trips.
 */

#include "client/internal.h"
#include "client/message.h"

#define PAGE_MIN     8
#define PAGE_MAX     512
#define RESTARTS_MAX 10

struct client_scan {
    const struct kv_range_spec *spec;
    struct kv_range_result *result;
    bool complete;
    struct buf position; /* the next key to look at */
    struct buf group;    /* the last one's prefix; empty: none */
    size_t page;
    struct kv_item *items;
    size_t items_count, items_capacity;
    int64_t counted;
    bool more;
};

bool scan_is_needed(const struct kv_op *ops, size_t ops_count)
{
    for (size_t i = 0; i < ops_count; i++) {
        if (ops[i].range.grouped) {
            return true;
        }
    }
    return false;
}

/* --- one page --- */

static bool has_room(const struct client_scan *s)
{
    return !s->spec->count_only &&
           (s->spec->limit <= 0 || s->items_count < (size_t)s->spec->limit);
}

/* What the next page of it asks. */
static struct kv_range_spec page_of(const struct client_request *r,
                                    const struct client_scan *s)
{
    struct kv_range_spec spec = {
        .keys = {buf_bytes(&s->position), s->spec->keys.end},
        .limit = (int64_t)s->page,
        .revision = r->scan_revision > 0 ? r->scan_revision : s->spec->revision,
        .keys_only = s->spec->keys_only || !has_room(s),
        .serializable = s->spec->serializable && r->scan_revision == 0};
    return spec;
}

static void add_item(struct client_request *r, struct client_scan *s,
                     struct kv_item item)
{
    if (s->items_count == s->items_capacity) {
        const size_t capacity = s->items_capacity * 2 + 16;
        struct kv_item *items = arena_new(&r->arena, capacity, sizeof items[0]);
        if (s->items_count > 0) {
            memcpy(items, s->items, s->items_count * sizeof items[0]);
        }
        s->items = items;
        s->items_capacity = capacity;
    }
    item.key = arena_copy(&r->arena, item.key);
    item.value = arena_copy(&r->arena, item.value);
    s->items[s->items_count++] = item;
}

/* One more item of the answer; false: nothing more is wanted. */
static bool count_item(struct client_request *r, struct client_scan *s,
                       struct kv_item item)
{
    if (has_room(s)) {
        add_item(r, s, item);
    } else if (!s->spec->count_only) {
        s->more = true;
        if (s->spec->count_bounded) {
            return false;
        }
    }
    s->counted++;
    return true;
}

/* The prefix that stands for this key; empty: it stands for itself. */
static struct bytes group_of(struct bytes key, uint32_t from)
{
    const uint8_t *slash =
        key.size > from ? memchr(key.data + from, '/', key.size - from) : NULL;
    return slash == NULL
               ? BYTES_NONE
               : (struct bytes){key.data, (size_t)(slash - key.data) + 1};
}

static bool take_key(struct client_request *r, struct client_scan *s,
                     const struct kv_item *item)
{
    if (s->group.size > 0 &&
        bytes_starts_with(item->key, buf_bytes(&s->group))) {
        return true;
    }
    buf_clear(&s->group);
    const struct bytes group = group_of(item->key, s->spec->group_from);
    if (group.size == 0) {
        return count_item(r, s, *item);
    }
    buf_append(&s->group, group);
    return count_item(r, s, (struct kv_item){.key = group, .group = true});
}

/* Behind the last key of the page, or behind the group it lies in. */
static void set_position(struct client_scan *s, struct bytes last)
{
    buf_clear(&s->position);
    if (s->group.size > 0) {
        buf_append(&s->position, buf_bytes(&s->group));
        s->position.data[s->position.size - 1]++; /* '/' to '0' */
    } else {
        buf_append(&s->position, last);
        buf_append_byte(&s->position, 0);
    }
}

static void take_page(struct client_request *r, struct client_scan *s,
                      const struct kv_range_result *page)
{
    const int64_t before = s->counted;
    bool wanted = true;
    for (size_t i = 0; wanted && i < page->items_count; i++) {
        wanted = take_key(r, s, &page->items[i]);
    }
    if (!wanted || !page->more || page->items_count == 0) {
        s->complete = true;
        s->result->items = s->items;
        s->result->items_count = s->items_count;
        s->result->more = s->more;
        s->result->count = s->counted;
        return;
    }
    set_position(s, page->items[page->items_count - 1].key);
    const bool dense = (uint64_t)(s->counted - before) * 2 > page->items_count;
    s->page = dense ? s->page * 4 : s->page / 4;
    s->page = s->page > PAGE_MAX   ? PAGE_MAX
              : s->page < PAGE_MIN ? PAGE_MIN
                                   : s->page;
}

/* --- steps --- */

static struct client_scan *next_scan(struct client_request *r)
{
    for (size_t i = 0; i < r->scans_count; i++) {
        if (r->scans[i].spec->grouped && !r->scans[i].complete) {
            return &r->scans[i];
        }
    }
    return NULL;
}

static void write_page(struct client_request *r, struct buf *to)
{
    const struct client_scan *s = next_scan(r);
    const struct kv_range_spec spec = page_of(r, s);
    message_write_range(to, &spec, has_room(s));
}

static void go_on_or_end(struct client_request *r);

static enum status read_page(struct client_request *r)
{
    struct client_scan *s = next_scan(r);
    const struct kv_range_spec spec = page_of(r, s);
    struct arena arena = {0};
    struct kv_range_result page;
    const enum status st =
        message_read_range(&arena, buf_bytes(&r->reply), &spec, &page);
    if (st == ST_OK) {
        take_page(r, s, &page);
        go_on_or_end(r);
    }
    arena_fini(&arena);
    return st;
}

static const struct client_step page_step = {"/etcdserverpb.KV/Range",
                                             write_page, read_page};

static void go_on_or_end(struct client_request *r)
{
    if (r->scan_revision == 0) {
        r->scan_revision = r->kv->header.revision;
    }
    r->goes_on = next_scan(r) != NULL;
    r->step = &page_step;
}

/* The operations of a transaction, with a page in place of what is grouped. */
static struct kv_op *first_ops(struct client_request *r)
{
    const struct kv_txn *txn = container_of(r->kv, struct kv_txn, call);
    struct kv_op *ops = arena_new(&r->arena, r->scans_count, sizeof ops[0]);
    for (size_t i = 0; i < r->scans_count; i++) {
        ops[i] = txn->spec.success[i];
        if (ops[i].range.grouped) {
            ops[i].range = page_of(r, &r->scans[i]);
        }
    }
    return ops;
}

static void write_first(struct client_request *r, struct buf *to)
{
    const struct kv_txn_spec spec = {.success = first_ops(r),
                                     .success_count = r->scans_count};
    message_write_txn(to, &spec, true);
}

static enum status read_first(struct client_request *r)
{
    struct kv_txn *txn = container_of(r->kv, struct kv_txn, call);
    const struct kv_txn_spec spec = {.success = first_ops(r),
                                     .success_count = r->scans_count};
    struct kv_txn_result pages;
    /* Ranges that are not grouped borrow from this answer to the end. */
    const enum status st = message_read_txn(
        &r->arena, arena_copy(&r->arena, buf_bytes(&r->reply)), &spec, &pages);
    if (st != ST_OK) {
        return st;
    }
    if (!pages.succeeded) {
        return ST_IO; /* there was nothing to compare */
    }
    for (size_t i = 0; i < r->scans_count; i++) {
        if (r->scans[i].spec->grouped) {
            take_page(r, &r->scans[i], &pages.results[i].range);
        } else {
            *r->scans[i].result = pages.results[i].range;
        }
    }
    txn->result.succeeded = true;
    go_on_or_end(r);
    return ST_OK;
}

static const struct client_step first_step = {"/etcdserverpb.KV/Txn",
                                              write_first, read_first};

/* --- beginnings --- */

static size_t first_page(const struct kv_range_spec *spec)
{
    /* One more than the limit tells whether there is more. */
    return spec->limit > 0 && spec->limit < PAGE_MAX ? (size_t)spec->limit + 1
                                                     : PAGE_MAX / 4;
}

static void reset(struct client_scan *s)
{
    const struct kv_range_spec *spec = s->spec;
    s->complete = s->more = false;
    s->items = NULL;
    s->items_count = s->items_capacity = 0;
    s->counted = 0;
    s->page = first_page(spec);
    buf_clear(&s->group);
    buf_clear(&s->position);
    buf_append(&s->position, spec->keys.key);
}

static void free_scans(struct client_request *r)
{
    for (size_t i = 0; i < r->scans_count; i++) {
        buf_fini(&r->scans[i].position);
        buf_fini(&r->scans[i].group);
    }
    free(r->scans);
}

static void begin(struct client_request *r, size_t count,
                  const struct client_step *step)
{
    r->scans = xcalloc(count, sizeof r->scans[0]);
    r->scans_count = count;
    r->end_scans = free_scans;
    r->step = r->first_step = step;
}

void scan_begin_range(struct client_request *r, struct kv_range *range)
{
    begin(r, 1, &page_step);
    r->scans[0].spec = &range->spec;
    r->scans[0].result = &range->result;
    reset(&r->scans[0]);
}

void scan_begin_txn(struct client_request *r, struct kv_txn *txn)
{
    const size_t count = txn->spec.success_count;
    struct kv_op_result *results =
        arena_new(&r->arena, count, sizeof results[0]);
    begin(r, count, &first_step);
    for (size_t i = 0; i < count; i++) {
        results[i].type = KV_OP_RANGE;
        r->scans[i].spec = &txn->spec.success[i].range;
        r->scans[i].result = &results[i].range;
        reset(&r->scans[i]);
    }
    txn->result.results = results;
    txn->result.results_count = count;
}

bool scan_restart(struct client_request *r)
{
    if (r->scan_revision == 0 || r->scan_restarts++ == RESTARTS_MAX) {
        return false;
    }
    for (size_t i = 0; i < r->scans_count; i++) {
        if (r->scans[i].spec->revision > 0) {
            return false; /* it asked for that revision */
        }
    }
    for (size_t i = 0; i < r->scans_count; i++) {
        reset(&r->scans[i]);
    }
    r->scan_revision = 0;
    r->step = r->first_step;
    return true;
}

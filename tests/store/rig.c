/* The rig: a store, its log, and a language to speak to it. */

#include "rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/must.h"

static void open_store(struct rig *r)
{
    const enum status st =
        store_open(r->path, &r->options, &r->store, &r->fault);
    if (st != ST_OK) {
        fail_msg("cannot open: %s: %s", status_name(st), r->fault.text);
    }
}

void rig_begin(struct rig *r)
{
    *r = (struct rig){.index = 1, .time_ns = 1000};
    static unsigned count;
    static const char *directory;
    if (directory == NULL) {
        /* Where memory can be had as a directory: a flush is a synced commit,
         * and these tests make thousands. */
        if (access("/dev/shm", W_OK) == 0) {
            (void)setenv("TMPDIR", "/dev/shm", 0);
        }
        directory = test_directory();
    }
    (void)snprintf(r->path, sizeof r->path, "%s/store%u", directory, count++);
    store_options_default(&r->options);
    r->options.map_size = UINT64_C(1) << 30;
    r->results = store_results_new();
    open_store(r);
}

void rig_end(struct rig *r)
{
    store_results_free(r->results);
    store_close(r->store);
    buf_fini(&r->log);
}

static enum status apply(struct rig *r, uint64_t index, struct bytes command)
{
    const enum status st =
        store_apply(r->store, index, 1, command, &r->outcome, &r->fault);
    if (st != ST_OK) {
        fail_msg("apply of %llu: %s: %s", (unsigned long long)index,
                 status_name(st), r->fault.text);
    }
    return r->outcome.status;
}

void rig_restart(struct rig *r)
{
    store_close(r->store);
    open_store(r);
    struct reader log = reader_of(buf_bytes(&r->log));
    for (uint64_t index = 1; index < r->index; index++) {
        const struct bytes command = read_sized(&log);
        if (index > store_applied_index(r->store)) {
            (void)apply(r, index, command);
        }
    }
    EXPECT(reader_done(&log));
}

void rig_flush(struct rig *r)
{
    struct store_flush *f = store_flush_begin(r->store);
    if (f == NULL) {
        return;
    }
    enum status st = store_flush_run(f, &r->fault);
    if (st == ST_OK) {
        st = store_flush_end(r->store, f, &r->fault);
    }
    if (st != ST_OK) {
        fail_msg("flush: %s: %s", status_name(st), r->fault.text);
    }
}

void rig_settle(struct rig *r)
{
    rig_flush(r);
    while (store_has_garbage(r->store)) {
        rig_deliver(r);
        rig_flush(r);
    }
}

static enum status apply_next(struct rig *r, struct buf *command)
{
    write_sized(&r->log, buf_bytes(command));
    /* The log's copy is what stays; the command goes before the outcome is
     * looked at, so that nothing may be borrowed from it. */
    const enum status st = apply(r, r->index, buf_bytes(command));
    r->index++;
    r->time_ns += 1000;
    buf_fini(command);
    return st;
}

static struct store_stamp stamp_next(const struct rig *r)
{
    return (struct store_stamp){
        .time_ns = r->time_ns, .ticket = r->index, .member = 7};
}

enum status rig_txn(struct rig *r, const struct kv_txn_spec *txn)
{
    struct buf command = {0};
    const struct store_stamp stamp = stamp_next(r);
    store_encode_txn(&stamp, txn, &command);
    return apply_next(r, &command);
}

enum status rig_op(struct rig *r, const struct kv_op *op)
{
    return rig_txn(r, &(struct kv_txn_spec){.success = op, .success_count = 1});
}

enum status rig_compact(struct rig *r, int64_t revision)
{
    struct buf command = {0};
    const struct store_stamp stamp = stamp_next(r);
    store_encode_compact(&stamp, revision, &command);
    return apply_next(r, &command);
}

enum status rig_grant(struct rig *r, int64_t id, int64_t ttl_s)
{
    struct buf command = {0};
    const struct store_stamp stamp = stamp_next(r);
    store_encode_lease_grant(&stamp, id, ttl_s, &command);
    return apply_next(r, &command);
}

enum status rig_revoke(struct rig *r, int64_t id, uint64_t term)
{
    struct buf command = {0};
    const struct store_stamp stamp = stamp_next(r);
    store_encode_lease_revoke(&stamp, id, term, &command);
    return apply_next(r, &command);
}

enum status rig_checkpoint(struct rig *r, uint64_t term, int64_t clock_ms,
                           const struct store_lease *list, size_t count)
{
    struct buf command = {0};
    const struct store_stamp stamp = stamp_next(r);
    store_encode_lease_checkpoint(&stamp, term, clock_ms, list, count,
                                  &command);
    return apply_next(r, &command);
}

uint32_t rig_hash(struct rig *r)
{
    uint32_t hash;
    if (store_hash(r->store, &hash, &r->fault) != ST_OK) {
        fail_msg("hash: %s", r->fault.text);
    }
    return hash;
}

/* --- watches --- */

static void note(struct buf *to, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void note(struct buf *to, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    must(size >= 0);
    must((size_t)size < sizeof text);
    buf_append(to, (struct bytes){(uint8_t *)text, (size_t)size});
}

static void on_events(struct kv_watch *watch, const struct kv_event *events,
                      size_t count, struct kv_header header)
{
    struct rig_watch *w = container_of(watch, struct rig_watch, watch);
    EXPECT(!w->ended);
    EXPECT(count > 0);
    EXPECT(header.revision >= events[count - 1].item.mod_revision);
    for (size_t i = 0; i < count; i++) {
        const struct kv_event *e = &events[i];
        note(&w->text, "%lld %s ", (long long)e->item.mod_revision,
             e->type == KV_EVENT_PUT ? "put" : "del");
        buf_append(&w->text, e->item.key);
        if (e->type == KV_EVENT_PUT) {
            note(&w->text, "=");
            buf_append(&w->text, e->item.value);
        }
        if (e->prev != NULL) {
            note(&w->text, " was ");
            buf_append(&w->text, e->prev->value);
        }
        if (e->moved_from.size > 0) {
            note(&w->text, " from ");
            buf_append(&w->text, e->moved_from);
        }
        if (e->moved_to.size > 0) {
            note(&w->text, " to ");
            buf_append(&w->text, e->moved_to);
        }
        if (e->groups_changed > 0) {
            note(&w->text, " groups=%u", e->groups_changed);
        }
        if (e->attrs_only) {
            note(&w->text, " attrs-only");
        }
        note(&w->text, "\n");
    }
    note(&w->text, "--\n");
}

static void on_end(struct kv_watch *watch, enum status why,
                   int64_t compact_revision)
{
    struct rig_watch *w = container_of(watch, struct rig_watch, watch);
    EXPECT(!w->ended);
    w->ended = true;
    note(&w->text, "end %s %lld\n", status_name(why),
         (long long)compact_revision);
}

static struct bytes end_of(struct buf *held, const char *key, const char *end)
{
    if (end == NULL) {
        return BYTES_NONE;
    }
    if (strcmp(end, "+") == 0) {
        buf_append(held, bytes_of(key));
        held->data[held->size - 1]++;
        return buf_bytes(held);
    }
    if (strcmp(end, "*") == 0) {
        buf_append_byte(held, 0);
        return buf_bytes(held);
    }
    return bytes_of(end);
}

void rig_watch(struct rig *r, struct rig_watch *w, const char *key,
               const char *end, int64_t start, bool prev_kv)
{
    struct buf held = {0};
    *w = (struct rig_watch){0};
    w->watch.keys = (struct kv_keys){bytes_of(key), end_of(&held, key, end)};
    w->watch.start_revision = start;
    w->watch.prev_kv = prev_kv;
    w->watch.on_events = on_events;
    w->watch.on_end = on_end;
    store_watch(r->store, &w->watch);
    buf_fini(&held);
}

void rig_unwatch(struct rig *r, struct rig_watch *w)
{
    store_unwatch(r->store, &w->watch);
    buf_fini(&w->text);
}

void rig_deliver(struct rig *r)
{
    for (int i = 0; i < 100000; i++) {
        const struct kv_header header = {.revision = store_revision(r->store)};
        if (!store_deliver(r->store, header)) {
            return;
        }
    }
    fail_msg("deliveries do not end");
}

const char *rig_heard(struct rig_watch *w)
{
    static struct buf text;
    buf_clear(&text);
    buf_append(&text, buf_bytes(&w->text));
    buf_clear(&w->text);
    return rig_text(&text);
}

/* --- the language --- */

const char *rig_text(struct buf *b)
{
    buf_append_byte(b, 0);
    return (const char *)b->data;
}

void rig_item(struct buf *to, const struct kv_item *item)
{
    buf_append(to, item->key);
    if (item->group) {
        note(to, " group");
        return;
    }
    note(to, "=");
    buf_append(to, item->value);
    note(to, " c%lld m%lld v%lld", (long long)item->create_revision,
         (long long)item->mod_revision, (long long)item->version);
    if (item->lease != 0) {
        note(to, " l%lld", (long long)item->lease);
    }
    if (item->attrs.size > 0) {
        note(to, " attrs=");
        buf_append(to, item->attrs);
    }
}

size_t rig_words(char *line, char **words, size_t max)
{
    size_t count = 0;
    char *rest = line;
    char *word;
    while ((word = strtok_r(rest, " ", &rest)) != NULL && count < max) {
        if (strcmp(word, "''") == 0) {
            *word = '\0';
        }
        words[count++] = word;
    }
    return count;
}

struct line {
    char *words[16];
    size_t count;
    struct buf end; /* holds a computed end */
};

static bool option(const struct line *l, const char *name, const char **value)
{
    const size_t size = strlen(name);
    for (size_t i = 2; i < l->count; i++) {
        if (strncmp(l->words[i], name, size) != 0) {
            continue;
        }
        if (l->words[i][size] == '=' && value != NULL) {
            *value = l->words[i] + size + 1;
            return true;
        }
        if (l->words[i][size] == '\0' && value == NULL) {
            return true;
        }
    }
    return false;
}

static int64_t number(const struct line *l, const char *name)
{
    const char *value;
    return option(l, name, &value) ? strtoll(value, NULL, 0) : 0;
}

static struct kv_keys keys_of(struct line *l)
{
    struct kv_keys keys = {.key = bytes_of(l->words[1])};
    const char *end;
    if (option(l, "to", &end)) {
        keys.end = end_of(&l->end, l->words[1], end);
    }
    return keys;
}

static struct kv_op put_op(struct line *l)
{
    const char *attrs = NULL;
    struct kv_op op = {.type = KV_OP_PUT};
    op.put.key = bytes_of(l->words[1]);
    op.put.value = bytes_of(l->words[2]);
    op.put.lease = number(l, "lease");
    op.put.prev_kv = option(l, "prev", NULL);
    op.put.ignore_value = option(l, "iv", NULL);
    op.put.ignore_lease = option(l, "il", NULL);
    op.put.keep_lease = option(l, "keep", NULL);
    op.put.set_attrs = option(l, "attrs", &attrs);
    op.put.attrs = attrs == NULL ? BYTES_NONE : bytes_of(attrs);
    return op;
}

static enum kv_sort_target target_of(const char *name)
{
    static const char *const names[] = {"key", "version", "create", "mod",
                                        "value"};
    for (unsigned i = 0; i < count_of(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return (enum kv_sort_target)i;
        }
    }
    return (enum kv_sort_target)99;
}

static struct kv_op range_op(struct line *l)
{
    const char *value;
    struct kv_op op = {.type = KV_OP_RANGE};
    op.range.keys = keys_of(l);
    op.range.limit = number(l, "limit");
    op.range.revision = number(l, "rev");
    op.range.keys_only = option(l, "keys", NULL);
    op.range.count_only = option(l, "count", NULL);
    op.range.min_mod_revision = number(l, "minmod");
    op.range.max_mod_revision = number(l, "maxmod");
    op.range.min_create_revision = number(l, "mincreate");
    op.range.max_create_revision = number(l, "maxcreate");
    op.range.grouped = option(l, "group", &value);
    op.range.group_from = (uint32_t)number(l, "group");
    op.range.count_bounded = option(l, "bounded", NULL);
    if (option(l, "sort", &value)) {
        op.range.sort_target = target_of(value);
    }
    if (option(l, "asc", NULL)) {
        op.range.sort_order = KV_SORT_ASCEND;
    }
    if (option(l, "desc", NULL)) {
        op.range.sort_order = KV_SORT_DESCEND;
    }
    return op;
}

static struct kv_op parse(struct line *l)
{
    struct kv_op op = {.type = KV_OP_MOVE};
    must(l->count >= 2);
    if (strcmp(l->words[0], "put") == 0) {
        return put_op(l);
    }
    if (strcmp(l->words[0], "get") == 0) {
        return range_op(l);
    }
    if (strcmp(l->words[0], "del") == 0) {
        op.type = KV_OP_DELETE_RANGE;
        op.delete_range.keys = keys_of(l);
        op.delete_range.prev_kv = option(l, "prev", NULL);
        return op;
    }
    must(strcmp(l->words[0], "move") == 0);
    op.move.from = bytes_of(l->words[1]);
    op.move.to = bytes_of(l->words[2]);
    op.move.prefix = option(l, "prefix", NULL);
    op.move.keep_target = option(l, "keep", NULL);
    op.move.exchange = option(l, "exchange", NULL);
    return op;
}

static void describe_range(struct buf *to, const struct kv_range_result *res)
{
    for (size_t i = 0; i < res->items_count; i++) {
        rig_item(to, &res->items[i]);
        note(to, "; ");
    }
    note(to, "count %lld%s", (long long)res->count, res->more ? " more" : "");
}

static void describe(struct buf *to, const struct kv_op_result *res)
{
    switch (res->type) {
    case KV_OP_RANGE:
        describe_range(to, &res->range);
        break;
    case KV_OP_PUT:
        note(to, "put");
        if (res->put.prev != NULL) {
            note(to, " was ");
            rig_item(to, res->put.prev);
        }
        break;
    case KV_OP_DELETE_RANGE:
        note(to, "deleted %lld", (long long)res->delete_range.deleted);
        for (int64_t i = 0;
             res->delete_range.prevs != NULL && i < res->delete_range.deleted;
             i++) {
            note(to, "; ");
            rig_item(to, &res->delete_range.prevs[i]);
        }
        break;
    case KV_OP_TXN:
        note(to, "[%s", res->txn->succeeded ? "yes" : "no");
        for (size_t i = 0; i < res->txn->results_count; i++) {
            note(to, ", ");
            describe(to, &res->txn->results[i]);
        }
        note(to, "]");
        break;
    case KV_OP_MOVE:
        note(to, "moved %lld", (long long)res->move.moved);
        break;
    }
}

static void describe_lease(struct rig *r, int64_t id, struct buf *to)
{
    struct store_lease lease;
    const struct bytes *keys;
    size_t count;
    bool found;
    EXPECT_INT(store_lease(r->store, id, &found, &lease, &r->fault), ST_OK);
    store_results_clear(r->results);
    EXPECT_INT(
        store_lease_keys(r->store, id, r->results, &keys, &count, &r->fault),
        ST_OK);
    EXPECT(found || count == 0);
    if (!found) {
        note(to, "no lease");
        return;
    }
    note(to, "ttl %lld deadline %lld keys", (long long)lease.ttl_s,
         (long long)lease.deadline_ms);
    for (size_t i = 0; i < count; i++) {
        note(to, " ");
        buf_append(to, keys[i]);
    }
}

static void describe_leases(struct rig *r, struct buf *to)
{
    struct store_lease list[2]; /* so that slices meet */
    int64_t from = 0;
    size_t count;
    do {
        EXPECT_INT(store_leases(r->store, from, list, count_of(list), &count,
                                &r->fault),
                   ST_OK);
        for (size_t i = 0; i < count; i++) {
            note(to, "%lld ", (long long)list[i].id);
            from = (int64_t)((uint64_t)list[i].id + 1);
        }
    } while (count == count_of(list) && from != 0);
    note(to, "clock %lld count %llu", (long long)store_lease_clock_ms(r->store),
         (unsigned long long)store_leases_count(r->store));
}

static enum status run_checkpoint(struct rig *r, struct line *l)
{
    struct store_lease list[8];
    size_t count = 0;
    uint64_t term = 1;
    for (size_t i = 2; i < l->count; i++) {
        char *at;
        if (strncmp(l->words[i], "term=", 5) == 0) {
            term = strtoull(l->words[i] + 5, NULL, 0);
            continue;
        }
        must(count < count_of(list));
        list[count].id = strtoll(l->words[i], &at, 0);
        must(*at == '=');
        list[count++].deadline_ms = strtoll(at + 1, NULL, 0);
    }
    return rig_checkpoint(r, term, strtoll(l->words[1], NULL, 0), list, count);
}

/* True when the line was about leases. */
static bool run_lease(struct rig *r, struct line *l, struct buf *to)
{
    const char *what = l->words[0];
    enum status st;
    if (strcmp(what, "lease") == 0) {
        describe_lease(r, strtoll(l->words[1], NULL, 0), to);
        return true;
    }
    if (strcmp(what, "leases") == 0) {
        describe_leases(r, to);
        return true;
    }
    if (strcmp(what, "grant") == 0) {
        st = rig_grant(r, strtoll(l->words[1], NULL, 0),
                       strtoll(l->words[2], NULL, 0));
    } else if (strcmp(what, "revoke") == 0) {
        st = rig_revoke(r, strtoll(l->words[1], NULL, 0),
                        (uint64_t)number(l, "term"));
    } else if (strcmp(what, "checkpoint") == 0) {
        st = run_checkpoint(r, l);
    } else {
        return false;
    }
    note(to, "r%lld %s", (long long)r->outcome.header.revision,
         status_name(st));
    return true;
}

static void run(struct rig *r, struct line *l, struct buf *to)
{
    if (run_lease(r, l, to)) {
        return;
    }
    if (strcmp(l->words[0], "compact") == 0) {
        const enum status st = rig_compact(r, strtoll(l->words[1], NULL, 0));
        note(to, "%s", status_name(st));
        return;
    }
    const struct kv_op op = parse(l);
    enum status st;
    if (op.type == KV_OP_RANGE) {
        struct kv_range_result result;
        store_results_clear(r->results);
        st = store_range(r->store, &op.range, r->results, &result, &r->fault);
        if (st == ST_OK) {
            describe_range(to, &result);
        }
    } else {
        st = rig_op(r, &op);
        if (st == ST_OK) {
            note(to, "r%lld ", (long long)r->outcome.header.revision);
            describe(to, &r->outcome.txn->results[0]);
        }
    }
    if (st == ST_IO || st == ST_CORRUPT) {
        fail_msg("%s: %s", status_name(st), r->fault.text);
    }
    if (st != ST_OK) {
        note(to, "%s", status_name(st));
    }
}

const char *rig_do(struct rig *r, const char *format, ...)
{
    static struct buf text;
    char words[1024];
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(words, sizeof words, format, args);
    va_end(args);
    must(size > 0);
    must((size_t)size < sizeof words);
    struct line l = {0};
    l.count = rig_words(words, l.words, count_of(l.words));
    buf_clear(&text);
    run(r, &l, &text);
    buf_fini(&l.end);
    return rig_text(&text);
}

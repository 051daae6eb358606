/* Helpers of the transfer's tests. */

#include "transfer_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/must.h"

/* Thousands of small transfers, each synced several times: that nothing is
 * waited for, where there is a file system in memory, is worth a minute. */
__attribute__((constructor)) static void prefer_memory(void)
{
    if (access("/dev/shm", W_OK) == 0) {
        (void)setenv("TMPDIR", "/dev/shm", 0); /* as good without */
    }
}

static struct bytes random_key(struct prng *chance, uint8_t *to)
{
    size_t size = (size_t)snprintf(
        (char *)to, 64, "/d%u/e%u/k%u", (unsigned)prng_below(chance, 4),
        (unsigned)prng_below(chance, 3), (unsigned)prng_below(chance, 40));
    if (prng_below(chance, 4) == 0) {
        /* Around and beyond LMDB's limit. */
        const size_t more = 460 + prng_below(chance, 60);
        memset(to + size, 'x', more);
        size += more;
        to[size++] = (uint8_t)('a' + prng_below(chance, 6));
    }
    if (prng_below(chance, 8) == 0) {
        to[size++] = 0;
        to[size++] = (uint8_t)prng_below(chance, 3);
    }
    return (struct bytes){to, size};
}

static void random_put(struct rig *r, struct prng *chance)
{
    static uint8_t value[40000];
    uint8_t key[700], attrs[16];
    size_t size = prng_below(chance, 60);
    if (prng_below(chance, 20) == 0) {
        size = prng_below(chance, sizeof value);
    }
    prng_fill(chance, value, size);
    prng_fill(chance, attrs, sizeof attrs);
    struct kv_op op = {
        .type = KV_OP_PUT,
        .put = {.key = random_key(chance, key), .value = {value, size}}};
    if (prng_below(chance, 5) == 0) {
        op.put.set_attrs = true;
        op.put.attrs = (struct bytes){attrs, prng_below(chance, sizeof attrs)};
    }
    if (prng_below(chance, 5) == 0) {
        op.put.lease = 1 + (int64_t)prng_below(chance, 5);
        (void)rig_grant(r, op.put.lease, 10); /* or it is there already */
    }
    EXPECT_INT(rig_op(r, &op), ST_OK);
}

static void random_change(struct rig *r, struct prng *chance)
{
    uint8_t key[700], other[700];
    const struct bytes k = random_key(chance, key);
    const struct kv_op erase = {.type = KV_OP_DELETE_RANGE,
                                .delete_range = {{.key = k}, false}};
    const struct kv_op move = {
        .type = KV_OP_MOVE,
        .move = {.from = k, .to = random_key(chance, other)}};
    /* A move of what is not there, or onto itself, is refused. */
    (void)rig_op(r, prng_below(chance, 2) == 0 ? &erase : &move);
}

void transfer_fill(struct rig *r, struct prng *chance, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++) {
        const uint64_t dice = prng_below(chance, 100);
        if (dice < 73) {
            random_put(r, chance);
        } else if (dice < 75) {
            (void)rig_revoke(r, 1 + (int64_t)prng_below(chance, 5), 0);
        } else if (dice < 92) {
            random_change(r, chance);
        } else if (dice < 98) {
            rig_deliver(r);
            rig_flush(r);
        } else {
            const int64_t newest = store_revision(r->store);
            const int64_t back = (int64_t)prng_below(chance, 30);
            if (newest - back > store_compact_revision(r->store)) {
                EXPECT_INT(rig_compact(r, newest - back), ST_OK);
            }
        }
    }
}

void transfer_settle(struct rig *r, uint64_t member_id)
{
    const struct store_identity identity = {.cluster_id = CLUSTER_ID,
                                            .member_id = member_id};
    EXPECT_INT(
        store_set_record(r->store, "voters", bytes_of("1 2 3"), &r->fault),
        ST_OK);
    EXPECT_INT(store_set_identity(r->store, &identity, &r->fault), ST_OK);
    rig_deliver(r);
    rig_settle(r);
}

void transfer_rest(struct store_export *e, struct buf *to)
{
    struct fault fault;
    bool done = false;
    while (!done) {
        const size_t before = to->size;
        EXPECT_INT(store_export_position(e), to->size);
        const enum status st = store_export_next(e, to, &done, &fault);
        if (st != ST_OK) {
            fail_msg("export: %s: %s", status_name(st), fault.text);
        }
        EXPECT(done || to->size > before);
    }
}

void transfer_send(struct rig *r, size_t block_bytes, struct buf *to)
{
    struct store_export *e;
    EXPECT_INT(store_export_begin(r->store, block_bytes, &e, &r->fault), ST_OK);
    transfer_rest(e, to);
    store_export_free(e);
}

enum status transfer_receive(struct rig *r, struct bytes stream, size_t part,
                             uint64_t member_id)
{
    struct store_import *i;
    const struct store_identity identity = {.cluster_id = CLUSTER_ID,
                                            .member_id = member_id};
    enum status st =
        store_import_begin(r->path, &r->options, CLUSTER_ID, &i, &r->fault);
    if (st != ST_OK) {
        return st;
    }
    for (size_t at = 0; at < stream.size && st == ST_OK; at += part) {
        const size_t left = stream.size - at;
        st = store_import_write(
            i, (struct bytes){stream.data + at, left < part ? left : part},
            &r->fault);
    }
    if (st == ST_OK) {
        st = store_import_finish(i, &identity, &r->fault);
    }
    if (st == ST_OK) {
        st = store_import_install(i, &r->fault);
    }
    store_import_free(i);
    return st;
}

void transfer_rig_begin(struct rig *r)
{
    static unsigned count;
    static const char *directory;
    if (directory == NULL) {
        directory = test_directory();
    }
    *r = (struct rig){.index = 1, .time_ns = 1000};
    (void)snprintf(r->path, sizeof r->path, "%s/to%u", directory, count++);
    store_options_default(&r->options);
    r->options.map_size = UINT64_C(1) << 30;
    r->results = store_results_new();
}

void transfer_open(struct rig *r)
{
    const enum status st =
        store_open(r->path, &r->options, &r->store, &r->fault);
    if (st != ST_OK) {
        fail_msg("cannot open: %s: %s", status_name(st), r->fault.text);
    }
    r->index = store_applied_index(r->store) + 1;
}

/* --- the digest --- */

static uint32_t add(uint32_t crc, const struct kv_item *i)
{
    const int64_t numbers[] = {i->create_revision, i->mod_revision,
                               i->version,         i->lease,
                               (int64_t)i->ino,    i->mtime_ns};
    crc = crc32c(crc, i->key);
    crc = crc32c(crc, i->value);
    crc = crc32c(crc, i->attrs);
    return crc32c(crc,
                  (struct bytes){(const uint8_t *)numbers, sizeof numbers});
}

static uint32_t add_range(struct rig *r, uint32_t crc, int64_t revision)
{
    const struct kv_range_spec all = {
        .keys = {{(const uint8_t *)"", 1}, {(const uint8_t *)"", 1}},
        .revision = revision};
    struct kv_range_result got;
    store_results_clear(r->results);
    const enum status st =
        store_range(r->store, &all, r->results, &got, &r->fault);
    if (st != ST_OK) {
        fail_msg("range at %lld: %s: %s", (long long)revision, status_name(st),
                 r->fault.text);
    }
    for (size_t i = 0; i < got.items_count; i++) {
        crc = add(crc, &got.items[i]);
    }
    return crc;
}

struct hearing {
    struct kv_watch watch;
    uint32_t crc;
    uint64_t count;
    enum status why;
};

static void hear(struct kv_watch *watch, const struct kv_event *events,
                 size_t count, struct kv_header header)
{
    struct hearing *h = container_of(watch, struct hearing, watch);
    (void)header;
    h->count += count;
    for (size_t i = 0; i < count; i++) {
        h->crc = add(h->crc, &events[i].item);
        h->crc = crc32c(h->crc, events[i].moved_from);
        h->crc = crc32c(h->crc, events[i].moved_to);
    }
}

static void hear_end(struct kv_watch *watch, enum status why, int64_t at)
{
    (void)at;
    container_of(watch, struct hearing, watch)->why = why;
}

static uint32_t add_events(struct rig *r, uint32_t crc)
{
    const int64_t compact = store_compact_revision(r->store);
    struct hearing h = {
        .watch = {.keys = {{(const uint8_t *)"", 1}, {(const uint8_t *)"", 1}},
                  .start_revision = compact > 0 ? compact : 1,
                  .on_events = hear,
                  .on_end = hear_end},
        .crc = crc};
    store_watch(r->store, &h.watch);
    rig_deliver(r);
    store_unwatch(r->store, &h.watch);
    EXPECT_INT(h.why, ST_OK);
    return h.crc;
}

uint32_t transfer_digest(struct rig *r)
{
    const int64_t newest = store_revision(r->store);
    const int64_t compact = store_compact_revision(r->store);
    uint32_t crc = rig_hash(r);
    for (int64_t at = newest; at > compact && at > newest - 40; at--) {
        crc = add_range(r, crc, at);
    }
    crc = add_events(r, crc);
    return crc32c(crc, store_record(r->store, "voters"));
}

bool transfer_exists(const char *path, const char *name)
{
    char full[1024];
    (void)snprintf(full, sizeof full, "%s/%s", path, name);
    return access(full, F_OK) == 0;
}

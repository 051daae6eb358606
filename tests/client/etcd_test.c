/* The client beside stock etcd: what it says is right by definition.  Skipped
 * where etcd is not installed. */

#include <signal.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/prng.h"
#include "etcd.h"
#include "rig.h"

struct world {
    struct etcd etcd;
    struct rig rig;
    char text[65536];
};

static struct world *world_begin(unsigned members)
{
    struct world *w = xcalloc(1, sizeof *w);
    etcd_begin(&w->etcd, members);
    rig_begin(&w->rig);
    rig_connect(&w->rig, w->etcd.list, members, NULL);
    return w;
}

static void world_end(struct world *w)
{
    rig_end(&w->rig);
    etcd_end(&w->etcd);
    free(w);
}

#define NEEDS_ETCD()                                                           \
    do {                                                                       \
        if (!etcd_is_installed()) {                                            \
            SKIP("etcd is not installed");                                     \
        }                                                                      \
    } while (0)

static const char *range_text(struct world *w, const struct kv_range_spec *spec)
{
    EXPECT_INT(rig_range(&w->rig, spec, w->text, sizeof w->text), ST_OK);
    return w->text;
}

static struct kv_op put_op(const char *key, const char *value)
{
    return (struct kv_op){
        .type = KV_OP_PUT,
        .put = {.key = bytes_of(key), .value = bytes_of(value)}};
}

/* A client that misreads a field gives programs wrong versions to compare. */
TEST(etcd, ranges_are_read_field_by_field)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    EXPECT_INT(rig_put(&w->rig, "a", "one"), 2);
    EXPECT_INT(rig_put(&w->rig, "a", "two"), 3);
    EXPECT_INT(rig_put(&w->rig, "b", ""), 4);
    EXPECT_INT(rig_put(&w->rig, "c", "three"), 5);
    struct kv_range_spec all = {.keys = keys_of("a", "z")};
    EXPECT_TEXT(range_text(w, &all), "a=two@2,3,2 b=@4,4,1 c=three@5,5,1 3");
    all.limit = 2;
    EXPECT_TEXT(range_text(w, &all), "a=two@2,3,2 b=@4,4,1 more 3");
    all.keys_only = true;
    EXPECT_TEXT(range_text(w, &all), "a=@2,3,2(3) b=@4,4,1 more 3");
    all = (struct kv_range_spec){.keys = keys_of("a", NULL), .revision = 2};
    EXPECT_TEXT(range_text(w, &all), "a=one@2,2,1 1");
    all = (struct kv_range_spec){.keys = keys_of("", ""), .count_only = true};
    all.keys.key = (struct bytes){(const uint8_t *)"", 1};
    EXPECT_TEXT(range_text(w, &all), "3");
    all = (struct kv_range_spec){.keys = keys_of("a", "z"),
                                 .sort_order = KV_SORT_DESCEND,
                                 .sort_target = KV_SORT_MOD,
                                 .serializable = true,
                                 .max_create_revision = 4};
    EXPECT_TEXT(range_text(w, &all), "b=@4,4,1 a=two@2,3,2 3");
    struct kv_status status;
    kv_status(w->rig.kv, &status);
    EXPECT(status.writable);
    EXPECT_INT(status.role, KV_LEADER);
    EXPECT_INT(status.header.revision, 5);
    EXPECT_INT(status.members_count, 1);
    EXPECT_TEXT(status.members[0].name, "e0");
    EXPECT(status.members[0].is_self);
    EXPECT(status.size_bytes > 0);
    world_end(w);
}

/* Clients tell errors apart by status: each has its own. */
TEST(etcd, refusals_have_their_status)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    for (int i = 0; i < 5; i++) {
        (void)rig_put(&w->rig, "a", "x");
    }
    struct kv_range_spec spec = {.keys = keys_of("a", NULL), .revision = 99};
    EXPECT_INT(rig_range(&w->rig, &spec, NULL, 0), ST_FUTURE_REVISION);
    EXPECT_INT(rig_compact(&w->rig, 4), ST_OK);
    EXPECT_INT(rig_compact(&w->rig, 4), ST_COMPACTED);
    EXPECT_INT(rig_compact(&w->rig, 99), ST_FUTURE_REVISION);
    spec.revision = 3;
    EXPECT_INT(rig_range(&w->rig, &spec, NULL, 0), ST_COMPACTED);
    spec = (struct kv_range_spec){.keys = keys_of("", NULL)};
    EXPECT_INT(rig_range(&w->rig, &spec, NULL, 0), ST_EMPTY_KEY);
    struct kv_op op = put_op("a", "v");
    op.put.lease = 12345;
    const struct kv_txn_spec txn = {.success = &op, .success_count = 1};
    EXPECT_INT(rig_txn(&w->rig, &txn, NULL, 0), ST_LEASE_NOT_FOUND);
    const struct kv_op both[2] = {put_op("a", "1"), put_op("a", "2")};
    EXPECT_INT(
        rig_txn(&w->rig,
                &(struct kv_txn_spec){.success = both, .success_count = 2},
                NULL, 0),
        ST_DUPLICATE_KEY);
    op = put_op("missing", "");
    op.put.ignore_value = true;
    EXPECT_INT(rig_txn(&w->rig, &txn, NULL, 0), ST_KEY_NOT_FOUND);
    world_end(w);
}

/* A foreign store cannot do these: said at once, and nothing is written. */
TEST(etcd, what_it_cannot_do_is_unsupported)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    struct kv_op ops[2] = {put_op("a", "v")};
    const struct kv_txn_spec txn = {.success = ops, .success_count = 2};
    ops[1] =
        (struct kv_op){.type = KV_OP_MOVE,
                       .move = {.from = bytes_of("a"), .to = bytes_of("b")}};
    EXPECT_INT(rig_txn(&w->rig, &txn, NULL, 0), ST_UNSUPPORTED);
    ops[1] = put_op("b", "v");
    ops[1].put.set_attrs = true;
    ops[1].put.attrs = bytes_of("mode");
    EXPECT_INT(rig_txn(&w->rig, &txn, NULL, 0), ST_UNSUPPORTED);
    ops[1] =
        (struct kv_op){.type = KV_OP_RANGE,
                       .range = {.keys = keys_of("a", "z"), .grouped = true}};
    EXPECT_INT(rig_txn(&w->rig, &txn, NULL, 0), ST_UNSUPPORTED);
    const struct kv_range_spec all = {.keys = keys_of("a", "z")};
    EXPECT_TEXT(range_text(w, &all), "0");
    world_end(w);
}

/* A transaction's answers must be paired with the branch that was run. */
TEST(etcd, transactions_run_one_branch)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    (void)rig_put(&w->rig, "a", "1");
    struct kv_compare compare = {.keys = keys_of("a", NULL),
                                 .target = KV_COMPARE_VALUE,
                                 .result = KV_COMPARE_EQUAL,
                                 .value = bytes_of("1")};
    struct kv_op then[3] = {put_op("a", "2")};
    then[0].put.prev_kv = true;
    then[1] = (struct kv_op){.type = KV_OP_RANGE,
                             .range = {.keys = keys_of("a", "z")}};
    then[2] = (struct kv_op){.type = KV_OP_DELETE_RANGE,
                             .delete_range = {.keys = keys_of("x", "z")}};
    const struct kv_op otherwise = {.type = KV_OP_RANGE,
                                    .range = {.keys = keys_of("a", NULL)}};
    struct kv_txn_spec inner = {.compares = &compare,
                                .compares_count = 1,
                                .success = then,
                                .success_count = 3,
                                .failure = &otherwise,
                                .failure_count = 1};
    EXPECT_INT(rig_txn(&w->rig, &inner, w->text, sizeof w->text), ST_OK);
    EXPECT_TEXT(w->text, "then[put over a=1@2,2,1 ; a=2@2,3,2 1; deleted 0]");
    EXPECT_INT(rig_txn(&w->rig, &inner, w->text, sizeof w->text), ST_OK);
    EXPECT_TEXT(w->text, "else[a=2@2,3,2 1]");
    const struct kv_op nested = {.type = KV_OP_TXN, .txn = &inner};
    const struct kv_compare absent = {.keys = keys_of("b", NULL),
                                      .target = KV_COMPARE_VERSION,
                                      .result = KV_COMPARE_EQUAL};
    const struct kv_txn_spec outer = {.compares = &absent,
                                      .compares_count = 1,
                                      .success = &nested,
                                      .success_count = 1};
    EXPECT_INT(rig_txn(&w->rig, &outer, w->text, sizeof w->text), ST_OK);
    EXPECT_TEXT(w->text, "then[else[a=2@2,3,2 1]]");
    world_end(w);
}

/* A rewriter must not take a key's lease away, nor give one. */
TEST(etcd, keeping_the_lease_is_emulated)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    struct kv_lease lease = {.op = KV_LEASE_GRANT, .id = 77, .ttl_s = 100};
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_OK);
    struct kv_op op = put_op("a", "1");
    op.put.lease = 77;
    const struct kv_txn_spec txn = {.success = &op, .success_count = 1};
    EXPECT_INT(rig_txn(&w->rig, &txn, NULL, 0), ST_OK);
    op = put_op("a", "2");
    op.put.keep_lease = true;
    op.put.prev_kv = true;
    EXPECT_INT(rig_txn(&w->rig, &txn, w->text, sizeof w->text), ST_OK);
    EXPECT_TEXT(w->text, "then[put over a=1@2,2,1L77 ]");
    op.put.key = bytes_of("b");
    EXPECT_INT(rig_txn(&w->rig, &txn, w->text, sizeof w->text), ST_OK);
    EXPECT_TEXT(w->text, "then[put]");
    const struct kv_range_spec all = {.keys = keys_of("a", "z")};
    EXPECT_TEXT(range_text(w, &all), "a=2@2,3,2L77 b=2@4,4,1 2");
    world_end(w);
}

TEST(etcd, leases_live_and_die)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    struct kv_lease lease = {.op = KV_LEASE_GRANT, .id = 7, .ttl_s = 100};
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_OK);
    EXPECT_INT(lease.result.id, 7);
    EXPECT_INT(lease.result.ttl_s, 100);
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_LEASE_EXISTS);
    lease = (struct kv_lease){.op = KV_LEASE_GRANT, .ttl_s = 50};
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_OK);
    EXPECT(lease.result.id != 0);
    for (int i = 0; i < 3; i++) {
        lease = (struct kv_lease){.op = KV_LEASE_KEEPALIVE, .id = 7};
        EXPECT_INT(rig_lease(&w->rig, &lease), ST_OK);
        EXPECT_INT(lease.result.ttl_s, 100);
    }
    lease = (struct kv_lease){.op = KV_LEASE_KEEPALIVE, .id = 8};
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_OK);
    EXPECT_INT(lease.result.ttl_s, 0);
    struct kv_op op = put_op("a", "1");
    op.put.lease = 7;
    const struct kv_txn_spec txn = {.success = &op, .success_count = 1};
    EXPECT_INT(rig_txn(&w->rig, &txn, NULL, 0), ST_OK);
    lease = (struct kv_lease){.op = KV_LEASE_TTL, .id = 7, .with_keys = true};
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_OK);
    EXPECT_INT(lease.result.granted_ttl_s, 100);
    EXPECT(lease.result.ttl_s > 90);
    EXPECT_INT(lease.result.keys_count, 1);
    lease = (struct kv_lease){.op = KV_LEASE_TTL, .id = 8};
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_OK);
    EXPECT_INT(lease.result.ttl_s, -1);
    lease = (struct kv_lease){.op = KV_LEASE_LIST};
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_OK);
    EXPECT_INT(lease.result.ids_count, 2);
    lease = (struct kv_lease){.op = KV_LEASE_REVOKE, .id = 7};
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_OK);
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_LEASE_NOT_FOUND);
    const struct kv_range_spec all = {.keys = keys_of("a", "z")};
    EXPECT_TEXT(range_text(w, &all), "0");
    lease =
        (struct kv_lease){.op = KV_LEASE_GRANT, .ttl_s = KV_LEASE_TTL_MAX + 1};
    EXPECT_INT(rig_lease(&w->rig, &lease), ST_LEASE_TTL_TOO_LARGE);
    world_end(w);
}

/* --- grouped ranges against a model of them --- */

struct model {
    const char *keys[128];
    size_t count;
};

/* What kv/types.h says of grouped ranges, the slow way. */
static void model_say(const struct model *m, const struct kv_range_spec *spec,
                      char *text, size_t size)
{
    char last[64] = "";
    size_t shown = 0, counted = 0;
    bool more = false;
    *text = 0;
    for (size_t i = 0; i < m->count; i++) {
        const char *key = m->keys[i];
        if (strcmp(key, (const char *)spec->keys.key.data) < 0 ||
            strcmp(key, (const char *)spec->keys.end.data) >= 0) {
            continue;
        }
        char name[64];
        (void)snprintf(name, sizeof name, "%s", key);
        if (strlen(key) > spec->group_from) {
            char *slash = strchr(name + spec->group_from, '/');
            if (slash != NULL) {
                slash[1] = 0;
                if (strcmp(last, name) == 0) {
                    continue;
                }
                (void)snprintf(last, sizeof last, "%s", name);
            }
        }
        if (spec->count_only ||
            (spec->limit > 0 && shown == (size_t)spec->limit)) {
            more = !spec->count_only;
            if (more && spec->count_bounded) {
                break;
            }
        } else {
            const size_t used = strlen(text);
            (void)snprintf(text + used, size - used, "%s ", name);
            shown++;
        }
        counted++;
    }
    const size_t used = strlen(text);
    (void)snprintf(text + used, size - used, "%s%zu", more ? "more " : "",
                   counted);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "key=@…" becomes "key". */
static void strip(char *text)
{
    char *to = text;
    for (const char *at = text; *at != 0;) {
        if (*at == '=') {
            at += strcspn(at, " ");
        } else {
            *to++ = *at++;
        }
    }
    *to = 0;
}

/* A listing that loses a directory, or shows one twice, loses files. */
TEST(etcd, grouped_ranges_are_what_a_walk_gives)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    struct model m = {0};
    static char names[128][16];
    struct prng chance;
    prng_init(&chance, test_seed());
    for (size_t i = 0; i < count_of(names); i++) {
        const size_t size = 2 + prng_below(&chance, 8);
        for (size_t at = 0; at < size; at++) {
            names[i][at] = "ab/ab0"[prng_below(&chance, at == 0 ? 2 : 6)];
        }
        (void)rig_put(&w->rig, names[i], "v");
        m.keys[i] = names[i];
    }
    qsort(m.keys, count_of(names), sizeof m.keys[0], by_text);
    for (size_t i = 0; i < count_of(names); i++) {
        if (i == 0 || strcmp(m.keys[i], m.keys[m.count - 1]) != 0) {
            m.keys[m.count++] = m.keys[i];
        }
    }
    for (int turn = 0; turn < 200; turn++) {
        static const char *const begins[] = {"a", "a/", "b", "a0", "ab"};
        static const char *const ends[] = {"c", "a0", "bb", "b0"};
        const char *begin = begins[prng_below(&chance, count_of(begins))];
        const struct kv_range_spec spec = {
            .keys = keys_of(begin, ends[prng_below(&chance, count_of(ends))]),
            .limit = (int64_t)prng_below(&chance, 12),
            .keys_only = prng_chance(&chance, 1, 2),
            .count_only = prng_chance(&chance, 1, 8),
            .grouped = true,
            .group_from = (uint32_t)prng_below(&chance, strlen(begin) + 2),
            .count_bounded = prng_chance(&chance, 1, 2)};
        char wanted[4096];
        model_say(&m, &spec, wanted, sizeof wanted);
        EXPECT_INT(rig_range(&w->rig, &spec, w->text, sizeof w->text), ST_OK);
        strip(w->text);
        EXPECT_TEXT(w->text, wanted);
    }
    world_end(w);
}

/* Pages of one listing must be of one state: a file that moves between them
 * would be there twice, or not at all. */
TEST(etcd, a_lookup_reads_one_state)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    char key[32];
    for (int i = 0; i < 300; i++) {
        (void)snprintf(key, sizeof key, "d/%03d", i);
        (void)rig_put(&w->rig, key, "v");
    }
    (void)rig_put(&w->rig, "d", "file");
    const struct kv_op ops[3] = {
        {.type = KV_OP_RANGE, .range = {.keys = keys_of("d", NULL)}},
        {.type = KV_OP_RANGE,
         .range = {.keys = keys_of("d/", "d0"),
                   .limit = 1,
                   .grouped = true,
                   .count_bounded = true}},
        {.type = KV_OP_RANGE,
         .range = {.keys = keys_of("d/", "d0"),
                   .keys_only = true,
                   .count_only = true,
                   .grouped = true,
                   .group_from = 2}}};
    const struct kv_txn_spec txn = {.success = ops, .success_count = 3};
    EXPECT_INT(rig_txn(&w->rig, &txn, w->text, sizeof w->text), ST_OK);
    EXPECT_TEXT(w->text, "then[d=file@302,302,1 1; d/ 1; 300]");
    world_end(w);
}

/* --- watches --- */

TEST(etcd, watches_see_their_range_from_where_they_ask)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    struct rig_watch *old = xcalloc(1, sizeof *old);
    struct rig_watch *now = xcalloc(1, sizeof *now);
    struct rig_watch *one = xcalloc(1, sizeof *one);
    (void)rig_put(&w->rig, "a", "1");
    (void)rig_put(&w->rig, "b", "2");
    old->watch.prev_kv = true;
    rig_watch(&w->rig, old, keys_of("a", "z"), 3);
    rig_watch(&w->rig, now, keys_of("a", "z"), 0);
    rig_watch(&w->rig, one, keys_of("c", NULL), 1);
    (void)rig_put(&w->rig, "a", "3");
    (void)rig_delete(&w->rig, "a", "c");
    (void)rig_put(&w->rig, "c", "4");
    rig_until_events(&w->rig, old, 5);
    rig_until_events(&w->rig, now, 4);
    rig_until_events(&w->rig, one, 1);
    EXPECT_TEXT(old->text,
                "put b=2@3 put a=3@4 (1) delete a=@5 (3) delete b=@5 (2) "
                "put c=4@6 ");
    EXPECT_TEXT(now->text, "put a=3@4 delete a=@5 delete b=@5 put c=4@6 ");
    EXPECT_TEXT(one->text, "put c=4@6 ");
    kv_unwatch(w->rig.kv, &now->watch);
    (void)rig_put(&w->rig, "d", "5");
    rig_until_events(&w->rig, old, 6);
    EXPECT_INT(now->events, 4);
    rig_disconnect(&w->rig);
    EXPECT(old->ended);
    EXPECT_INT(old->why, ST_STOPPED);
    EXPECT(!now->ended);
    world_end(w);
    free(old);
    free(now);
    free(one);
}

TEST(etcd, a_watch_of_what_is_compacted_ends)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    struct rig_watch *watch = xcalloc(1, sizeof *watch);
    for (int i = 0; i < 6; i++) {
        (void)rig_put(&w->rig, "a", "x");
    }
    EXPECT_INT(rig_compact(&w->rig, 5), ST_OK);
    rig_watch(&w->rig, watch, keys_of("a", NULL), 3);
    rig_until(&w->rig, &watch->ended);
    EXPECT_INT(watch->why, ST_COMPACTED);
    EXPECT_INT(watch->compact_revision, 5);
    EXPECT_INT(watch->events, 0);
    world_end(w);
    free(watch);
}

/* --- failures --- */

/* A server that dies and comes back: nothing of a watch is lost or doubled. */
TEST(etcd, watches_go_on_behind_a_crash)
{
    NEEDS_ETCD();
    struct world *w = world_begin(1);
    struct rig_watch *watch = xcalloc(1, sizeof *watch);
    char key[32];
    (void)rig_put(&w->rig, "k0", "0");
    rig_watch(&w->rig, watch, keys_of("k", "l"), 1);
    int puts = 1;
    for (int turn = 0; turn < 3; turn++) {
        for (int i = 0; i < 20; i++) {
            (void)snprintf(key, sizeof key, "k%d", puts++);
            (void)rig_put(&w->rig, key, "v");
        }
        etcd_kill(&w->etcd, 0, SIGKILL);
        etcd_start(&w->etcd, 0);
        const struct kv_range_spec all = {.keys = keys_of("k", "l"),
                                          .count_only = true};
        char wanted[16];
        (void)snprintf(wanted, sizeof wanted, "%d", puts);
        EXPECT_TEXT(range_text(w, &all), wanted);
    }
    rig_until_events(&w->rig, watch, (size_t)puts);
    rig_for_ms(&w->rig, 100);
    EXPECT_INT(watch->events, puts);
    EXPECT(!watch->out_of_order);
    EXPECT_INT(watch->last_revision, 1 + puts);
    world_end(w);
    free(watch);
}

/* The member in use dies, hangs, comes back: requests go on with the others,
 * and no acknowledged write is missed by the watch. */
TEST(etcd, a_cluster_goes_on_without_a_member)
{
    NEEDS_ETCD();
    struct world *w = world_begin(3);
    struct rig_watch *watch = xcalloc(1, sizeof *watch);
    char key[32];
    size_t puts = 0;
    (void)rig_put(&w->rig, "first", "");
    rig_watch(&w->rig, watch, keys_of("k", "l"), 0);
    for (int turn = 0; turn < 4; turn++) {
        const unsigned used = etcd_find(&w->etcd, w->rig.endpoint);
        const int signal = turn % 2 == 0 ? SIGKILL : SIGSTOP;
        etcd_kill(&w->etcd, used, signal);
        for (int i = 0; i < 10;) {
            (void)snprintf(key, sizeof key, "k%d-%d", turn, i);
            const enum status st = rig_put_status(&w->rig, key, "v");
            EXPECT(st == ST_OK || st == ST_TIMEOUT || st == ST_NO_LEADER);
            i += st == ST_OK;
        }
        puts += 10;
        if (signal == SIGKILL) {
            etcd_start(&w->etcd, used);
        } else {
            etcd_kill(&w->etcd, used, SIGCONT);
        }
        const struct kv_range_spec all = {.keys = keys_of("k", "l"),
                                          .count_only = true};
        char wanted[16];
        (void)snprintf(wanted, sizeof wanted, "%zu", puts);
        EXPECT_TEXT(range_text(w, &all), wanted);
    }
    rig_until_events(&w->rig, watch, puts);
    EXPECT(!watch->out_of_order);
    world_end(w);
    free(watch);
}

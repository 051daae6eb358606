/* Requests of the KV service: what protobuf-c packs is what is read, and bytes
 * that are broken are refused without a look beyond them. */

#include "proto/kv_request.h"
#include "proto/rpc.pb-c.h"
#include "tests/proto/rig.h"

#define OPS_MAX 128

struct packed {
    uint8_t *data;
    size_t size;
};

static struct packed pack(const void *message)
{
    struct packed p = {.size = protobuf_c_message_get_packed_size(message)};
    p.data = malloc(p.size > 0 ? p.size : 1);
    (void)protobuf_c_message_pack(message, p.data);
    return p;
}

static struct bytes bytes_in(const ProtobufCBinaryData *b)
{
    return (struct bytes){b->data, b->len};
}

/* --- random requests --- */

static uint8_t junk[64];

static ProtobufCBinaryData some_bytes(struct prng *p)
{
    return (ProtobufCBinaryData){.data = junk,
                                 .len = (size_t)prng_below(p, sizeof junk)};
}

static int64_t some_number(struct prng *p)
{
    return (int64_t)(prng_next(p) >> prng_below(p, 64)) *
           (prng_below(p, 4) == 0 ? -1 : 1);
}

static Etcdserverpb__RangeRequest *some_range(struct prng *p)
{
    Etcdserverpb__RangeRequest *r = malloc(sizeof *r);
    etcdserverpb__range_request__init(r);
    r->key = some_bytes(p);
    r->range_end = some_bytes(p);
    r->limit = some_number(p);
    r->revision = some_number(p);
    r->sort_order = (Etcdserverpb__RangeRequest__SortOrder)prng_below(p, 4);
    r->sort_target = (Etcdserverpb__RangeRequest__SortTarget)prng_below(p, 7);
    r->serializable = prng_below(p, 2) == 1;
    r->keys_only = prng_below(p, 2) == 1;
    r->count_only = prng_below(p, 2) == 1;
    r->min_mod_revision = some_number(p);
    r->max_mod_revision = some_number(p);
    r->min_create_revision = some_number(p);
    r->max_create_revision = some_number(p);
    return r;
}

static Etcdserverpb__PutRequest *some_put(struct prng *p)
{
    Etcdserverpb__PutRequest *r = malloc(sizeof *r);
    etcdserverpb__put_request__init(r);
    r->key = some_bytes(p);
    r->value = some_bytes(p);
    r->lease = some_number(p);
    r->prev_kv = prng_below(p, 2) == 1;
    r->ignore_value = prng_below(p, 2) == 1;
    r->ignore_lease = prng_below(p, 2) == 1;
    return r;
}

static Etcdserverpb__DeleteRangeRequest *some_delete(struct prng *p)
{
    Etcdserverpb__DeleteRangeRequest *r = malloc(sizeof *r);
    etcdserverpb__delete_range_request__init(r);
    r->key = some_bytes(p);
    r->range_end = some_bytes(p);
    r->prev_kv = prng_below(p, 2) == 1;
    return r;
}

static Etcdserverpb__Compare *some_compare(struct prng *p)
{
    Etcdserverpb__Compare *c = malloc(sizeof *c);
    etcdserverpb__compare__init(c);
    c->result = (Etcdserverpb__Compare__CompareResult)prng_below(p, 4);
    c->target = (Etcdserverpb__Compare__CompareTarget)prng_below(p, 5);
    c->key = some_bytes(p);
    c->range_end = some_bytes(p);
    c->target_union_case =
        (Etcdserverpb__Compare__TargetUnionCase)(4 + (int)c->target);
    if (c->target == ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE) {
        c->value = some_bytes(p);
    } else {
        c->version = some_number(p); /* all numbers share their place */
    }
    return c;
}

static Etcdserverpb__TxnRequest *some_txn(struct prng *p, int depth);

static Etcdserverpb__RequestOp *some_op(struct prng *p, int depth)
{
    Etcdserverpb__RequestOp *o = malloc(sizeof *o);
    etcdserverpb__request_op__init(o);
    const uint64_t kind = prng_below(p, depth > 0 ? 5 : 4);
    o->request_case = (Etcdserverpb__RequestOp__RequestCase)kind;
    if (kind == 1) {
        o->request_range = some_range(p);
    } else if (kind == 2) {
        o->request_put = some_put(p);
    } else if (kind == 3) {
        o->request_delete_range = some_delete(p);
    } else if (kind == 4) {
        o->request_txn = some_txn(p, depth - 1);
    }
    return o;
}

static Etcdserverpb__TxnRequest *some_txn(struct prng *p, int depth)
{
    Etcdserverpb__TxnRequest *t = malloc(sizeof *t);
    etcdserverpb__txn_request__init(t);
    t->n_compare = (size_t)prng_below(p, 4);
    t->n_success = (size_t)prng_below(p, 4);
    t->n_failure = (size_t)prng_below(p, 4);
    t->compare = malloc(4 * sizeof(void *));
    t->success = malloc(4 * sizeof(void *));
    t->failure = malloc(4 * sizeof(void *));
    for (size_t i = 0; i < t->n_compare; i++) {
        t->compare[i] = some_compare(p);
    }
    for (size_t i = 0; i < t->n_success; i++) {
        t->success[i] = some_op(p, depth);
    }
    for (size_t i = 0; i < t->n_failure; i++) {
        t->failure[i] = some_op(p, depth);
    }
    return t;
}

static void free_txn(Etcdserverpb__TxnRequest *t);

static void free_ops(Etcdserverpb__RequestOp **ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ops[i]->request_case == 4) {
            free_txn(ops[i]->request_txn);
        } else if (ops[i]->request_case != 0) {
            free(ops[i]->request_range); /* whichever it is */
        }
        free(ops[i]);
    }
    free(ops);
}

static void free_txn(Etcdserverpb__TxnRequest *t)
{
    for (size_t i = 0; i < t->n_compare; i++) {
        free(t->compare[i]);
    }
    free(t->compare);
    free_ops(t->success, t->n_success);
    free_ops(t->failure, t->n_failure);
    free(t);
}

/* --- what was read is what was packed --- */

static void expect_range(const struct kv_range_spec *s,
                         const Etcdserverpb__RangeRequest *r)
{
    EXPECT_BYTES(s->keys.key, bytes_in(&r->key));
    EXPECT_BYTES(s->keys.end, bytes_in(&r->range_end));
    EXPECT_INT(s->limit, r->limit);
    EXPECT_INT(s->revision, r->revision);
    EXPECT_INT(s->sort_order, r->sort_order);
    EXPECT_INT(s->sort_target, r->sort_target);
    EXPECT_INT(s->serializable, r->serializable);
    EXPECT_INT(s->keys_only, r->keys_only);
    EXPECT_INT(s->count_only, r->count_only);
    EXPECT_INT(s->min_mod_revision, r->min_mod_revision);
    EXPECT_INT(s->max_mod_revision, r->max_mod_revision);
    EXPECT_INT(s->min_create_revision, r->min_create_revision);
    EXPECT_INT(s->max_create_revision, r->max_create_revision);
    EXPECT(!s->grouped && !s->count_bounded);
}

static void expect_put(const struct kv_put *s,
                       const Etcdserverpb__PutRequest *r)
{
    EXPECT_BYTES(s->key, bytes_in(&r->key));
    EXPECT_BYTES(s->value, bytes_in(&r->value));
    EXPECT_INT(s->lease, r->lease);
    EXPECT_INT(s->prev_kv, r->prev_kv);
    EXPECT_INT(s->ignore_value, r->ignore_value);
    EXPECT_INT(s->ignore_lease, r->ignore_lease);
    EXPECT(!s->keep_lease && !s->set_attrs);
}

static void expect_compare(const struct kv_compare *s,
                           const Etcdserverpb__Compare *c)
{
    EXPECT_BYTES(s->keys.key, bytes_in(&c->key));
    EXPECT_BYTES(s->keys.end, bytes_in(&c->range_end));
    EXPECT_INT(s->target, c->target);
    EXPECT_INT(s->result, c->result);
    if (s->target == KV_COMPARE_VALUE) {
        EXPECT_BYTES(s->value, bytes_in(&c->value));
    } else {
        EXPECT_INT(s->number, c->version);
    }
}

static void expect_txn(const struct kv_txn_spec *s,
                       const Etcdserverpb__TxnRequest *t);

static void expect_ops(const struct kv_op *ops, size_t count,
                       Etcdserverpb__RequestOp **wanted, size_t wanted_count)
{
    EXPECT_INT(count, wanted_count);
    for (size_t i = 0; i < count; i++) {
        const Etcdserverpb__RequestOp *w = wanted[i];
        EXPECT_INT(kv_request_is_empty(&ops[i]), w->request_case == 0);
        if (w->request_case == 1) {
            EXPECT_INT(ops[i].type, KV_OP_RANGE);
            expect_range(&ops[i].range, w->request_range);
        } else if (w->request_case == 2) {
            EXPECT_INT(ops[i].type, KV_OP_PUT);
            expect_put(&ops[i].put, w->request_put);
        } else if (w->request_case == 3) {
            EXPECT_INT(ops[i].type, KV_OP_DELETE_RANGE);
            EXPECT_BYTES(ops[i].delete_range.keys.end,
                         bytes_in(&w->request_delete_range->range_end));
        } else if (w->request_case == 4) {
            EXPECT_INT(ops[i].type, KV_OP_TXN);
            expect_txn(ops[i].txn, w->request_txn);
        }
    }
}

static void expect_txn(const struct kv_txn_spec *s,
                       const Etcdserverpb__TxnRequest *t)
{
    EXPECT_INT(s->compares_count, t->n_compare);
    for (size_t i = 0; i < s->compares_count; i++) {
        expect_compare(&s->compares[i], t->compare[i]);
    }
    expect_ops(s->success, s->success_count, t->success, t->n_success);
    expect_ops(s->failure, s->failure_count, t->failure, t->n_failure);
}

TEST(kv_request, reads_what_protobuf_packs)
{
    struct prng p;
    prng_init(&p, test_seed());
    prng_fill(&p, junk, sizeof junk);
    for (int i = 0; i < 500; i++) {
        Etcdserverpb__TxnRequest *t = some_txn(&p, 3);
        const struct packed packed = pack(t);
        struct kv_txn_spec spec;
        struct kv_request_memory memory;
        struct fault fault;
        EXPECT_INT(kv_request_txn((struct bytes){packed.data, packed.size},
                                  OPS_MAX, &spec, &memory, &fault),
                   ST_OK);
        expect_txn(&spec, t);
        kv_request_memory_fini(&memory);
        free(packed.data);
        free_txn(t);
    }
}

/* Hostile bytes: an answer or a refusal, and ASan sees every step too far. */
TEST(kv_request, looks_at_nothing_beyond_broken_bytes)
{
    struct prng p;
    prng_init(&p, test_seed());
    size_t accepted = 0;
    for (int i = 0; i < 3000; i++) {
        Etcdserverpb__TxnRequest *t = some_txn(&p, 2);
        struct packed packed = pack(t);
        free_txn(t);
        for (uint64_t n = prng_below(&p, 4); n > 0 && packed.size > 0; n--) {
            packed.data[prng_below(&p, packed.size)] ^=
                (uint8_t)(1u << prng_below(&p, 8));
        }
        packed.size = packed.size > 0 && prng_below(&p, 2) == 0
                          ? (size_t)prng_below(&p, packed.size)
                          : packed.size;
        packed.data = realloc(packed.data, packed.size > 0 ? packed.size : 1);
        const struct bytes b = {packed.data, packed.size};
        struct kv_txn_spec spec;
        struct kv_range_spec range;
        struct kv_put put;
        struct kv_delete_range del;
        struct kv_request_memory memory;
        accepted += kv_request_txn(b, OPS_MAX, &spec, &memory, NULL) == ST_OK;
        kv_request_memory_fini(&memory);
        accepted += kv_request_range(b, &range, NULL) == ST_OK;
        accepted += kv_request_put(b, &put, NULL) == ST_OK;
        accepted += kv_request_delete(b, &del, NULL) == ST_OK;
        free(packed.data);
    }
    EXPECT(accepted > 0);
}

static enum status decode_hex(const char *hex, struct kv_txn_spec *spec,
                              struct kv_request_memory *memory,
                              uint32_t ops_max)
{
    static uint8_t bytes[256];
    size_t size = 0;
    for (; hex[0] != 0; hex += 2) {
        const char digits[3] = {hex[0], hex[1], 0};
        bytes[size++] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return kv_request_txn((struct bytes){bytes, size}, ops_max, spec, memory,
                          NULL);
}

/* Bytes written from the encoding specification: of a union's members the last
 * counts, a compare without its operand compares with zero, numbers that the
 * enums lack have etcd's meaning, unknown fields and groups are passed over. */
TEST(kv_request, agrees_with_etcd_at_the_edges)
{
    struct kv_txn_spec spec;
    struct kv_request_memory memory;
    /* put{key a}, then range{key b} in one operation */
    EXPECT_INT(decode_hex("120a12030a01610a030a0162", &spec, &memory, 9),
               ST_OK);
    EXPECT_INT(spec.success[0].type, KV_OP_RANGE);
    EXPECT_BYTES(spec.success[0].range.keys.key, bytes_of("b"));
    kv_request_memory_fini(&memory);
    /* target MOD, operand version 5: 0 is meant */
    EXPECT_INT(decode_hex("0a0710021a01612005", &spec, &memory, 9), ST_OK);
    EXPECT_INT(spec.compares[0].target, KV_COMPARE_MOD);
    EXPECT_INT(spec.compares[0].number, 0);
    kv_request_memory_fini(&memory);
    /* result 9: holds, whatever the key */
    EXPECT_INT(decode_hex("0a0708091a01612005", &spec, &memory, 9), ST_OK);
    EXPECT_INT(spec.compares[0].target, KV_COMPARE_VERSION);
    EXPECT_INT(spec.compares[0].result, KV_COMPARE_GREATER);
    EXPECT_INT(spec.compares[0].number, -1);
    kv_request_memory_fini(&memory);
    /* an unknown number, an unknown group, in the transaction */
    EXPECT_INT(decode_hex("7805fb3ffc3f", &spec, &memory, 9), ST_OK);
    kv_request_memory_fini(&memory);
    /* half a group; the end of none */
    EXPECT_INT(decode_hex("fb3f", &spec, &memory, 9), ST_INVALID);
    kv_request_memory_fini(&memory);
    EXPECT_INT(decode_hex("fc3f", &spec, &memory, 9), ST_INVALID);
    kv_request_memory_fini(&memory);
}

/* Limits at the cap and one beyond: operations of the first level, levels. */
TEST(kv_request, has_limits)
{
    struct kv_txn_spec spec;
    struct kv_request_memory memory;
    EXPECT_INT(decode_hex("12001200", &spec, &memory, 2), ST_OK);
    kv_request_memory_fini(&memory);
    EXPECT_INT(decode_hex("120012001200", &spec, &memory, 2), ST_TOO_MANY_OPS);
    kv_request_memory_fini(&memory);
    for (int levels = KV_TXN_DEPTH_MAX; levels <= KV_TXN_DEPTH_MAX + 1;
         levels++) {
        struct buf b = {0};
        for (int i = 1; i < levels; i++) {
            struct buf op = {0}, outer = {0};
            wire_sized(&op, 4, buf_bytes(&b));
            wire_sized(&outer, 2, buf_bytes(&op));
            buf_fini(&b);
            buf_fini(&op);
            b = outer;
        }
        EXPECT_INT(kv_request_txn(buf_bytes(&b), 9, &spec, &memory, NULL),
                   levels == KV_TXN_DEPTH_MAX ? ST_OK : ST_TOO_MANY_OPS);
        kv_request_memory_fini(&memory);
        buf_fini(&b);
    }
    /* Many inside: so many are fine, one more is not. */
    struct buf inner = {0};
    for (size_t i = 0; i < KV_REQUEST_NESTED_MAX + 3; i++) {
        wire_sized(&inner, 2, BYTES_NONE);
    }
    for (int more = 0; more <= 1; more++) {
        struct buf op = {0}, b = {0};
        wire_sized(&op, 4, buf_bytes(&inner));
        wire_sized(&b, 2, buf_bytes(&op));
        EXPECT_INT(kv_request_txn(buf_bytes(&b), more == 0 ? 2 : 1, &spec,
                                  &memory, NULL),
                   more == 0 ? ST_OK : ST_TOO_MANY_OPS);
        kv_request_memory_fini(&memory);
        buf_fini(&op);
        buf_fini(&b);
    }
    buf_fini(&inner);
}

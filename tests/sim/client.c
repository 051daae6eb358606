/* Clients: one call at a time each, to a random member; what they asked and
 * what they heard goes into the history. */

#include "base/codec.h"
#include "base/hmap.h"
#include "base/must.h"
#include "tests/sim/internal.h"

void key_name(uint32_t key, uint8_t ret[8])
{
    must(key < KEYS);
    memcpy(ret, "/dir/k-", 7);
    ret[7] = (uint8_t)('a' + key);
}

uint32_t key_number(struct bytes key)
{
    return key.size == 8 && memcmp(key.data, "/dir/k-", 7) == 0
               ? (uint32_t)(key.data[7] - 'a')
               : locker_key(key);
}

struct bytes value_of(uint64_t number, uint8_t ret[VALUE_SIZE_MAX])
{
    const size_t size = 8 * (1 + hash_u64(number) % (VALUE_SIZE_MAX / 8));
    for (size_t at = 0; at < size; at += 8) {
        put_u64(ret + at, number);
    }
    return (struct bytes){ret, size};
}

uint64_t value_number(struct bytes value)
{
    if (value.size == 0) {
        return VALUE_EMPTY;
    }
    uint8_t right[VALUE_SIZE_MAX];
    const uint64_t number = value.size >= 8 ? get_u64(value.data) : 0;
    return bytes_equal(value, value_of(number, right)) ? number
                                                       : hash_bytes(value, 1);
}

static struct record *record_of(struct client *c)
{
    return &c->sim->history.records[c->record];
}

static void act(struct sim *s, struct event *e);

/* Returns the record when the answer says what happened. */
static struct record *heard(struct client *c, const struct kv_call *call)
{
    struct sim *s = c->sim;
    c->busy = false;
    sim_at(s, &c->next,
           s->now_ns + (int64_t)prng_below(&s->prng, s->profile.think_ns), act);
    struct record *r = record_of(c);
    sim_note(s, "client %u %s @%lld", c->number, status_name(call->status),
             (long long)call->header.revision);
    if (call->status == ST_CORRUPT || call->status == ST_IO ||
        call->status == ST_INVALID) {
        sim_fail(s, "a client was told %s", status_name(call->status));
    }
    if (call->status == ST_NO_LEADER || call->status == ST_TOO_MANY) {
        r->never = true;
        return NULL;
    }
    const bool is_compacted = call->status == ST_COMPACTED &&
                              (r->kind == CALL_LIST || r->kind == CALL_COMPACT);
    if (call->status != ST_OK && !is_compacted) {
        return NULL; /* perhaps it happened, perhaps it will */
    }
    r->end_ns = s->now_ns;
    r->answered = true;
    r->compacted = is_compacted;
    r->revision = call->header.revision;
    return r;
}

static void write_done(struct kv_call *call)
{
    struct client *c = container_of(call, struct client, txn.call);
    struct record *r = heard(c, call);
    if (r == NULL) {
        c->sim->report->unknown++;
        return;
    }
    const struct kv_txn_result *result = &c->txn.result;
    r->took_place = result->succeeded;
    if (r->took_place && r->kind == CALL_DELETE) {
        r->took_place = result->results[0].delete_range.deleted > 0;
    }
    c->sim->report->acknowledged++;
}

static void read_done(struct kv_call *call)
{
    struct client *c = container_of(call, struct client, range.call);
    struct record *r = heard(c, call);
    if (r == NULL) {
        return;
    }
    const struct kv_range_result *result = &c->range.result;
    for (size_t i = 0; i < result->items_count && !r->compacted; i++) {
        const struct kv_item *item = &result->items[i];
        const uint32_t key = key_number(item->key);
        if (key < KEYS) {
            r->listed[key] = value_number(item->value);
        }
    }
    if (r->kind == CALL_GET) {
        r->value = r->listed[r->key];
        c->known_value[r->key] = r->value;
        c->known_revision[r->key] =
            result->items_count > 0 ? result->items[0].mod_revision : 0;
    }
    c->sim->report->reads++;
}

static void compact_done(struct kv_call *call)
{
    struct client *c = container_of(call, struct client, compact.call);
    const struct record *r = heard(c, call);
    if (r != NULL && !r->compacted) {
        sim_count(c->sim, SIM_FAULT_COMPACTION);
    }
}

static void read(struct client *c, struct record *r, struct kv_keys keys)
{
    struct sim *s = c->sim;
    c->range = (struct kv_range){.spec = {.keys = keys}};
    if (r->kind == CALL_LIST && prng_chance(&s->prng, 1, 3)) {
        r->asked = 1 + (int64_t)prng_below(
                           &s->prng, (uint64_t)c->known_revision[r->key] + 1);
    }
    r->serializable = prng_chance(&s->prng, 1, 4);
    c->range.spec.serializable = r->serializable;
    c->range.spec.revision = r->asked;
    c->range.call.done = read_done;
    kv_range(replica_kv(c->member->replica), &c->range);
}

static void get(struct client *c, struct record *r)
{
    r->kind = CALL_GET;
    read(c, r, (struct kv_keys){.key = {c->key, sizeof c->key}});
}

static void list(struct client *c, struct record *r)
{
    static const uint8_t from[] = "/dir/", to[] = "/dir0";
    r->kind = CALL_LIST;
    read(c, r, (struct kv_keys){{from, 5}, {to, 5}});
}

/* Beyond what every member's own watch has only if the members are to forget:
 * else these see all. */
static void compact(struct client *c, struct record *r)
{
    struct sim *s = c->sim;
    int64_t least = INT64_MAX;
    uint64_t within = 20;
    for (uint32_t i = 0; i < s->members_count; i++) {
        const struct member *m = &s->members[i];
        if (!m->gone && !(m->joins && m->seen == 0) && m->seen < least) {
            least = m->seen;
        }
    }
    if (s->profile.forgets && prng_chance(&s->prng, 1, 2)) {
        least = c->member->seen;
        within = 3;
    }
    if (least < 2) {
        get(c, r);
        return;
    }
    r->kind = CALL_COMPACT;
    r->asked = least - (int64_t)prng_below(&s->prng, within);
    r->asked = r->asked < 1 ? 1 : r->asked;
    s->compact_asked =
        r->asked > s->compact_asked ? r->asked : s->compact_asked;
    c->compact = (struct kv_compact){.revision = r->asked};
    c->compact.call.done = compact_done;
    kv_compact(replica_kv(c->member->replica), &c->compact);
}

static struct kv_op put_of(uint8_t key[8], uint8_t value[VALUE_SIZE_MAX],
                           uint64_t number)
{
    return (struct kv_op){
        .type = KV_OP_PUT,
        .put = {.key = {key, 8}, .value = value_of(number, value)}};
}

static void expect(struct client *c, struct record *r)
{
    r->expected = c->known_revision[r->key];
    r->was = c->known_value[r->key];
    c->compare = (struct kv_compare){.keys = {.key = {c->key, sizeof c->key}},
                                     .target = KV_COMPARE_MOD,
                                     .result = KV_COMPARE_EQUAL,
                                     .number = r->expected};
    c->txn.spec.compares = &c->compare;
    c->txn.spec.compares_count = 1;
}

static void change(struct client *c, struct record *r, enum call_kind kind)
{
    struct sim *s = c->sim;
    c->txn = (struct kv_txn){.spec = {.success = c->ops, .success_count = 1}};
    r->kind = kind;
    r->value = ++s->value_last;
    c->ops[0] = put_of(c->key, c->value, r->value);
    if (kind == CALL_DELETE) {
        r->value = 0;
        c->ops[0] = (struct kv_op){
            .type = KV_OP_DELETE_RANGE,
            .delete_range = {.keys = {.key = {c->key, sizeof c->key}}}};
    } else if (kind == CALL_SWAP) {
        expect(c, r);
    } else if (kind == CALL_PAIR) {
        r->other = ++s->value_last;
        key_name(key_after(r->key), c->next_key);
        c->ops[1] = put_of(c->next_key, c->next_value, r->other);
        c->txn.spec.success_count = 2;
    }
    c->txn.call.done = write_done;
    kv_txn(replica_kv(c->member->replica), &c->txn);
}

static void ask(struct client *c, struct record *r)
{
    static const enum call_kind kinds[] = {
        CALL_GET,  CALL_GET,  CALL_GET,  CALL_GET,    CALL_LIST,   CALL_LIST,
        CALL_LIST, CALL_LIST, CALL_PUT,  CALL_PUT,    CALL_PUT,    CALL_PUT,
        CALL_PAIR, CALL_PAIR, CALL_PAIR, CALL_DELETE, CALL_DELETE, CALL_SWAP,
        CALL_SWAP, CALL_SWAP, CALL_SWAP};
    const uint64_t pick = prng_below(&c->sim->prng, 60);
    const enum call_kind kind =
        pick == 59 ? CALL_COMPACT : kinds[pick % count_of(kinds)];
    switch (kind) {
    case CALL_GET:
        get(c, r);
        break;
    case CALL_LIST:
        list(c, r);
        break;
    case CALL_COMPACT:
        compact(c, r);
        break;
    default:
        change(c, r, kind);
    }
}

static void act(struct sim *s, struct event *e)
{
    struct client *c = container_of(e, struct client, next);
    must(!c->busy);
    struct member *m = sim_pick(s, &s->prng);
    if (!m->up) {
        sim_at(s, &c->next, s->now_ns + 10 * MS, act);
        return;
    }
    c->member = m;
    c->busy = true;
    struct record *r = history_add(&s->history);
    r->begin_ns = s->now_ns;
    c->record = s->history.count - 1;
    r->key = (uint32_t)prng_below(&s->prng, KEYS);
    key_name(r->key, c->key);
    ask(c, r);
    member_turn(m);
}

void client_init(struct sim *s, uint32_t number)
{
    struct client *c = &s->clients[number];
    c->sim = s;
    c->number = number;
    sim_at(s, &c->next, (int64_t)prng_below(&s->prng, 100 * MS), act);
}

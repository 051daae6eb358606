/* Clients: one call at a time each, to a random member; what they asked and
 * what they heard goes into the history. */

#include "base/codec.h"
#include "base/must.h"
#include "tests/sim/internal.h"

uint32_t key_number(struct bytes key)
{
    return key.size == 8 && memcmp(key.data, "/dir/k-", 7) == 0
               ? (uint32_t)(key.data[7] - 'a')
               : UINT32_MAX;
}

uint64_t value_number(struct bytes value)
{
    return value.size == 8 ? get_u64(value.data) : UINT64_MAX;
}

static struct record *record_of(struct client *c)
{
    return &c->sim->history.records[c->record];
}

static struct record *new_record(struct sim *s)
{
    struct history *h = &s->history;
    if (h->count == h->capacity) {
        h->capacity = h->capacity > 0 ? 2 * h->capacity : 1024;
        h->records = xrealloc(h->records, h->capacity * sizeof *h->records);
    }
    struct record *r = &h->records[h->count++];
    *r = (struct record){.begin_ns = s->now_ns, .end_ns = INT64_MAX};
    return r;
}

static void act(struct sim *s, struct event *e);

/* Returns the record when the answer says what happened. */
static struct record *heard(struct client *c, const struct kv_call *call)
{
    struct sim *s = c->sim;
    c->busy = false;
    sim_at(s, &c->next, s->now_ns + (int64_t)prng_below(&s->prng, 40 * MS),
           act);
    struct record *r = record_of(c);
    sim_note(s, "client %u %s @%lld", c->number, status_name(call->status),
             (long long)call->header.revision);
    if (call->status == ST_CORRUPT || call->status == ST_IO ||
        call->status == ST_INVALID) {
        sim_fail(s, "a client was told %s", status_name(call->status));
    }
    if (call->status == ST_NO_LEADER || call->status == ST_TOO_MANY) {
        r->end_ns = s->now_ns; /* promised: it never happens */
        r->kind = CALL_GET;
        r->answered = false;
        return NULL;
    }
    if (call->status != ST_OK) {
        return NULL; /* perhaps it happened, perhaps it will */
    }
    r->end_ns = s->now_ns;
    r->answered = true;
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
    if (result->items_count > 0) {
        r->value = value_number(result->items[0].value);
        c->known_revision[r->key] = result->items[0].mod_revision;
    } else {
        c->known_revision[r->key] = 0;
    }
    c->sim->report->reads++;
}

static void get(struct client *c, struct record *r, struct bytes key)
{
    r->kind = CALL_GET;
    c->range = (struct kv_range){.spec = {.keys = {.key = key}}};
    c->range.call.done = read_done;
    kv_range(replica_kv(c->member->replica), &c->range);
}

static void change(struct client *c, struct record *r, struct bytes key)
{
    struct sim *s = c->sim;
    const uint64_t kind = prng_below(&s->prng, 6);
    r->value = ++s->value_last;
    put_u64(c->value, r->value);
    c->txn = (struct kv_txn){0};
    c->op = (struct kv_op){
        .type = KV_OP_PUT,
        .put = {.key = key, .value = {c->value, sizeof c->value}}};
    r->kind = CALL_PUT;
    if (kind == 0) {
        r->kind = CALL_DELETE;
        r->value = 0;
        c->op = (struct kv_op){.type = KV_OP_DELETE_RANGE,
                               .delete_range = {.keys = {.key = key}}};
    } else if (kind <= 2) {
        r->kind = CALL_SWAP;
        r->expected = c->known_revision[r->key];
        c->compare = (struct kv_compare){.keys = {.key = key},
                                         .target = KV_COMPARE_MOD,
                                         .result = KV_COMPARE_EQUAL,
                                         .number = r->expected};
        c->txn.spec.compares = &c->compare;
        c->txn.spec.compares_count = 1;
    }
    c->txn.spec.success = &c->op;
    c->txn.spec.success_count = 1;
    c->txn.call.done = write_done;
    kv_txn(replica_kv(c->member->replica), &c->txn);
}

static void act(struct sim *s, struct event *e)
{
    struct client *c = container_of(e, struct client, next);
    must(!c->busy);
    struct member *m = &s->members[prng_below(&s->prng, s->options.members)];
    if (!m->up) {
        sim_at(s, &c->next, s->now_ns + 10 * MS, act);
        return;
    }
    c->member = m;
    c->busy = true;
    struct record *r = new_record(s);
    c->record = s->history.count - 1;
    r->key = (uint32_t)prng_below(&s->prng, KEYS);
    (void)snprintf((char *)c->key, sizeof c->key, "/dir/k-%c",
                   (char)('a' + r->key));
    const struct bytes key = {c->key, 8};
    if (prng_chance(&s->prng, 1, 3)) {
        get(c, r, key);
    } else {
        change(c, r, key);
    }
    member_turn(m);
}

void client_init(struct sim *s, uint32_t number)
{
    struct client *c = &s->clients[number];
    c->sim = s;
    c->number = number;
    sim_at(s, &c->next, (int64_t)prng_below(&s->prng, 100 * MS), act);
}

/* Messages to encode, and bytes written by hand from the protobuf encoding
 * specification (protobuf.dev, "Encoding"), independent of protobuf-c. */
#ifndef TESTS_PROTO_RIG_H
#define TESTS_PROTO_RIG_H

#include <stdlib.h>

#include "base/codec.h"
#include "base/prng.h"
#include "proto/raft_codec.h"
#include "tests/lib/test.h"

/* --- wire format by hand --- */

static inline void wire_number(struct buf *b, uint32_t field, uint64_t value)
{
    write_varint(b, (uint64_t)field << 3);
    write_varint(b, value);
}

static inline void wire_sized(struct buf *b, uint32_t field,
                              struct bytes content)
{
    write_varint(b, (uint64_t)field << 3 | 2);
    write_sized(b, content);
}

/* The fields every message has: type, to 2, from 1. */
static inline void wire_envelope(struct buf *b, uint64_t type)
{
    wire_number(b, 1, type);
    wire_number(b, 2, 2);
    wire_number(b, 3, 1);
}

/* --- comparing --- */

static inline void expect_same_payload(const struct payload *a,
                                       const struct payload *b)
{
    EXPECT((a == NULL) == (b == NULL));
    EXPECT_BYTES(payload_bytes(a), payload_bytes(b));
}

static inline void expect_same_ids(const uint64_t *a, size_t a_count,
                                   const uint64_t *b, size_t b_count)
{
    EXPECT_INT(a_count, b_count);
    for (size_t i = 0; i < a_count; i++) {
        EXPECT_INT(a[i], b[i]);
    }
}

static inline void expect_same_snapshot(const struct raft_snapshot *a,
                                        const struct raft_snapshot *b)
{
    EXPECT((a == NULL) == (b == NULL));
    if (a == NULL) {
        return;
    }
    EXPECT_INT(a->index, b->index);
    EXPECT_INT(a->term, b->term);
    expect_same_payload(a->data, b->data);
    const struct raft_conf_state *c = &a->conf, *d = &b->conf;
    expect_same_ids(c->voters, c->voters_count, d->voters, d->voters_count);
    expect_same_ids(c->learners, c->learners_count, d->learners,
                    d->learners_count);
    expect_same_ids(c->voters_outgoing, c->voters_outgoing_count,
                    d->voters_outgoing, d->voters_outgoing_count);
    expect_same_ids(c->learners_next, c->learners_next_count, d->learners_next,
                    d->learners_next_count);
    EXPECT_INT(c->auto_leave, d->auto_leave);
}

static inline void expect_same_message(const struct raft_message *a,
                                       const struct raft_message *b)
{
    EXPECT_INT(a->type, b->type);
    EXPECT_INT(a->reject, b->reject);
    EXPECT_INT(a->transfer, b->transfer);
    EXPECT_INT(a->to, b->to);
    EXPECT_INT(a->from, b->from);
    EXPECT_INT(a->term, b->term);
    EXPECT_INT(a->log_term, b->log_term);
    EXPECT_INT(a->index, b->index);
    EXPECT_INT(a->commit, b->commit);
    EXPECT_INT(a->vote, b->vote);
    EXPECT_INT(a->reject_hint, b->reject_hint);
    expect_same_payload(a->context, b->context);
    expect_same_snapshot(a->snapshot, b->snapshot);
    EXPECT_INT(a->responses_count, b->responses_count);
    EXPECT_INT(a->entries.count, b->entries.count);
    for (size_t i = 0; i < a->entries.count; i++) {
        const struct raft_entry *e = &a->entries.list[i];
        const struct raft_entry *f = &b->entries.list[i];
        EXPECT_INT(e->term, f->term);
        EXPECT_INT(e->index, f->index);
        EXPECT_INT(e->type, f->type);
        expect_same_payload(e->payload, f->payload);
    }
}

/* --- random messages of every kind the network may carry --- */

static inline uint64_t random_number(struct prng *p)
{
    /* Of every length as a varint; 0 and all ones among them. */
    const uint64_t bits = prng_below(p, 65);
    return bits == 0 ? 0 : prng_next(p) >> (64 - bits);
}

static inline struct payload *random_payload(struct prng *p, size_t size_max)
{
    if (prng_chance(p, 1, 4)) {
        return NULL;
    }
    struct payload *made = payload_new((size_t)prng_below(p, size_max + 1));
    prng_fill(p, made->data, made->size);
    return made;
}

static inline size_t random_ids(struct prng *p, uint64_t *ids)
{
    const size_t count = (size_t)prng_below(p, RAFT_MEMBERS_MAX + 1);
    uint64_t id = 0;
    for (size_t i = 0; i < count; i++) {
        id += 1 + prng_below(p, UINT64_MAX / 128);
        ids[i] = id;
    }
    return count;
}

static inline struct raft_snapshot *random_snapshot(struct prng *p)
{
    uint64_t ids[4][RAFT_MEMBERS_MAX];
    const struct raft_conf_state conf = {
        .voters = ids[0],
        .voters_count = random_ids(p, ids[0]),
        .learners = ids[1],
        .learners_count = random_ids(p, ids[1]),
        .voters_outgoing = ids[2],
        .voters_outgoing_count = random_ids(p, ids[2]),
        .learners_next = ids[3],
        .learners_next_count = random_ids(p, ids[3]),
        .auto_leave = prng_chance(p, 1, 2),
    };
    struct payload *data = random_payload(p, 2000);
    struct raft_snapshot *s =
        raft_snapshot_new(random_number(p), random_number(p), &conf, data);
    payload_drop(data);
    return s;
}

static inline struct raft_message random_message(struct prng *p)
{
    struct raft_message m = {
        .to = 1 + prng_below(p, 100),
        .from = 1 + prng_below(p, UINT64_MAX - 3),
        .reject = prng_chance(p, 1, 2),
        .transfer = prng_chance(p, 1, 2),
        .term = random_number(p),
        .log_term = random_number(p),
        .index = random_number(p),
        .commit = random_number(p),
        .vote = random_number(p),
        .reject_hint = random_number(p),
        .context = random_payload(p, 40),
    };
    do {
        m.type = (enum raft_message_type)prng_below(p, RAFT_MSG_TYPES);
    } while (raft_message_type_is_local(m.type));
    if (m.type == RAFT_MSG_SNAPSHOT) {
        m.snapshot = random_snapshot(p);
    }
    size_t count = (size_t)prng_below(p, 40);
    while (count-- > 0) {
        const struct raft_entry e = {
            .term = random_number(p),
            .index = random_number(p),
            .type = (enum raft_entry_type)prng_below(p, 3),
            .payload = random_payload(p, 300),
        };
        raft_entries_add(&m.entries, &e, 1);
        payload_drop(e.payload);
    }
    return m;
}

#endif

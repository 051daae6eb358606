/* Between struct raft_message and the generated structures.
 *
 * Encoding: the generated structures borrow everything from the message; the
 * payloads' bytes go from there into the buffer.  Decoding: payloads are taken
 * out of the unpacked message (proto/budget.h), the rest is copied. */

#include "proto/raft_codec.h"

#include <stdlib.h>

#include "base/must.h"
#include "proto/budget.h"
#include "proto/raft.pb-c.h"

/* --- to bytes --- */

/* protobuf-c's sink: appends to a struct buf. */
struct sink {
    ProtobufCBuffer base;
    struct buf *to;
};

static void sink_append(ProtobufCBuffer *base, size_t size, const uint8_t *data)
{
    buf_append(container_of(base, struct sink, base)->to,
               (struct bytes){data, size});
}

/* protobuf-c never writes through what it packs, but has no const for it. */
static uint8_t *unconst(const void *data)
{
    union {
        const void *in;
        uint8_t *out;
    } u = {.in = data};
    return u.out;
}

static ProtobufCBinaryData binary_of(const struct payload *p)
{
    const struct bytes b = payload_bytes(p);
    return (ProtobufCBinaryData){b.size, unconst(b.data)};
}

static uint64_t *ids_of(const uint64_t *ids)
{
    return (uint64_t *)(void *)unconst(ids);
}

static void fill_snapshot(Keelfs__Raft__Snapshot *to,
                          Keelfs__Raft__ConfState *conf,
                          const struct raft_snapshot *s)
{
    const struct raft_conf_state *c = &s->conf;
    keelfs__raft__conf_state__init(conf);
    conf->n_voters = c->voters_count;
    conf->voters = ids_of(c->voters);
    conf->n_learners = c->learners_count;
    conf->learners = ids_of(c->learners);
    conf->n_voters_outgoing = c->voters_outgoing_count;
    conf->voters_outgoing = ids_of(c->voters_outgoing);
    conf->n_learners_next = c->learners_next_count;
    conf->learners_next = ids_of(c->learners_next);
    conf->has_auto_leave = conf->auto_leave = c->auto_leave;

    keelfs__raft__snapshot__init(to);
    to->has_index = s->index != 0;
    to->index = s->index;
    to->has_term = s->term != 0;
    to->term = s->term;
    to->conf = conf;
    to->has_data = s->data != NULL;
    to->data = binary_of(s->data);
}

static void fill_entry(Keelfs__Raft__Entry *to, const struct raft_entry *e)
{
    keelfs__raft__entry__init(to);
    to->has_type = e->type != RAFT_ENTRY_NORMAL;
    to->type = e->type;
    to->has_term = e->term != 0;
    to->term = e->term;
    to->has_index = e->index != 0;
    to->index = e->index;
    to->has_payload = e->payload != NULL;
    to->payload = binary_of(e->payload);
}

static void fill_message(Keelfs__Raft__Message *to,
                         const struct raft_message *m)
{
    keelfs__raft__message__init(to);
    to->has_type = true;
    to->type = m->type;
    to->has_to = true;
    to->to = m->to;
    to->has_from = true;
    to->from = m->from;
    to->has_term = m->term != 0;
    to->term = m->term;
    to->has_log_term = m->log_term != 0;
    to->log_term = m->log_term;
    to->has_index = m->index != 0;
    to->index = m->index;
    to->has_commit = m->commit != 0;
    to->commit = m->commit;
    to->has_reject = to->reject = m->reject;
    to->has_reject_hint = m->reject_hint != 0;
    to->reject_hint = m->reject_hint;
    to->has_context = m->context != NULL;
    to->context = binary_of(m->context);
    to->has_vote = m->vote != 0;
    to->vote = m->vote;
    to->has_transfer = to->transfer = m->transfer;
    to->has_lost = to->lost = m->lost;
}

/* Entries in generated form, and the pointers to them; freed as one. */
static void *fill_entries(Keelfs__Raft__Message *to,
                          const struct raft_entries *entries)
{
    if (entries->count == 0) {
        return NULL;
    }
    struct {
        Keelfs__Raft__Entry *pointer;
        Keelfs__Raft__Entry entry;
    } * one;
    /* Pointers first, entries behind them: both are aligned to pointers. */
    Keelfs__Raft__Entry **pointers =
        xmalloc(entries->count * (sizeof one->pointer + sizeof one->entry));
    Keelfs__Raft__Entry *list =
        (Keelfs__Raft__Entry *)(void *)(pointers + entries->count);
    for (size_t i = 0; i < entries->count; i++) {
        fill_entry(&list[i], &entries->list[i]);
        pointers[i] = &list[i];
    }
    to->n_entries = entries->count;
    to->entries = pointers;
    return pointers;
}

enum status raft_codec_encode(const struct raft_message *m, struct buf *to,
                              struct fault *reterr)
{
    enum status st = raft_codec_check(m, reterr);
    if (st != ST_OK) {
        return st;
    }
    Keelfs__Raft__Message message;
    Keelfs__Raft__Snapshot snapshot;
    Keelfs__Raft__ConfState conf;
    fill_message(&message, m);
    if (m->snapshot != NULL) {
        fill_snapshot(&snapshot, &conf, m->snapshot);
        message.snapshot = &snapshot;
    }
    void *entries = fill_entries(&message, &m->entries);
    const size_t size = keelfs__raft__message__get_packed_size(&message);
    if (size > RAFT_CODEC_SIZE_MAX) {
        st = fault_set(reterr, ST_TOO_LARGE,
                       "a message of %zu bytes, more than %zu", size,
                       RAFT_CODEC_SIZE_MAX);
    } else {
        const size_t before = to->size;
        (void)buf_reserve(to, size);
        struct sink sink = {.base = {.append = sink_append}, .to = to};
        const size_t written =
            keelfs__raft__message__pack_to_buffer(&message, &sink.base);
        must(written == size);
        must(to->size == before + size);
    }
    free(entries);
    return st;
}

/* --- from bytes --- */

/* Message, snapshot, configuration.  A field given more often than it needs to
 * be is unusual but right, so there is room for twice the fields. */
static const struct proto_limits limits = {
    .size_max = RAFT_CODEC_SIZE_MAX,
    .depth_max = 3,
    .fields_max = 64 + 8 * RAFT_MEMBERS_MAX + 10 * RAFT_CODEC_ENTRIES_MAX,
    .repeats_max = RAFT_CODEC_ENTRIES_MAX,
    .memory_max = RAFT_CODEC_MEMORY_MAX,
};

static void take_entries(struct raft_entries *to, Keelfs__Raft__Message *p)
{
    if (p->n_entries == 0) {
        return;
    }
    to->list = xmalloc(p->n_entries * sizeof to->list[0]);
    to->count = to->capacity = p->n_entries;
    for (size_t i = 0; i < p->n_entries; i++) {
        Keelfs__Raft__Entry *e = p->entries[i];
        to->list[i] = (struct raft_entry){
            .term = e->term,
            .index = e->index,
            .type = (enum raft_entry_type)e->type,
            .payload = e->has_payload ? proto_take(&e->payload) : NULL,
        };
    }
}

static MUST_USE enum status take_snapshot(Keelfs__Raft__Snapshot *p,
                                          struct raft_snapshot **ret,
                                          struct fault *reterr)
{
    struct raft_conf_state conf = {.auto_leave = false};
    const Keelfs__Raft__ConfState *c = p->conf;
    if (c != NULL) {
        if (c->n_voters > RAFT_MEMBERS_MAX ||
            c->n_learners > RAFT_MEMBERS_MAX ||
            c->n_voters_outgoing > RAFT_MEMBERS_MAX ||
            c->n_learners_next > RAFT_MEMBERS_MAX) {
            return fault_set(reterr, ST_INVALID,
                             "a configuration with more than %d members in "
                             "a set",
                             RAFT_MEMBERS_MAX);
        }
        conf = (struct raft_conf_state){
            .voters = c->voters,
            .voters_count = c->n_voters,
            .learners = c->learners,
            .learners_count = c->n_learners,
            .voters_outgoing = c->voters_outgoing,
            .voters_outgoing_count = c->n_voters_outgoing,
            .learners_next = c->learners_next,
            .learners_next_count = c->n_learners_next,
            .auto_leave = c->auto_leave,
        };
    }
    struct payload *data = p->has_data ? proto_take(&p->data) : NULL;
    *ret = raft_snapshot_new(p->index, p->term, &conf, data);
    payload_drop(data); /* the snapshot holds it */
    return ST_OK;
}

static MUST_USE enum status take_message(Keelfs__Raft__Message *p,
                                         struct raft_message *ret,
                                         struct fault *reterr)
{
    if (p->type >= RAFT_MSG_TYPES) {
        return fault_set(reterr, ST_INVALID, "a message of unknown type %u",
                         p->type);
    }
    struct raft_message m = {
        .type = (enum raft_message_type)p->type,
        .reject = p->reject,
        .transfer = p->transfer,
        .lost = p->lost,
        .to = p->to,
        .from = p->from,
        .term = p->term,
        .log_term = p->log_term,
        .index = p->index,
        .commit = p->commit,
        .vote = p->vote,
        .reject_hint = p->reject_hint,
    };
    enum status st = ST_OK;
    if (p->snapshot != NULL) {
        st = take_snapshot(p->snapshot, &m.snapshot, reterr);
    }
    take_entries(&m.entries, p);
    m.context = p->has_context ? proto_take(&p->context) : NULL;
    if (st == ST_OK) {
        st = raft_codec_check(&m, reterr);
    }
    if (st != ST_OK) {
        raft_message_fini(&m);
        return ST_INVALID;
    }
    *ret = m;
    return ST_OK;
}

enum status raft_codec_decode(struct bytes from, struct raft_message *ret,
                              struct fault *reterr)
{
    struct proto_budget budget;
    ProtobufCMessage *p;
    enum status st = proto_unpack(&keelfs__raft__message__descriptor, from,
                                  &limits, &budget, &p, reterr);
    if (st != ST_OK) {
        return ST_INVALID;
    }
    st = take_message((Keelfs__Raft__Message *)p, ret, reterr);
    proto_free(&budget, p);
    return st;
}

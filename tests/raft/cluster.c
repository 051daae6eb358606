/* The members: what each has on its disk, does and applies. */

#include "tests/raft/cluster.h"

#include "base/must.h"
#include "tests/lib/test.h"
#include "tests/raft/cluster_internal.h"

struct raft_config cluster_config(void)
{
    return (struct raft_config){.election_ticks = 10,
                                .heartbeat_ticks = 1,
                                .max_size_per_message = RAFT_NO_LIMIT,
                                .max_inflight_messages = 256,
                                .check_quorum = true,
                                .pre_vote = true,
                                .async_storage_writes = true};
}

void cluster_start(struct cluster *c, struct cluster_member *m)
{
    struct raft_config config = c->config;
    config.id = m->id;
    config.seed = prng_next(&c->prng);
    config.storage = raft_memory_storage_base(m->disk);
    config.lost_index = m->lost.index;
    config.lost_term = m->lost.term;
    const enum status st = raft_new(&config, &m->raft);
    EXPECT_INT(st, ST_OK);
}

struct cluster *cluster_new(const struct raft_config *config, size_t count,
                            size_t voters_count, uint64_t seed)
{
    must(count <= CLUSTER_MEMBERS_MAX && voters_count <= count);
    struct cluster *c = xcalloc(1, sizeof *c);
    c->config = *config;
    c->count = count;
    prng_init(&c->prng, seed);
    for (uint64_t id = 1; id <= voters_count; id++) {
        const bool added = raft_ids_add(&c->first_conf.incoming, id);
        must(added);
    }
    /* Entry 1 is a snapshot with the first configuration: who joins later
     * cannot get the log from its beginning, only that. */
    const struct raft_conf_state conf = raft_conf_view(&c->first_conf);
    const struct raft_hard_state hard = {.term = 1, .commit = 1};
    const uint64_t hash = 0;
    struct payload *data =
        payload_copy_of((struct bytes){(const uint8_t *)&hash, sizeof hash});
    struct raft_snapshot *first = raft_snapshot_new(1, 1, &conf, data);
    payload_drop(data);
    cluster_add_record(c, &(struct cluster_record){.term = 1});
    for (size_t i = 0; i < count; i++) {
        struct cluster_member *m = xcalloc(1, sizeof *m);
        m->id = i + 1;
        m->disk = raft_memory_storage_new();
        if (i < voters_count) {
            const enum status st =
                raft_memory_storage_apply_snapshot(m->disk, first);
            must(st == ST_OK);
            raft_memory_storage_set_hard_state(m->disk, &hard);
            m->applied = 1;
        }
        c->members[i] = m;
        cluster_start(c, m);
    }
    raft_snapshot_drop(first);
    return c;
}

void cluster_queue_push(struct cluster_queue *q, struct raft_message *taken)
{
    if (q->count == q->capacity) {
        q->capacity = q->capacity == 0 ? 16 : q->capacity * 2;
        q->list = xrealloc(q->list, q->capacity * sizeof q->list[0]);
    }
    raft_message_take(&q->list[q->count++], taken);
}

void cluster_queue_take(struct cluster_queue *q, size_t at,
                        struct raft_message *to)
{
    must(at < q->count);
    raft_message_take(to, &q->list[at]);
    q->count--;
    memmove(&q->list[at], &q->list[at + 1],
            (q->count - at) * sizeof q->list[0]);
}

void cluster_queue_clear(struct cluster_queue *q)
{
    for (size_t i = 0; i < q->count; i++) {
        raft_message_fini(&q->list[i]);
    }
    q->count = 0;
}

static void queue_fini(struct cluster_queue *q)
{
    cluster_queue_clear(q);
    free(q->list);
}

void cluster_free(struct cluster *c)
{
    for (size_t i = 0; i < c->count; i++) {
        struct cluster_member *m = c->members[i];
        raft_free(m->raft);
        queue_fini(&m->append_work);
        queue_fini(&m->apply_work);
        raft_memory_storage_free(m->disk);
        free(m);
    }
    queue_fini(&c->network);
    for (size_t i = 0; i < c->records_count; i++) {
        payload_drop(c->records[i].payload);
    }
    free(c->records);
    free(c);
}

struct cluster_member *cluster_member(struct cluster *c, uint64_t id)
{
    must(id >= 1 && id <= c->count);
    return c->members[id - 1];
}

struct raft *cluster_raft(struct cluster *c, uint64_t id)
{
    struct raft *r = cluster_member(c, id)->raft;
    must(r != NULL);
    return r;
}

struct raft_status cluster_status(struct cluster *c, uint64_t id)
{
    struct raft_status s;
    raft_status(cluster_raft(c, id), &s);
    return s;
}

void cluster_tick(struct cluster *c, uint64_t id)
{
    raft_tick(cluster_raft(c, id));
}

/* ---- Applying ---- */

static void apply_one(struct cluster *c, struct cluster_member *m,
                      const struct raft_entry *e)
{
    if (e->index <= m->applied) {
        return; /* a snapshot has overtaken it */
    }
    EXPECT_INT(e->index, m->applied + 1);
    m->applied = e->index;
    cluster_record_applied(c, m, e);
    if (e->type == RAFT_ENTRY_NORMAL) {
        return;
    }
    struct raft_conf_change cc;
    enum status st =
        raft_conf_change_decode(e->type, payload_bytes(e->payload), &cc);
    EXPECT_INT(st, ST_OK);
    /* Not possible now: refused by every member alike. */
    st = raft_apply_conf_change(m->raft, e->index, &cc, NULL);
    EXPECT(st == ST_OK || st == ST_INVALID);
}

static void apply(struct cluster *c, struct cluster_member *m,
                  const struct raft_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        apply_one(c, m, &entries[i]);
    }
}

void cluster_install(struct cluster *c, struct cluster_member *m,
                     const struct raft_snapshot *s)
{
    if (s->index <= m->applied) {
        return;
    }
    EXPECT_INT(payload_bytes(s->data).size, sizeof m->hash);
    memcpy(&m->hash, s->data->data, sizeof m->hash);
    m->applied = s->index;
    EXPECT(s->index <= c->records_count);
    EXPECT_INT(c->records[s->index - 1].hash, m->hash);
    EXPECT_INT(c->records[s->index - 1].term, s->term);
}

/* ---- Storage work ---- */

static void save(struct cluster_member *m, const struct raft_hard_state *hard,
                 const struct raft_entry *entries, size_t count,
                 struct raft_snapshot *snapshot)
{
    if (snapshot != NULL) {
        const enum status st =
            raft_memory_storage_apply_snapshot(m->disk, snapshot);
        EXPECT(st == ST_OK || st == ST_COMPACTED);
    }
    const enum status st = raft_memory_storage_append(m->disk, entries, count);
    EXPECT_INT(st, ST_OK);
    if (hard->term > 0) {
        raft_memory_storage_set_hard_state(m->disk, hard);
    }
    cluster_note_saved(m);
}

void cluster_save(struct cluster_member *m, const struct raft_message *work)
{
    const struct raft_hard_state hard = {work->term, work->vote, work->commit};
    save(m, &hard, work->entries.list, work->entries.count, work->snapshot);
}

/* Responses to the member itself arrive at once, those to others travel. */
static void release(struct cluster *c, struct cluster_member *m,
                    struct raft_message *work)
{
    for (size_t i = 0; i < work->responses_count; i++) {
        struct raft_message *response = &work->responses[i];
        if (response->to == m->id) {
            const enum status st = raft_step(m->raft, response);
            EXPECT_INT(st, ST_OK);
        } else {
            cluster_queue_push(&c->network, response);
        }
    }
    raft_message_fini(work);
    raft_check(m->raft);
}

bool cluster_append_one(struct cluster *c, uint64_t id)
{
    struct cluster_member *m = cluster_member(c, id);
    if (m->raft == NULL || m->append_work.count == 0) {
        return false;
    }
    struct raft_message work;
    cluster_queue_take(&m->append_work, 0, &work);
    cluster_save(m, &work);
    if (work.snapshot != NULL) {
        cluster_install(c, m, work.snapshot);
    }
    release(c, m, &work);
    return true;
}

bool cluster_apply_one(struct cluster *c, uint64_t id)
{
    struct cluster_member *m = cluster_member(c, id);
    if (m->raft == NULL || m->apply_work.count == 0) {
        return false;
    }
    struct raft_message work;
    cluster_queue_take(&m->apply_work, 0, &work);
    apply(c, m, work.entries.list, work.entries.count);
    release(c, m, &work);
    return true;
}

/* ---- What a member wants done ---- */

static void take_reads(struct cluster_member *m, const struct raft_ready *rd)
{
    for (size_t i = 0; i < rd->read_states_count; i++) {
        const struct raft_read_state *s = &rd->read_states[i];
        uint64_t number = 0;
        EXPECT_INT(payload_bytes(s->context).size, sizeof number);
        memcpy(&number, s->context->data, sizeof number);
        for (size_t j = 0; j < m->reads_count; j++) {
            if (m->reads[j].number == number) {
                /* Section 6.4: never older than what was committed then. */
                EXPECT(s->index >= m->reads[j].at_least);
                m->reads[j] = m->reads[--m->reads_count];
                m->reads_answered++;
                m->last_read_index = s->index;
                break;
            }
        }
    }
}

static void carry_out_sync(struct cluster *c, struct cluster_member *m,
                           const struct raft_ready *rd)
{
    const struct raft_hard_state none = {0, 0, 0};
    save(m, rd->hard_state_changed ? &rd->hard_state : &none, rd->entries,
         rd->entries_count, rd->snapshot);
    if (rd->snapshot != NULL) {
        cluster_install(c, m, rd->snapshot);
    }
    apply(c, m, rd->committed, rd->committed_count);
}

void cluster_pump(struct cluster *c, uint64_t id)
{
    struct cluster_member *m = cluster_member(c, id);
    while (m->raft != NULL && raft_has_ready(m->raft)) {
        struct raft_ready rd;
        raft_check(m->raft);
        raft_ready(m->raft, &rd);
        take_reads(m, &rd);
        if (!c->config.async_storage_writes) {
            carry_out_sync(c, m, &rd);
        }
        for (size_t i = 0; i < rd.messages_count; i++) {
            struct raft_message *message = &rd.messages[i];
            if (message->to == RAFT_APPEND_THREAD) {
                cluster_queue_push(&m->append_work, message);
            } else if (message->to == RAFT_APPLY_THREAD) {
                cluster_queue_push(&m->apply_work, message);
            } else {
                cluster_queue_push(&c->network, message);
            }
        }
        if (!c->config.async_storage_writes) {
            raft_advance(m->raft);
        }
        raft_check(m->raft);
        cluster_note_leader(c, m);
    }
}

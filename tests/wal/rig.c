/* See rig.h. */

#include "tests/wal/rig.h"

#include <stdlib.h>

#include "base/hmap.h"

void rig_log_fini(struct rig_log *l)
{
    free(l->entries);
    *l = (struct rig_log){0};
}

struct rig_log rig_log_copy(const struct rig_log *from)
{
    struct rig_log l = *from;
    l.entries = xcalloc(from->count + 1, sizeof l.entries[0]);
    if (from->count > 0) {
        memcpy(l.entries, from->entries, from->count * sizeof l.entries[0]);
    }
    return l;
}

uint64_t rig_log_last(const struct rig_log *l)
{
    return l->count > 0 ? l->entries[l->count - 1].index : l->start_index;
}

uint64_t rig_log_term(const struct rig_log *l, uint64_t index)
{
    must(index >= l->start_index && index <= rig_log_last(l));
    return index == l->start_index
               ? l->start_term
               : l->entries[index - l->start_index - 1].term;
}

void rig_log_put(struct rig_log *l, struct rig_entry e)
{
    must(e.index > l->start_index && e.index <= rig_log_last(l) + 1);
    l->count = (size_t)(e.index - l->start_index - 1);
    l->entries = xrealloc(l->entries, (l->count + 1) * sizeof l->entries[0]);
    l->entries[l->count++] = e;
}

void rig_log_trim(struct rig_log *l, uint64_t index, uint64_t term)
{
    must(index >= l->start_index);
    const uint64_t gone = index - l->start_index;
    if (gone >= l->count) {
        l->count = 0;
    } else {
        l->count -= (size_t)gone;
        memmove(l->entries, l->entries + gone, l->count * sizeof l->entries[0]);
    }
    l->start_index = index;
    l->start_term = term;
}

static bool same_hard_state(const struct rig_log *got,
                            const struct rig_log *wanted)
{
    const struct raft_hard_state a = got->hard_state;
    const struct raft_hard_state b = wanted->hard_state;
    uint64_t commit = b.commit;
    commit = commit > rig_log_last(got) ? rig_log_last(got) : commit;
    commit = commit < got->start_index ? got->start_index : commit;
    return a.term == b.term && a.vote == b.vote && a.commit == commit;
}

bool rig_log_agrees(const struct rig_log *got, const struct rig_log *wanted)
{
    if (got->start_index > rig_log_last(wanted) ||
        rig_log_last(got) != rig_log_last(wanted) ||
        !same_hard_state(got, wanted)) {
        return false;
    }
    for (uint64_t i = got->start_index + 1; i <= rig_log_last(got); i++) {
        const struct rig_entry *e = &got->entries[i - got->start_index - 1];
        if (e->index != i || i <= wanted->start_index) {
            continue; /* the test forgot it: nothing to compare with */
        }
        const struct rig_entry *o =
            &wanted->entries[i - wanted->start_index - 1];
        if (e->term != o->term || e->size != o->size) {
            return false;
        }
    }
    return got->start_index < wanted->start_index ||
           got->start_term == rig_log_term(wanted, got->start_index);
}

void rig_log_print(const char *name, const struct rig_log *l)
{
    print_error("%s: term %ju vote %ju commit %ju, after %ju@%ju:", name,
                (uintmax_t)l->hard_state.term, (uintmax_t)l->hard_state.vote,
                (uintmax_t)l->hard_state.commit, (uintmax_t)l->start_index,
                (uintmax_t)l->start_term);
    for (size_t i = 0; i < l->count; i++) {
        print_error(" %ju@%ju+%u", (uintmax_t)l->entries[i].index,
                    (uintmax_t)l->entries[i].term, l->entries[i].size);
    }
    print_error("\n");
}

struct payload *rig_payload(struct rig_entry e)
{
    if (e.size == 0) {
        return NULL;
    }
    struct payload *p = payload_new(e.size);
    uint64_t state = hash_u64(e.index ^ hash_u64(e.term ^ hash_u64(e.size)));
    for (uint32_t i = 0; i < e.size; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        p->data[i] = (uint8_t)(state >> 56);
    }
    return p;
}

struct wal_options rig_options(uint64_t segment_size)
{
    struct wal_options o;
    wal_options_default(&o);
    o.segment_size = segment_size;
    o.cluster_id = RIG_CLUSTER;
    o.member_id = RIG_MEMBER;
    return o;
}

void rig_recovery_fini(struct rig_recovery *r)
{
    rig_log_fini(&r->log);
}

struct taking {
    struct rig_log log; /* start 0 until the end: indexes as they come */
    struct rig_recovery *to;
    uint64_t first;
};

static void take(void *arg, const struct raft_entry *e)
{
    struct taking *t = arg;
    const struct rig_entry entry = {
        .index = e->index,
        .term = e->term,
        .size = (uint32_t)payload_bytes(e->payload).size};
    struct payload *wanted = rig_payload(entry);
    if (!bytes_equal(payload_bytes(wanted), payload_bytes(e->payload)) ||
        e->type != (e->index % 3)) {
        t->to->garbage = true;
    }
    payload_drop(wanted);
    if (t->first == 0) {
        t->first = e->index;
        t->log.start_index = e->index - 1;
    }
    if (e->index <= t->log.start_index ||
        e->index > rig_log_last(&t->log) + 1) {
        t->to->garbage = true; /* out of order */
        return;
    }
    rig_log_put(&t->log, entry);
}

enum status rig_open(struct disk *disk, const struct wal_options *options,
                     struct rig_recovery *ret_recovery, struct wal **ret_wal,
                     struct fault *reterr)
{
    struct taking t = {.to = ret_recovery};
    *ret_recovery = (struct rig_recovery){0};
    const enum status st =
        wal_open(disk, options, take, &t, &ret_recovery->wal, ret_wal, reterr);
    const struct wal_recovery *r = &ret_recovery->wal;
    if (t.first == 0) {
        t.log.start_index = r->start_index;
    }
    t.log.start_term = r->start_term;
    t.log.hard_state = r->hard_state;
    if (st == ST_OK &&
        (t.log.start_index != r->start_index ||
         r->last_index != rig_log_last(&t.log) || r->first_index != t.first)) {
        ret_recovery->garbage = true; /* it contradicts what it handed over */
    }
    ret_recovery->log = t.log;
    return st;
}

enum status rig_open_sim(struct disk_sim *sim,
                         const struct wal_options *options,
                         struct rig_recovery *ret_recovery,
                         struct wal **ret_wal, struct fault *reterr)
{
    struct disk *disk = NULL;
    const enum status st = disk_sim_open(sim, &disk, reterr);
    must(st == ST_OK);
    return rig_open(disk, options, ret_recovery, ret_wal, reterr);
}

struct wal *rig_open_well(struct disk_sim *sim,
                          const struct wal_options *options)
{
    struct rig_recovery r;
    struct wal *w = NULL;
    struct fault f = {{0}};
    if (rig_open_sim(sim, options, &r, &w, &f) != ST_OK) {
        print_error("cannot open: %s\n", f.text);
        fail();
    }
    rig_recovery_fini(&r);
    return w;
}

enum status rig_append(struct wal *w, struct rig_batch batch,
                       struct fault *reterr)
{
    struct raft_entry *entries = xcalloc(batch.count + 1, sizeof entries[0]);
    for (size_t i = 0; i < batch.count; i++) {
        const uint64_t index = batch.first + i;
        entries[i] = (struct raft_entry){
            .index = index,
            .term = batch.term,
            .type = (enum raft_entry_type)(index % 3),
            .payload =
                rig_payload((struct rig_entry){index, batch.term, batch.size})};
    }
    const struct wal_batch b = {.hard_state = batch.hard_state,
                                .entries = entries,
                                .entries_count = batch.count};
    const enum status st = wal_append(w, &b, reterr);
    for (size_t i = 0; i < batch.count; i++) {
        payload_drop(entries[i].payload);
    }
    free(entries);
    return st;
}

void rig_log_append(struct rig_log *l, struct rig_batch batch)
{
    if (batch.hard_state != NULL) {
        l->hard_state = *batch.hard_state;
    }
    for (size_t i = 0; i < batch.count; i++) {
        rig_log_put(
            l, (struct rig_entry){batch.first + i, batch.term, batch.size});
    }
}

void rig_write(struct wal *w, struct rig_log *l, struct rig_batch batch)
{
    struct fault f = {{0}};
    enum status st = rig_append(w, batch, &f);
    if (st == ST_OK) {
        st = wal_sync(w, &f);
    }
    if (st != ST_OK) {
        print_error("cannot write: %s\n", f.text);
        fail();
    }
    rig_log_append(l, batch);
}

/* A whole state that another member sent takes the place of a member's own, as
 * node/receiver.c and node/install.c do it: first what watches have to be told
 * is found, a few keys at a time, while everything else goes on; then raft
 * hears of it, and then it is put in its place.
 *
 * And what the watches then must be told, made from the history that all
 * members' watches tell (store/difference.h). */

#include "base/must.h"
#include "tests/sim/internal.h"

static void go_on(struct sim *s, struct event *e);

static void forget_offer(struct member *m, bool ok)
{
    struct member *from = m->offered_by;
    if (from != NULL) {
        m->offered_by = NULL;
        network_report(from, m->id, ok);
    }
}

void install_forget(struct member *m)
{
    heap_remove(&m->sim->events, &m->comparing.at);
    store_compare_free(m->comparison);
    m->comparison = NULL;
    store_close(m->fresh);
    m->fresh = NULL;
    store_import_free(m->incoming);
    m->incoming = NULL;
    raft_message_fini(&m->offered);
    forget_offer(m, false);
}

/* The state is complete and verified before anything else. */
static bool import(struct member *m, struct bytes state)
{
    struct fault fault = {{0}};
    const struct store_options so = member_store_options(m->sim);
    const struct store_identity identity = {.cluster_id = 1,
                                            .member_id = m->id};
    if (store_import_begin(m->directory, &so, 0, &m->incoming, &fault) !=
            ST_OK ||
        store_import_write(m->incoming, state, &fault) != ST_OK ||
        store_import_finish(m->incoming, &identity, &fault) != ST_OK ||
        store_open(store_import_path(m->incoming), &so, &m->fresh, &fault) !=
            ST_OK) {
        sim_fail(m->sim, "member %u cannot take a state: %s", member_number(m),
                 fault.text);
        return false;
    }
    m->comparison = store_compare_begin(m->store, m->fresh);
    return true;
}

void install_turn(struct member *m)
{
    if (m->incoming != NULL && m->offered.snapshot == NULL &&
        m->saving_count == 0 && !replica_snapshot_waits(m->replica)) {
        install_forget(m); /* raft did not need what arrived */
    }
}

bool install_offer(struct member *m, struct member *from,
                   struct raft_message *take, struct bytes state)
{
    install_turn(m);
    if (m->incoming != NULL || !import(m, state)) {
        return false; /* the one before is on its way into place */
    }
    raft_message_take(&m->offered, take);
    m->offered_by = from;
    sim_at(m->sim, &m->comparing, m->sim->now_ns, go_on);
    return true;
}

/* The next few keys; true when there is nothing left to do. */
static bool compare(struct member *m)
{
    struct fault fault = {{0}};
    bool done = false;
    const size_t rows = 1 + prng_below(&m->sim->prng, 3);
    if (store_compare_step(m->comparison, rows, &done, &fault) != ST_OK) {
        sim_fail(m->sim, "member %u cannot compare two states: %s",
                 member_number(m), fault.text);
    }
    return done;
}

static void go_on(struct sim *s, struct event *e)
{
    struct member *m = container_of(e, struct member, comparing);
    struct fault fault = {{0}};
    if (m->broken || sim_failed(s)) {
        return;
    }
    if (m->paused || !compare(m)) {
        sim_at(s, e, s->now_ns + (int64_t)prng_below(&s->prng, 40 * MS), go_on);
        if (!m->paused) {
            member_turn(m); /* what is still to be told */
        }
        return;
    }
    struct raft_message offered;
    raft_message_take(&offered, &m->offered);
    if (replica_receive(m->replica, &offered, &fault) != ST_OK) {
        sim_fail(s, "member %u: %s", member_number(m), fault.text);
    }
    raft_message_fini(&offered);
    forget_offer(m, true);
    member_turn(m);
}

/* --- what watches must be told --- */

static bool comes_again(const struct changes *all, size_t i, int64_t at)
{
    for (size_t k = i + 1; k < all->count && all->list[k].revision <= at; k++) {
        if (all->list[k].name == all->list[i].name) {
            return true;
        }
    }
    return false;
}

static bool was_there(const struct changes *all, uint64_t name,
                      int64_t revision)
{
    for (size_t i = changes_at(all, revision + 1); i > 0; i--) {
        if (all->list[i - 1].name == name) {
            return all->list[i - 1].value != 0;
        }
    }
    return false;
}

void changes_between(const struct changes *all, int64_t from, int64_t at,
                     int64_t start, struct changes *to)
{
    const size_t first = changes_at(all, from + 1);
    for (int puts = 0; puts <= 1; puts++) { /* what is gone comes first */
        for (size_t i = first; i < all->count && all->list[i].revision <= at;
             i++) {
            struct change c = all->list[i];
            const bool wanted = c.value != 0
                                    ? puts == 1 && c.revision >= start
                                    : puts == 0 && was_there(all, c.name, from);
            if (!wanted || comes_again(all, i, at)) {
                continue;
            }
            if (c.value == 0) {
                c.revision = from + 1 > start ? from + 1 : start;
            }
            changes_add(to, c);
        }
    }
}

bool changes_take(struct changes *due, size_t *next, const struct change *c)
{
    /* Those that are gone come in order of their keys, which are not known
     * here. */
    for (size_t i = *next; i < due->count; i++) {
        struct change *d = &due->list[i];
        if (d->name == c->name && d->revision == c->revision &&
            d->value == c->value) {
            const struct change first = due->list[*next];
            due->list[*next] = *d;
            *d = first;
            (*next)++;
            return true;
        }
        if (d->value != 0 || c->value != 0) {
            break;
        }
    }
    return false;
}

/* Its own watch, of everything, which has been told all that there was. */
static void expect(struct member *m, int64_t from, int64_t at)
{
    struct sim *s = m->sim;
    const struct changes *all = &s->all;
    if (all->count == 0 || all->list[all->count - 1].revision < at) {
        sim_fail(s,
                 "member %u has a state compacted at %lld, of which nobody "
                 "was told",
                 member_number(m), (long long)at);
        return;
    }
    if (m->seen >= at - 1) {
        return; /* it waits for what is to come */
    }
    if (changes_at(all, m->seen + 1) < changes_at(all, from + 1) ||
        m->due_next < m->due.count) {
        sim_fail(s,
                 "member %u's watch was told up to %lld of %lld when "
                 "another state came",
                 member_number(m), (long long)m->seen, (long long)from);
        return;
    }
    m->due.count = m->due_next = 0;
    m->due_at = at;
    changes_between(all, from, at, m->seen + 1, &m->due);
    sim_count(s, SIM_FAULT_DIFFERENCE);
    member_note_due(m);
}

static void expect_difference(struct member *m)
{
    const int64_t from = store_revision(m->store);
    const int64_t at = store_compact_revision(m->fresh);
    if (from + 1 >= at) {
        return; /* history has it */
    }
    if (m->watches) {
        expect(m, from, at);
    }
    watchers_expect(m, from, at);
}

/* --- into its place --- */

bool install_is_ready(struct member *m)
{
    return compare(m);
}

enum status install_carry_out(struct member *m, const struct raft_message *x,
                              struct fault *reterr)
{
    must(m->incoming != NULL);
    const enum status may = replica_check_state(m->replica, m->fresh, reterr);
    if (may != ST_OK) {
        return may;
    }
    expect_difference(m);
    replica_release_store(m->replica, m->comparison);
    store_compare_free(m->comparison);
    m->comparison = NULL;
    store_close(m->fresh);
    m->fresh = NULL;
    heap_remove(&m->sim->events, &m->flushed.at);
    m->flushing = NULL;
    store_close(m->store);
    m->store = NULL;
    const struct store_options so = member_store_options(m->sim);
    enum status st = store_import_install(m->incoming, reterr);
    store_import_free(m->incoming);
    m->incoming = NULL;
    if (st == ST_OK) {
        st = store_open(m->directory, &so, &m->store, reterr);
    }
    must(st == ST_OK);
    replica_adopt_store(m->replica, m->store);
    lessees_forget(m);
    sim_count(m->sim, SIM_FAULT_STATE_SENT);
    sim_note(m->sim, "%u installs %llu", member_number(m),
             (unsigned long long)x->snapshot->index);
    return wal_restart_at(m->wal, x->snapshot->index, x->snapshot->term,
                          reterr);
}

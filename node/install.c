/* Another member's state takes the place of ours.
 *
 * Order, so that a crash anywhere leaves something a start can go on from:
 *   1  the mark: what is being installed (node/data_dir.h)
 *   2  the new store takes the old one's name (store/transfer.h, T3)
 *   3  the log starts again behind it
 *   4  the mark goes
 * A start that finds the mark and the new store does 3 and 4; one that finds
 * the mark and the old store does 4.
 *
 * The loop does all this itself: it is rare and short, and until it is over
 * there is no state to serve from.  What may take long comes before, while the
 * old state is served from and raft has not heard of the new one (else it could
 * not so much as vote, since what it saves comes after the new state): what
 * watches have to be told is found, some keys of both in each turn
 * (store_compare_step()).  Entries that are applied meanwhile are rare, for
 * whoever is sent a state is sent none; they make it begin again.
 */

#include "base/log.h"
#include "base/must.h"
#include "node/upkeep.h"
#include "wal/wal.h"

/* Keys of each of the two states that one turn looks at: a millisecond, about,
 * when most of them differ. */
#define STEP_ROWS 256

void node_forget_state(struct node *n)
{
    store_compare_free(n->comparison);
    n->comparison = NULL;
    store_close(n->fresh);
    n->fresh = NULL;
}

/* The next step; true when nothing is left to do. */
static bool compare(struct node *n)
{
    struct fault fault;
    enum status st = ST_OK;
    bool done = false;
    if (n->fresh == NULL) {
        st = store_open(receiver_complete(n->receiver), &n->store_options,
                        &n->fresh, &fault);
    }
    if (st == ST_OK && n->comparison == NULL) {
        n->comparison = store_compare_begin(n->store, n->fresh);
    }
    if (st == ST_OK) {
        st = store_compare_step(n->comparison, STEP_ROWS, &done, &fault);
    }
    if (st != ST_OK) {
        node_fail(n, st, &fault);
    }
    return st == ST_OK && done;
}

bool node_compare(struct node *n)
{
    if (n->broken || n->receiver == NULL ||
        receiver_complete(n->receiver) == NULL ||
        receiver_has_told(n->receiver)) {
        return false;
    }
    if (compare(n)) {
        receiver_tell(n->receiver);
    }
    return !n->broken;
}

static enum status exchange(struct node *n, struct store_import *import,
                            const struct raft_snapshot *at,
                            struct fault *reterr)
{
    enum status st = replica_check_state(n->replica, n->fresh, reterr);
    replica_release_store(n->replica, n->comparison);
    node_forget_state(n);
    if (st != ST_OK) {
        return st;
    }
    store_close(n->store); /* with a flush that was not run, if there is one */
    n->store = NULL;
    n->flush.flush = NULL;
    n->flush_retry_ns = 0;
    st = store_import_install(import, reterr);
    if (st == ST_OK) {
        st = store_open(n->dir.store, &n->store_options, &n->store, reterr);
    }
    if (st == ST_OK && store_applied_index(n->store) != at->index) {
        st = fault_set(reterr, ST_CORRUPT,
                       "the state installed is of entry %llu, not %llu",
                       (unsigned long long)store_applied_index(n->store),
                       (unsigned long long)at->index);
    }
    return st;
}

/* The exchange failed half-way: one of the two states is there, whole, and the
 * node needs it to stop in good order. */
static void reopen(struct node *n, const struct fault *why)
{
    struct fault fault;
    if (store_open(n->dir.store, &n->store_options, &n->store, &fault) !=
        ST_OK) {
        log_error("cannot install another member's state: %s; nor open the "
                  "store again: %s",
                  why->text, fault.text);
        must_fail(__FILE__, __LINE__, "there is a store to stop with");
    }
}

static void free_old(struct worker_job *job)
{
    struct old_state *old = container_of(job, struct old_state, job);
    store_import_free(old->import);
}

static void freed(struct worker_job *job)
{
    (void)job;
}

/* What is large takes its time to go: not the loop's. */
static void give_back(struct node *n, struct store_import *import)
{
    n->old = (struct old_state){.job = {.run = free_old, .done = freed},
                                .import = import};
    worker_run(n->store_worker, &n->old.job);
}

static enum status install(struct node *n, struct raft_message *m,
                           struct fault *reterr)
{
    struct store_import *import =
        receiver_take(n->receiver, m->snapshot->index);
    must(import != NULL && n->fresh != NULL); /* raft heard of it after that */
    enum status st =
        data_dir_mark(&n->dir, m->snapshot->index, m->snapshot->term, reterr);
    if (st != ST_OK) {
        store_import_free(import);
        return st;
    }
    st = exchange(n, import, m->snapshot, reterr);
    give_back(n, import);
    if (n->store == NULL) {
        reopen(n, reterr);
    }
    replica_adopt_store(n->replica, n->store);
    if (st == ST_OK) {
        st = wal_restart_at(n->wal, m->snapshot->index, m->snapshot->term,
                            reterr);
    }
    if (st == ST_OK) {
        st = data_dir_unmark(&n->dir, reterr);
    }
    if (st == ST_OK) {
        st = save_append(&n->save, m);
        *reterr = n->save.fault;
    }
    if (st == ST_OK) {
        st = wal_sync(n->wal, reterr);
        n->save.unsynced = false;
    }
    return st;
}

bool node_install(struct node *n)
{
    if (!compare(n)) {
        return !n->broken; /* it was ready, but the last entries came late */
    }
    const bool left = upkeep_leave_store(n->upkeep);
    if (worker_is_busy(n->store_worker) || !sender_stop(n->sender) || !left) {
        return false;
    }
    struct raft_message m;
    const bool any = replica_take_save(n->replica, &m);
    must(any && m.snapshot != NULL);
    struct fault fault = {{0}};
    const uint64_t index = m.snapshot->index;
    enum status st = install(n, &m, &fault);
    if (st == ST_OK) {
        st = replica_saved(n->replica, &m, &fault);
        log_info("the state of entry %llu is in place",
                 (unsigned long long)index);
    } else {
        raft_message_fini(&m);
    }
    upkeep_store_replaced(n->upkeep);
    if (st != ST_OK) {
        node_fail(n, st, &fault);
        return false;
    }
    return true;
}

enum status node_finish_install(struct node *n, struct fault *reterr)
{
    uint64_t index, term;
    enum status st = data_dir_marked(&n->dir, &index, &term, reterr);
    if (st == ST_NOT_FOUND) {
        return data_dir_unmark(&n->dir, reterr);
    }
    if (st == ST_OK && store_applied_index(n->store) == index &&
        store_applied_term(n->store) == term) {
        log_info("ending the installation of the state of entry %llu",
                 (unsigned long long)index);
        st = wal_restart_at(n->wal, index, term, reterr);
        replica_recover_at(n->replica, index, term);
    }
    return st == ST_OK ? data_dir_unmark(&n->dir, reterr) : st;
}

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
 * The loop does all this itself: it is rare, and until it is over there is no
 * state to serve from. */

#include "base/log.h"
#include "base/must.h"
#include "node/upkeep.h"
#include "wal/wal.h"

/* What watches cannot be told out of the new state's history is the difference
 * between the two. */
static enum status compare(struct node *n, struct store_import *import,
                           struct fault *reterr)
{
    struct store *fresh;
    enum status st = store_open(store_import_path(import), &n->store_options,
                                &fresh, reterr);
    if (st == ST_OK) {
        st = replica_check_state(n->replica, fresh, reterr);
        if (st == ST_OK) {
            st = replica_compare_stores(n->replica, n->store, fresh, reterr);
        }
        store_close(fresh);
    }
    return st;
}

static enum status exchange(struct node *n, struct store_import *import,
                            const struct raft_snapshot *at,
                            struct fault *reterr)
{
    enum status st = compare(n, import, reterr);
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

static enum status install(struct node *n, struct raft_message *m,
                           struct fault *reterr)
{
    struct store_import *import =
        receiver_take(n->receiver, m->snapshot->index);
    must(import != NULL); /* raft heard of it after it was complete */
    enum status st =
        data_dir_mark(&n->dir, m->snapshot->index, m->snapshot->term, reterr);
    if (st != ST_OK) {
        store_import_free(import);
        return st;
    }
    replica_release_store(n->replica);
    st = exchange(n, import, m->snapshot, reterr);
    store_import_free(import);
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

/* From the replica's saves to one append and one sync.
 *
 * Who syncs: the loop itself while the disk is quick, since handing a batch to
 * a sleeping thread and back costs more than the sync; the WAL thread when the
 * disk has become slow, when a batch is large, or when there are calls that the
 * sync is not for and which would wait for it.  A leader's messages to its
 * followers leave before its own sync begins, so all members sync at once
 * (dissertation section 10.2.1).
 */

#include <stdlib.h>

#include "base/must.h"
#include "node/node_internal.h"
#include "wal/wal.h"

#define TEND_BYTES (1024 * 1024)
#define RETRY_NS   (1000 * INT64_C(1000000)) /* when the disk was full */

/* What the loop may sync: a sync as long as it takes to wake a few threads, and
 * a batch that is written in no time. */
#define LOOP_SYNC_NS    (400 * INT64_C(1000))
#define LOOP_SYNC_BYTES (256 * 1024)

static bool is_vote_written(const struct save_job *j, uint64_t term,
                            uint64_t vote)
{
    return term == j->written.term && vote == j->written.vote;
}

/* The commit index alone is a hint that a restart can do without: it waits for
 * the next entries, and costs no write of its own.  So a follower that is told
 * what is committed, and answers, touches no disk. */
enum status save_append(struct save_job *j, const struct raft_message *m)
{
    if (m->term != 0) {
        j->hard_state = (struct raft_hard_state){
            .term = m->term, .vote = m->vote, .commit = m->commit};
        j->hard_state_waits = true;
    }
    const bool is_promised =
        m->responses_count > 0 && j->hard_state_waits &&
        !is_vote_written(j, j->hard_state.term, j->hard_state.vote);
    if (m->entries.count == 0 && m->snapshot == NULL && !is_promised) {
        return ST_OK;
    }
    const struct wal_batch batch = {
        .hard_state = j->hard_state_waits ? &j->hard_state : NULL,
        .entries = m->entries.list,
        .entries_count = m->entries.count,
    };
    if (batch.hard_state == NULL && batch.entries_count == 0) {
        return ST_OK;
    }
    if (j->hard_state_waits) {
        j->written = j->hard_state;
    }
    j->hard_state_waits = false;
    j->unsynced = true;
    return wal_append(j->wal, &batch, &j->fault);
}

/* The next segment is made in slices, since a save may have to wait for one. */
static void tend(struct save_job *j)
{
    bool more; /* the loop asks wal_wants_tending() */
    j->status = wal_tend(j->wal, TEND_BYTES, &more, &j->fault);
}

/* On either thread. */
static void carry_out(struct worker_job *job)
{
    struct save_job *j = container_of(job, struct save_job, job);
    if (j->tends) {
        tend(j);
        return;
    }
    j->status = ST_OK;
    for (size_t i = 0; i < j->count && j->status == ST_OK; i++) {
        j->status = save_append(j, &j->messages[i]);
    }
    if (j->status == ST_OK && j->unsynced) {
        const int64_t began_ns = loop_now_ns();
        j->status = wal_sync(j->wal, &j->fault);
        j->unsynced = j->status != ST_OK;
        const int64_t took_ns = loop_now_ns() - began_ns;
        /* A rare one of many milliseconds says nothing about the next. */
        const int64_t counts_ns =
            took_ns < 2 * LOOP_SYNC_NS ? took_ns : 2 * LOOP_SYNC_NS;
        j->sync_ns += (counts_ns - j->sync_ns) / 8;
    }
    if (j->status == ST_OK && j->trim) {
        j->status = wal_trim(j->wal, j->trim_index, j->trim_term, &j->fault);
    }
}

static void saved(struct worker_job *job)
{
    struct save_job *j = container_of(job, struct save_job, job);
    struct node *n = container_of(j, struct node, save);
    if (j->tends && j->status == ST_NO_SPACE) {
        n->tend_retry_ns = loop_now_ns() + RETRY_NS; /* not final */
        return;
    }
    for (size_t i = 0; i < j->count; i++) {
        if (j->status == ST_OK && !n->broken) {
            j->status = replica_saved(n->replica, &j->messages[i], &j->fault);
        } else {
            raft_message_fini(&j->messages[i]);
        }
    }
    j->count = 0;
    if (j->status != ST_OK) {
        node_fail(n, j->status, &j->fault);
    }
}

static void gather(struct node *n)
{
    struct save_job *j = &n->save;
    while (replica_has_save(n->replica) &&
           !replica_next_save_is_snapshot(n->replica)) {
        if (j->count == j->capacity) {
            j->capacity = j->capacity > 0 ? 2 * j->capacity : 8;
            j->messages =
                xrealloc(j->messages, j->capacity * sizeof *j->messages);
        }
        (void)replica_take_save(n->replica, &j->messages[j->count++]);
    }
    j->trim = replica_trim_point(n->replica, &j->trim_index, &j->trim_term);
}

/* Whether the log may be touched; when not, no thread is worth waking. */
static bool may_write(const struct save_job *j)
{
    if (!is_vote_written(j, j->hard_state.term, j->hard_state.vote)) {
        return true;
    }
    for (size_t i = 0; i < j->count; i++) {
        const struct raft_message *m = &j->messages[i];
        if (m->entries.count > 0 ||
            (m->term != 0 && !is_vote_written(j, m->term, m->vote))) {
            return true;
        }
    }
    return false;
}

static bool loop_may_sync(const struct node *n)
{
    size_t entries = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < n->save.count; i++) {
        const struct raft_entries *e = &n->save.messages[i].entries;
        entries += e->count;
        for (size_t k = 0; k < e->count; k++) {
            bytes += payload_bytes(e->list[k].payload).size;
        }
    }
    if (n->save.sync_ns > LOOP_SYNC_NS || bytes > LOOP_SYNC_BYTES) {
        return false;
    }
    return n->peers != NULL || replica_calls(n->replica) <= entries;
}

bool node_save(struct node *n)
{
    if (worker_is_busy(n->wal_worker)) {
        return false;
    }
    struct save_job *j = &n->save;
    j->wal = n->wal;
    if (replica_next_save_is_snapshot(n->replica)) {
        return node_install(n);
    }
    gather(n);
    j->job = (struct worker_job){.run = carry_out, .done = saved};
    j->tends = j->count == 0 && !j->trim;
    if (j->tends) {
        if (wal_wants_tending(n->wal) && loop_now_ns() >= n->tend_retry_ns) {
            worker_run(n->wal_worker, &j->job);
        }
        return false;
    }
    if (!j->trim && (!may_write(j) || loop_may_sync(n))) {
        if (n->peers != NULL && replica_leads(n->replica)) {
            peers_flush(n->peers);
        }
        carry_out(&j->job);
        saved(&j->job);
        return true;
    }
    worker_run(n->wal_worker, &j->job);
    return false;
}

void node_save_fini(struct node *n)
{
    for (size_t i = 0; i < n->save.count; i++) {
        raft_message_fini(&n->save.messages[i]);
    }
    free(n->save.messages);
}

/* From a frozen memtable to LMDB, on the store thread. */

#include "base/log.h"
#include "base/must.h"
#include "node/node_internal.h"

#define RETRY_NS (1000 * INT64_C(1000000)) /* when the disk was full */

static void run(struct worker_job *job)
{
    struct flush_job *j = container_of(job, struct flush_job, job);
    j->status = store_flush_run(j->flush, &j->fault);
}

/* A full disk is no reason to stop: the log has everything, and the flush is
 * tried again when somebody may have made room. */
static void finish(struct node *n)
{
    struct flush_job *j = &n->flush;
    if (j->status == ST_NO_SPACE) {
        if (n->flush_retry_ns == 0) {
            log_warn("the disk is full, writes will be refused soon: %s",
                     j->fault.text);
        }
        replica_set_disk_full(n->replica, true);
        n->flush_retry_ns = loop_now_ns() + RETRY_NS;
        return;
    }
    if (j->status == ST_OK) {
        j->status = store_flush_end(n->store, j->flush, &j->fault);
        j->flush = NULL;
        n->flush_retry_ns = 0;
        replica_set_disk_full(n->replica, false);
    }
    if (j->status != ST_OK) {
        node_fail(n, j->status, &j->fault);
    }
}

static void done(struct worker_job *job)
{
    struct flush_job *j = container_of(job, struct flush_job, job);
    finish(container_of(j, struct node, flush));
}

void node_flush(struct node *n, bool all)
{
    struct flush_job *j = &n->flush;
    if (worker_is_busy(n->store_worker)) {
        return;
    }
    if (j->flush == NULL) {
        j->flush = replica_flush_begin(n->replica, all);
    } else if (loop_now_ns() < n->flush_retry_ns) {
        return; /* the heartbeat's turn asks again */
    }
    if (j->flush != NULL) {
        j->job = (struct worker_job){.run = run, .done = done};
        worker_run(n->store_worker, &j->job);
    }
}

void node_flush_finish(struct node *n)
{
    struct flush_job *j = &n->flush;
    /* Joins the threads: what they were doing is done. */
    const bool was_out = worker_is_busy(n->store_worker);
    worker_free(n->wal_worker);
    n->wal_worker = NULL;
    worker_free(n->store_worker);
    n->store_worker = NULL;
    if (n->broken) {
        return; /* the next start replays the log instead */
    }
    if (j->flush != NULL && was_out) {
        finish(n);
    }
    /* What is durable is enough; garbage is for the next life. */
    while (!n->broken &&
           (j->flush != NULL ||
            (store_durable_index(n->store) < store_applied_index(n->store) &&
             (j->flush = replica_flush_begin(n->replica, true))))) {
        run(&j->job);
        finish(n);
        if (j->flush != NULL) {
            return; /* still no room: the log keeps it */
        }
    }
    uint64_t index, term;
    if (!n->broken && replica_trim_point(n->replica, &index, &term)) {
        struct fault fault;
        const enum status st = wal_trim(n->wal, index, term, &fault);
        if (st != ST_OK) {
            log_warn("the log could not be trimmed: %s", fault.text);
        }
    }
}

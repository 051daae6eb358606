/* Requests that wait: each submitted call has one entry here from submission
 * to its `done`.
 *
 *   QUEUED    behind others, nothing has been said to anybody
 *   PROPOSED  in the log's hands; found again by its ticket when applied
 *   READING   waits for a read index
 *   SWEEPING  a compaction that was applied waits for its garbage to go
 *   MOVING    waits for another leader
 *   FINISHED  the answer is known and `done` is due
 *
 *   submit -> QUEUED -> PROPOSED -> (applied: done)
 *                                -> SWEEPING -> (swept: done)
 *                    -> READING  -> (confirmed: done)
 *   any    -> FINISHED -> done      (refused, timed out, cancelled, stopped)
 *
 *   PROPOSED  -> QUEUED      (its entry is lost for good: made again)
 *
 * A call that ends while PROPOSED leaves the ticket table: its entry may still
 * be applied, and then nobody is told.
 */
#ifndef NODE_PENDING_H
#define NODE_PENDING_H

#include "base/heap.h"
#include "base/hmap.h"
#include "base/list.h"
#include "base/payload.h"
#include "kv/kv.h"

enum pending_kind {
    PENDING_RANGE,
    PENDING_TXN,
    PENDING_COMPACT,
    PENDING_ALARM,
    PENDING_LEASE,
    PENDING_MEMBERS,
    PENDING_MOVE
};
enum pending_place {
    PENDING_QUEUED,
    PENDING_PROPOSED,
    PENDING_READING,
    PENDING_SWEEPING,
    PENDING_ASKING,
    PENDING_MOVING,
    PENDING_FINISHED
};

/* What the leader is asked about a lease (node/lease.h). */
struct lease_question {
    struct list link; /* of a list of struct leases; or alone */
    uint64_t from;    /* the member that asks; 0: a call of ours */
    uint64_t number;  /* the asker's ticket */
    enum kv_lease_op op;
    int64_t id;
    bool renewed; /* the answer is there once the log has it */

    /* The answer, and how much must be applied here for it to count. */
    int64_t ttl_s, granted_ttl_s;
    uint64_t index;
};

struct pending {
    struct list link;           /* of the list its place has */
    struct hmap_node by_ticket; /* while PROPOSED or ASKING */
    struct heap_node deadline;  /* until FINISHED */
    struct kv_call *call;
    uint64_t ticket;
    uint64_t term; /* while PROPOSED: only in this one can it become an entry */
    struct payload *command; /* while PROPOSED: what was; held */
    enum pending_kind kind;
    enum pending_place place;
    struct lease_question question; /* of PENDING_LEASE */
};

struct pending_table {
    struct list queued_writes;
    struct list queued_reads;
    struct list proposed;
    struct list reading;
    struct list sweeping;
    struct list asking;
    struct list moving;
    struct list finished;
    struct hmap tickets;
    struct heap deadlines; /* by ns */
    struct list spare;
    uint64_t ticket_last;
    size_t count; /* everything that is not spare */
    size_t count_max;
};

void pending_init(struct pending_table *t, uint64_t first_ticket,
                  size_t count_max);
/* Every call must have been answered. */
void pending_fini(struct pending_table *t);

/* Enters the call, which takes a place in queued_writes or queued_reads. Beyond
 * count_max it goes to finished at once, with ST_TOO_MANY. */
struct pending *pending_add(struct pending_table *t, struct kv_call *call,
                            enum pending_kind kind, bool is_write,
                            int64_t deadline_ns);
/* The command is held until it is applied, or given up. */
void pending_set_proposed(struct pending_table *t, struct pending *p,
                          uint64_t term, struct payload *command);
/* Whether an entry with its ticket is the one that was proposed: whoever leads
 * could have made another. */
bool pending_is_made_of(const struct pending *p, const struct payload *entry);
/* Back to the queue goes what was proposed in a term before this one; true
 * when there was any. */
bool pending_requeue_before(struct pending_table *t, uint64_t term);
/* The leader is asked, here or elsewhere; found again by its ticket. */
void pending_set_asking(struct pending_table *t, struct pending *p);
void pending_set_reading(struct pending_table *t, struct pending *p);
void pending_set_sweeping(struct pending_table *t, struct pending *p);
void pending_set_moving(struct pending_table *t, struct pending *p);
/* The answer is st; `done` comes with pending_deliver(). */
void pending_finish(struct pending_table *t, struct pending *p, enum status st);
/* Takes the proposed call with that ticket; NULL when it ended before. */
struct pending *pending_find(struct pending_table *t, uint64_t ticket);

/* Calls done() now and gives the entry back; results are in the call. */
void pending_done(struct pending_table *t, struct pending *p, enum status st);
/* Calls done() of all finished ones; true when there were any. */
bool pending_deliver(struct pending_table *t);

/* Ends with ST_TIMEOUT what is due; and all there is with st. */
void pending_expire(struct pending_table *t, int64_t now_ns);
void pending_finish_all(struct pending_table *t, enum status st);
/* Ends what is PROPOSED. */
void pending_finish_proposed(struct pending_table *t, enum status st);
/* INT64_MAX when nothing waits. */
int64_t pending_next_deadline(const struct pending_table *t);

#endif

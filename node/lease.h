/* Leases in a member: who may live on, and who has to go.
 *
 * The log grants and revokes; a leader alone knows how long each lease has
 * left.  It keeps a table of them in memory (lease_table.c), renews them there
 * when asked to (lease_lead.c), and turns an expiry into a revoke in the log.
 * Everybody else forwards questions to it (lease_forward.c).
 *
 * Time is the host's monotonic clock as the turns give it, less the pauses in
 * which this process did not run ("lease time"): who sleeps for a while must
 * not find that all clients were silent meanwhile.
 *
 * What a change of leader must find in the log, so that no lease ends early and
 * none lives on for long:
 *
 *   FRESH       deadline 0: a new leader gives it its whole TTL again.  True
 *               as long as the lease was renewed less than LEASE_AGE_NS ago;
 *               then a checkpoint writes its deadline: AGED
 *   AGED        a deadline on the lease clock, which checkpoints move forward
 *               as long as there are such leases.  It says enough until the
 *               lease is renewed: TOUCHED
 *   TOUCHED     the log has to say "fresh" before the renewal is answered;
 *               goes into a checkpoint at the end of the turn: REFRESHING
 *   REFRESHING  when that is applied: FRESH
 *
 * So leases that are renewed often cost the log nothing, idle ones an entry
 * once, and the clock an entry each LEASE_AGE_NS for all of them together.
 *
 * Invariants
 *   L1  a leader answers about a lease, and proposes a revoke, only when a read
 *       index says that it still led after the question came or the lease
 *       ended; a renewal counts from when that confirmation was begun
 *   L2  the log never says less time than a client was promised
 *   L3  a lease whose revoke is proposed is not renewed any more: who asks is
 *       told when it is gone
 *   L4  there is a table only while this member leads and has applied an entry
 *       of its own term; it goes with the term
 */
#ifndef NODE_LEASE_H
#define NODE_LEASE_H

#include "base/heap.h"
#include "base/hmap.h"
#include "base/prng.h"
#include "node/pending.h"
#include "node/replica.h"

#define LEASE_AGE_NS       (4500 * INT64_C(1000000))
#define LEASE_LOAD_COUNT   4096 /* rows looked at in a turn after an election */
#define LEASE_ASKED_MAX    65536 /* questions from others that wait */
#define LEASE_REVOKES_TICK 100   /* begun in one heartbeat interval */
#define LEASE_REVOKES_OUT  256   /* proposed and not applied */
#define LEASE_RECORDS_MAX  4096  /* leases in one checkpoint */
#define LEASE_RETRY_NS     (500 * INT64_C(1000000))

enum lease_record { LEASE_FRESH, LEASE_AGED, LEASE_TOUCHED, LEASE_REFRESHING };

/* What a leader knows of one lease. */
struct lease {
    struct hmap_node by_id;
    struct heap_node deadline; /* lease time; outside while it is revoked */
    struct list link;          /* of its record's list; AGED: alone */
    int64_t id, ttl_s;
    int64_t renewed_ns; /* lease time */
    uint64_t batch;     /* REFRESHING: of its checkpoint */
    enum lease_record record;
    bool revoking;
};

/* In struct replica. */
struct leases {
    struct prng prng; /* ids */
    int64_t turn_ns;  /* of the latest turn */
    int64_t pauses_ns;

    /* --- the leader's table --- */
    bool leads;
    uint64_t term;
    struct hmap by_id;
    struct heap deadlines;
    struct list fresh; /* in order of renewed_ns */
    struct list touched;
    struct list refreshing; /* in order of batch */
    size_t aged_count, revoking_count;
    int64_t epoch_ns; /* lease time of the take-over, ... */
    int64_t epoch_ms; /* ... and what the lease clock said */
    int64_t load_from;
    bool loaded;
    uint64_t batch;    /* checkpoints proposed */
    int64_t ticked_ns; /* lease time of the latest checkpoint */
    bool clock_moves;  /* a checkpoint of this leader is under way */
    uint32_t budget;   /* revokes that may still begin in this tick */

    /* --- questions: struct lease_question --- */
    struct list queued;     /* ours, to be sent somewhere */
    struct list asked;      /* of the leader */
    struct list confirming; /* those that a confirmation will answer */
    struct list waiting;    /* for the log */
    struct list forwarded;  /* ours, with the leader */
    struct list answered;   /* ours, until enough is applied here */
    size_t asked_count;     /* from others: asked, confirming, waiting */
    bool waiting_due;       /* something was applied that may end a wait */

    bool confirming_now;     /* a read index was asked for ... */
    bool confirmed;          /* ... and came */
    uint64_t confirm_number; /* never the same twice */
    uint64_t confirm_index;
    int64_t confirm_from_ns;  /* lease time */
    int64_t confirm_retry_ns; /* the turns' time */

    uint64_t forward_to; /* whom the forwarded ones went to */
    int64_t forward_retry_ns;
    struct list replies; /* to other members, being written */

    int64_t *ids; /* of the latest list */
    size_t ids_capacity;
};

void leases_init(struct replica *r);
void leases_fini(struct replica *r);

/* --- lease_calls.c --- */

void lease_submit(struct kv *kv, struct kv_lease *lease); /* kv_ops.lease */
/* The command of a queued grant or revoke, into r->command. */
enum status lease_encode(struct replica *r, const struct store_stamp *stamp,
                         struct pending *p) MUST_USE;
/* The result of an applied grant or revoke. */
void lease_written(struct pending *p, const struct store_outcome *outcome);
/* A list, behind a read index: to be answered with the status. */
enum status lease_list(struct replica *r, struct pending *p,
                       struct fault *reterr) MUST_USE;
/* The answer to a question of ours is known: TTLs are in the question. */
void lease_complete(struct replica *r, struct lease_question *q);
struct pending *lease_call_of(struct lease_question *q);

/* --- lease_lead.c --- */

void lease_tick(struct replica *r);
/* Before and after raft's part of a turn.  *ret_more: there is more to do at
 * once.
 *   ST_CORRUPT, ST_IO  the store's */
void lease_begin(struct replica *r);
enum status lease_turn(struct replica *r, bool *ret_more,
                       struct fault *reterr) MUST_USE;
/* True when the answer was to a confirmation of leases'. */
bool lease_on_read_state(struct replica *r,
                         const struct raft_read_state *state);
/* A command was applied. */
void lease_applied(struct replica *r, const struct store_outcome *outcome);
/* Proposes as one run of entries; false: nothing of it was taken. */
bool lease_propose(struct replica *r, struct payload **list, size_t count);

/* --- lease_record.c --- */

/* Ages what was not renewed, moves the lease clock, and puts renewals of aged
 * leases into the log. */
void lease_checkpoint(struct replica *r);
/* The checkpoints up to that number are applied. */
void lease_recorded(struct replica *r, uint64_t batch);

/* --- lease_table.c --- */

/* The turn's time without pauses. */
int64_t lease_now(const struct replica *r);
void lease_take_over(struct replica *r, uint64_t term);
void lease_drop_table(struct replica *r);
/* A slice of what the store has. */
enum status lease_load(struct replica *r, struct fault *reterr) MUST_USE;
/* NULL: no such lease. */
enum status lease_get(struct replica *r, int64_t id, struct lease **ret,
                      struct fault *reterr) MUST_USE;
/* NULL: not in the table. */
struct lease *lease_known(const struct replica *r, int64_t id);
void lease_add(struct replica *r, int64_t id, int64_t ttl_s);
void lease_remove(struct replica *r, struct lease *l);
/* Counts its TTL from then on, unless it has more already. */
void lease_renew(struct replica *r, struct lease *l, int64_t from_ns);
/* a + b, both >= 0, or the end of time. */
static inline int64_t lease_add_ns(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* --- lease_forward.c --- */

/* Sends what is queued to whoever can answer it. */
void lease_route(struct replica *r);
/* Leadership is over: questions of ours are asked anew, others' forgotten. */
void lease_return_questions(struct replica *r);
/* Notes the answer for its asker, another member, and forgets the question. */
void lease_reply(struct replica *r, struct lease_question *q);
void lease_send_replies(struct replica *r);
void lease_forget_replies(struct replica *r);
/* Ends those that are answered and whose index is applied; true: any. */
bool lease_finish_answered(struct replica *r);

#endif

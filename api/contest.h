/* What Lock and Campaign have in common: a key of one's own below a name, kept
 * by a lease, and the wait until no older key is left below that name
 * (etcd-surface 1.7).
 *
 *   begun --granted a lease, or given one--> entering (entered())
 *         --contest_wait()--> looking --none older--> won()
 *                                ^  \--one--> watching it
 *                                +--- deleted ---+
 *
 * Whoever goes away meanwhile leaves the contest: the key is deleted, and a
 * lease that was granted for the contest is revoked. */
#ifndef API_CONTEST_H
#define API_CONTEST_H

#include "api/internal.h"
#include "base/buf.h"

struct contest {
    struct api_call *call;
    int64_t lease;
    bool lease_is_ours;      /* granted here */
    struct buf prefix;       /* "name/" */
    struct buf prefix_end;   /* "name0" */
    struct buf key;          /* "name/" and the lease in hexadecimal */
    bool entered;            /* the key may be there */
    int64_t create_revision; /* of the key */
    struct kv_header header; /* of the answer */
    struct bytes value;      /* Campaign's */

    /* The lease is there: put the key. */
    void (*begin)(struct contest *t);
    /* No older key is left. */
    void (*won)(struct contest *t);

    struct kv_watch watch;
    bool watching;
    struct buf awaited;          /* the key that is watched */
    struct loop_timer *renewals; /* of a lease of ours */
    struct kv_compare compare;
    struct kv_op ops[4];
};

/* Makes the contest the call's own; with lease 0 one is granted first. */
void contest_start(struct api_call *c, struct bytes name, int64_t lease,
                   void (*begin)(struct contest *t),
                   void (*won)(struct contest *t), struct bytes value);
/* Submits t->ops: success and failure of "the key is not there yet". */
void contest_enter(struct contest *t, size_t success_count,
                   size_t failure_count, void (*done)(struct kv_call *));
/* kv is done with the call's request: false when the contest is over. */
bool contest_back(struct contest *t);
void contest_wait(struct contest *t);
/* Gives up, and says why. */
void contest_fail(struct contest *t, struct api_error why);

static inline struct contest *contest_of(const struct api_call *c)
{
    return c->own;
}

/* All keys below a prefix, or the first or last made of them. */
struct kv_range_spec contest_oldest(struct bytes prefix, struct bytes end);

/* "name/" and the end of the range of all keys that begin so. */
void contest_prefix(struct bytes name, struct buf *prefix, struct buf *end);

#endif

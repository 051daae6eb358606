/* kv's requests as etcd's messages, and etcd's answers as kv's results.
 *
 * Results borrow from the answer and from an arena.  An answer is another
 * program's word: everything in it is checked, and bounded in what it makes us
 * allocate; ST_IO when it is not what was asked for. */
#ifndef CLIENT_MESSAGE_H
#define CLIENT_MESSAGE_H

#include "client/arena.h"
#include "kv/kv.h"
#include "proto/wire.h"

/* --- requests: appended to a buffer --- */

/* with_values: even of keys_only, for their sizes are wanted. */
void message_write_range(struct buf *to, const struct kv_range_spec *spec,
                         bool with_values);
/* Read-only: all its ranges are as serializable as its first. */
void message_write_txn(struct buf *to, const struct kv_txn_spec *spec,
                       bool read_only);
/* A transaction of puts, deletes, ranges and transactions that etcd can run.
 * ST_UNSUPPORTED: not so. */
enum status message_check_txn(const struct kv_txn_spec *spec,
                              unsigned depth) MUST_USE;
bool message_txn_is_read(const struct kv_txn_spec *spec);
bool message_txn_writes(const struct kv_txn_spec *spec);
void message_write_watch(struct buf *to, const struct kv_watch *watch,
                         int64_t start_revision);
void message_write_unwatch(struct buf *to, int64_t id);

/* --- answers --- */

/* The header of any answer; zeros where there is none. */
enum status message_read_header(struct bytes answer,
                                struct kv_header *ret) MUST_USE;
enum status message_read_range(struct arena *a, struct bytes answer,
                               const struct kv_range_spec *spec,
                               struct kv_range_result *ret) MUST_USE;
enum status message_read_txn(struct arena *a, struct bytes answer,
                             const struct kv_txn_spec *spec,
                             struct kv_txn_result *ret) MUST_USE;
enum status message_read_lease(struct arena *a, struct bytes answer,
                               enum kv_lease_op op,
                               struct kv_lease_result *ret) MUST_USE;

struct message_watch {
    int64_t id, compact_revision;
    bool created, canceled;
    struct bytes reason;
    struct kv_header header;
    const struct kv_event *events;
    size_t events_count;
};
enum status message_read_watch(struct arena *a, struct bytes answer,
                               struct message_watch *ret) MUST_USE;

struct message_status {
    struct kv_header header;
    struct kv_status facts; /* without header and members */
    bool is_learner;
};
enum status message_read_status(struct bytes answer,
                                struct message_status *ret) MUST_USE;
enum status message_read_members(struct arena *a, struct bytes answer,
                                 uint64_t self, struct kv_member **ret,
                                 size_t *ret_count) MUST_USE;

#endif

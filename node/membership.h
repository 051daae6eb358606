/* Who is in the cluster: part of the replicated state, changed by log entries
 * and by nothing else.
 *
 *   change   what is asked for: one entry carries one or several of them
 *   check    whether it can be made; the same everywhere, asked when it is
 *            applied (and before, to refuse early)
 *   apply    makes it
 *   record   all of it as bytes, kept in the store beside the applied index
 *
 * Invariants
 *   M1  members are in order of their ids, each once; none was ever removed
 *   M2  no URL belongs to two members
 *   M3  the configuration is raft's as of the same entry
 *
 * Threads: none; pure.
 */
#ifndef NODE_MEMBERSHIP_H
#define NODE_MEMBERSHIP_H

#include "base/buf.h"
#include "base/fault.h"
#include "base/status.h"
#include "raft/raft.h"

#define MEMBERSHIP_MAX         RAFT_MEMBERS_MAX
#define MEMBERSHIP_REMOVED_MAX 4096 /* remembered; then the oldest go */
#define MEMBERSHIP_NAME_MAX    128  /* bytes */
#define MEMBERSHIP_URLS_MAX    1024 /* bytes: "http://host:port,…" */
#define MEMBERSHIP_URLS_COUNT  16   /* of one member and kind */

/* The name under which the store keeps the record. */
#define MEMBERSHIP_RECORD "members"

struct membership_member {
    uint64_t id;
    bool started; /* it has said its name since it was added */
    char name[MEMBERSHIP_NAME_MAX + 1];
    char peer_urls[MEMBERSHIP_URLS_MAX + 1];
    char client_urls[MEMBERSHIP_URLS_MAX + 1];
};

/* struct raft_conf_state with arrays of its own. */
struct membership_conf {
    uint64_t voters[RAFT_MEMBERS_MAX], learners[RAFT_MEMBERS_MAX],
        outgoing[RAFT_MEMBERS_MAX], next[RAFT_MEMBERS_MAX];
    size_t voters_count, learners_count, outgoing_count, next_count;
    bool auto_leave;
};
struct raft_conf_state membership_conf_view(const struct membership_conf *c);
void membership_conf_set(struct membership_conf *to,
                         const struct raft_conf_state *from);

struct membership {
    struct membership_conf conf;
    struct membership_member members[MEMBERSHIP_MAX];
    size_t count;
    uint64_t removed[MEMBERSHIP_REMOVED_MAX]; /* the oldest first */
    size_t removed_count;
    uint64_t changed_index; /* of the last change but PUBLISH; 0: none */
    uint64_t ignored_index; /* changes of the configuration up to here do not
                               count: --force-new-cluster */
};

const struct membership_member *membership_find(const struct membership *m,
                                                uint64_t id);
bool membership_was_removed(const struct membership *m, uint64_t id);
/* Removed, and its vote is needed no more: until a joint configuration ends it
 * is, and may be what ends it. */
bool membership_has_left(const struct membership *m, uint64_t id);
bool membership_is_voter(const struct membership *m, uint64_t id);
bool membership_is_learner(const struct membership *m, uint64_t id);
/* Nobody told it yet who votes: it joins. */
bool membership_waits(const struct membership *m);
/* ST_INVALID: `id` waits, and was in the cluster before: its data is gone. */
enum status membership_check_newcomer(const struct membership *m, uint64_t id,
                                      struct fault *reterr) MUST_USE;
/* Adds a first member; false: there are too many, or the id is there. */
bool membership_add_first(struct membership *m,
                          const struct membership_member *member);

/* The numbers are in the log: never change one. */
enum membership_op {
    MEMBERSHIP_ADD = 1,    /* id, peer_urls, is_learner */
    MEMBERSHIP_REMOVE = 2, /* id */
    MEMBERSHIP_PROMOTE = 3,
    MEMBERSHIP_UPDATE = 4, /* id, peer_urls */
    MEMBERSHIP_PUBLISH = 5 /* id, name, client_urls */
};
/* Borrowed texts; URLs are joined by ','. */
struct membership_change {
    enum membership_op op;
    uint64_t id;
    bool is_learner;
    struct bytes name, peer_urls, client_urls;
};
/* Whether it needs a change of raft's configuration. */
bool membership_changes_conf(const struct membership_change *c);
/* As raft wants them; false: one of them changes no configuration. */
bool membership_to_raft(const struct membership_change *changes, size_t count,
                        struct raft_conf_change *ret);

/* ST_MEMBER_EXISTS (also of an id that was removed), ST_MEMBER_NOT_FOUND,
 * ST_PEER_URL_EXISTS, ST_MEMBER_BAD_URLS, ST_MEMBER_NOT_LEARNER, ST_TOO_MANY */
enum status membership_check(const struct membership *m,
                             const struct membership_change *c) MUST_USE;
/* It was checked.  The configuration is raft's and is set by the caller. */
void membership_apply(struct membership *m, const struct membership_change *c);
/* All of them, one after the other; on failure *m is as before. */
enum status membership_apply_all(struct membership *m,
                                 const struct membership_change *changes,
                                 size_t count) MUST_USE;

/* --- as bytes (docs/FORMATS.md) --- */

struct membership_stamp {
    uint64_t ticket, member; /* who waits for it */
};
/* Whether a log entry's payload is a command of this file; others are the
 * store's. */
bool membership_is_command(struct bytes payload);
void membership_encode(const struct membership_stamp *stamp,
                       const struct membership_change *changes, size_t count,
                       struct buf *to);
/* At most RAFT_CHANGES_MAX changes, which borrow from `from`. ST_INVALID */
enum status membership_decode(struct bytes from, struct membership_stamp *ret,
                              struct membership_change *changes,
                              size_t *ret_count) MUST_USE;

void membership_write(const struct membership *m, struct buf *to);
/* ST_INVALID: not such a record; *ret is undefined then. */
enum status membership_read(struct bytes from, struct membership *ret) MUST_USE;

#endif

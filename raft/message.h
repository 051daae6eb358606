/* Messages: what members say to each other, and what one member says to the
 * two places of its own host that write (the log, and the state machine).
 *
 * Ownership, everywhere in raft/: a struct raft_message owns its entries
 * array, its responses, and one reference to each payload and snapshot in it.
 * raft_message_fini() gives all of that back; raft_message_take() moves it and
 * leaves an empty message behind.  Payloads and snapshots are shared by
 * counting (base/payload.h), never copied.  A message that a caller passes in
 * is borrowed for the call: raft holds what it keeps.
 *
 * Names and numbers are those of etcd's library. */
#ifndef RAFT_MESSAGE_H
#define RAFT_MESSAGE_H

#include "base/status.h"
#include "raft/types.h"

/* Limits on what a configuration and one change of it can hold. */
#define RAFT_MEMBERS_MAX 64 /* in one set: voters, learners, … */
#define RAFT_CHANGES_MAX 32 /* single changes in one configuration change */

/* Targets inside the host, used as `to` and `from` when storage writes are
 * asynchronous.  No member may have these ids. */
#define RAFT_APPEND_THREAD UINT64_MAX
#define RAFT_APPLY_THREAD  (UINT64_MAX - 1)

/* The numbers are sent: never change one.  "local" ones never come from the
 * network and raft_step() refuses them when they do. */
enum raft_message_type {
    RAFT_MSG_HUP = 0,                  /* local: campaign */
    RAFT_MSG_BEAT = 1,                 /* local: heartbeat is due */
    RAFT_MSG_PROPOSE = 2,              /* entries for the leader to append */
    RAFT_MSG_APPEND = 3,               /* the AppendEntries request */
    RAFT_MSG_APPEND_RESPONSE = 4,      /* and its answer */
    RAFT_MSG_VOTE = 5,                 /* the RequestVote request */
    RAFT_MSG_VOTE_RESPONSE = 6,        /* and its answer */
    RAFT_MSG_SNAPSHOT = 7,             /* the InstallSnapshot request */
    RAFT_MSG_HEARTBEAT = 8,            /* leader is alive; read index */
    RAFT_MSG_HEARTBEAT_RESPONSE = 9,   /* and its answer */
    RAFT_MSG_UNREACHABLE = 10,         /* local: sending to a peer failed */
    RAFT_MSG_SNAPSHOT_STATUS = 11,     /* local: a snapshot arrived or not */
    RAFT_MSG_CHECK_QUORUM = 12,        /* local: is a quorum still there? */
    RAFT_MSG_TRANSFER_LEADER = 13,     /* from: who shall become leader */
    RAFT_MSG_TIMEOUT_NOW = 14,         /* to the heir: campaign at once */
    RAFT_MSG_READ_INDEX = 15,          /* a read asks for its index */
    RAFT_MSG_READ_INDEX_RESPONSE = 16, /* and its answer */
    RAFT_MSG_PRE_VOTE = 17,            /* would you vote for me? */
    RAFT_MSG_PRE_VOTE_RESPONSE = 18,   /* and its answer */
    RAFT_MSG_STORAGE_APPEND = 19,      /* local: to RAFT_APPEND_THREAD */
    RAFT_MSG_STORAGE_APPEND_RESPONSE = 20, /* local: from it */
    RAFT_MSG_STORAGE_APPLY = 21,           /* local: to RAFT_APPLY_THREAD */
    RAFT_MSG_STORAGE_APPLY_RESPONSE = 22,  /* local: from it */
    RAFT_MSG_FORGET_LEADER = 23            /* local: follow nobody */
};
#define RAFT_MSG_TYPES 24

/* A growing array that owns its entries (one payload reference each). */
struct raft_entries {
    struct raft_entry *list;
    size_t count;
    size_t capacity;
};

/* The state machine as of one applied index.  Shared by counting; nothing in
 * it changes while there is more than one holder.  `data` is the host's: the
 * whole state, or only what names it (the host streams the rest itself). */
struct raft_snapshot {
    uint32_t holders;
    uint64_t index;              /* the last entry it contains */
    uint64_t term;               /* that entry's */
    struct raft_conf_state conf; /* owned by the snapshot */
    struct payload *data;        /* one reference; may be NULL */
};

struct raft_message {
    enum raft_message_type type;
    bool reject;
    bool transfer; /* a vote request from the heir of the living leader */
    bool lost;     /* with reject: the sender lost what it had acknowledged */
    uint64_t to;
    uint64_t from;
    uint64_t term;     /* 0 on local messages and forwarded requests */
    uint64_t log_term; /* the term of the entry at index; of a read index or a
                        * proposal, the one it was made in (0: not said) */
    /* The entry before the appended ones; the last entry acknowledged; on
     * heartbeats and their responses, which waiting read they confirm. */
    uint64_t index;
    /* RAFT_MSG_STORAGE_APPEND: term, vote and commit are a hard state to save;
     * all zero when it did not change. */
    uint64_t commit;
    uint64_t vote;
    uint64_t reject_hint; /* a rejected append: where to try next */
    struct raft_entries entries;
    struct payload *context;        /* of a read index; else NULL */
    struct raft_snapshot *snapshot; /* may be NULL */
    /* To be delivered, each to its `to`, after the write that this message
     * asks for is done: durable for RAFT_MSG_STORAGE_APPEND, executed for
     * RAFT_MSG_STORAGE_APPLY.  Those to this very member go to raft_step(). */
    struct raft_message *responses;
    size_t responses_count;
};

/* "MsgApp" and the like: the published names, for logs and traces. */
const char *raft_message_type_name(enum raft_message_type type);
/* Only ever made and consumed inside one host. */
bool raft_message_type_is_local(enum raft_message_type type);

/* Releases everything; a zeroed message is fine.  Leaves it zeroed. */
void raft_message_fini(struct raft_message *m);
/* Moves *from to *to, which is overwritten; *from is left zeroed. */
void raft_message_take(struct raft_message *to, struct raft_message *from);
/* *to becomes a second holder of everything in *from, responses included. */
void raft_message_hold(struct raft_message *to,
                       const struct raft_message *from);

/* Appends count entries and holds their payloads. */
void raft_entries_add(struct raft_entries *list, const struct raft_entry *more,
                      size_t count);
/* Drops all entries but keeps the array. */
void raft_entries_clear(struct raft_entries *list);
/* Drops all and frees the array; a zeroed list is fine. */
void raft_entries_fini(struct raft_entries *list);
/* What an entry counts for against the limits in bytes of struct raft_config:
 * its payload and the fields around it, as etcd's encoding would have them. */
size_t raft_entry_size(const struct raft_entry *e);

/* One holder. conf is copied, data is held.  conf's sets must be within
 * RAFT_MEMBERS_MAX: who decodes one from outside checks that before. */
struct raft_snapshot *raft_snapshot_new(uint64_t index, uint64_t term,
                                        const struct raft_conf_state *conf,
                                        struct payload *data);
struct raft_snapshot *raft_snapshot_hold(struct raft_snapshot *s);
void raft_snapshot_drop(struct raft_snapshot *s); /* NULL is fine */

#endif

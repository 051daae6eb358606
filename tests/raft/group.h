/* A group of members for the scripts: each with its storage and its two queues
 * of storage work, and the messages under way.  Everything that happens is
 * printed to `out` in the scripts' form. */
#ifndef TESTS_RAFT_GROUP_H
#define TESTS_RAFT_GROUP_H

#include "base/buf.h"
#include "raft/internal.h"

#define GROUP_MEMBERS_MAX 16

struct group_queue {
    struct raft_message *list;
    size_t count;
    size_t capacity;
};

struct group_member {
    struct raft_storage storage; /* memory's, but for snapshots */
    struct raft_memory_storage *memory;
    struct raft_config config;
    struct raft *raft;
    struct group_queue append_work;
    struct group_queue apply_work;
    /* The state machine appends bytes.  The latest state is what a request for
     * a snapshot gets. */
    struct raft_snapshot *state;
};

struct group {
    struct group_member *members[GROUP_MEMBERS_MAX];
    size_t count;
    struct group_queue messages; /* under way */
    struct buf *out;
    struct buf error; /* of the command under way: printed behind all else */
};

void group_fini(struct group *g);
/* Adds a member, from a snapshot unless its index is 0.  False: there is an
 * error, and no new member. */
bool group_add(struct group *g, const struct raft_config *config,
               struct raft_snapshot *snapshot);

/* at counts from 0, and is the id less one.  False: there is an error. */
bool group_process_ready(struct group *g, size_t at);
bool group_process_append(struct group *g, size_t at);
bool group_process_apply(struct group *g, size_t at);

/* Messages of a type (or all: any_type) to one member; prints and steps or
 * drops them.  Returns how many there were. */
struct group_filter {
    uint64_t to;
    bool drop;
    bool any_type;
    enum raft_message_type type;
};
size_t group_deliver(struct group *g, struct group_filter filter);
bool group_has_messages(const struct group *g, uint64_t to);
void group_print_log(struct group *g, size_t at);
void group_send(struct group *g, struct raft_message *taken);

#endif

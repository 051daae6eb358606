/* Changes of the membership and their form inside a log entry.
 *
 * One voter more or less is a simple change (dissertation section 4.1); more
 * go through a joint configuration (section 4.3), which is left by a change
 * without any single changes.  The entry's bytes are etcd's ConfChange and
 * ConfChangeV2 in protobuf's wire format. */
#ifndef RAFT_CONFCHANGE_H
#define RAFT_CONFCHANGE_H

#include "base/bytes.h"
#include "raft/message.h"

/* The numbers are stored. */
enum raft_conf_change_type {
    RAFT_ADD_NODE = 0, /* a voter; promotes a learner */
    RAFT_REMOVE_NODE = 1,
    RAFT_UPDATE_NODE = 2,     /* changes nothing in raft */
    RAFT_ADD_LEARNER_NODE = 3 /* demotes a voter */
};

enum raft_conf_transition {
    RAFT_TRANSITION_AUTO = 0,           /* simple if possible, else implicit */
    RAFT_TRANSITION_JOINT_IMPLICIT = 1, /* joint, left by itself */
    RAFT_TRANSITION_JOINT_EXPLICIT =
        2 /* joint until a change without changes */
};

struct raft_conf_change_single {
    enum raft_conf_change_type type;
    uint64_t node; /* RAFT_NONE: applied as nothing (a refused change) */
};

struct raft_conf_change {
    enum raft_conf_transition transition;
    size_t changes_count; /* 0: leave the joint configuration */
    struct raft_conf_change_single changes[RAFT_CHANGES_MAX];
    uint64_t id;          /* version 1 only: the proposer's number */
    struct bytes context; /* borrowed: the application's */
};

/* The entry's payload, one holder.  Type is RAFT_ENTRY_CONF_CHANGE (needs
 * exactly one change and RAFT_TRANSITION_AUTO) or RAFT_ENTRY_CONF_CHANGE_V2. */
struct payload *raft_conf_change_encode(enum raft_entry_type type,
                                        const struct raft_conf_change *cc);
/* ret_cc->context points into data.
 *
 *   ST_INVALID   not such an encoding, or an unknown kind of change
 *   ST_TOO_MANY  more than RAFT_CHANGES_MAX changes                        */
enum status raft_conf_change_decode(enum raft_entry_type type,
                                    struct bytes data,
                                    struct raft_conf_change *ret_cc) MUST_USE;

#endif

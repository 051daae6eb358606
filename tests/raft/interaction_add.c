/* The command that makes members, with its options. */

#include "base/must.h"
#include "tests/raft/interaction.h"
#include "tests/raft/text.h"

struct new_members {
    struct raft_config config;
    struct raft_conf_sets conf;
    uint64_t index;
    const char *content;
};

static void add_ids(struct raft_ids *ids, const struct script_arg *arg)
{
    for (size_t i = 0; i < arg->values_count; i++) {
        const bool added = raft_ids_add(ids, script_number(arg->values[i]));
        must(added);
    }
}

static bool read_option(struct interaction *in, struct new_members *n,
                        const struct script_arg *arg)
{
    const char *key = arg->key;
    const char *value = arg->values[0];
    if (strcmp(key, "voters") == 0) {
        add_ids(&n->conf.incoming, arg);
    } else if (strcmp(key, "learners") == 0) {
        add_ids(&n->conf.learners, arg);
    } else if (strcmp(key, "index") == 0) {
        n->index = script_number(value);
        n->config.applied = n->index;
    } else if (strcmp(key, "content") == 0) {
        n->content = value;
    } else if (strcmp(key, "inflight") == 0) {
        n->config.max_inflight_messages = (uint32_t)script_number(value);
    } else if (strcmp(key, "async-storage-writes") == 0) {
        n->config.async_storage_writes = script_bool(value);
    } else if (strcmp(key, "prevote") == 0) {
        n->config.pre_vote = script_bool(value);
    } else if (strcmp(key, "checkquorum") == 0) {
        n->config.check_quorum = script_bool(value);
    } else if (strcmp(key, "max-committed-size-per-ready") == 0) {
        n->config.max_committed_size_per_ready = script_number(value);
    } else if (strcmp(key, "disable-conf-change-validation") == 0) {
        n->config.disable_conf_change_validation = script_bool(value);
    } else if (strcmp(key, "step-down-on-removal") == 0) {
        n->config.step_down_on_removal = script_bool(value);
    } else if (strcmp(key, "read-only") == 0) {
        const bool lease = strcmp(value, "lease-based") == 0;
        if (!lease && strcmp(value, "safe") != 0) {
            text_add(&in->group.error, "invalid read-only option \"%s\"",
                     value);
            return false;
        }
        n->config.read_mode = lease ? RAFT_READ_LEASE : RAFT_READ_SAFE;
    }
    return true;
}

bool interaction_add_nodes(struct interaction *in, const struct script_block *b)
{
    struct new_members n = {.config = {.election_ticks = 3,
                                       .heartbeat_ticks = 1,
                                       .max_size_per_message = RAFT_NO_LIMIT,
                                       .max_inflight_messages = INT32_MAX}};
    must(b->args_count > 0);
    for (size_t i = 1; i < b->args_count; i++) {
        if (b->args[i].values_count > 0 && !read_option(in, &n, &b->args[i])) {
            return false;
        }
    }
    const bool from_snapshot = n.index > 0 || n.content != NULL ||
                               n.conf.incoming.count > 0 ||
                               n.conf.learners.count > 0;
    if (from_snapshot && n.index <= 1) {
        text_add(&in->group.error,
                 "index must be specified as > 1 due to bootstrap");
        return false;
    }
    const struct raft_conf_state conf = raft_conf_view(&n.conf);
    struct payload *data =
        n.content == NULL ? NULL : payload_copy_of(bytes_of(n.content));
    struct raft_snapshot *snapshot =
        raft_snapshot_new(n.index, n.index > 0 ? 1 : 0, &conf, data);
    payload_drop(data);
    bool added = true;
    for (uint64_t i = script_number(b->args[0].key); i > 0 && added; i--) {
        added = group_add(&in->group, &n.config, snapshot);
    }
    raft_snapshot_drop(snapshot);
    return added;
}

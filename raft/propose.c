/* New entries in a leader's log: proposals within the quota, changes of the
 * configuration only one at a time (dissertation section 4.1). */

#include "base/must.h"
#include "raft/internal.h"

/* Entries without a payload are never refused: a new leader's first one, and
 * the one that leaves a joint configuration. */
static bool fits_quota(const struct raft *r, uint64_t size)
{
    const uint64_t max = r->config.max_uncommitted_entries_size;
    return r->uncommitted_size == 0 || size == 0 ||
           (size <= max && r->uncommitted_size <= max - size);
}

void raft_reduce_uncommitted(struct raft *r, uint64_t size)
{
    /* Entries of earlier terms were never counted. */
    r->uncommitted_size =
        r->uncommitted_size > size ? r->uncommitted_size - size : 0;
}

/* Sends entries, whose term and index are set, on their way. */
static void append(struct raft *r, const struct raft_entries *entries)
{
    must(r->role == RAFT_LEADER);
    for (size_t i = 0; i < entries->count; i++) {
        if (entries->list[i].type == RAFT_ENTRY_NORMAL) {
            raft_trace_event(r, RAFT_TRACE_REPLICATE);
        }
    }
    raft_log_append(&r->log, entries->list, entries->count);
    /* The leader's own acknowledgement counts when the entries are durable
     * here, which may be later than on the followers (section 10.2.1). */
    struct raft_message own = {.type = RAFT_MSG_APPEND_RESPONSE,
                               .to = r->id,
                               .index = raft_log_last_index(&r->log)};
    raft_send_take(r, &own);
}

/* Best effort against the configuration in force: another one may be in the
 * log and not yet applied. */
static bool may_change_conf(const struct raft *r, uint64_t pending_index,
                            const struct raft_conf_change *cc)
{
    const bool is_pending = pending_index > r->log.applied;
    const bool leaves = cc->changes_count == 0;
    return !is_pending && raft_conf_is_joint(&r->members.conf) == leaves;
}

/* A change that cannot be made becomes an empty entry, so that who waits for
 * its index is answered. */
static void admit_conf_change(struct raft *r, struct raft_entry *e,
                              uint64_t *pending_index)
{
    struct raft_conf_change cc;
    const enum status st =
        raft_conf_change_decode(e->type, payload_bytes(e->payload), &cc);
    must(st == ST_OK); /* raft_validate() has seen it */
    if (r->config.disable_conf_change_validation ||
        may_change_conf(r, *pending_index, &cc)) {
        *pending_index = e->index;
        raft_trace_change(r, &cc);
    } else {
        e->type = RAFT_ENTRY_NORMAL;
        payload_drop(e->payload);
        e->payload = NULL;
    }
}

enum status raft_propose_entries(struct raft *r,
                                 const struct raft_entry *entries, size_t count)
{
    must(r->role == RAFT_LEADER);
    must(count > 0);
    if (raft_members_find(&r->members, r->id) == NULL) {
        return ST_NOT_LEADER; /* removed: it leads only until others take over
                               */
    }
    if (r->transfer_to != RAFT_NONE) {
        return ST_NO_LEADER; /* section 3.10, step 1 */
    }
    struct raft_entries added = {NULL, 0, 0};
    raft_entries_add(&added, entries, count);
    const uint64_t last = raft_log_last_index(&r->log);
    uint64_t pending_index = r->pending_conf_index;
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        struct raft_entry *e = &added.list[i];
        e->term = r->term;
        e->index = last + 1 + i;
        if (e->type != RAFT_ENTRY_NORMAL) {
            admit_conf_change(r, e, &pending_index);
        }
        size += payload_bytes(e->payload).size;
    }
    const bool fits = fits_quota(r, size);
    if (fits) {
        r->pending_conf_index = pending_index;
        r->uncommitted_size += size;
        append(r, &added);
        raft_broadcast_append(r);
    }
    raft_entries_fini(&added);
    return fits ? ST_OK : ST_TOO_MANY;
}

void raft_append_empty(struct raft *r, enum raft_entry_type type)
{
    struct raft_entry e = {.term = r->term,
                           .index = raft_log_last_index(&r->log) + 1,
                           .type = type};
    const struct raft_entries one = {&e, 1, 1};
    append(r, &one);
}

static MUST_USE enum status propose(struct raft *r,
                                    const struct raft_entries *entries)
{
    struct raft_message m = {.type = RAFT_MSG_PROPOSE,
                             .from = r->id,
                             .log_term =
                                 r->config.proposals_bear_term ? r->term : 0,
                             .entries = *entries};
    return raft_dispatch(r, &m);
}

enum status raft_propose(struct raft *r, struct payload *const *payloads,
                         size_t count)
{
    must(count > 0);
    struct raft_entries entries = {NULL, 0, 0};
    for (size_t i = 0; i < count; i++) {
        const struct raft_entry e = {.type = RAFT_ENTRY_NORMAL,
                                     .payload = payloads[i]};
        raft_entries_add(&entries, &e, 1);
    }
    const enum status st = propose(r, &entries);
    raft_entries_fini(&entries);
    return st;
}

enum status raft_propose_conf_change(struct raft *r, enum raft_entry_type type,
                                     const struct raft_conf_change *cc)
{
    struct raft_entry e = {.type = type,
                           .payload = raft_conf_change_encode(type, cc)};
    const struct raft_entries one = {&e, 1, 1};
    const enum status st = propose(r, &one);
    payload_drop(e.payload);
    return st;
}

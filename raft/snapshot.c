/* Snapshots: one block of memory for the description and the member sets, and
 * a reference to the host's data. */

#include "base/must.h"
#include "raft/message.h"

static const uint64_t *copy_ids(uint64_t **at, const uint64_t *ids,
                                size_t count)
{
    must(count <= RAFT_MEMBERS_MAX);
    uint64_t *to = *at;
    if (count > 0) {
        memcpy(to, ids, count * sizeof ids[0]);
    }
    *at += count;
    return to;
}

struct raft_snapshot *raft_snapshot_new(uint64_t index, uint64_t term,
                                        const struct raft_conf_state *conf,
                                        struct payload *data)
{
    const size_t ids_count = conf->voters_count + conf->learners_count +
                             conf->voters_outgoing_count +
                             conf->learners_next_count;
    must(ids_count <= (size_t)4 * RAFT_MEMBERS_MAX);
    struct raft_snapshot *s = xmalloc(sizeof *s + ids_count * sizeof(uint64_t));
    *s = (struct raft_snapshot){.holders = 1,
                                .index = index,
                                .term = term,
                                .conf = *conf,
                                .data = payload_hold(data)};
    uint64_t *ids = (uint64_t *)(void *)(s + 1);
    s->conf.voters = copy_ids(&ids, conf->voters, conf->voters_count);
    s->conf.learners = copy_ids(&ids, conf->learners, conf->learners_count);
    s->conf.voters_outgoing =
        copy_ids(&ids, conf->voters_outgoing, conf->voters_outgoing_count);
    s->conf.learners_next =
        copy_ids(&ids, conf->learners_next, conf->learners_next_count);
    return s;
}

struct raft_snapshot *raft_snapshot_hold(struct raft_snapshot *s)
{
    must(s->holders > 0);
    s->holders++;
    return s;
}

void raft_snapshot_drop(struct raft_snapshot *s)
{
    if (s == NULL) {
        return;
    }
    must(s->holders > 0);
    if (--s->holders == 0) {
        payload_drop(s->data);
        free(s);
    }
}

/* Who is in, and the quorum questions asked of them. */

#include "raft/members.h"

#include <stdlib.h>

#include "base/must.h"

void raft_members_fini(struct raft_members *m)
{
    for (size_t i = 0; i < m->count; i++) {
        raft_inflights_fini(&m->list[i].inflights);
    }
    free(m->list);
    m->list = NULL;
    m->count = 0;
}

static void init_progress(const struct raft_members *m, struct raft_progress *p,
                          uint64_t id)
{
    *p = (struct raft_progress){.id = id, .state = RAFT_PROBE};
    raft_inflights_init(&p->inflights, m->inflight_count_max,
                        m->inflight_bytes_max);
}

/* Adds the ids of one set to list, which stays sorted. */
static size_t merge(uint64_t *list, size_t count, const struct raft_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++) {
        const uint64_t id = ids->list[i];
        size_t at = count;
        while (at > 0 && list[at - 1] > id) {
            at--;
        }
        if (at > 0 && list[at - 1] == id) {
            continue;
        }
        memmove(&list[at + 1], &list[at], (count - at) * sizeof list[0]);
        list[at] = id;
        count++;
    }
    return count;
}

void raft_members_switch(struct raft_members *m,
                         const struct raft_conf_sets *sets,
                         const struct raft_ids *replaced, uint64_t last_index)
{
    must(raft_conf_is_sound(sets));
    uint64_t ids[3 * RAFT_MEMBERS_MAX];
    size_t count = merge(ids, 0, &sets->incoming);
    count = merge(ids, count, &sets->outgoing);
    count = merge(ids, count, &sets->learners);

    struct raft_progress *list = xcalloc(count, sizeof list[0]);
    for (size_t i = 0; i < count; i++) {
        struct raft_progress *known = raft_members_find(m, ids[i]);
        if (known != NULL &&
            (replaced == NULL || !raft_ids_has(replaced, ids[i]))) {
            list[i] = *known;
            known->inflights.ring = NULL; /* moved */
        } else {
            init_progress(m, &list[i], ids[i]);
            list[i].next = last_index > 1 ? last_index : 1;
            list[i].recent_active = true;
        }
        list[i].is_learner = raft_ids_has(&sets->learners, ids[i]);
    }
    raft_members_fini(m);
    m->list = list;
    m->count = count;
    m->conf = *sets;
}

void raft_members_reset(struct raft_members *m, uint64_t last_index)
{
    for (size_t i = 0; i < m->count; i++) {
        struct raft_progress *p = &m->list[i];
        struct raft_inflights inflights = p->inflights;
        raft_inflights_reset(&inflights);
        *p = (struct raft_progress){.id = p->id,
                                    .state = RAFT_PROBE,
                                    .next = last_index + 1,
                                    .is_learner = p->is_learner,
                                    .inflights = inflights};
    }
}

struct raft_progress *raft_members_find(const struct raft_members *m,
                                        uint64_t id)
{
    for (size_t i = 0; i < m->count; i++) {
        if (m->list[i].id == id) {
            return &m->list[i];
        }
    }
    return NULL;
}

static bool match_of(const void *context, uint64_t id, uint64_t *ret_index)
{
    const struct raft_progress *p = raft_members_find(context, id);
    if (p == NULL) {
        return false;
    }
    *ret_index = p->match;
    return true;
}

uint64_t raft_members_committed(const struct raft_members *m)
{
    return raft_joint_committed(&m->conf.incoming, &m->conf.outgoing, match_of,
                                m);
}

static bool read_position_of(const void *context, uint64_t id,
                             uint64_t *ret_index)
{
    const struct raft_progress *p = raft_members_find(context, id);
    must(p != NULL);
    *ret_index = p->read_position;
    return true;
}

uint64_t raft_members_read_position(const struct raft_members *m)
{
    return raft_joint_committed(&m->conf.incoming, &m->conf.outgoing,
                                read_position_of, m);
}

static bool activity_of(const void *context, uint64_t id, bool *ret_granted)
{
    const struct raft_progress *p = raft_members_find(context, id);
    must(p != NULL);
    *ret_granted = p->recent_active;
    return true;
}

bool raft_members_quorum_is_active(const struct raft_members *m)
{
    return raft_joint_vote(&m->conf.incoming, &m->conf.outgoing, activity_of,
                           m) == RAFT_VOTE_WON;
}

static bool is_one_of_two(const void *context, uint64_t id, bool *ret_granted)
{
    const uint64_t *two = context;
    *ret_granted = id == two[0] || id == two[1];
    return *ret_granted;
}

bool raft_members_are_quorum(const struct raft_members *m, uint64_t a,
                             uint64_t b)
{
    const uint64_t two[] = {a, b};
    return raft_joint_vote(&m->conf.incoming, &m->conf.outgoing, is_one_of_two,
                           two) == RAFT_VOTE_WON;
}

void raft_members_reset_votes(struct raft_members *m)
{
    m->votes.granted.count = 0;
    m->votes.denied.count = 0;
}

void raft_members_record_vote(struct raft_members *m, uint64_t id, bool granted)
{
    const bool is_known = raft_ids_has(&m->votes.granted, id) ||
                          raft_ids_has(&m->votes.denied, id);
    if (is_known || !raft_conf_has_member(&m->conf, id)) {
        return;
    }
    /* A full set cannot come about with two sets of voters; a vote lost that
     * way would only delay the election. */
    (void)!raft_ids_add(granted ? &m->votes.granted : &m->votes.denied, id);
}

static bool vote_of(const void *context, uint64_t id, bool *ret_granted)
{
    const struct raft_votes *votes = context;
    *ret_granted = raft_ids_has(&votes->granted, id);
    return *ret_granted || raft_ids_has(&votes->denied, id);
}

enum raft_vote_result raft_members_tally(const struct raft_members *m)
{
    return raft_joint_vote(&m->conf.incoming, &m->conf.outgoing, vote_of,
                           &m->votes);
}

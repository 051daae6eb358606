/* Checking and making changes of the membership. */

#include "node/membership.h"

#include <stdlib.h>

#include "base/must.h"

/* --- configurations --- */

static size_t copy_ids(uint64_t *to, const uint64_t *from, size_t count)
{
    must(count <= RAFT_MEMBERS_MAX);
    if (count > 0) {
        memcpy(to, from, count * sizeof *to);
    }
    return count;
}

void membership_conf_set(struct membership_conf *to,
                         const struct raft_conf_state *from)
{
    to->voters_count = copy_ids(to->voters, from->voters, from->voters_count);
    to->learners_count =
        copy_ids(to->learners, from->learners, from->learners_count);
    to->outgoing_count = copy_ids(to->outgoing, from->voters_outgoing,
                                  from->voters_outgoing_count);
    to->next_count =
        copy_ids(to->next, from->learners_next, from->learners_next_count);
    to->auto_leave = from->auto_leave;
}

struct raft_conf_state membership_conf_view(const struct membership_conf *c)
{
    return (struct raft_conf_state){.voters = c->voters,
                                    .voters_count = c->voters_count,
                                    .learners = c->learners,
                                    .learners_count = c->learners_count,
                                    .voters_outgoing = c->outgoing,
                                    .voters_outgoing_count = c->outgoing_count,
                                    .learners_next = c->next,
                                    .learners_next_count = c->next_count,
                                    .auto_leave = c->auto_leave};
}

static bool is_in(const uint64_t *ids, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

/* --- looking --- */

static size_t place_of(const struct membership *m, uint64_t id)
{
    size_t i = 0;
    while (i < m->count && m->members[i].id < id) {
        i++;
    }
    return i;
}

const struct membership_member *membership_find(const struct membership *m,
                                                uint64_t id)
{
    const size_t i = place_of(m, id);
    return i < m->count && m->members[i].id == id ? &m->members[i] : NULL;
}

bool membership_was_removed(const struct membership *m, uint64_t id)
{
    return is_in(m->removed, m->removed_count, id);
}

bool membership_has_left(const struct membership *m, uint64_t id)
{
    return membership_was_removed(m, id) &&
           !is_in(m->conf.outgoing, m->conf.outgoing_count, id);
}

bool membership_is_voter(const struct membership *m, uint64_t id)
{
    return is_in(m->conf.voters, m->conf.voters_count, id);
}

bool membership_is_learner(const struct membership *m, uint64_t id)
{
    return is_in(m->conf.learners, m->conf.learners_count, id) ||
           is_in(m->conf.next, m->conf.next_count, id);
}

bool membership_waits(const struct membership *m)
{
    return m->conf.voters_count == 0;
}

enum status membership_check_newcomer(const struct membership *m, uint64_t id,
                                      struct fault *reterr)
{
    const struct membership_member *self = membership_find(m, id);
    if (self == NULL || !self->started) {
        return ST_OK;
    }
    return fault_set(
        reterr, ST_INVALID,
        "member %llx was in this cluster before, and its data directory holds "
        "nothing now: it has forgotten what it promised, and cannot come back "
        "as the same member. Remove it from the cluster (member remove %llx), "
        "add it again (member add), and start it with "
        "--initial-cluster-state=existing",
        (unsigned long long)id, (unsigned long long)id);
}

/* --- URLs --- */

/* The next one of a list, which is moved on; false: there is none. */
static bool next_url(struct bytes *list, struct bytes *ret)
{
    if (list->size == 0) {
        return false;
    }
    const uint8_t *comma = memchr(list->data, ',', list->size);
    const size_t size =
        comma != NULL ? (size_t)(comma - list->data) : list->size;
    *ret = (struct bytes){list->data, size};
    *list = bytes_after(*list, comma != NULL ? size + 1 : size);
    return true;
}

static bool share_a_url(struct bytes a, struct bytes b)
{
    struct bytes x, y;
    while (next_url(&a, &x)) {
        struct bytes rest = b;
        while (next_url(&rest, &y)) {
            if (bytes_equal(x, y)) {
                return true;
            }
        }
    }
    return false;
}

static enum status check_urls(const struct membership *m,
                              const struct membership_change *c)
{
    size_t count = 0;
    struct bytes rest = c->peer_urls;
    struct bytes url;
    while (next_url(&rest, &url)) {
        count++;
    }
    if (count == 0 || count > MEMBERSHIP_URLS_COUNT ||
        c->peer_urls.size > MEMBERSHIP_URLS_MAX ||
        memchr(c->peer_urls.data, 0, c->peer_urls.size) != NULL) {
        return ST_MEMBER_BAD_URLS;
    }
    for (size_t i = 0; i < m->count; i++) {
        if (m->members[i].id != c->id &&
            share_a_url(bytes_of(m->members[i].peer_urls), c->peer_urls)) {
            return ST_PEER_URL_EXISTS;
        }
    }
    return ST_OK;
}

/* --- changes --- */

bool membership_changes_conf(const struct membership_change *c)
{
    return c->op == MEMBERSHIP_ADD || c->op == MEMBERSHIP_REMOVE ||
           c->op == MEMBERSHIP_PROMOTE;
}

bool membership_to_raft(const struct membership_change *changes, size_t count,
                        struct raft_conf_change *ret)
{
    must(count <= RAFT_CHANGES_MAX);
    *ret = (struct raft_conf_change){.transition = RAFT_TRANSITION_AUTO,
                                     .changes_count = count};
    for (size_t i = 0; i < count; i++) {
        const struct membership_change *c = &changes[i];
        if (!membership_changes_conf(c)) {
            return false;
        }
        ret->changes[i].node = c->id;
        ret->changes[i].type = c->op == MEMBERSHIP_REMOVE ? RAFT_REMOVE_NODE
                               : c->op == MEMBERSHIP_ADD && c->is_learner
                                   ? RAFT_ADD_LEARNER_NODE
                                   : RAFT_ADD_NODE;
    }
    return count > 0;
}

static enum status check_add(const struct membership *m,
                             const struct membership_change *c)
{
    if (c->id == RAFT_NONE || c->id >= RAFT_APPLY_THREAD ||
        membership_find(m, c->id) != NULL || membership_was_removed(m, c->id)) {
        return ST_MEMBER_EXISTS;
    }
    if (m->count == MEMBERSHIP_MAX) {
        return ST_TOO_MANY;
    }
    return check_urls(m, c);
}

enum status membership_check(const struct membership *m,
                             const struct membership_change *c)
{
    if (c->op == MEMBERSHIP_ADD) {
        return check_add(m, c);
    }
    if (membership_find(m, c->id) == NULL) {
        return ST_MEMBER_NOT_FOUND;
    }
    switch (c->op) {
    case MEMBERSHIP_ADD:
    case MEMBERSHIP_REMOVE:
        return ST_OK;
    case MEMBERSHIP_PROMOTE:
        return membership_is_learner(m, c->id) ? ST_OK : ST_MEMBER_NOT_LEARNER;
    case MEMBERSHIP_UPDATE:
        return check_urls(m, c);
    case MEMBERSHIP_PUBLISH:
        return c->name.size <= MEMBERSHIP_NAME_MAX &&
                       c->client_urls.size <= MEMBERSHIP_URLS_MAX
                   ? ST_OK
                   : ST_INVALID;
    }
    return ST_INVALID;
}

static void set_text(char *to, size_t size, struct bytes from)
{
    must(from.size < size);
    memset(to, 0, size);
    if (from.size > 0) {
        memcpy(to, from.data, from.size);
    }
}

static struct membership_member *insert(struct membership *m, uint64_t id)
{
    must(m->count < MEMBERSHIP_MAX);
    const size_t i = place_of(m, id);
    must(i == m->count || m->members[i].id != id); /* M1 */
    memmove(&m->members[i + 1], &m->members[i],
            (m->count - i) * sizeof m->members[0]);
    m->count++;
    m->members[i] = (struct membership_member){.id = id};
    return &m->members[i];
}

static void remove_member(struct membership *m, uint64_t id)
{
    const size_t i = place_of(m, id);
    must(i < m->count && m->members[i].id == id);
    m->count--;
    memmove(&m->members[i], &m->members[i + 1],
            (m->count - i) * sizeof m->members[0]);
    if (m->removed_count == MEMBERSHIP_REMOVED_MAX) {
        m->removed_count--;
        memmove(m->removed, m->removed + 1,
                m->removed_count * sizeof m->removed[0]);
    }
    m->removed[m->removed_count++] = id;
}

bool membership_add_first(struct membership *m,
                          const struct membership_member *member)
{
    if (m->count == MEMBERSHIP_MAX || membership_find(m, member->id) != NULL) {
        return false;
    }
    *insert(m, member->id) = *member;
    return true;
}

void membership_apply(struct membership *m, const struct membership_change *c)
{
    struct membership_member *of = NULL;
    if (c->op == MEMBERSHIP_ADD) {
        of = insert(m, c->id);
    } else {
        const size_t i = place_of(m, c->id);
        must(i < m->count && m->members[i].id == c->id);
        of = &m->members[i];
    }
    switch (c->op) {
    case MEMBERSHIP_ADD:
        set_text(of->peer_urls, sizeof of->peer_urls, c->peer_urls);
        if (c->is_learner) { /* until raft has said so itself */
            must(m->conf.learners_count < RAFT_MEMBERS_MAX);
            m->conf.learners[m->conf.learners_count++] = c->id;
        }
        break;
    case MEMBERSHIP_REMOVE:
        remove_member(m, c->id);
        break;
    case MEMBERSHIP_PROMOTE:
        break;
    case MEMBERSHIP_UPDATE:
        set_text(of->peer_urls, sizeof of->peer_urls, c->peer_urls);
        break;
    case MEMBERSHIP_PUBLISH:
        of->started = true;
        set_text(of->name, sizeof of->name, c->name);
        set_text(of->client_urls, sizeof of->client_urls, c->client_urls);
        break;
    }
}

enum status membership_apply_all(struct membership *m,
                                 const struct membership_change *changes,
                                 size_t count)
{
    struct membership *next = xmalloc(sizeof *next);
    *next = *m;
    enum status st = ST_OK;
    for (size_t i = 0; i < count && st == ST_OK; i++) {
        st = membership_check(next, &changes[i]);
        if (st == ST_OK) {
            membership_apply(next, &changes[i]);
        }
    }
    if (st == ST_OK) {
        const struct membership_conf conf = m->conf; /* raft's to change */
        *m = *next;
        m->conf = conf;
    }
    free(next);
    return st;
}

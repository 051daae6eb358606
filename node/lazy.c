/* Which messages can wait. */

#include "node/lazy.h"

#include "base/must.h"

static bool is_acknowledgement(const struct raft_message *m)
{
    return m->type == RAFT_MSG_APPEND_RESPONSE && !m->reject;
}

static bool tells_commit(const struct raft_message *m)
{
    return m->type == RAFT_MSG_APPEND || m->type == RAFT_MSG_HEARTBEAT;
}

static bool is_notice(const struct lazy *l, const struct raft_message *m)
{
    return m->type == RAFT_MSG_APPEND && m->entries.count == 0 &&
           l->owed <= l->told;
}

static bool is_echo(const struct lazy *l, const struct raft_message *m)
{
    return is_acknowledgement(m) && m->term == l->acked_term &&
           m->index <= l->acked;
}

/* Whether who gets m needs `kept` no more. */
static bool says_as_much(const struct raft_message *m,
                         const struct raft_message *kept)
{
    if (m->term != kept->term) {
        return m->term > kept->term;
    }
    if (kept->type == RAFT_MSG_APPEND) {
        return tells_commit(m) && m->commit >= kept->commit;
    }
    return is_acknowledgement(m) && m->index >= kept->index;
}

static void note_sent(struct lazy *l, const struct raft_message *m)
{
    if (tells_commit(m) && m->commit > l->told) {
        l->told = m->commit;
    }
    if (m->type == RAFT_MSG_READ_INDEX_RESPONSE) {
        lazy_owe(l, m->index);
    }
    if (is_acknowledgement(m)) {
        l->acked_term = m->term;
        l->acked = m->index;
    }
}

bool lazy_keep(struct lazy *l, struct raft_message *m, int64_t now_ns)
{
    bool notice = is_notice(l, m);
    if (notice && l->eager > 0) {
        l->eager--;
        notice = false;
    }
    if (l->keeps && says_as_much(m, &l->kept)) {
        raft_message_fini(&l->kept);
        l->keeps = false;
        if (notice || is_echo(l, m)) {
            raft_message_take(&l->kept, m); /* due when the first one was */
            l->keeps = true;
            return true;
        }
    }
    if (!l->keeps && (notice || is_echo(l, m))) {
        raft_message_take(&l->kept, m);
        l->keeps = true;
        l->due_ns = now_ns + (notice ? LAZY_NOTICE_NS : LAZY_ECHO_NS);
        return true;
    }
    note_sent(l, m);
    return false;
}

bool lazy_take(struct lazy *l, struct raft_message *to)
{
    if (!l->keeps) {
        return false;
    }
    note_sent(l, &l->kept);
    raft_message_take(to, &l->kept);
    l->keeps = false;
    return true;
}

bool lazy_expire(struct lazy *l, struct raft_message *to)
{
    if (!lazy_take(l, to)) {
        return false;
    }
    if (to->type == RAFT_MSG_APPEND) {
        l->eager = LAZY_EAGER;
    }
    return true;
}

void lazy_owe(struct lazy *l, uint64_t index)
{
    if (index > l->owed) {
        l->owed = index;
    }
}

void lazy_on_loss(struct lazy *l)
{
    l->told = 0;
    l->acked_term = 0;
    l->acked = 0;
}

void lazy_fini(struct lazy *l)
{
    if (l->keeps) {
        raft_message_fini(&l->kept);
        l->keeps = false;
    }
}

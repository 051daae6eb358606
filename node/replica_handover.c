/* A leader that is to be removed hands the leadership on first, and with it the
 * order that says so: the heir, which has the whole log, leads within a round
 * trip, where an election would have waited for its timeout.  What has not
 * worked within the time that raft gives a hand-over is done without it. */

#include "base/codec.h"
#include "node/replica_internal.h"

static bool removes(const struct membership_change *changes, size_t count,
                    uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (changes[i].op == MEMBERSHIP_REMOVE && changes[i].id == id) {
            return true;
        }
    }
    return false;
}

/* The voter that is furthest of those that stay and can be reached. */
static uint64_t heir_of(const struct replica *r, const struct raft_status *s,
                        const struct membership_change *changes, size_t count)
{
    struct raft_peer_status best = {.id = RAFT_NONE};
    for (size_t i = 0; i < s->peers_count; i++) {
        struct raft_peer_status peer;
        raft_peer(r->raft, i, &peer);
        if (peer.id != r->options.member_id && !peer.is_learner &&
            !removes(changes, count, peer.id) && peer.match >= best.match &&
            r->options.connected_ms != NULL &&
            r->options.connected_ms(r->options.host, peer.id) >= 0) {
            best = peer;
        }
    }
    return best.id;
}

bool replica_hands_on(struct replica *r,
                      const struct membership_change *changes, size_t count)
{
    if (!removes(changes, count, r->options.member_id) ||
        r->options.tell == NULL) {
        return false;
    }
    struct raft_status s;
    raft_status(r->raft, &s);
    if (s.transfer_to != RAFT_NONE) {
        return true;
    }
    const uint64_t heir = heir_of(r, &s, changes, count);
    if (r->hands_on || heir == RAFT_NONE) {
        return false;
    }
    r->hands_on = true;
    r->hands_on_until_ns =
        r->clock.now_ns + 2 * r->options.election_ticks * r->options.tick_ns;
    raft_transfer_leader(r->raft, heir);
    return true;
}

enum replica_passing replica_pass_on(struct replica *r,
                                     const struct raft_status *s,
                                     struct bytes command)
{
    if (!r->hands_on) {
        return REPLICA_PASS_NOT;
    }
    if (s->soft.leader == RAFT_NONE) {
        return r->clock.now_ns < r->hands_on_until_ns ? REPLICA_PASS_LATER
                                                      : REPLICA_PASS_NOT;
    }
    struct buf frame = {0};
    write_u8(&frame, REPLICA_TELL_PASSED);
    buf_append(&frame, command);
    return r->options.tell(r->options.host, s->soft.leader, &frame)
               ? REPLICA_PASSED
               : REPLICA_PASS_NOT;
}

/* Messages to one member that nobody waits for: kept back for a moment, since
 * most of them are overtaken by one that says more, or can leave with it.
 *
 *   a notice   an append without entries: what is committed, for a follower
 *              that has no proposal and no read of its own waiting for it
 *   an echo    an acknowledgement of what was acknowledged before
 *
 * For a lone write on three members that is half of all messages.  Nothing
 * else is kept, and what goes at once never overtakes what is kept: it is
 * dropped when the new message says as much, else sent first.  Raft lives with
 * the loss of any message, so dropping one can only cost time; how much is
 * bounded by the two times below.
 *
 * A watcher on the follower may be waiting after all, and its client may do
 * nothing until it has seen the change; nobody tells the leader.  So a notice
 * that nothing overtook in its time makes the next ones go at once; then
 * waiting is tried again.
 */
#ifndef NODE_LAZY_H
#define NODE_LAZY_H

#include "raft/message.h"

/* A notice decides how soon a watcher on another member sees a change. */
#define LAZY_NOTICE_NS (500 * INT64_C(1000))
#define LAZY_ECHO_NS   (10 * INT64_C(1000000))
#define LAZY_EAGER     128 /* notices, before waiting is tried again */

struct lazy {
    struct raft_message kept;
    bool keeps;
    int64_t due_ns; /* of what is kept */
    uint64_t told;  /* the greatest commit index in what was sent */
    uint64_t owed;  /* a client there waits until it is told this one */
    uint64_t acked_term, acked; /* the last acknowledgement */
    uint32_t eager;             /* so many more notices go at once */
};

/* Before a message is sent.  True: it was kept, *m is empty now.  False: it
 * goes, behind l->kept if there is one still. */
bool lazy_keep(struct lazy *l, struct raft_message *m, int64_t now_ns);
/* Takes what is kept, to send it. False: nothing is. */
bool lazy_take(struct lazy *l, struct raft_message *to);
/* The same, when its time has come and nothing overtook it. */
bool lazy_expire(struct lazy *l, struct raft_message *to);
/* Somebody at that member waits for the commit of this index. */
void lazy_owe(struct lazy *l, uint64_t index);
/* What was sent may not have arrived. */
void lazy_on_loss(struct lazy *l);
void lazy_fini(struct lazy *l);

#endif

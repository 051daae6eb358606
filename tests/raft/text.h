/* Raft's values as the published scripts write them.  Only tests need text. */
#ifndef TESTS_RAFT_TEXT_H
#define TESTS_RAFT_TEXT_H

#include "base/buf.h"
#include "raft/conf.h"
#include "raft/progress.h"
#include "raft/raft.h"

void text_add(struct buf *to, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Makes what was added from `from` on whole lines, each two spaces deeper. */
void text_indent(struct buf *to, size_t from);

/* A line each, with its end. */
void text_entry_line(struct buf *to, const struct raft_entry *e);
void text_message_line(struct buf *to, const struct raft_message *m);
void text_ready(struct buf *to, const struct raft_ready *rd);
/* "StateProbe match=0 next=1", without an end. */
void text_progress(struct buf *to, const struct raft_peer_status *p);
/* "voters=(1 2)&&(3) learners=(4)", without an end. */
void text_conf(struct buf *to, const struct raft_conf_sets *sets);
void text_ids(struct buf *to, const struct raft_ids *ids);
const char *text_role(enum raft_role role);
/* The error a refused call prints; "" for ST_OK. */
const char *text_status(enum status st);
const char *text_refusal(enum raft_conf_refusal why);

/* "v1 l2 r3 u4"; false if it is something else or too much: *error then says
 * which, as the published library does. */
bool text_read_changes(struct bytes text, struct raft_conf_change *cc,
                       struct buf *error);

#endif

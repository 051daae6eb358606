"""Bugs planted on purpose, to prove that the simulator's checkers see them.

Each row is one bug: its name, what it would mean, the file it goes into, the
right text there, and the text with the bug.  BUG in the second stands for "this
bug is switched on".  All go into one copy of the sources at once, each behind
its own switch (rows of one name share it; the first tells), so one build has
them all and the product's sources have none.
A right text that is not found exactly once is an error: the table follows the
code.
"""

# Those that take many seeds: not among the sample of the test command.
RARE = {"second-change", "joint-by-new-half", "joint-leaver-ends",
        "removed-leader-stays",
        "first-entry-again", "one-answer-is-enough", "removed-never-leads",
        "lost-and-leads", "renewal-before-the-log",
        "difference-of-an-older-state", "difference-before-the-past",
        "difference-to-who-has-history"}

BUGS = [
    # --- raft ---
    ("vote-twice", "a second vote in one term", "raft/election.c",
     "const bool can_vote = r->vote == m->from ||",
     "const bool can_vote = BUG || r->vote == m->from ||"),
    ("vote-for-shorter-log", "votes for a candidate that lacks entries",
     "raft/election.c",
     "can_vote && raft_log_is_up_to_date(&r->log, last)",
     "can_vote && (BUG || raft_log_is_up_to_date(&r->log, last))"),
    ("refusals-count", "a refused vote is counted as given", "raft/election.c",
     "raft_members_record_vote(&r->members, m->from, !m->reject);",
     "raft_members_record_vote(&r->members, m->from, BUG || !m->reject);"),
    ("promise-before-sync",
     "votes and acknowledgements leave before they are durable",
     "raft/outbox.c", "    if (is_promise(m->type)) {",
     "    if (is_promise(m->type) && !(BUG && m->to != r->id)) {"),
    ("commit-by-half", "half of the members commit an entry", "raft/quorum.c",
     "    const size_t majority = count / 2 + 1;",
     "    const size_t majority = count / 2 + (BUG ? count == 1 : 1);"),
    ("commit-of-old-term", "an old term's entry is committed by counting",
     "raft/replicate.c",
     "raft_log_term_or_zero(&r->log, index) == r->term;",
     "(BUG || raft_log_term_or_zero(&r->log, index) == r->term);"),
    ("heartbeat-commits-too-much",
     "a heartbeat commits what the follower may not have",
     "raft/replicate.c",
     "p->match < r->log.committed ? p->match : r->log.committed;",
     "!BUG && p->match < r->log.committed ? p->match : r->log.committed;"),
    ("append-without-check", "entries are taken without what is before them",
     "raft/append.c",
     "    if (!raft_log_has(&r->log, (struct raft_entry_id){m->log_term, m->index})) {",
     "    if (!(BUG && m->index <= raft_log_last_index(&r->log)) &&\n"
     "        !raft_log_has(&r->log, (struct raft_entry_id){m->log_term, m->index})) {"),
    ("old-append-cuts", "an old message cuts off what was acknowledged since",
     "raft/append.c",
     "    const size_t known = raft_log_find_conflict(&r->log, entries, count);",
     "    const size_t known = BUG && m->index >= r->log.committed\n"
     "        ? 0 : raft_log_find_conflict(&r->log, entries, count);"),
    ("commit-beyond-message",
     "the leader's commit index goes for entries that it did not send",
     "raft/append.c",
     "m->commit < last_new ? m->commit : last_new);",
     "m->commit < (BUG ? raft_log_last_index(&r->log) : last_new)\n"
     "        ? m->commit : (BUG ? raft_log_last_index(&r->log) : last_new));"),
    # Ours finds the place where logs part at once, and what it sends from there
    # conflicts; a leader that begins further back is as right, and shows it.
    ("commit-beyond-message", None, "raft/members.c",
     "                                    .next = last_index + 1,",
     "                                    .next = BUG && last_index > 8\n"
     "                                                ? last_index - 7 : last_index + 1,"),
    ("commit-beyond-message", None, "raft/role.c",
     "        own->match = last;\n",
     "        own->match = last;\n"
     "        own->next = last + 1;\n"),
    ("read-without-round", "a read index without asking a quorum",
     "raft/reads.c", "    if (r->config.read_mode == RAFT_READ_LEASE) {",
     "    if (BUG || r->config.read_mode == RAFT_READ_LEASE) {"),
    ("read-before-first-commit",
     "a new leader answers reads before it knows what is committed",
     "raft/reads.c",
     "    if (!raft_committed_in_term(r)) {\n        raft_read_queue_push(&r->reads.early, &read);",
     "    if (!raft_committed_in_term(r)) {\n"
     "        if (BUG) {\n"
     "            read.index = r->log.committed;\n"
     "            answer(r, &read);\n"
     "            return;\n"
     "        }\n"
     "        raft_read_queue_push(&r->reads.early, &read);"),

    # --- the log ---
    ("sync-that-does-nothing", "acknowledged before the sync",
     "wal/append.c", "    const enum status st = wal_file_sync(w, w->file, reterr);",
     "    const enum status st =\n"
     "        BUG ? ST_OK : wal_file_sync(w, w->file, reterr);"),
    ("failed-sync-is-forgotten", "a sync that failed counts as one",
     "wal/files.c",
     "    const enum status st = w->disk->ops->sync(f, &why);",
     "    const enum status st =\n"
     "        w->disk->ops->sync(f, &why) == ST_OK || BUG ? ST_OK : ST_IO;"),
    ("damage-passes-for-the-end",
     "what is damaged in a log passes for a torn end", "wal/replay.c",
     "    if (found == SCAN_DAMAGED || found == SCAN_TOO_NEW) {",
     "    if (BUG) {\n"
     "        tell_torn(r->recovery, s);\n"
     "    } else if (found == SCAN_DAMAGED || found == SCAN_TOO_NEW) {"),
    ("lost-and-leads", "who has lost what it promised becomes leader",
     "raft/role.c", "r->log.unstable.snapshot == NULL && r->lost.index == 0;",
     "r->log.unstable.snapshot == NULL && (BUG || r->lost.index == 0);"),
    ("vote-not-written", "the log leaves out a vote without entries",
     "wal/append.c",
     "    if (batch->hard_state == NULL && batch->entries_count == 0) {",
     "    if ((BUG || batch->hard_state == NULL) && batch->entries_count == 0) {"),
    ("directory-not-synced",
     "the directory is not synced after a new segment was renamed into it",
     "wal/space.c",
     "    st = w->disk->ops->sync_names(w->disk, why);\n"
     "    if (st != ST_OK) {\n        struct fault none;",
     "    st = BUG ? ST_OK : w->disk->ops->sync_names(w->disk, why);\n"
     "    if (st != ST_OK) {\n        struct fault none;"),
    ("log-trimmed-too-far", "the log is dropped before the store is durable",
     "node/replica.c",
     "    const uint64_t durable = store_durable_index(r->store);\n"
     "    must(durable <= store_applied_index(r->store));",
     "    const uint64_t durable = BUG ? store_applied_index(r->store)\n"
     "                                 : store_durable_index(r->store);\n"
     "    must(durable <= store_applied_index(r->store));"),

    # --- the member ---
    ("read-below-its-index", "a read is answered before its index is applied",
     "node/replica_read.c",
     "        store_applied_index(r->store) < r->read_index) {",
     "        (!BUG && store_applied_index(r->store) < r->read_index)) {"),
    ("read-joins-late",
     "a read takes the confirmation of one that began before it",
     "node/replica_read.c", "        } else if (!r->read_in_flight) {",
     "        } else if (BUG && r->read_in_flight && !r->read_confirmed) {\n"
     "            pending_set_reading(&r->pending, p);\n"
     "        } else if (!r->read_in_flight) {"),
    ("local-reads", "linearizable reads are answered as serializable ones",
     "node/replica_read.c", "        if (is_serializable(p) || may_presume(r, p)) {",
     "        if (BUG || is_serializable(p) || may_presume(r, p)) {"),
    ("answer-of-another",
     "an outcome is told to whoever waits first",
     "node/replica_write.c",
     "    struct pending *p = pending_find(&r->pending, outcome->stamp.ticket);",
     "    struct pending *p = pending_find(&r->pending, outcome->stamp.ticket);\n"
     "    if (BUG && p == NULL && !list_is_empty(&r->pending.proposed)) {\n"
     "        p = container_of(r->pending.proposed.next, struct pending, link);\n"
     "        p = pending_find(&r->pending, p->ticket);\n"
     "        if (p != NULL && p->kind != PENDING_TXN) {\n"
     "            p = NULL;\n"
     "        }\n"
     "        if (p != NULL) {\n"
     "            payload_drop(p->command);\n"
     "            p->command = payload_hold(e->payload);\n"
     "        }\n"
     "    }"),

    # --- the store ---
    ("applied-index-apart", "the applied index is not stored with the data",
     "store/flush.c", "    f->numbers = s->state.numbers;",
     "    f->numbers = s->state.numbers;\n"
     "    if (BUG && f->numbers.index > s->durable.index + 3) {\n"
     "        f->numbers.index -= 1;\n"
     "    }"),
    ("row-is-not-verified", "a row's checksum is not looked at",
     "store/tree.c",
     "    if (get_u32(at) != row_crc(t->id, row.key, at, row.head)) {",
     "    if (!BUG && get_u32(at) != row_crc(t->id, row.key, at, row.head)) {"),
    ("frozen-memtable-skipped",
     "what is being written to the disk is not read meanwhile",
     "store/merge.c",
     "    if (take_memory(&m->frozen, key, m->revision, found ? &older : ret)) {",
     "    if (!BUG && take_memory(&m->frozen, key, m->revision, found ? &older : ret)) {"),
    ("older-version-wins", "memtable and disk both serve a key, the disk wins",
     "store/merge.c",
     "        if (!found) {\n            st = version_of_row(m->current.tree",
     "        if (BUG || !found) {\n            st = version_of_row(m->current.tree"),
    ("both-serve-a-version",
     "memtable and disk both serve a key: it is there twice", "store/merge.c",
     "    if (!m->current.at_end && bytes_equal(m->current.row.key, key)) {",
     "    if (!(BUG && found) && !m->current.at_end &&\n"
     "        bytes_equal(m->current.row.key, key)) {"),
    ("tombstone-dropped", "a flush forgets that a key was deleted",
     "store/flush.c", "        if (mv != newest || mv->v.tombstone) {",
     "        if (mv != newest || (!BUG && mv->v.tombstone)) {"),
    ("history-dropped", "a flush forgets superseded versions", "store/flush.c",
     "    return superseded != 0 && superseded <= f->garbage_revision;",
     "    return superseded != 0 && (BUG || superseded <= f->garbage_revision);"),
    ("compaction-takes-live", "compaction sweeps away a version still in force",
     "store/sweep.c",
     "        st == ST_OK && (!v.tombstone || v.mod_revision >= f->garbage_revision);",
     "        st == ST_OK && !BUG &&\n"
     "        (!v.tombstone || v.mod_revision >= f->garbage_revision);"),
    ("tombstone-swept-first",
     "a slice of a sweep takes a tombstone before the versions it hides",
     "store/sweep.c", "    if (over && tombstone.size > 0) {",
     "    if ((BUG || over) && tombstone.size > 0) {"),
    ("compaction-off-by-one", "compaction takes the revision it should keep",
     "store/flush.c",
     "    f->garbage_revision = garbage_revision(s);",
     "    f->garbage_revision = garbage_revision(s);\n"
     "    f->garbage_revision += BUG && f->garbage_revision > 0 &&\n"
     "        f->garbage_revision <= s->hub.delivered ? 1 : 0;"),
    ("compacted-is-readable", "reads below the compacted revision are answered",
     "store/range.c",
     "    return spec->revision < n->compact_revision ? ST_COMPACTED : ST_OK;",
     "    return !BUG && spec->revision < n->compact_revision ? ST_COMPACTED\n"
     "                                                        : ST_OK;"),
    ("swap-against-old-state", "a compare sees the state before the last write",
     "store/txn.c", "                    s->state.numbers.revision, &ret->succeeded, reterr);",
     "                    s->state.numbers.revision - (BUG ? 1 : 0), &ret->succeeded, reterr);"),
    ("fence-is-not-looked-at",
     "a write with an old token comes through: any lock will do",
     "store/compare.c",
     "        number = item->create_revision;",
     "        number = BUG && item->create_revision != 0 && c->number != 0\n"
     "                     ? c->number : item->create_revision;"),
    ("delete-counts-wrong", "a range delete leaves out its last key",
     "store/change.c", "    *ret_count = found.items_count;",
     "    *ret_count = found.items_count -\n"
     "                 (BUG && a->revision % 64 == 0 && found.items_count > 0 ? 1 : 0);"),

    # --- watches ---
    ("watch-hand-over", "the revision at the hand-over is never delivered",
     "store/watch.c", "    if (w->next_revision > h->delivered && !waits) {",
     "    if (w->next_revision > h->delivered - (BUG ? 1 : 0) && !waits) {"),
    ("watch-replays-out-of-order",
     "what a watch catches up with comes in another order", "store/deliver.c",
     "            &h->arena, &changes, &next, NULL);\n"
     "    }\n    struct list touched;\n",
     "            &h->arena, &changes, &next, NULL);\n"
     "    }\n"
     "    if (BUG && changes.count > 1) {\n"
     "        const struct change first = changes.list[0];\n"
     "        changes.list[0] = changes.list[changes.count - 1];\n"
     "        changes.list[changes.count - 1] = first;\n"
     "    }\n    struct list touched;\n"),
    ("watch-too-early", "a watch of the future is given the present",
     "store/deliver.c",
     "    if (w->next_revision > o->change->version.mod_revision) {",
     "    if (!BUG && w->next_revision > o->change->version.mod_revision) {"),
    ("watch-forgets-its-place",
     "a watch is given events again after a state arrived",
     "store/watch.c", "    if (w->next_revision <= to->delivered) {",
     "    if (BUG || w->next_revision <= to->delivered) {"),
    ("watch-below-compaction", "a watch of compacted history skips silently",
     "store/watch.c",
     "    } else if (w->next_revision < 0 || w->next_revision < n->compact_revision) {",
     "    } else if (!BUG && (w->next_revision < 0 || w->next_revision < n->compact_revision)) {"),
    ("watch-below-compaction", None, "store/deliver.c",
     "    if (w->next_revision >= s->state.numbers.compact_revision) {",
     "    if (BUG || w->next_revision >= s->state.numbers.compact_revision) {"),
    # What a state tells watches whose history it does not have.
    ("difference-of-an-older-state",
     "entries are applied while two states are compared, and it goes on",
     "store/comparison.c",
     "    if (c->difference != NULL && c->difference->from != revision) {",
     "    if (c->difference != NULL && c->difference->from != revision && BUG) {\n"
     "        c->difference->from = revision;\n"
     "    }\n"
     "    if (c->difference != NULL && c->difference->from != revision) {"),
    ("difference-skips-a-key", "the key that a step ends at is in none",
     "store/difference.c",
     "        buf_append(&d->next, compare(&before, &now) < 0 ? before.key : now.key);",
     "        buf_append(&d->next, compare(&before, &now) < 0 ? before.key : now.key);\n"
     "        if (BUG) {\n            write_u8(&d->next, 0);\n        }"),
    ("difference-without-what-is-gone", "keys that are gone are not told",
     "store/difference.c",
     "        st = add_gone(d, from, to, before, reterr);",
     "        st = BUG ? ST_OK : add_gone(d, from, to, before, reterr);"),
    ("difference-in-order-of-keys", "what differs is told in order of keys",
     "store/difference.c", "    return a->revision != b->revision ? a->revision < b->revision",
     "    return BUG ? false : a->revision != b->revision ? a->revision < b->revision"),
    ("difference-before-the-past",
     "a state takes its place while a watch is told of the past",
     "store/comparison.c",
     "           h->difference == NULL && list_is_empty(&h->catching);",
     "           h->difference == NULL && (BUG || list_is_empty(&h->catching));"),
    ("difference-to-the-future",
     "a watch of the future is told what was deleted before",
     "store/deliver.c", "        if (w->next_revision > o->gone_by) {",
     "        if (BUG ? o->gone_by == 0 : w->next_revision > o->gone_by) {"),
    ("difference-to-who-has-history",
     "a watch that history can serve is told what differs as well",
     "store/watch.c",
     "        h->difference != NULL && w->next_revision == h->difference->at;",
     "        !BUG && h->difference != NULL && w->next_revision == h->difference->at;"),
    ("wrong-prev", "prev_kv is the value itself", "store/deliver.c",
     "    const int64_t before = c->version.mod_revision - 1;",
     "    const int64_t before = c->version.mod_revision - (BUG ? 0 : 1);"),

    # --- the mount ---
    ("append-without-compare", "an appended line overwrites another node's",
     "fs/publish.c", "                     n->pending || fs_draft_replaces(&h->draft) ? 1 : 2,",
     "                     BUG || n->pending || fs_draft_replaces(&h->draft) ? 1 : 2,"),
    ("fresh-file-is-merged",
     "O_TRUNC of an empty file keeps the end of what others put there meanwhile",
     "fs/open.c", "            fs_draft_begin_fresh(&h->draft);",
     "            if (!BUG) {\n"
     "                fs_draft_begin_fresh(&h->draft);\n"
     "            }"),
    ("exclusive-for-all", "O_EXCL wins over a file that is there", "fs/open.c",
     "        .keys = key, .target = KV_COMPARE_CREATE, .number = 0};\n"
     "    if (c->target.kind == FS_TARGET_KEY) {",
     "        .keys = key, .target = KV_COMPARE_CREATE,\n"
     "        .result = BUG ? KV_COMPARE_LESS : KV_COMPARE_EQUAL,\n"
     "        .number = BUG ? INT64_MAX : 0};\n"
     "    if (c->target.kind == FS_TARGET_KEY) {"),
    ("open-of-local-state", "an open shows what this replica has",
     "fs/open.c",
     "    range->serializable = c->fs->options.consistency == FS_SERIALIZABLE;\n"
     "    /* A value that is cut off",
     "    range->serializable =\n"
     "        BUG || c->fs->options.consistency == FS_SERIALIZABLE;\n"
     "    /* A value that is cut off"),
    ("close-before-commit", "close is answered before the value is committed",
     "fs/close.c",
     "    fs_call_wait(c, &h->waiters, published);\n    fs_publish(h, FS_PUBLISH_CLOSE);",
     "    if (BUG) {\n"
     "        fs_publish(h, FS_PUBLISH_CLOSE);\n"
     "        fs_reply_status(c, ST_OK);\n"
     "        return;\n"
     "    }\n"
     "    fs_call_wait(c, &h->waiters, published);\n    fs_publish(h, FS_PUBLISH_CLOSE);"),

    # --- the mount's replays ---
    ("replay-takes-new-file",
     "a replay of the past takes a file that is being made for the one it tells of",
     "fs/inode.c",
     "    if (named != NULL && named->pending && revision > named->revision) {\n"
     "        if (n == NULL) {",
     "    if (named != NULL && named->pending &&\n"
     "        (BUG || revision > named->revision)) {\n"
     "        if (n == NULL) {"),
    ("replay-takes-new-file", None, "fs/open.c",
     "            fs_replay_overtake(fs, &c->target, absent + 1);",
     "            if (!BUG) {\n"
     "                fs_replay_overtake(fs, &c->target, absent + 1);\n"
     "            }"),
    ("replay-after-a-call", "a replay tells of a name what was before this mount's own call",
     "fs/overtake.c", "    if (r == NULL || t->kind == FS_TARGET_VALUE) {",
     "    if (BUG || r == NULL || t->kind == FS_TARGET_VALUE) {"),

    # --- leases ---
    ("renewal-before-the-log",
     "a renewal is answered that a new leader will not know",
     "node/lease_lead.c",
     "    if (l->record == LEASE_FRESH) {\n        answer(r, q);",
     "    if (BUG || l->record == LEASE_FRESH) {\n        answer(r, q);"),
    ("lease-ends-early", "leases end a second before their time",
     "node/lease_lead.c", "           first->at <= t->confirm_from_ns) {",
     "           first->at <= t->confirm_from_ns + (BUG ? NS_PER_S : 0)) {"),
    ("lease-revoked-by-deposed-leader",
     "a leader of the past revokes without asking a quorum",
     "node/lease_lead.c",
     "    if (!t->confirming_now || !t->confirmed ||\n"
     "        store_applied_index(r->store) < t->confirm_index) {",
     "    if (!t->confirming_now || (!BUG && (!t->confirmed ||\n"
     "        store_applied_index(r->store) < t->confirm_index))) {"),
    ("lease-revoked-by-deposed-leader", None, "store/lease.c",
     "    if (c->lease_term != 0 && c->lease_term != term) {",
     "    if (!BUG && c->lease_term != 0 && c->lease_term != term) {"),
    ("renewal-of-one-that-goes", "a lease on its way out is said to be renewed",
     "node/lease_lead.c",
     "    if (l->revoking || l->deadline.at <= r->leases.confirm_from_ns) {",
     "    if (!BUG && (l->revoking || l->deadline.at <= r->leases.confirm_from_ns)) {"),

    # --- members (hunted with changes of them in every seed) ---
    ("learner-counts", "a learner's acknowledgement commits", "raft/members.c",
     "    return raft_joint_committed(&m->conf.incoming, &m->conf.outgoing, match_of,",
     "    struct raft_ids all = m->conf.incoming;\n"
     "    for (size_t i = 0; BUG && i < m->conf.learners.count; i++) {\n"
     "        all.list[all.count++] = m->conf.learners.list[i];\n"
     "    }\n"
     "    return raft_joint_committed(&all, &m->conf.outgoing, match_of,"),
    ("promoted-too-early", "a learner is promoted that is not in sync",
     "node/replica_judge.c",
     "    if (10 * match_of(r, c->id) < 9 * own) {",
     "    if (!BUG && 10 * match_of(r, c->id) < 9 * own) {"),
    ("second-change", "a change is proposed while another is pending",
     "raft/propose.c",
     "    const bool is_pending = pending_index > r->log.applied;",
     "    const bool is_pending = !BUG && pending_index > r->log.applied;"),
    ("second-change", None, "node/replica_members.c",
     "    return s.committed_in_term && s.applied >= s.hard.commit && !s.is_joint;",
     "    return s.committed_in_term && (BUG || s.applied >= s.hard.commit) && !s.is_joint;"),
    ("second-change", None, "node/replica_members.c",
     "    while (!r->order_out && r->orders_count > 0 && lead_one(r)) {",
     "    while ((BUG || !r->order_out) && r->orders_count > 0 && lead_one(r)) {"),
    ("joint-by-new-half", "the new half of a joint configuration decides alone",
     "raft/quorum.c", "    return in < out ? in : out;",
     "    return BUG || in < out ? in : out;"),
    ("joint-by-new-half", None, "raft/quorum.c",
     "    const enum raft_vote_result out =\n"
     "        raft_majority_vote(outgoing, voted, context);",
     "    const enum raft_vote_result out = BUG ? in :\n"
     "        raft_majority_vote(outgoing, voted, context);"),
    ("state-without-configuration",
     "a state is installed without the configuration it came with",
     "raft/restore.c", "    raft_switch_conf(r, &sets, NULL);",
     "    const struct raft_conf_sets none = {.incoming = {0}};\n"
     "    raft_switch_conf(r, BUG ? &none : &sets, NULL);"),
    ("state-with-newer-configuration",
     "a state is sent with the configuration of now, not of its index",
     "node/replica_conf.c",
     "    while (i > 0 && r->confs[i - 1].index > index) {",
     "    while (!BUG && i > 0 && r->confs[i - 1].index > index) {"),
    ("removed-leader-stays", "a leader that was removed leads on", "raft/membership.c",
     "        if (r->config.step_down_on_removal) {",
     "        if (!BUG && r->config.step_down_on_removal) {"),
    ("removed-leader-stays", None, "raft/tick.c",
     "            r->config.removed_may_lead) {",
     "            !BUG && r->config.removed_may_lead) {"),
    ("removed-too-early", "who was removed is told before that is durable",
     "node/replica.c",
     "           r->confs[r->confs_count - 1].index <=\n"
     "               store_durable_index(r->store) &&",
     "           (BUG || r->confs[r->confs_count - 1].index <=\n"
     "               store_durable_index(r->store)) &&"),
    ("joint-leaver-ends",
     "who a joint configuration still needs is sent away", "node/membership.c",
     "           !is_in(m->conf.outgoing, m->conf.outgoing_count, id);",
     "           (BUG || !is_in(m->conf.outgoing, m->conf.outgoing_count, id));"),
    ("wiped-member-returns", "who has lost its data comes back as who it was",
     "node/membership.c", "    if (self == NULL || !self->started) {",
     "    if (BUG || self == NULL || !self->started) {"),
    ("one-answer-is-enough", "who joins believes the first who answers",
     "node/join.c", "    return heard >= wanted", "    return BUG || heard >= wanted"),
    ("first-entry-again", "a restarted member has entry 1 for newcomers again",
     "node/replica_log.c", "    if (r->membership->changed_index > 0 &&",
     "    if (!BUG && r->membership->changed_index > 0 &&"),
    ("removed-never-leads", "who was removed alone has the newest entry, and sits on it",
     "node/replica.c", "        .removed_may_lead = true,",
     "        .removed_may_lead = !BUG,"),
]

# With how many members each seed begins: groups of two voters, or joint
# configurations with somebody new.
MEMBERS = {"state-with-newer-configuration": 3, "joint-by-new-half": 3,
           "removed-leader-stays": 3, "removed-too-early": 1,
           "first-entry-again": 1, "removed-never-leads": 1}

# Each seed has changes of the members.
CHANGES = {b[0] for b in BUGS[[b[0] for b in BUGS].index("learner-counts"):]}

/* What happens to members from outside: messages that arrive or not, crashes,
 * restarts, snapshots, and what clients and operators ask. */

#include "base/must.h"
#include "tests/lib/test.h"
#include "tests/raft/cluster_internal.h"

void cluster_deliver(struct cluster *c, size_t at, bool doubled)
{
    struct raft_message m;
    cluster_queue_take(&c->network, at, &m);
    struct cluster_member *to =
        m.to <= c->count ? cluster_member(c, m.to) : NULL;
    if (to != NULL && to->raft != NULL && !c->cut[m.from][m.to]) {
        for (int i = 0; i < (doubled ? 2 : 1); i++) {
            const enum status st = raft_step(to->raft, &m);
            EXPECT(st != ST_INVALID && st != ST_CORRUPT);
            raft_check(to->raft);
        }
    }
    raft_message_fini(&m);
}

void cluster_lose(struct cluster *c, size_t at)
{
    struct raft_message m;
    cluster_queue_take(&c->network, at, &m);
    raft_message_fini(&m);
}

void cluster_crash(struct cluster *c, uint64_t id, size_t kept)
{
    struct cluster_member *m = cluster_member(c, id);
    for (size_t i = 0; i < m->append_work.count && i < kept; i++) {
        cluster_save(m, &m->append_work.list[i]);
    }
    raft_free(m->raft);
    m->raft = NULL;
    cluster_queue_clear(&m->append_work);
    cluster_queue_clear(&m->apply_work);
    m->reads_count = 0;
}

void cluster_restart(struct cluster *c, uint64_t id)
{
    struct cluster_member *m = cluster_member(c, id);
    must(m->raft == NULL);
    /* The state machine starts from the snapshot and applies again. */
    m->applied = 0;
    m->hash = 0;
    struct raft_storage *disk = raft_memory_storage_base(m->disk);
    struct raft_snapshot *s = NULL;
    if (disk->ops->snapshot(disk, &s) == ST_OK) {
        cluster_install(c, m, s);
        raft_snapshot_drop(s);
        const uint64_t first = raft_memory_storage_first_index(m->disk);
        if (m->applied + 1 > first) {
            const enum status st =
                raft_memory_storage_compact(m->disk, m->applied);
            EXPECT_INT(st, ST_OK);
        }
    }
    cluster_start(c, m);
}

bool cluster_lose_end(struct cluster *c, uint64_t id, uint64_t kept)
{
    struct cluster_member *m = cluster_member(c, id);
    must(m->raft == NULL);
    struct raft_storage *disk = raft_memory_storage_base(m->disk);
    struct raft_snapshot *s = NULL;
    if (disk->ops->snapshot(disk, &s) != ST_OK) {
        return false;
    }
    const uint64_t last = raft_memory_storage_last_index(m->disk);
    kept = kept > s->index ? kept : s->index;
    struct raft_entry_id end = {0, last};
    struct raft_hard_state hard;
    struct raft_conf_state conf;
    EXPECT_INT(disk->ops->initial_state(disk, &hard, &conf), ST_OK);
    EXPECT_INT(disk->ops->term(disk, last, &end.term), ST_OK);
    if (last > kept) {
        struct raft_memory_storage *cut = raft_memory_storage_new();
        EXPECT_INT(raft_memory_storage_apply_snapshot(cut, s), ST_OK);
        for (uint64_t i = s->index + 1; i <= kept; i++) {
            const struct raft_entry *e = raft_memory_storage_entry(m->disk, i);
            EXPECT_INT(raft_memory_storage_append(cut, e, 1), ST_OK);
        }
        hard.commit = s->index;
        raft_memory_storage_set_hard_state(cut, &hard);
        raft_memory_storage_free(m->disk);
        m->disk = cut;
        if (end.term > m->lost.term ||
            (end.term == m->lost.term && end.index > m->lost.index)) {
            m->lost = end;
        }
    }
    raft_snapshot_drop(s);
    return last > kept;
}

/* What the host does when a write ended: all is back, so the mark goes. */
void cluster_note_saved(struct cluster_member *m)
{
    uint64_t term = 0;
    struct raft_storage *disk = raft_memory_storage_base(m->disk);
    const uint64_t last = raft_memory_storage_last_index(m->disk);
    if (m->lost.index > 0 && disk->ops->term(disk, last, &term) == ST_OK &&
        (term > m->lost.term ||
         (term == m->lost.term && last >= m->lost.index))) {
        m->lost = (struct raft_entry_id){0, 0};
    }
}

void cluster_snapshot(struct cluster *c, uint64_t id, uint64_t kept)
{
    struct cluster_member *m = cluster_member(c, id);
    if (m->applied == 0 || m->applied != m->raft->log.applied) {
        return; /* what is applied and what raft knows of it: not now */
    }
    struct raft_conf_state conf;
    raft_conf(m->raft, &conf);
    struct payload *data = payload_copy_of(
        (struct bytes){(const uint8_t *)&m->hash, sizeof m->hash});
    enum status st = raft_memory_storage_create_snapshot(m->disk, m->applied,
                                                         &conf, data, NULL);
    payload_drop(data);
    if (st != ST_OK || m->applied <= kept) {
        return;
    }
    st = raft_memory_storage_compact(m->disk, m->applied - kept);
    EXPECT(st == ST_OK || st == ST_COMPACTED);
}

/* ---- Requests ---- */

enum status cluster_propose(struct cluster *c, uint64_t id)
{
    const uint64_t number = ++c->proposals;
    struct payload *p = payload_copy_of(
        (struct bytes){(const uint8_t *)&number, sizeof number});
    const enum status st = raft_propose(cluster_raft(c, id), &p, 1);
    payload_drop(p);
    return st;
}

enum status cluster_read(struct cluster *c, uint64_t id)
{
    struct cluster_member *m = cluster_member(c, id);
    if (m->reads_count == count_of(m->reads)) {
        m->reads_count = 0; /* most were lost with their messages */
    }
    const struct cluster_read read = {.number = ++c->reads,
                                      .at_least = c->records_count};
    struct payload *p = payload_copy_of(
        (struct bytes){(const uint8_t *)&read.number, sizeof read.number});
    const enum status st = raft_read_index(cluster_raft(c, id), p);
    payload_drop(p);
    if (st == ST_OK) {
        m->reads[m->reads_count++] = read;
    }
    return st;
}

enum status cluster_change(struct cluster *c, uint64_t id,
                           const struct raft_conf_change *cc)
{
    return raft_propose_conf_change(cluster_raft(c, id),
                                    RAFT_ENTRY_CONF_CHANGE_V2, cc);
}

/* A damaged log: what a disk did to a member while it was down.
 *
 * Within the fault model only (reliability.md 1.6): one member at a time lacks
 * what it promised, or there might be nobody left who has it; and the log's end
 * can be told, or no member would start with it. */

#include "base/must.h"
#include "node/mend.h"
#include "tests/sim/internal.h"

static void ignore(void *arg, const struct raft_entry *e)
{
    (void)arg;
    (void)e;
}

static bool is_mendable(const struct disk_sim *medium,
                        const struct wal_options *wo)
{
    struct disk_sim *copy = disk_sim_clone(medium, 1);
    struct disk *disk;
    struct wal_recovery recovery;
    struct wal *w = NULL;
    struct fault fault;
    enum status st = disk_sim_open(copy, &disk, &fault);
    must(st == ST_OK);
    st = wal_open(disk, wo, ignore, NULL, &recovery, &w, &fault);
    wal_close(w);
    disk_sim_free(copy);
    return st == ST_CORRUPT && recovery.end_is_known;
}

void member_damage(struct member *m)
{
    must(!m->up);
    struct sim *s = m->sim;
    for (uint32_t i = 0; i < s->members_count; i++) {
        if (!membership_can_spare(s, m) || s->members[i].lost_index > 0) {
            return;
        }
    }
    const struct wal_options wo = member_wal_options(m);
    for (int tries = 0; tries < 20; tries++) {
        char name[256];
        uint64_t offset;
        struct disk_sim *copy =
            disk_sim_clone(m->disk_sim, prng_next(&s->prng));
        if (disk_sim_flip_any(copy, name, &offset) && is_mendable(copy, &wo)) {
            disk_sim_free(m->disk_sim);
            m->disk_sim = copy;
            sim_count(s, SIM_FAULT_LOG_DAMAGED);
            sim_note(s, "%u has its log damaged, %s at %llu", member_number(m),
                     name, (unsigned long long)offset);
            return;
        }
        disk_sim_free(copy);
    }
}

enum status member_mend(struct member *m, struct wal_recovery *recovery,
                        struct fault *reterr)
{
    struct disk *disk;
    const struct wal_options wo = member_wal_options(m);
    m->lost_index = recovery->end_index;
    m->lost_term = recovery->end_term;
    enum status st = disk_sim_open(m->disk_sim, &disk, reterr);
    must(st == ST_OK);
    st = mend_log(disk, &wo, m->replica, recovery, &m->wal, reterr);
    sim_note(m->sim, "%u goes on behind %llu, had up to %llu", member_number(m),
             (unsigned long long)recovery->last_index,
             (unsigned long long)m->lost_index);
    return st;
}

void member_note_regained(struct member *m)
{
    if (m->lost_index > 0 && !replica_has_lost(m->replica)) {
        sim_note(m->sim, "%u has all again", member_number(m));
        m->lost_index = m->lost_term = 0;
    }
}

/* A damaged log: what a disk did to a member while it was down.
 *
 * Within the fault model only (reliability.md 1.6): one member at a time lacks
 * what it promised, or there might be nobody left who has it; and the log's end
 * can be told, or no member would start with it. */

#include "base/must.h"
#include "node/mend.h"
#include "tests/sim/internal.h"

#define SECTOR 512

static void ignore(void *arg, const struct raft_entry *e)
{
    (void)arg;
    (void)e;
}

/* What a start would find; the recovery says more. */
static enum status look(const struct disk_sim *medium,
                        const struct wal_options *wo, struct wal_recovery *ret)
{
    struct disk_sim *copy = disk_sim_clone(medium, 1);
    struct disk *disk;
    struct wal *w = NULL;
    struct fault fault;
    enum status st = disk_sim_open(copy, &disk, &fault);
    must(st == ST_OK);
    st = wal_open(disk, wo, ignore, NULL, ret, &w, &fault);
    wal_close(w);
    disk_sim_free(copy);
    return st;
}

/* A bit that flips by itself; a write that never came to the disk; one that
 * went to another place. */
static const enum sim_fault harms[] = {
    SIM_FAULT_LOG_DAMAGED, SIM_FAULT_WRITE_LOST, SIM_FAULT_WRITE_MISDIRECTED};

/* The copy, in which a bit near `offset` was turned over, gets that harm
 * instead; false when it would be none. */
static bool harm(struct sim *s, const struct disk_sim *medium,
                 struct disk_sim **copy, enum sim_fault kind, const char *name,
                 uint64_t offset)
{
    if (kind == SIM_FAULT_LOG_DAMAGED) {
        return true;
    }
    const struct bytes old = disk_sim_contents(medium, name);
    const uint64_t at = offset - offset % SECTOR;
    const uint64_t size = old.size - at < SECTOR ? old.size - at : SECTOR;
    static const uint8_t nothing[SECTOR];
    if (memcmp(old.data + at, nothing, size) == 0) {
        return false; /* nothing was written there */
    }
    struct buf file = {0};
    buf_append(&file, old);
    if (kind == SIM_FAULT_WRITE_MISDIRECTED) {
        const uint64_t to =
            prng_below(&s->prng, (old.size - size) / SECTOR + 1) * SECTOR;
        memcpy(file.data + to, old.data + at, size);
    }
    memset(file.data + at, 0, size);
    disk_sim_free(*copy);
    *copy = disk_sim_clone(medium, prng_next(&s->prng));
    disk_sim_put(*copy, name, buf_bytes(&file));
    buf_fini(&file);
    return true;
}

/* A byte that changed by itself is always seen (wal.h, W3); a sector that reads
 * as never written is not where nothing behind it was synced. */
static bool is_mendable(struct member *m, const struct disk_sim *copy,
                        const struct wal_options *wo, enum sim_fault kind)
{
    struct wal_recovery now = {0}, before = {0};
    const enum status st = look(copy, wo, &now);
    if (st == ST_OK && kind == SIM_FAULT_LOG_DAMAGED &&
        look(m->disk_sim, wo, &before) == ST_OK &&
        now.last_index < before.last_index) {
        sim_fail(m->sim,
                 "member %u's log ended with entry %llu, and a changed byte in "
                 "it makes it end with %llu",
                 member_number(m), (unsigned long long)before.last_index,
                 (unsigned long long)now.last_index);
    }
    return st == ST_CORRUPT && now.end_is_known;
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
    for (int tries = 0; tries < 40; tries++) {
        char name[256];
        uint64_t offset;
        struct disk_sim *copy =
            disk_sim_clone(m->disk_sim, prng_next(&s->prng));
        const enum sim_fault kind = harms[prng_below(&s->prng, 3)];
        if (disk_sim_flip_any(copy, name, &offset) &&
            harm(s, m->disk_sim, &copy, kind, name, offset) &&
            is_mendable(m, copy, &wo, kind)) {
            disk_sim_free(m->disk_sim);
            m->disk_sim = copy;
            sim_count(s, kind);
            sim_note(s, "%u has its log damaged, kind %d, %s at %llu",
                     member_number(m), (int)kind, name,
                     (unsigned long long)offset);
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

/* Replay.  The last segment is read first: where it ends, and from where on its
 * entries count, only its last record knows.  Then the segments that hold what
 * counts are found by following each head to the one before, and everything is
 * read in order and handed over. */

#include "wal/replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "wal/scan.h"

#define CORRUPT_TEXT_SIZE 200

struct reading {
    struct disk *disk;
    const struct directory *d;
    void (*entry)(void *arg, const struct raft_entry *e);
    void *arg;
    struct wal_recovery *recovery;
    struct replay replay;
    uint64_t start_index; /* what is at or below it does not count */
    /* The newest segment ends in damage, described here. */
    bool damaged;
    struct scan_bad bad;
    char what[CORRUPT_TEXT_SIZE];
    struct raft_hard_state end_state; /* when the log's end is known */
};

enum status replay_corrupt(struct fault *reterr, uint32_t segment,
                           uint64_t offset, const char *what)
{
    return fault_set(
        reterr, ST_CORRUPT,
        "the log is damaged: segment %08x at offset %ju, %s. Nothing was "
        "changed. Check the disk; then replace this member from its peers "
        "(remove it, empty its data directory, add it again), or restore a "
        "snapshot if there are none",
        segment, (uintmax_t)offset, what);
}

/* The same of this log, and for whoever can mend it. */
static enum status is_corrupt(struct reading *r, uint32_t segment,
                              uint64_t offset, const char *what,
                              struct fault *reterr)
{
    (void)snprintf(r->recovery->damaged_text, sizeof r->recovery->damaged_text,
                   "segment %08x at offset %ju, %s", segment, (uintmax_t)offset,
                   what);
    return replay_corrupt(reterr, segment, offset, what);
}

static void describe(char ret[CORRUPT_TEXT_SIZE], const struct scan_bad *bad,
                     const char *how)
{
    if (bad->index == 0) {
        (void)snprintf(ret, CORRUPT_TEXT_SIZE, "a record %s", how);
    } else if (bad->term == 0) {
        (void)snprintf(ret, CORRUPT_TEXT_SIZE,
                       "a record that may hold entry %ju and later ones %s",
                       (uintmax_t)bad->index, how);
    } else {
        (void)snprintf(ret, CORRUPT_TEXT_SIZE, "entry %ju of term %ju %s",
                       (uintmax_t)bad->index, (uintmax_t)bad->term, how);
    }
}

static enum status open_scan(struct disk *disk, uint32_t id, uint32_t sectors,
                             struct scan *ret, struct fault *reterr)
{
    char name[SEGMENT_NAME_SIZE];
    struct disk_file *file = NULL;
    segment_name(id, name);
    const enum status st = disk->ops->open(disk, name, false, &file, reterr);
    if (st == ST_OK) {
        scan_init(ret, file, id, sectors);
    }
    return st;
}

static void close_scan(struct scan *s)
{
    struct disk_file *file = s->file;
    scan_fini(s);
    file->disk->ops->close(file);
}

/* --- where the log ends --- */

static void tell_torn(struct wal_recovery *to, const struct scan *s)
{
    to->torn = true;
    (void)snprintf(to->torn_text, sizeof to->torn_text,
                   "segment %08x, offset %ju: what was written there was never "
                   "synced and is not whole; the log ends after entry %ju",
                   s->segment, (uintmax_t)s->next * SECTOR_SIZE,
                   (uintmax_t)s->last_index);
}

/* Judges what ended the newest segment: the end, a torn tail, or damage. */
static enum status judge_end(struct reading *r, struct scan *s,
                             enum scan_found found, const struct scan_bad *bad,
                             struct fault *reterr)
{
    struct scan_rest rest;
    const enum status st = scan_rest(s, &rest, reterr);
    if (st != ST_OK) {
        return st;
    }
    struct scan_bad named = *bad;
    if (named.index == 0) {
        named.index = s->last_index + 1;
    }
    r->replay.opening_max = rest.opening_max;
    r->replay.unclean_end = rest.unclean_end;
    if (found == SCAN_DAMAGED || found == SCAN_TOO_NEW) {
        r->damaged = true;
        r->bad = named;
        describe(r->what, &named,
                 rest.vouched_by > 0 ? "is damaged, below a synced point"
                                     : "is damaged");
    } else if (rest.vouched_by > 0) {
        r->damaged = true;
        r->bad = named;
        describe(r->what, &named, "was synced and is gone");
    } else if (found == SCAN_TORN || rest.more) {
        tell_torn(r->recovery, s);
    }
    return ST_OK;
}

static void tell_end(struct reading *r, const struct raft_hard_state *state,
                     uint64_t index, uint64_t term)
{
    r->end_state = *state;
    r->recovery->end_is_known = true;
    r->recovery->end_index = index;
    r->recovery->end_term = term;
}

/* The newest segment is damaged in the middle: records behind the damage tell
 * how the log ended, and so does the damaged one itself when only its data is
 * gone.  Of a damaged last record's head nothing is known: it may have been a
 * vote. */
static enum status find_end_behind(struct reading *r, struct scan *s,
                                   enum scan_found found,
                                   const struct scan_bad *first,
                                   struct fault *reterr)
{
    struct scan_bad bad = *first;
    bool resumed = true;
    while (resumed && found != SCAN_TOO_NEW) {
        enum status st = scan_resume(s, &resumed, reterr);
        found = resumed ? SCAN_RECORD : found;
        while (st == ST_OK && found == SCAN_RECORD) {
            st = scan_record(s, &found, &bad, reterr);
        }
        if (st != ST_OK) {
            return st;
        }
    }
    if (found == SCAN_DAMAGED && bad.identified) {
        tell_end(r, &bad.hard_state, bad.last_index, bad.last_term);
    } else if (found == SCAN_FULL || found == SCAN_NOTHING ||
               found == SCAN_TORN) {
        tell_end(r, &s->head.hard_state, s->last_index, s->last_term);
    }
    return ST_OK;
}

static enum status find_end(struct reading *r, const struct found *last,
                            struct fault *reterr)
{
    struct scan s;
    enum status st = open_scan(r->disk, last->id, last->sectors, &s, reterr);
    if (st != ST_OK) {
        return st;
    }
    enum scan_found found = SCAN_RECORD;
    struct scan_bad bad;
    while (st == ST_OK && found == SCAN_RECORD) {
        st = scan_record(&s, &found, &bad, reterr);
    }
    if (st == ST_OK && s.next == 0) { /* it was whole a moment ago */
        st = fault_set(reterr, ST_IO,
                       "segment %08x reads differently the second time",
                       last->id);
    }
    if (st == ST_OK) {
        st = judge_end(r, &s, found, &bad, reterr);
    }
    if (st == ST_OK) {
        const uint64_t synced = s.head.synced / SECTOR_SIZE;
        r->replay.next = s.next;
        r->replay.chain = s.chain;
        r->replay.head = s.head;
        r->replay.last_index = s.last_index;
        r->replay.last_term = s.last_term;
        r->replay.synced = synced < s.next ? (uint32_t)synced : 0;
        r->start_index = s.head.start_index;
    }
    if (st == ST_OK && r->damaged) {
        st = find_end_behind(r, &s, found, &bad, reterr);
    }
    close_scan(&s);
    return st;
}

/* --- which segments count --- */

static void prepend(struct replay *to, const struct found *f)
{
    to->run = xrealloc(to->run, (to->count + 1) * sizeof to->run[0]);
    memmove(to->run + 1, to->run, to->count * sizeof to->run[0]);
    to->run[0] = (struct segment){.id = f->id, .sectors = f->sectors};
    to->count++;
}

/* Back from the newest until everything above the start is covered. */
static enum status find_run(struct reading *r, const struct found *last,
                            struct fault *reterr)
{
    const struct found *f = last;
    prepend(&r->replay, f);
    while ((f->head.flags & RECORD_RESET) == 0 &&
           f->head.last_index > r->start_index) {
        const uint32_t id = f->head.previous;
        const struct found *before = directory_find(r->d, id);
        r->recovery->damaged_index = r->start_index + 1;
        if (before == NULL || id >= f->id) {
            return is_corrupt(r, id, 0,
                              "the file is missing, and entries that are "
                              "still needed with it",
                              reterr);
        }
        if (before->kind != FOUND_LIVE) {
            return is_corrupt(r, id, 0,
                              before->why != NULL ? before->why
                                                  : "its contents are gone",
                              reterr);
        }
        r->recovery->damaged_index = 0;
        prepend(&r->replay, before);
        f = before;
    }
    if (f->head.last_index > r->start_index) {
        return is_corrupt(r, f->id, 0,
                          "the log was started again behind its start", reterr);
    }
    return ST_OK;
}

/* --- handing over --- */

/* Entries above the start.  When the log ends at its start there are none,
 * though a leader may have replaced some that once were.  False: whole records
 * that do not belong together. */
static bool hand_over(struct reading *r, const struct scan *s)
{
    uint64_t at = 0;
    if (r->replay.last_index <= r->start_index) {
        return true;
    }
    for (uint32_t i = 0; i < s->head.entries; i++) {
        struct bytes data;
        const struct identifier id = scan_entry(s, i, &at, &data);
        if (id.index <= r->start_index) {
            continue;
        }
        if (id.index - 1 > r->recovery->last_index) {
            return false; /* those between are missing */
        }
        struct raft_entry e = {.term = id.term,
                               .index = id.index,
                               .type = (enum raft_entry_type)id.type};
        if (data.size > 0) {
            e.payload = payload_copy_of(data);
        }
        if (r->recovery->first_index == 0) {
            r->recovery->first_index = id.index;
        }
        r->recovery->last_index = id.index;
        r->entry(r->arg, &e);
        payload_drop(e.payload);
    }
    return true;
}

static enum status is_contradictory(struct reading *r, uint32_t segment,
                                    struct fault *reterr)
{
    r->recovery->damaged_index = r->recovery->last_index + 1;
    return is_corrupt(r, segment, 0,
                      "entries are missing between whole records", reterr);
}

/* Reads one segment of the run up to sector `end`, where the record with the
 * checksum `chain` must have ended. */
static enum status read_segment(struct reading *r, size_t place, uint32_t end,
                                uint32_t chain, struct fault *reterr)
{
    struct segment *segment = &r->replay.run[place];
    struct scan s;
    struct scan_bad bad = {0};
    enum scan_found found = SCAN_RECORD;
    enum status st =
        open_scan(r->disk, segment->id, segment->sectors, &s, reterr);
    if (st != ST_OK) {
        return st;
    }
    while (st == ST_OK && found == SCAN_RECORD && s.next < end) {
        st = scan_record(&s, &found, &bad, reterr);
        if (st == ST_OK && found == SCAN_RECORD && !hand_over(r, &s)) {
            st = is_contradictory(r, segment->id, reterr);
        }
    }
    segment->index_max = s.index_max;
    if (st == ST_OK && (s.next != end || s.chain != chain)) {
        char what[CORRUPT_TEXT_SIZE];
        if (bad.index == 0) {
            bad.index = s.last_index + 1;
        }
        describe(what, &bad, "is damaged, below a synced point");
        r->recovery->damaged_index = bad.index;
        r->recovery->damaged_term = bad.term;
        st = is_corrupt(r, segment->id, (uint64_t)bad.sector * SECTOR_SIZE,
                        what, reterr);
    }
    close_scan(&s);
    return st;
}

static enum status read_run(struct reading *r, struct fault *reterr)
{
    for (size_t i = 0; i < r->replay.count; i++) {
        uint32_t end = r->replay.next;
        uint32_t chain = r->replay.chain;
        if (i + 1 < r->replay.count) {
            const struct found *after =
                directory_find(r->d, r->replay.run[i + 1].id);
            must(after != NULL);
            end = after->head.previous_end;
            chain = after->head.chain;
        }
        const enum status st = read_segment(r, i, end, chain, reterr);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

/* The state that the last good record tells. */
static void tell_state(const struct replay *from, struct wal_recovery *to)
{
    to->hard_state = from->head.hard_state;
    to->start_index = from->head.start_index;
    to->start_term = from->head.start_term;
    /* A hint: of a batch that was cut it may point behind the end; and up to
     * the start the store has it all. */
    if (to->hard_state.commit > from->last_index) {
        to->hard_state.commit = from->last_index;
    }
    if (to->hard_state.commit < to->start_index) {
        to->hard_state.commit = to->start_index;
    }
    to->last_index = to->start_index;
}

enum status replay_log(struct disk *disk, const struct directory *d,
                       const struct found *last,
                       void (*entry)(void *arg, const struct raft_entry *e),
                       void *arg, struct wal_recovery *ret_recovery,
                       struct replay *ret, struct fault *reterr)
{
    must(last->kind == FOUND_LIVE);
    struct reading r = {.disk = disk,
                        .d = d,
                        .entry = entry,
                        .arg = arg,
                        .recovery = ret_recovery};
    ret_recovery->cluster_id = last->head.cluster_id;
    ret_recovery->member_id = last->head.member_id;
    enum status st = find_end(&r, last, reterr);
    if (st == ST_OK && r.replay.last_index < r.start_index) {
        st = is_corrupt(&r, last->id, 0, "the log ends before its start",
                        reterr);
    }
    if (st == ST_OK) {
        tell_state(&r.replay, ret_recovery);
        if (!r.damaged) {
            tell_end(&r, &r.replay.head.hard_state, r.replay.last_index,
                     r.replay.last_term);
        }
        st = find_run(&r, last, reterr);
    }
    if (st == ST_OK) {
        st = read_run(&r, reterr);
    }
    if (st == ST_OK && r.replay.last_index > r.start_index &&
        ret_recovery->last_index != r.replay.last_index) {
        st = is_contradictory(&r, last->id, reterr);
    }
    if (st == ST_OK && r.damaged) {
        ret_recovery->damaged_index = r.bad.index;
        ret_recovery->damaged_term = r.bad.term;
        st = is_corrupt(&r, last->id, (uint64_t)r.bad.sector * SECTOR_SIZE,
                        r.what, reterr);
    }
    if (st == ST_CORRUPT && ret_recovery->end_is_known) {
        ret_recovery->hard_state = r.end_state;
    }
    if (st != ST_OK) {
        replay_fini(&r.replay);
        return st;
    }
    *ret = r.replay;
    return ST_OK;
}

void replay_fini(struct replay *r)
{
    free(r->run);
    *r = (struct replay){0};
}

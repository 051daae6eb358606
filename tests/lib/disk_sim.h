/* A disk in memory that behaves as badly as a disk may, and repeats itself
 * under a seed.  Code under test sees it as a `struct disk` (base/disk.h).
 *
 * The medium outlives its users: disk_sim_open() gives a `struct disk` on it,
 * whoever takes that over frees it, and the medium can be opened again, which
 * is a restart of the process.  disk_sim_crash() is a power cut in between.
 *
 * What a power cut leaves:
 *  - of every 512-byte sector written since the file's last sync(): any state
 *    it went through, or a torn one (part new, part old). Each file draws one
 * of four tempers: everything kept, everything lost, writes kept in order up to
 *    a cut, every sector on its own;
 *  - a size between the last synced one and the last one; where the size grew
 *    and the data was lost, zeros;
 *  - of every name created, renamed or removed since the last sync_names(): any
 *    subset that makes sense, a rename being whole or not at all. Syncing a
 * file does not make its name durable.
 *
 * A sync that is made to fail leaves what a power cut could leave, and then
 * forgets that anything was unsynced, as kernels do: a second sync "succeeds",
 * and the loss shows after the next crash.  A write that fails may have written
 * its beginning.
 *
 * Threads: one at a time.
 */
#ifndef TESTS_LIB_DISK_SIM_H
#define TESTS_LIB_DISK_SIM_H

#include "base/disk.h"

struct disk_sim;

struct disk_sim *disk_sim_new(uint64_t seed);
/* All `struct disk` on it must have been freed; NULL is fine. */
void disk_sim_free(struct disk_sim *sim);
/* The same contents, synced and not, under another seed and without the
 * planned faults: to try several outcomes of one crash. */
struct disk_sim *disk_sim_clone(const struct disk_sim *sim, uint64_t seed);

/* ST_BUSY while another `struct disk` of this medium is open and no crash came
 * since. */
enum status disk_sim_open(struct disk_sim *sim, struct disk **ret,
                          struct fault *reterr) MUST_USE;

/* The power cut. A `struct disk` and the files that are open on it fail with
 * ST_IO from now on and can only be closed and freed. */
void disk_sim_crash(struct disk_sim *sim);

/* --- faults --- */

enum disk_sim_op {
    DISK_SIM_OPEN = 1 << 0, /* of a file that exists */
    DISK_SIM_CREATE = 1 << 1,
    DISK_SIM_READ = 1 << 2,
    DISK_SIM_WRITE = 1 << 3,
    DISK_SIM_SYNC = 1 << 4,
    DISK_SIM_SIZE = 1 << 5,
    DISK_SIM_RENAME = 1 << 6,
    DISK_SIM_REMOVE = 1 << 7,
    DISK_SIM_SYNC_NAMES = 1 << 8,
    DISK_SIM_LIST = 1 << 9,
    DISK_SIM_SPACE = 1 << 10,
};
/* What changes the disk. */
#define DISK_SIM_CHANGES                                                       \
    (DISK_SIM_CREATE | DISK_SIM_WRITE | DISK_SIM_SYNC | DISK_SIM_RENAME |      \
     DISK_SIM_REMOVE | DISK_SIM_SYNC_NAMES)
#define DISK_SIM_ALL ((1u << 11) - 1)

enum disk_sim_what {
    DISK_SIM_FAIL,      /* the operation returns `st` */
    DISK_SIM_CUT,       /* power is cut during it: it and all later ones return
                           ST_IO; disk_sim_crash() then settles what is left */
    DISK_SIM_LOSE,      /* a write that says it went well and never happens */
    DISK_SIM_MISDIRECT, /* a write that lands in another sector of the file */
};

struct disk_sim_fault {
    unsigned on;          /* disk_sim_op bits */
    uint64_t after;       /* so many of these operations go well first */
    uint32_t per_million; /* not 0: instead, each of them by this chance */
    bool forever;         /* every one from there on; else once. By chance: as
                             often as chance has it */
    enum disk_sim_what what;
    enum status st; /* for DISK_SIM_FAIL: ST_IO or ST_NO_SPACE */
};

/* At most 8 faults wait at a time; the first that strikes an operation wins. */
void disk_sim_plan(struct disk_sim *sim, struct disk_sim_fault fault);
void disk_sim_unplan_all(struct disk_sim *sim);
/* How often a planned fault struck: 0 after a run says that the loop over
 * "the n-th operation fails" has come to its end. */
uint64_t disk_sim_faults_struck(const struct disk_sim *sim);

/* Bytes that all files together may hold; 1 TiB at first. Beyond it a write
 * writes what fits and returns ST_NO_SPACE. */
void disk_sim_set_capacity(struct disk_sim *sim, uint64_t bytes);
/* What they hold now. */
uint64_t disk_sim_used(const struct disk_sim *sim);
/* What power cuts and failed syncs did: writes of which nothing is left, and
 * sectors of which a part is. */
struct disk_sim_losses {
    uint64_t lost, torn;
};
struct disk_sim_losses disk_sim_losses(const struct disk_sim *sim);

/* --- looking at the medium, and damaging it --- */

/* The file as a reader would see it; borrowed until the next change.  Has a
 * NULL pointer when there is no such file. */
struct bytes disk_sim_contents(const struct disk_sim *sim, const char *name);
/* Makes or replaces a file; it is durable at once. */
void disk_sim_put(struct disk_sim *sim, const char *name,
                  struct bytes contents);
/* Inverts the bits of `mask` in one byte, durably; the file has it. */
void disk_sim_flip(struct disk_sim *sim, const char *name, uint64_t offset,
                   uint8_t mask);
/* Flips a random bit of a random file; false when all are empty. What was done
 * is in the outputs: name[256], offset. */
bool disk_sim_flip_any(struct disk_sim *sim, char *ret_name,
                       uint64_t *ret_offset);

/* After disk_sim_trace_on() one line for each change since the last clear, in
 * order:
 *   create a / write a 512+1024 / sync a / rename a b / remove a / sync names
 * with " -> <status name>" at the end of what failed. */
void disk_sim_trace_on(struct disk_sim *sim);
const char *disk_sim_trace(const struct disk_sim *sim);
void disk_sim_trace_clear(struct disk_sim *sim);
/* How many of these operations were asked for, failed ones included. */
uint64_t disk_sim_count(const struct disk_sim *sim, unsigned ops);

#endif

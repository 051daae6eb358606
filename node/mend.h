/* A log with damage in the middle goes on without its end.
 *
 * Only with other members: they have what was promised, or it was not
 * committed.  What is good before the damage stays, all behind goes, and
 * consensus is told which entry was the last (raft/lost.c), so that the member
 * votes as if it still had it, and does not lead, until everything is back.
 *
 * The caller keeps that entry's identifier where it outlives a crash before it
 * calls this, and until replica_has_lost() is false.
 */
#ifndef NODE_MEND_H
#define NODE_MEND_H

#include "node/replica.h"

/* After wal_open() said ST_CORRUPT and *recovery->end_is_known; r got what was
 * handed over.  Takes the disk over, also when it fails.  *recovery then is the
 * mended log's.  ST_NO_SPACE, ST_IO, ST_INVALID. */
enum status mend_log(struct disk *disk, const struct wal_options *options,
                     struct replica *r, struct wal_recovery *recovery,
                     struct wal **ret, struct fault *reterr) MUST_USE;

#endif

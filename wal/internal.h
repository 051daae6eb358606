/* What the files of wal/ share.  Numbers in sectors unless they say bytes. */
#ifndef WAL_INTERNAL_H
#define WAL_INTERNAL_H

#include <stdatomic.h>

#include "base/buf.h"
#include "wal/record.h"
#include "wal/wal.h"

#define SEGMENT_NAME_SIZE 16           /* "00000001.wal" and NUL */
#define SEGMENT_ID_MAX    0xefffffffu  /* 2^57 bytes have gone by then */
#define MAKING_NAME       "making.tmp" /* a segment not yet zero-filled */

struct segment {
    uint32_t id;
    uint32_t sectors;
    uint64_t index_max; /* of its entries, overwritten ones included */
};

struct wal {
    struct disk *disk;
    struct wal_options options;
    uint32_t segment_sectors; /* of a segment that we make */

    struct segment *live; /* oldest first; the last one is written to */
    size_t live_count;
    uint32_t *spares; /* ids, in order of use; all segment_sectors long */
    size_t spares_count;
    uint32_t id_next; /* above every id in use */

    struct disk_file *making; /* MAKING_NAME while it is being filled */
    uint64_t made;            /* bytes of it */
    bool making_is_there;     /* the name, until it is renamed or removed */

    struct disk_file *file; /* of the last live segment */
    uint32_t next;          /* where the next record goes */
    uint32_t synced;        /* sectors of it that are known to be synced */
    bool dirty;             /* written since */
    uint32_t opening;
    uint32_t chain;
    struct buf out;  /* records that are not yet written ... */
    uint32_t out_at; /* ... and the sector they belong at */

    struct raft_hard_state hard_state;
    uint64_t cluster_id, member_id;
    uint64_t start_index, start_term;
    uint64_t last_index, last_term;

    bool failed; /* for good (W5); fault says why */
    struct fault fault;

    /* Shared with the loop, which promises (space.c). */
    _Atomic uint64_t room;     /* spares << 32 | sectors left for batches */
    _Atomic uint64_t promised; /* bytes, overhead included */
    uint64_t promise_max;      /* the loop's: largest one since none waited */

    _Atomic uint64_t syncs, writes, bytes_written; /* one writer */
    _Atomic uint64_t segments, bytes_on_disk;
};

/* files.c: the directory's files, every change counted; a failure is final
 * unless it says otherwise. */
void segment_name(uint32_t id, char ret[SEGMENT_NAME_SIZE]);
/* 0: not the name of a segment. */
uint32_t segment_id(const char *name);
/* Marks the log as failed and hands the fault on; returns st. */
enum status wal_fail(struct wal *w, enum status st, const struct fault *why,
                     struct fault *reterr) MUST_USE;
enum status wal_refuse(const struct wal *w, struct fault *reterr) MUST_USE;
enum status wal_file_write(struct wal *w, struct disk_file *f, uint64_t offset,
                           struct bytes data, struct fault *reterr) MUST_USE;
enum status wal_file_sync(struct wal *w, struct disk_file *f,
                          struct fault *reterr) MUST_USE;

/* space.c */
void wal_publish_room(struct wal *w);
/* Makes segments until `count` are spare. ST_NO_SPACE is not final. */
enum status wal_make_spares(struct wal *w, size_t count,
                            struct fault *reterr) MUST_USE;
/* A slice of the next segment, when there is none: a host that is never idle
 * makes it bit by bit.  A full disk fails nothing here. */
enum status wal_make_some_ahead(struct wal *w, struct fault *reterr) MUST_USE;
void wal_add_spare(struct wal *w, uint32_t id);
/* One segment becomes a spare, or goes; the names are not synced yet, and a
 * failure is the caller's to make final. */
enum status wal_retire(struct wal *w, const struct segment *s,
                       struct fault *why) MUST_USE;
/* The oldest `count` live segments become spares, or go. */
enum status wal_recycle(struct wal *w, size_t count,
                        struct fault *reterr) MUST_USE;
void wal_keep_promise(struct wal *w, const struct raft_entry *entries,
                      size_t count);

/* append.c */
/* Sectors at the end of each segment that batches do not use. */
uint32_t wal_sectors_kept(const struct wal *w);
/* Begins the first spare; `flags` as in record_head. */
enum status wal_roll(struct wal *w, uint32_t flags,
                     struct fault *reterr) MUST_USE;
/* A record without entries, to tell the state; rolls when it must. */
enum status wal_append_state(struct wal *w, struct fault *reterr) MUST_USE;
enum status wal_flush(struct wal *w, struct fault *reterr) MUST_USE;

/* rewrite.c: what no record vouches for, from w->synced to w->next, is written
 * again as it is.  After a failed sync the kernel may hold it as clean though
 * the disk never got it: then only a new write makes the next sync true. */
enum status wal_rewrite_tail(struct wal *w, struct fault *reterr) MUST_USE;
/* Cleans sectors [from, to) of a segment's file (sector_clean_step), synced. */
enum status wal_clean(struct wal *w, struct disk_file *f, uint32_t segment,
                      uint32_t from, uint32_t to,
                      struct fault *reterr) MUST_USE;

/* wal.c */
struct wal *wal_new(struct disk *disk, const struct wal_options *options);

#endif

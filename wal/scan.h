/* Reading a segment record by record, believing nothing.
 *
 * Threads: none; one user.
 */
#ifndef WAL_SCAN_H
#define WAL_SCAN_H

#include "base/disk.h"
#include "wal/record.h"

struct scan {
    struct disk_file *file; /* borrowed */
    uint32_t segment;
    uint32_t sectors; /* of the file */

    /* after the last good record */
    uint32_t next;    /* sector where the next record begins */
    uint32_t chain;   /* that record's checksum */
    uint32_t opening; /* that record's */
    uint64_t last_index, last_term;
    uint64_t index_max; /* of the entries in this segment so far */
    struct record_head head;

    /* private */
    struct buf window; /* sectors [window_first, ...) of the file */
    uint32_t window_first;
    struct buf meta, data; /* of the record at hand */
};

/* The file is `sectors` long, at least one. */
void scan_init(struct scan *s, struct disk_file *file, uint32_t segment,
               uint32_t sectors);
void scan_fini(struct scan *s);

enum scan_found {
    SCAN_RECORD,  /* s->head and the entries are there; s->next is behind it */
    SCAN_FULL,    /* the file ends here */
    SCAN_NOTHING, /* no record was written here */
    SCAN_TORN,    /* one begins and some of its sectors were never written */
    SCAN_DAMAGED,
    SCAN_TOO_NEW, /* a segment of a later program's format */
};
/* Where, and which entry: the first that the bad sectors belong to; index 0
 * when none does, term 0 when the identifiers are gone too. */
struct scan_bad {
    uint32_t sector;
    uint64_t index, term;
    /* Head and identifiers are right, only data is not: */
    bool identified;
    struct raft_hard_state hard_state;
    uint64_t last_index, last_term; /* of the log after this record */
};
/* The next record; bad is set with SCAN_TORN and SCAN_DAMAGED.
 *   ST_IO  the file cannot be read                                           */
enum status scan_record(struct scan *s, enum scan_found *ret_found,
                        struct scan_bad *ret_bad,
                        struct fault *reterr) MUST_USE;

/* Entry i of the record at hand; borrowed bytes, valid until the next record.
 * Call in order from 0, with *at = 0 at first. */
struct identifier scan_entry(const struct scan *s, uint32_t i, uint64_t *at,
                             struct bytes *ret_data);

/* Behind damage: to the next place where a record may begin, of the last good
 * one's life or a later.  False: there is none. */
enum status scan_resume(struct scan *s, bool *ret_found,
                        struct fault *reterr) MUST_USE;

struct scan_rest {
    uint32_t vouched_by;  /* 0, or a later record that says this point was
                             synced when it was written */
    uint32_t opening_max; /* of all sectors seen, s->opening at least */
    uint32_t unclean_end; /* 0, or behind the last one that is not clean */
    bool more; /* sectors of the last record's life follow: torn off it */
};
/* What lies behind s->next, up to the end of the file. */
enum status scan_rest(struct scan *s, struct scan_rest *ret,
                      struct fault *reterr) MUST_USE;

/* Sector n, judged (and its stamps mended) in *ret_verdict; borrowed until the
 * next call. */
enum status scan_sector(struct scan *s, uint32_t n, uint8_t **ret_sector,
                        struct sector_verdict *ret_verdict,
                        struct fault *reterr) MUST_USE;

#endif

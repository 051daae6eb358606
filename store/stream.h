/* The shape of a state stream (docs/FORMATS.md, "State transfer"): its blocks,
 * and what the first and the last of them say. */
#ifndef STORE_STREAM_H
#define STORE_STREAM_H

#include "store/state.h"
#include "store/transfer.h"

#define STREAM_FORMAT        1u
#define STREAM_PREAMBLE_SIZE 12u
#define STREAM_HEAD_SIZE     20u
/* Of a block's body. */
#define STREAM_BODY_MAX ((size_t)256 << 20)

enum stream_kind {
    STREAM_STATE, /* the first block */
    STREAM_END,   /* the last one */
    STREAM_ROWS,  /* this and the following: rows of tree 0, 1, … */
};

/* Where in a stream a block begins, and the checksum of all before it. */
struct stream_place {
    uint64_t position; /* bytes from the stream's beginning */
    uint64_t number;   /* blocks */
    uint32_t crc;
};

/* What the state's block says, besides the state itself. */
struct stream_counts {
    uint64_t rows, bytes; /* estimates */
};

/* --- writing --- */

/* At the beginning of a stream. */
void stream_write_preamble(struct buf *to, struct stream_place *at);
/* Makes room for a block's head; its body is appended behind it. Returns where
 * the head begins in `to`. */
size_t stream_block_begin(struct buf *to);
void stream_block_end(struct buf *to, size_t begin, uint32_t kind,
                      struct stream_place *at);
void stream_write_state(struct buf *to, const struct state *s,
                        const struct stream_counts *counts);
/* `position` is where the last block begins. */
void stream_write_end(struct buf *to, const uint64_t *rows, uint64_t position);

/* --- reading --- */

/*   ST_INVALID  not a stream, or one of another format */
enum status stream_read_preamble(struct bytes preamble, struct stream_place *at,
                                 struct fault *reterr) MUST_USE;
struct stream_block {
    uint32_t kind;
    struct bytes body;
};
/* The size of the body of a block whose head is there.
 *   ST_CORRUPT */
enum status stream_read_head(struct bytes head, const struct stream_place *at,
                             size_t *ret_size, struct fault *reterr) MUST_USE;
/* A whole block, whose head was read before. The body is borrowed. Moves `at`
 * behind it.
 *   ST_CORRUPT */
enum status stream_read_block(struct bytes block, struct stream_place *at,
                              struct stream_block *ret,
                              struct fault *reterr) MUST_USE;
/* *ret is initialised before, and finished by the caller in any case.
 *   ST_INVALID  of another format of the store
 *   ST_CORRUPT */
enum status stream_read_state(struct bytes body, struct state *ret,
                              struct stream_counts *ret_counts,
                              struct fault *reterr) MUST_USE;
/* False when it is not the end of a stream with these rows. */
bool stream_is_end(struct bytes body, const uint64_t *rows, uint64_t position);

/* "the stream … is damaged at byte …: <why>" */
enum status stream_corrupt(const struct stream_place *at, const char *why,
                           struct fault *reterr) MUST_USE;

#endif

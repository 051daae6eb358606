/* struct raft_message (raft/message.h) to bytes and back: raft.proto.
 *
 * What raft_codec_encode() accepts, raft_codec_decode() accepts, and gives the
 * same message.  Both check shape and limits only: kinds and counts, so that
 * the message can be held.  Whether it makes sense is raft_step()'s to judge.
 *
 * Copies: encoding writes each payload once, straight into the buffer
 * (protobuf-c's pack into memory would move every entry a second time, so it is
 * not used).  Decoding copies each once, out of the frame into its own payload.
 *
 * Threads: none; payload counts belong to the loop's thread. */
#ifndef PROTO_RAFT_CODEC_H
#define PROTO_RAFT_CODEC_H

#include "base/buf.h"
#include "base/fault.h"
#include "raft/message.h"

/* The whole message, encoded. */
#define RAFT_CODEC_SIZE_MAX ((size_t)64 << 20)
/* Entries in one message. raft_entry_size() is at least 4, so no message that
 * raft makes with max_size_per_message up to 1 MiB has more. */
#define RAFT_CODEC_ENTRIES_MAX ((size_t)1 << 18)
/* What a read index carries to be known by. */
#define RAFT_CODEC_CONTEXT_SIZE_MAX ((size_t)64 << 10)
/* What unpacking may take beside the message, which is then let go. */
#define RAFT_CODEC_MEMORY_MAX ((size_t)192 << 20)

/* Appends the message to *to, which is left as it was on failure.
 *
 *   ST_INVALID    local, of no known type, with responses, with a member id
 *                 that is none, or holds an entry of no known type
 *   ST_TOO_LARGE  beyond one of the limits                                 */
enum status raft_codec_encode(const struct raft_message *m, struct buf *to,
                              struct fault *reterr) MUST_USE;

/* *ret owns everything in it (raft_message_fini()); `from` is borrowed for the
 * call.  Bytes may be anything.
 *
 *   ST_INVALID  not such a message, or beyond one of the limits            */
enum status raft_codec_decode(struct bytes from, struct raft_message *ret,
                              struct fault *reterr) MUST_USE;

/* Shape and limits, as above; for both directions, and for whoever hands a
 * message on by other means. */
enum status raft_codec_check(const struct raft_message *m,
                             struct fault *reterr) MUST_USE;

#endif

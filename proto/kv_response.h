/* Responses of etcd's KV service and events of its watches, from what kv/
 * speaks straight onto the end of a buffer: the sizes are added up, then
 * everything is written where it stays.
 */
#ifndef PROTO_KV_RESPONSE_H
#define PROTO_KV_RESPONSE_H

#include "base/buf.h"
#include "kv/types.h"

/* ResponseHeader as field 1 of what comes: of every response. */
void kv_response_header(struct buf *b, const struct kv_header *header);

void kv_response_range(struct buf *b, const struct kv_header *header,
                       const struct kv_range_result *result);
/* The whole RangeResponse is field 1 of RangeStreamResponse; without a header
 * when that is NULL. */
void kv_response_range_stream(struct buf *b, const struct kv_header *header,
                              const struct kv_range_result *result);
/* prev: NULL for none */
void kv_response_put(struct buf *b, const struct kv_header *header,
                     const struct kv_item *prev);
void kv_response_delete(struct buf *b, const struct kv_header *header,
                        int64_t deleted, const struct kv_item *prevs);
/* The headers of operations inside hold their revision alone: the one they ran
 * at, before or after the first change. */
void kv_response_txn(struct buf *b, const struct kv_header *header,
                     const struct kv_txn_result *result);
/* KeyValue as that field. */
void kv_response_item(struct buf *b, uint32_t field,
                      const struct kv_item *item);

struct kv_watch_response {
    struct kv_header header;
    int64_t id;
    bool created, canceled, fragment;
    int64_t compact_revision;
    const char *cancel_reason; /* NULL: none */
    const struct kv_event *events;
    size_t events_count;
};
size_t kv_response_watch_size(const struct kv_watch_response *w);
void kv_response_watch(struct buf *b, const struct kv_watch_response *w);
/* What one event adds to it. */
size_t kv_response_event_size(const struct kv_event *e);

#endif

/* The queues of reads, and which of them a confirmation covers. */

#include "raft/read_only.h"

#include <stdlib.h>

#include "base/must.h"

static void clear(struct raft_read_queue *q)
{
    for (size_t i = 0; i < q->count; i++) {
        payload_drop(q->list[q->start + i].context);
    }
    q->start = 0;
    q->count = 0;
}

void raft_read_only_fini(struct raft_read_only *ro)
{
    raft_read_only_reset(ro);
    free(ro->waiting.list);
    free(ro->early.list);
    ro->waiting = (struct raft_read_queue){.list = NULL};
    ro->early = (struct raft_read_queue){.list = NULL};
}

void raft_read_only_reset(struct raft_read_only *ro)
{
    clear(&ro->waiting);
    clear(&ro->early);
    ro->confirmed = 0;
}

void raft_read_queue_push(struct raft_read_queue *q,
                          const struct raft_read *read)
{
    if (q->start + q->count == q->capacity) {
        if (q->start >= q->count && q->start > 0) {
            memcpy(q->list, &q->list[q->start], q->count * sizeof q->list[0]);
            q->start = 0;
        } else {
            q->capacity = q->capacity == 0 ? 8 : q->capacity * 2;
            q->list = xrealloc(q->list, q->capacity * sizeof q->list[0]);
        }
    }
    must(q->start + q->count < q->capacity);
    q->list[q->start + q->count] = *read;
    (void)payload_hold(read->context);
    q->count++;
}

struct raft_read raft_read_queue_pop(struct raft_read_queue *q)
{
    must(q->count > 0);
    const struct raft_read read = q->list[q->start];
    q->start++;
    q->count--;
    if (q->count == 0) {
        q->start = 0;
    }
    return read;
}

uint64_t raft_read_only_position(const struct raft_read_only *ro)
{
    return ro->waiting.count == 0 ? 0 : ro->confirmed + ro->waiting.count;
}

size_t raft_read_only_confirm(struct raft_read_only *ro, uint64_t position)
{
    /* A peer cannot confirm what was not asked. */
    const uint64_t newest = ro->confirmed + ro->waiting.count;
    if (position > newest) {
        position = newest;
    }
    if (position <= ro->confirmed) {
        return 0;
    }
    const size_t count = (size_t)(position - ro->confirmed);
    ro->confirmed = position;
    return count;
}

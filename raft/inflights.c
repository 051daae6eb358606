/* The window of unacknowledged append messages. */

#include "raft/inflights.h"

#include <stdlib.h>

#include "base/must.h"

void raft_inflights_init(struct raft_inflights *in, uint32_t count_max,
                         uint64_t bytes_max)
{
    must(count_max > 0);
    *in =
        (struct raft_inflights){.count_max = count_max, .bytes_max = bytes_max};
}

void raft_inflights_fini(struct raft_inflights *in)
{
    free(in->ring);
    in->ring = NULL;
    in->capacity = 0;
    raft_inflights_reset(in);
}

bool raft_inflights_full(const struct raft_inflights *in)
{
    return in->count == in->count_max || in->bytes >= in->bytes_max;
}

static void grow(struct raft_inflights *in)
{
    const size_t capacity = in->capacity == 0 ? 4 : in->capacity * 2;
    struct raft_inflight *ring = xmalloc(capacity * sizeof ring[0]);
    for (size_t i = 0; i < in->count; i++) {
        ring[i] = raft_inflights_at(in, i);
    }
    free(in->ring);
    in->ring = ring;
    in->capacity = capacity;
    in->start = 0;
}

void raft_inflights_add(struct raft_inflights *in, struct raft_inflight sent)
{
    must(!raft_inflights_full(in));
    must(in->count == 0 ||
         raft_inflights_at(in, in->count - 1).index < sent.index);
    if (in->count == in->capacity) {
        grow(in);
    }
    in->ring[(in->start + in->count) % in->capacity] = sent;
    in->count++;
    in->bytes += sent.bytes;
}

void raft_inflights_free_to(struct raft_inflights *in, uint64_t index)
{
    while (in->count > 0 && in->ring[in->start].index <= index) {
        must(in->bytes >= in->ring[in->start].bytes);
        in->bytes -= in->ring[in->start].bytes;
        in->start = (in->start + 1) % in->capacity;
        in->count--;
    }
}

void raft_inflights_reset(struct raft_inflights *in)
{
    in->start = 0;
    in->count = 0;
    in->bytes = 0;
}

struct raft_inflight raft_inflights_at(const struct raft_inflights *in,
                                       size_t at)
{
    must(at < in->count);
    return in->ring[(in->start + at) % in->capacity];
}

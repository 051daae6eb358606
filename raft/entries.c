/* Growing arrays of entries that hold their payloads, and what an entry counts
 * for. */

#include "base/must.h"
#include "raft/message.h"

static void reserve(struct raft_entries *list, size_t count)
{
    if (count <= list->capacity) {
        return;
    }
    size_t capacity = list->capacity * 2;
    if (capacity < count) {
        capacity = count;
    }
    list->list = xrealloc(list->list, capacity * sizeof list->list[0]);
    list->capacity = capacity;
}

void raft_entries_add(struct raft_entries *list, const struct raft_entry *more,
                      size_t count)
{
    must(list->count <= list->capacity);
    reserve(list, list->count + count);
    for (size_t i = 0; i < count; i++) {
        list->list[list->count] = more[i];
        (void)payload_hold(more[i].payload);
        list->count++;
    }
}

void raft_entries_clear(struct raft_entries *list)
{
    for (size_t i = 0; i < list->count; i++) {
        payload_drop(list->list[i].payload);
    }
    list->count = 0;
}

void raft_entries_fini(struct raft_entries *list)
{
    raft_entries_clear(list);
    free(list->list);
    *list = (struct raft_entries){NULL, 0, 0};
}

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 128) {
        value >>= 7;
        size++;
    }
    return size;
}

/* Field tags are one byte each; a normal entry's type and an empty payload are
 * left out of the encoding. */
size_t raft_entry_size(const struct raft_entry *e)
{
    const size_t payload_size = payload_bytes(e->payload).size;
    size_t size = 1 + varint_size(e->term) + 1 + varint_size(e->index);
    if (e->type != RAFT_ENTRY_NORMAL) {
        size += 2;
    }
    if (e->payload != NULL) {
        size += 1 + varint_size(payload_size) + payload_size;
    }
    return size;
}

/* The small records that travel with the applied index. */

#include "store/internal.h"

enum status store_set_record(struct store *s, const char *name,
                             struct bytes value, struct fault *reterr)
{
    const enum status st = state_records_set(&s->state.records, name, value);
    if (st != ST_OK) {
        return fault_set(reterr, st, "cannot keep record '%s' (%zu bytes)",
                         name, value.size);
    }
    s->dirty = true;
    return ST_OK;
}

struct bytes store_record(const struct store *s, const char *name)
{
    const struct buf *b = state_records_find(&s->state.records, name);
    return b == NULL ? BYTES_NONE : buf_bytes(b);
}

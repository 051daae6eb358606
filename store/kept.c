/* Keeping flushes. */

#include "store/kept.h"

#include <stdlib.h>

void kept_add(struct kept_flushes *kept, struct store_flush *f,
              struct memtable *frozen)
{
    struct kept_flush *k = xcalloc(1, sizeof *k);
    k->frozen = frozen;
    k->numbers = f->numbers;
    k->records = f->records;
    f->records = (struct state_records){0};
    k->garbage_revision = f->garbage_revision;
    kept->bytes += memtable_bytes(frozen);
    list_push(&kept->list, &k->link);
}

void kept_free(struct kept_flush *k)
{
    memtable_free(k->frozen);
    state_records_fini(&k->records);
    free(k);
}

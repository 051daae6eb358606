/* What is known at any time without looking. */

#include "store/internal.h"

uint64_t store_applied_index(const struct store *s)
{
    return s->state.numbers.index;
}

uint64_t store_applied_term(const struct store *s)
{
    return s->state.numbers.term;
}

uint64_t store_durable_index(const struct store *s)
{
    return s->durable.index;
}

uint64_t store_durable_term(const struct store *s)
{
    return s->durable.term;
}

int64_t store_revision(const struct store *s)
{
    return s->state.numbers.revision;
}

int64_t store_compact_revision(const struct store *s)
{
    return s->state.numbers.compact_revision;
}

int64_t store_swept_revision(const struct store *s)
{
    return s->state.local.swept_revision;
}

void store_identity(const struct store *s, struct store_identity *ret)
{
    *ret = s->state.local.identity;
}

void store_stats(const struct store *s, struct store_stats *ret)
{
    *ret = (struct store_stats){
        .size_bytes = lmdb_env_file_bytes(&s->env),
        .quota_bytes = s->options.quota_bytes,
        .keys_count = s->state.numbers.keys_count,
        .memtable_bytes = memtable_bytes(s->active),
    };
    if (s->frozen != NULL) {
        ret->memtable_bytes += memtable_bytes(s->frozen);
    }
    ret->used_bytes =
        lmdb_env_used_bytes(&s->env, s->view.txn) + ret->memtable_bytes;
}

/* A second, much simpler store: every version ever written in one list, every
 * question answered by walking it.  It follows etcd-surface 1.4 and kv/types.h,
 * and shares no code with the store. */
#ifndef TESTS_STORE_MODEL_H
#define TESTS_STORE_MODEL_H

#include "kv/types.h"

struct model_version {
    struct bytes key, value, attrs, other;
    int64_t mod, create, version, lease, mtime;
    uint64_t ino;
    uint32_t groups_changed;
    bool tombstone, attrs_only, moved;
};

struct model_group {
    struct bytes name;
    uint64_t ino;
    int64_t mtime;
};

#define MODEL_LEASES 4

struct model {
    struct model_version *versions;
    size_t versions_count;
    struct model_group *groups;
    size_t groups_count;
    int64_t revision, compact;
    uint64_t ino_next;
    int64_t now;
    int64_t leases[MODEL_LEASES]; /* ids that are granted; 0: a free place */
    bool changing; /* within a transaction that has changed something */
};

void model_init(struct model *m);
void model_fini(struct model *m);

/* The live version at the revision; NULL: none. */
const struct model_version *model_get(const struct model *m, struct bytes key,
                                      int64_t revision);
const struct model_group *model_group(const struct model *m, struct bytes name);

/* Applies a transaction that was found acceptable; results go to check(arg, op,
 * …), in order: for a range its keys are to be compared by the caller while the
 * model stands at that point. */
struct model_result {
    const struct kv_op *op;
    bool had_prev;
    struct model_version prev;
    int64_t count; /* deleted, moved */
};
enum status model_apply(struct model *m, const struct kv_txn_spec *txn,
                        int64_t now, bool *ret_succeeded,
                        void (*check)(void *arg, const struct model_result *r),
                        void *arg);
enum status model_grant(struct model *m, int64_t id);
enum status model_revoke(struct model *m, int64_t id, int64_t now);
enum status model_compact(struct model *m, int64_t revision);

/* The answer to a range, as an array to be freed; keys borrowed. */
struct model_item {
    struct bytes key;
    const struct model_version *version; /* NULL: a group */
};
/* The keys that have the lease, in order, as an array to be freed. */
struct model_item *model_lease_keys(const struct model *m, int64_t id,
                                    size_t *ret_count);
struct model_item *model_range(const struct model *m,
                               const struct kv_range_spec *spec, int64_t newest,
                               size_t *ret_count);

#endif

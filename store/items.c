/* Versions as the items that callers see. */

#include "store/internal.h"

enum status item_of_version(struct arena *a, struct bytes key,
                            struct version *v, struct item_shape shape,
                            struct kv_item *ret, struct fault *reterr)
{
    if (!shape.keys_only) {
        const enum status st = version_check(key, v, reterr);
        if (st != ST_OK) {
            return st;
        }
    }
    *ret = (struct kv_item){
        .key = shape.copy ? arena_copy(a, key) : key,
        .value_size = v->value_size,
        .create_revision = v->create_revision,
        .mod_revision = v->mod_revision,
        .version = v->version,
        .lease = v->lease,
        .ino = v->ino,
        .mtime_ns = v->mtime_ns,
        .attrs = shape.copy ? arena_copy(a, v->attrs) : v->attrs,
    };
    if (!shape.keys_only) {
        ret->value = shape.copy ? arena_copy(a, v->value) : v->value;
    }
    return ST_OK;
}

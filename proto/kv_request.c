/* Range, Put, DeleteRange and Compact; transactions are in kv_request_txn.c. */

#include "proto/kv_request_internal.h"

static enum status invalid(struct fault *reterr, const char *message)
{
    return fault_set(reterr, ST_INVALID, "not a %s", message);
}

bool kv_request_next(struct wire_reader *r, uint64_t bytes_fields,
                     uint32_t known_max, struct wire_field *f)
{
    if (!wire_next(r, f)) {
        return false;
    }
    if (f->number <= known_max) {
        const bool wants_bytes = (bytes_fields >> f->number & 1) != 0;
        if (f->type != (wants_bytes ? WIRE_BYTES : WIRE_VARINT)) {
            r->failed = true;
            return false;
        }
    }
    return true;
}

#define BIT(n) (UINT64_C(1) << (n))

static void range_field(struct kv_range_spec *s, const struct wire_field *f)
{
    const int64_t number = (int64_t)f->value;
    switch (f->number) {
    case 1:
        s->keys.key = f->bytes;
        break;
    case 2:
        s->keys.end = f->bytes;
        break;
    case 3:
        s->limit = number;
        break;
    case 4:
        s->revision = number;
        break;
    case 5:
        s->sort_order = (enum kv_sort_order)(int32_t)f->value;
        break;
    case 6:
        s->sort_target = (enum kv_sort_target)(int32_t)f->value;
        break;
    case 7:
        s->serializable = f->value != 0;
        break;
    case 8:
        s->keys_only = f->value != 0;
        break;
    case 9:
        s->count_only = f->value != 0;
        break;
    case 10:
        s->min_mod_revision = number;
        break;
    case 11:
        s->max_mod_revision = number;
        break;
    case 12:
        s->min_create_revision = number;
        break;
    case 13:
        s->max_create_revision = number;
        break;
    default:
        break; /* not known */
    }
}

enum status kv_request_range(struct bytes message, struct kv_range_spec *ret,
                             struct fault *reterr)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    *ret = (struct kv_range_spec){0};
    while (kv_request_next(&r, BIT(1) | BIT(2), 13, &f)) {
        range_field(ret, &f);
    }
    return r.failed ? invalid(reterr, "RangeRequest") : ST_OK;
}

enum status kv_request_put(struct bytes message, struct kv_put *ret,
                           struct fault *reterr)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    *ret = (struct kv_put){0};
    while (kv_request_next(&r, BIT(1) | BIT(2), 6, &f)) {
        switch (f.number) {
        case 1:
            ret->key = f.bytes;
            break;
        case 2:
            ret->value = f.bytes;
            break;
        case 3:
            ret->lease = (int64_t)f.value;
            break;
        case 4:
            ret->prev_kv = f.value != 0;
            break;
        case 5:
            ret->ignore_value = f.value != 0;
            break;
        case 6:
            ret->ignore_lease = f.value != 0;
            break;
        default:
            break; /* not known */
        }
    }
    return r.failed ? invalid(reterr, "PutRequest") : ST_OK;
}

enum status kv_request_delete(struct bytes message, struct kv_delete_range *ret,
                              struct fault *reterr)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    *ret = (struct kv_delete_range){0};
    while (kv_request_next(&r, BIT(1) | BIT(2), 3, &f)) {
        if (f.number == 1) {
            ret->keys.key = f.bytes;
        } else if (f.number == 2) {
            ret->keys.end = f.bytes;
        } else if (f.number == 3) {
            ret->prev_kv = f.value != 0;
        }
    }
    return r.failed ? invalid(reterr, "DeleteRangeRequest") : ST_OK;
}

enum status kv_request_compact(struct bytes message, int64_t *ret_revision,
                               bool *ret_physical, struct fault *reterr)
{
    struct wire_reader r = wire_reader_of(message);
    struct wire_field f;
    int64_t revision = 0;
    bool physical = false;
    while (kv_request_next(&r, 0, 2, &f)) {
        if (f.number == 1) {
            revision = (int64_t)f.value;
        } else if (f.number == 2) {
            physical = f.value != 0;
        }
    }
    if (r.failed) {
        return invalid(reterr, "CompactionRequest");
    }
    *ret_revision = revision;
    *ret_physical = physical;
    return ST_OK;
}

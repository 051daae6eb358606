/* The scanner: a stack of half-read messages, of fixed depth, no recursion.
 *
 * The bound on memory follows what protobuf-c 1.4 and 1.5 allocate for a
 * message: the structure; when it has more than 16 fields, notes on all of them
 * in blocks that double; a bitmap where the type has more than 128 fields; an
 * array for each repeated field; a copy of each string, bytes and unknown
 * field, and a note for each of the latter. */

#include "proto/scan.h"

#include "base/must.h"
#include "proto/budget.h"
#include "proto/wire.h"

#define TYPE_FIELDS_MAX 64 /* of all types we have */

/* Not less than what protobuf-c needs: 32 bytes for each note, twice that for
 * the doubling, and the overhead of the blocks; 24 for an unknown field; a
 * pointer and a size for the widest element of an array. */
#define NOTES_FROM        17
#define NOTE_SIZE         72
#define UNKNOWN_NOTE_SIZE 32
#define ELEMENT_SIZE      16

struct level {
    const ProtobufCMessageDescriptor *type;
    struct wire_reader in;
    size_t fields;
    /* Of each field of the type: elements, or how often it was given. */
    size_t seen[TYPE_FIELDS_MAX];
};

struct scan {
    const struct proto_limits *limits;
    struct fault *reterr;
    size_t fields, memory;
};

static enum status invalid(const struct scan *s, const struct level *l,
                           const char *what)
{
    return fault_set(s->reterr, ST_INVALID, "%s: %s", l->type->name, what);
}

static enum status too_large(const struct scan *s, const struct level *l,
                             const char *what, size_t limit)
{
    return fault_set(s->reterr, ST_TOO_LARGE, "%s: more than %zu %s",
                     l->type->name, limit, what);
}

/* Fields are sorted by number. NULL: the type does not know it. */
static const ProtobufCFieldDescriptor *
find_field(const ProtobufCMessageDescriptor *type, uint32_t number)
{
    size_t from = 0, to = type->n_fields;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (type->fields[middle].id == number) {
            return &type->fields[middle];
        }
        if (type->fields[middle].id < number) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return NULL;
}

static ProtobufCWireType wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return PROTOBUF_C_WIRE_TYPE_VARINT;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return PROTOBUF_C_WIRE_TYPE_32BIT;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return PROTOBUF_C_WIRE_TYPE_64BIT;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    }
    unreachable("generated descriptors have no other type");
}

/* Numbers in a packed field: each is at least one byte, and the last byte of a
 * varint is the one without the high bit. */
static size_t count_packed(ProtobufCType type, struct bytes content)
{
    switch (wire_type_of(type)) {
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        return content.size / 4;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        return content.size / 8;
    case PROTOBUF_C_WIRE_TYPE_VARINT:
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        break;
    }
    if (type == PROTOBUF_C_TYPE_BOOL) {
        return content.size; /* as protobuf-c counts them */
    }
    size_t count = 0;
    for (size_t i = 0; i < content.size; i++) {
        count += (content.data[i] & 0x80) == 0;
    }
    return count;
}

/* A field the type knows: is it well formed, and what will it cost? */
static MUST_USE enum status count_known(struct scan *s, struct level *l,
                                        const ProtobufCFieldDescriptor *known,
                                        const struct wire_field *f)
{
    const enum wire_type wanted = (enum wire_type)wire_type_of(known->type);
    const bool repeated = known->label == PROTOBUF_C_LABEL_REPEATED;
    const bool packed = repeated && f->type != wanted && f->type == WIRE_BYTES;
    if (f->type != wanted && !packed) {
        return invalid(s, l, "a field of another type");
    }
    size_t *seen = &l->seen[known - l->type->fields];
    if (repeated) {
        const size_t count = packed ? count_packed(known->type, f->bytes) : 1;
        s->memory += *seen == 0 ? PROTO_BLOCK_OVERHEAD : 0;
        s->memory += count * ELEMENT_SIZE;
        *seen += count;
        if (*seen > s->limits->repeats_max) {
            return too_large(s, l, "elements of one field",
                             s->limits->repeats_max);
        }
    } else if (++*seen > 1 && known->type == PROTOBUF_C_TYPE_MESSAGE) {
        return invalid(s, l, "a singular message given twice");
    }
    if (known->type == PROTOBUF_C_TYPE_STRING ||
        known->type == PROTOBUF_C_TYPE_BYTES) {
        s->memory += PROTO_BLOCK_OVERHEAD + f->bytes.size + 1;
    }
    return ST_OK;
}

static void level_begin(struct scan *s, struct level *l,
                        const ProtobufCMessageDescriptor *type,
                        struct bytes content)
{
    must(type->n_fields <= TYPE_FIELDS_MAX);
    l->type = type;
    l->in = wire_reader_of(content);
    l->fields = 0;
    memset(l->seen, 0, type->n_fields * sizeof l->seen[0]);
    s->memory += PROTO_BLOCK_OVERHEAD + type->sizeof_message;
}

static void level_end(struct scan *s, const struct level *l)
{
    if (l->fields >= NOTES_FROM) {
        s->memory += l->fields * NOTE_SIZE;
    }
}

/* Takes one field; *ret_inside is the message that it is, or NULL. */
static MUST_USE enum status
scan_field(struct scan *s, struct level *l,
           const ProtobufCMessageDescriptor **ret_inside,
           struct bytes *ret_content)
{
    struct wire_field f;
    if (!wire_next(&l->in, &f) || f.type == WIRE_GROUP) {
        return invalid(s, l, "a field that is not well formed");
    }
    l->fields++;
    if (++s->fields > s->limits->fields_max) {
        return too_large(s, l, "fields", s->limits->fields_max);
    }
    *ret_inside = NULL;
    const ProtobufCFieldDescriptor *known = find_field(l->type, f.number);
    if (known == NULL) {
        s->memory += UNKNOWN_NOTE_SIZE + 2 * PROTO_BLOCK_OVERHEAD + f.size;
        return ST_OK;
    }
    if (known->type == PROTOBUF_C_TYPE_MESSAGE) {
        *ret_inside = known->descriptor;
        *ret_content = f.bytes;
    }
    return count_known(s, l, known, &f);
}

static MUST_USE enum status scan_levels(struct scan *s, struct level *stack)
{
    uint32_t depth = 1; /* of the message being read; the outermost has 1 */
    while (depth > 0) {
        struct level *l = &stack[depth - 1];
        if (l->in.left.size == 0) {
            level_end(s, l);
            depth--;
            continue;
        }
        const ProtobufCMessageDescriptor *inside = NULL;
        struct bytes content = BYTES_NONE;
        const enum status st = scan_field(s, l, &inside, &content);
        if (st != ST_OK) {
            return st;
        }
        if (inside != NULL) {
            if (depth == s->limits->depth_max) {
                return too_large(s, l, "levels of messages", depth);
            }
            level_begin(s, &stack[depth], inside, content);
            depth++;
        }
        if (s->memory > s->limits->memory_max) {
            return too_large(s, l, "bytes when unpacked",
                             s->limits->memory_max);
        }
    }
    return ST_OK;
}

enum status proto_scan(const ProtobufCMessageDescriptor *type,
                       struct bytes message, const struct proto_limits *limits,
                       size_t *ret_memory, struct fault *reterr)
{
    must(limits->depth_max >= 1);
    must(limits->depth_max <= PROTO_DEPTH_MAX);
    must(limits->size_max <= INT32_MAX); /* as protobuf-c's own lengths */
    struct level stack[PROTO_DEPTH_MAX];
    struct scan s = {.limits = limits, .reterr = reterr};
    if (message.size > limits->size_max) {
        return fault_set(reterr, ST_TOO_LARGE,
                         "a %s of %zu bytes, more than %zu", type->name,
                         message.size, limits->size_max);
    }
    level_begin(&s, &stack[0], type, message);
    const enum status st = scan_levels(&s, stack);
    if (st == ST_OK) {
        *ret_memory = s.memory;
    }
    return st;
}

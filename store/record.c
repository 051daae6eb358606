/* Versions, groups and composed keys as bytes. */

#include "store/record.h"

#include "base/codec.h"

#define FLAG_TOMBSTONE  0x01u
#define FLAG_ATTRS_ONLY 0x02u
#define FLAG_MOVED      0x04u
#define FLAGS_ALL       0x07u

void record_write_version(struct buf *to, const struct version *v)
{
    write_u8(to, (uint8_t)((v->tombstone ? FLAG_TOMBSTONE : 0) |
                           (v->attrs_only ? FLAG_ATTRS_ONLY : 0) |
                           (v->moved ? FLAG_MOVED : 0)));
    write_svarint(to, v->mod_revision);
    write_varint(to, v->sub);
    write_varint(to, v->groups_changed);
    write_varint(to, v->ino);
    write_svarint(to, v->mtime_ns);
    if (!v->tombstone) {
        write_svarint(to, v->create_revision);
        write_svarint(to, v->version);
        write_svarint(to, v->lease);
        write_sized(to, v->attrs);
    }
    if (v->moved) {
        write_sized(to, v->other);
    }
}

bool record_read_version(struct bytes head, struct version *ret)
{
    struct reader r = reader_of(head);
    struct version v = {0};
    const uint8_t flags = read_u8(&r);
    v.tombstone = (flags & FLAG_TOMBSTONE) != 0;
    v.attrs_only = (flags & FLAG_ATTRS_ONLY) != 0;
    v.moved = (flags & FLAG_MOVED) != 0;
    v.mod_revision = read_svarint(&r);
    const uint64_t sub = read_varint(&r);
    const uint64_t groups_changed = read_varint(&r);
    v.ino = read_varint(&r);
    v.mtime_ns = read_svarint(&r);
    if (!v.tombstone) {
        v.create_revision = read_svarint(&r);
        v.version = read_svarint(&r);
        v.lease = read_svarint(&r);
        v.attrs = read_sized(&r);
    }
    if (v.moved) {
        v.other = read_sized(&r);
    }
    if (!reader_done(&r) || (flags & ~FLAGS_ALL) != 0 || sub > UINT32_MAX ||
        groups_changed > UINT32_MAX || v.mod_revision <= 0) {
        return false;
    }
    v.sub = (uint32_t)sub;
    v.groups_changed = (uint32_t)groups_changed;
    *ret = v;
    return true;
}

void record_write_group(struct buf *to, const struct group *g)
{
    write_u8(to, g->marker ? 1 : 0);
    write_varint(to, g->entries);
    write_varint(to, g->ino);
    write_svarint(to, g->mtime_ns);
}

bool record_read_group(struct bytes head, struct group *ret)
{
    struct reader r = reader_of(head);
    const uint8_t marker = read_u8(&r);
    struct group g = {.live = true, .marker = marker == 1};
    g.entries = read_varint(&r);
    g.ino = read_varint(&r);
    g.mtime_ns = read_svarint(&r);
    if (!reader_done(&r) || marker > 1 || (!g.marker && g.entries == 0)) {
        return false;
    }
    *ret = g;
    return true;
}

#define LEASE_ITSELF 0
#define LEASE_KEY    1

void record_write_lease(struct buf *to, const struct lease_row *l)
{
    write_u8(to, l->is_key ? LEASE_KEY : LEASE_ITSELF);
    if (!l->is_key) {
        write_svarint(to, l->ttl_s);
        write_svarint(to, l->deadline_ms);
    }
}

bool record_read_lease(struct bytes head, struct lease_row *ret)
{
    struct reader r = reader_of(head);
    const uint8_t kind = read_u8(&r);
    struct lease_row l = {.live = true, .is_key = kind == LEASE_KEY};
    if (!l.is_key) {
        l.ttl_s = read_svarint(&r);
        l.deadline_ms = read_svarint(&r);
    }
    if (!reader_done(&r) || kind > LEASE_KEY || l.deadline_ms < 0 ||
        (!l.is_key && l.ttl_s < 1)) {
        return false;
    }
    *ret = l;
    return true;
}

/* A zero byte of the key becomes (0, 255); (0, 1) ends the key.  So no key's
 * image is the beginning of another's, and images order as the keys do. */
#define ESCAPE  0x00
#define ESCAPED 0xff
#define END     0x01
#define PAST    0x02

static void write_escaped(struct buf *to, struct bytes key)
{
    size_t from = 0;
    for (size_t i = 0; i < key.size; i++) {
        if (key.data[i] == ESCAPE) {
            buf_append(to, (struct bytes){key.data + from, i + 1 - from});
            buf_append_byte(to, ESCAPED);
            from = i + 1;
        }
    }
    if (from < key.size) {
        buf_append(to, bytes_after(key, from));
    }
}

void record_history_key(struct buf *to, struct bytes key, int64_t revision)
{
    write_escaped(to, key);
    buf_append_byte(to, ESCAPE);
    buf_append_byte(to, END);
    put_u64_be(buf_extend(to, 8), ~(uint64_t)revision);
}

void record_history_from(struct buf *to, struct bytes key)
{
    write_escaped(to, key);
}

void record_history_after(struct buf *to, struct bytes key)
{
    write_escaped(to, key);
    buf_append_byte(to, ESCAPE);
    buf_append_byte(to, PAST);
}

bool record_read_history_key(struct bytes from, struct buf *scratch,
                             struct bytes *ret_key, int64_t *ret_revision)
{
    if (from.size < 11) {
        return false;
    }
    const struct bytes image = {from.data, from.size - 10};
    const uint8_t *end = from.data + image.size;
    if (end[0] != ESCAPE || end[1] != END) {
        return false;
    }
    *ret_revision = (int64_t)~get_u64_be(end + 2);
    if (memchr(image.data, ESCAPE, image.size) == NULL) {
        *ret_key = image;
        return true;
    }
    buf_clear(scratch);
    for (size_t i = 0; i < image.size; i++) {
        buf_append_byte(scratch, image.data[i]);
        if (image.data[i] == ESCAPE) {
            i++;
            if (i == image.size || image.data[i] != ESCAPED) {
                return false;
            }
        }
    }
    *ret_key = buf_bytes(scratch);
    return true;
}

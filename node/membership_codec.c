/* Membership as bytes: commands in the log, and the record in the store. */

#include "base/codec.h"
#include "base/must.h"
#include "node/membership.h"

/* Commands of the store begin with their format, which is small. */
#define COMMAND_FORMAT 0xc1
#define RECORD_FORMAT  1

/* --- commands --- */

bool membership_is_command(struct bytes payload)
{
    return payload.size > 0 && payload.data[0] == COMMAND_FORMAT;
}

void membership_encode(const struct membership_stamp *stamp,
                       const struct membership_change *changes, size_t count,
                       struct buf *to)
{
    must(count <= RAFT_CHANGES_MAX);
    write_u8(to, COMMAND_FORMAT);
    write_u64(to, stamp->ticket);
    write_u64(to, stamp->member);
    write_varint(to, count);
    for (size_t i = 0; i < count; i++) {
        const struct membership_change *c = &changes[i];
        write_u8(to, (uint8_t)c->op);
        write_u64(to, c->id);
        write_u8(to, c->is_learner);
        write_sized(to, c->name);
        write_sized(to, c->peer_urls);
        write_sized(to, c->client_urls);
    }
}

static bool op_is_known(uint8_t op)
{
    return op >= MEMBERSHIP_ADD && op <= MEMBERSHIP_PUBLISH;
}

enum status membership_decode(struct bytes from, struct membership_stamp *ret,
                              struct membership_change *changes,
                              size_t *ret_count)
{
    struct reader r = reader_of(from);
    const uint8_t format = read_u8(&r);
    ret->ticket = read_u64(&r);
    ret->member = read_u64(&r);
    const uint64_t count = read_varint(&r);
    if (!reader_ok(&r) || format != COMMAND_FORMAT || count == 0 ||
        count > RAFT_CHANGES_MAX) {
        return ST_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        const uint8_t op = read_u8(&r);
        changes[i] = (struct membership_change){.op = (enum membership_op)op,
                                                .id = read_u64(&r)};
        changes[i].is_learner = read_u8(&r) != 0;
        changes[i].name = read_sized(&r);
        changes[i].peer_urls = read_sized(&r);
        changes[i].client_urls = read_sized(&r);
        if (!op_is_known(op)) {
            return ST_INVALID;
        }
    }
    *ret_count = (size_t)count;
    return reader_done(&r) ? ST_OK : ST_INVALID;
}

/* --- the record --- */

static void write_ids(struct buf *to, const uint64_t *ids, size_t count)
{
    write_varint(to, count);
    for (size_t i = 0; i < count; i++) {
        write_u64(to, ids[i]);
    }
}

static size_t read_ids(struct reader *r, uint64_t *to, size_t count_max)
{
    const uint64_t count = read_varint(r);
    if (!reader_ok(r) || count > count_max) {
        r->failed = true;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        to[i] = read_u64(r);
    }
    return (size_t)count;
}

void membership_write(const struct membership *m, struct buf *to)
{
    const struct membership_conf *c = &m->conf;
    write_u8(to, RECORD_FORMAT);
    write_varint(to, m->changed_index);
    write_varint(to, m->ignored_index);
    write_ids(to, c->voters, c->voters_count);
    write_ids(to, c->learners, c->learners_count);
    write_ids(to, c->outgoing, c->outgoing_count);
    write_ids(to, c->next, c->next_count);
    write_u8(to, c->auto_leave);
    write_varint(to, m->count);
    for (size_t i = 0; i < m->count; i++) {
        const struct membership_member *of = &m->members[i];
        write_u64(to, of->id);
        write_u8(to, of->started);
        write_sized(to, bytes_of(of->name));
        write_sized(to, bytes_of(of->peer_urls));
        write_sized(to, bytes_of(of->client_urls));
    }
    write_ids(to, m->removed, m->removed_count);
}

static void read_text(struct reader *r, char *to, size_t size)
{
    const struct bytes text = read_sized(r);
    memset(to, 0, size);
    if (text.size >= size ||
        (text.size > 0 && memchr(text.data, 0, text.size) != NULL)) {
        r->failed = true;
    } else if (text.size > 0) {
        memcpy(to, text.data, text.size);
    }
}

static void read_member(struct reader *r, struct membership_member *to)
{
    to->id = read_u64(r);
    to->started = read_u8(r) != 0;
    read_text(r, to->name, sizeof to->name);
    read_text(r, to->peer_urls, sizeof to->peer_urls);
    read_text(r, to->client_urls, sizeof to->client_urls);
}

enum status membership_read(struct bytes from, struct membership *ret)
{
    struct reader r = reader_of(from);
    struct membership_conf *c = &ret->conf;
    const uint8_t format = read_u8(&r);
    ret->changed_index = read_varint(&r);
    ret->ignored_index = read_varint(&r);
    c->voters_count = read_ids(&r, c->voters, RAFT_MEMBERS_MAX);
    c->learners_count = read_ids(&r, c->learners, RAFT_MEMBERS_MAX);
    c->outgoing_count = read_ids(&r, c->outgoing, RAFT_MEMBERS_MAX);
    c->next_count = read_ids(&r, c->next, RAFT_MEMBERS_MAX);
    c->auto_leave = read_u8(&r) != 0;
    const uint64_t count = read_varint(&r);
    ret->count = 0;
    if (!reader_ok(&r) || format != RECORD_FORMAT || count > MEMBERSHIP_MAX) {
        return ST_INVALID;
    }
    for (size_t i = 0; i < count && reader_ok(&r); i++) {
        struct membership_member *of = &ret->members[i];
        read_member(&r, of);
        if (of->id == RAFT_NONE || of->id >= RAFT_APPLY_THREAD ||
            (i > 0 && of->id <= of[-1].id)) {
            return ST_INVALID; /* M1 */
        }
        ret->count++;
    }
    ret->removed_count = read_ids(&r, ret->removed, MEMBERSHIP_REMOVED_MAX);
    for (size_t i = 0; i < ret->removed_count; i++) {
        if (membership_find(ret, ret->removed[i]) != NULL) {
            return ST_INVALID; /* M1 */
        }
    }
    return reader_done(&r) ? ST_OK : ST_INVALID;
}

/* Streams written by hand, from docs/FORMATS.md: one as it should be, and one
 * with each thing that a faulty member could say. */

#include <stdlib.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"
#include "transfer_rig.h"

#define DATABASES 5

/* A stream under construction. */
struct craft {
    struct buf stream, rows[DATABASES], records;
    uint32_t link[DATABASES];
    uint64_t rows_count[DATABASES];
    uint64_t number;
    uint32_t crc;

    /* What the state block says. */
    int64_t revision, compact, swept, sweep_next;
    uint64_t ino_next, keys_count, leases_count;
    uint32_t records_count;

    /* Flaws of the whole. */
    bool history_first, events_last;
    bool wrong_number;
    bool more_state, more_end;
};

static void block(struct craft *c, uint32_t kind, struct bytes body)
{
    struct buf b = {0};
    write_u32(&b, 0);
    write_u32(&b, (uint32_t)body.size);
    write_u64(&b, c->number + (c->wrong_number && kind == 1));
    write_u32(&b, kind);
    buf_append(&b, body);
    c->crc = crc32c(c->crc, bytes_after(buf_bytes(&b), 4));
    put_u32(b.data, c->crc);
    buf_append(&c->stream, buf_bytes(&b));
    c->number++;
    buf_fini(&b);
}

/* `place` is LMDB's key where it is not the key. */
static void add_row(struct craft *c, unsigned db, struct bytes place,
                    struct bytes key, struct bytes head, struct bytes value)
{
    struct buf row = {0};
    const uint8_t id = (uint8_t)db;
    write_u32(&row, 0);
    write_u32(&row, c->link[db]);
    write_u32(&row, (uint32_t)key.size);
    write_u32(&row, (uint32_t)head.size);
    write_u32(&row, (uint32_t)value.size);
    write_u32(&row, value.size == 0 ? 0 : crc32c(0, value));
    uint32_t crc = crc32c(0, (struct bytes){&id, 1});
    crc = crc32c(crc, key);
    crc = crc32c(crc, bytes_after(buf_bytes(&row), 4));
    crc = crc32c(crc, head);
    put_u32(row.data, crc);
    if (key.size > 480) {
        buf_append(&row, key);
    }
    buf_append(&row, head);
    buf_append(&row, value);
    write_sized(&c->rows[db], place);
    write_sized(&c->rows[db], buf_bytes(&row));
    c->link[db] = crc32c(0, key);
    c->rows_count[db]++;
    buf_fini(&row);
}

static void add(struct craft *c, unsigned db, const char *key,
                struct bytes head, const char *value)
{
    add_row(c, db, bytes_of(key), bytes_of(key), head, bytes_of(value));
}

static struct bytes version(int64_t revision, bool tombstone)
{
    static struct buf b;
    buf_clear(&b);
    write_u8(&b, tombstone ? 1 : 0);
    write_svarint(&b, revision);
    write_varint(&b, 0);
    write_varint(&b, 0);
    write_varint(&b, 2);
    write_svarint(&b, 1000);
    if (!tombstone) {
        write_svarint(&b, revision);
        write_svarint(&b, 1);
        write_svarint(&b, 0);
        write_sized(&b, BYTES_NONE);
    }
    return buf_bytes(&b);
}

/* A key of `history`. */
static struct bytes old_key(const char *key, int64_t revision)
{
    static struct buf b;
    buf_clear(&b);
    buf_append(&b, bytes_of(key));
    buf_append_byte(&b, 0);
    buf_append_byte(&b, 1);
    put_u64_be(buf_extend(&b, 8), ~(uint64_t)revision);
    return buf_bytes(&b);
}

static void add_old(struct craft *c, const char *key, int64_t in_key,
                    int64_t in_version)
{
    const struct bytes k = old_key(key, in_key);
    add_row(c, 1, k, k, version(in_version, false), bytes_of("old"));
}

/* `size` of 12 is right; the list of keys is one of `key`. */
static void add_event(struct craft *c, int64_t revision, size_t size,
                      struct bytes head, const char *value)
{
    uint8_t key[16] = {0};
    put_u64_be(key, (uint64_t)revision);
    const struct bytes k = {key, size};
    add_row(c, 2, k, k, head, bytes_of(value));
}

static struct bytes list_of(const char *key)
{
    static struct buf b;
    buf_clear(&b);
    write_sized(&b, bytes_of(key));
    return buf_bytes(&b);
}

static struct bytes group(uint8_t marker, uint64_t entries)
{
    static struct buf b;
    buf_clear(&b);
    write_u8(&b, marker);
    write_varint(&b, entries);
    write_varint(&b, 3);
    write_svarint(&b, 1000);
    return buf_bytes(&b);
}

/* A row of `leases`: of the lease itself when key is NULL. */
static void add_lease(struct craft *c, uint64_t id, const char *key,
                      uint8_t kind, int64_t ttl_s)
{
    struct buf name = {0}, head = {0};
    put_u64_be(buf_extend(&name, 8), id);
    if (key != NULL) {
        buf_append(&name, bytes_of(key));
    }
    write_u8(&head, kind);
    if (kind == 0) {
        write_svarint(&head, ttl_s);
        write_svarint(&head, 900);
    }
    add_row(c, 4, buf_bytes(&name), buf_bytes(&name), buf_bytes(&head),
            BYTES_NONE);
    c->leases_count += key == NULL;
    buf_fini(&name);
    buf_fini(&head);
}

/* A key of 500 bytes, the last of which is `last`. */
static void add_long(struct craft *c, char last, uint8_t between,
                     uint64_t number, char prefix)
{
    uint8_t key[500], place[489];
    memset(key, 'k', sizeof key);
    key[499] = (uint8_t)last;
    memset(place, prefix, sizeof place);
    place[480] = between;
    put_u64_be(place + 481, number);
    add_row(c, 0, (struct bytes){place, sizeof place},
            (struct bytes){key, sizeof key}, version(2, false),
            bytes_of("long"));
    c->keys_count++;
}

static void add_record(struct craft *c, const char *name)
{
    write_sized(&c->records, bytes_of(name));
    write_sized(&c->records, bytes_of("value"));
    c->records_count++;
}

static void write_state(struct craft *c)
{
    struct buf b = {0};
    write_u32(&b, 2);
    write_u64(&b, CLUSTER_ID);
    write_u64(&b, 9);
    write_u64(&b, 1);
    write_u64(&b, (uint64_t)c->revision);
    write_u64(&b, (uint64_t)c->compact);
    write_u64(&b, c->ino_next);
    write_u64(&b, c->keys_count);
    write_u64(&b, c->leases_count);
    write_u64(&b, 700); /* the lease clock */
    write_u64(&b, (uint64_t)c->swept);
    write_u64(&b, (uint64_t)c->sweep_next);
    for (unsigned db = 0; db < DATABASES; db++) {
        write_u32(&b, c->link[db]);
    }
    write_u64(&b, 0);
    write_u64(&b, 0);
    write_u32(&b, c->records_count);
    buf_append(&b, buf_bytes(&c->records));
    if (c->more_state) {
        buf_append_byte(&b, 0);
    }
    block(c, 0, buf_bytes(&b));
    buf_fini(&b);
}

static void write_end(struct craft *c)
{
    struct buf b = {0};
    for (unsigned db = 0; db < DATABASES; db++) {
        write_u64(&b, c->rows_count[db]);
    }
    write_u64(&b, c->stream.size);
    if (c->more_end) {
        buf_append_byte(&b, 0);
    }
    block(c, 1, buf_bytes(&b));
    buf_fini(&b);
}

static void write_all(struct craft *c)
{
    buf_append(&c->stream, bytes_of("keelfsST"));
    write_u32(&c->stream, 1);
    c->crc = crc32c(0, buf_bytes(&c->stream));
    write_state(c);
    for (unsigned i = 0; i < DATABASES; i++) {
        const unsigned db = c->history_first && i < 2              ? 1 - i
                            : c->events_last && (i == 2 || i == 3) ? 5 - i
                                                                   : i;
        if (c->rows[db].size > 0) {
            block(c, 2 + db, buf_bytes(&c->rows[db]));
        }
    }
    write_end(c);
}

/* --- the cases: each adds to, or takes from, the same sound state --- */

static void good(struct craft *c)
{
    add(c, 0, "a", version(2, false), "one");
    add(c, 0, "b", version(3, false), "two");
    add_old(c, "a", 1, 1);
    add_event(c, 2, 12, list_of("a"), "");
    add(c, 3, "d/", group(0, 1), "");
    add_lease(c, 5, NULL, 0, 10);
    add_lease(c, 5, "a", 1, 0);
    add_record(c, "voters");
    c->keys_count = 2;
    c->revision = 5;
    c->compact = 2;
    c->swept = c->sweep_next = 1;
    c->ino_next = 4;
}
static void long_keys(struct craft *c)
{
    good(c);
    add_long(c, 'a', 0, 1, 'k');
    add_long(c, 'b', 0, UINT64_MAX - 1, 'k');
}
static void lease_key_of_no_lease(struct craft *c)
{
    good(c);
    add_lease(c, 6, "a", 1, 0);
}
static void lease_of_wrong_kind(struct craft *c)
{
    good(c);
    add_lease(c, 6, NULL, 1, 0);
}
static void lease_key_of_wrong_kind(struct craft *c)
{
    good(c);
    add_lease(c, 5, "b", 0, 10);
}
static void lease_without_ttl(struct craft *c)
{
    good(c);
    add_lease(c, 6, NULL, 0, 0);
}
static void lease_without_id(struct craft *c)
{
    add_lease(c, 0, NULL, 0, 10);
    good(c);
}
static void lease_missing(struct craft *c)
{
    good(c);
    c->leases_count++;
}
static void key_out_of_order(struct craft *c)
{
    good(c);
    add(c, 0, "A", version(2, false), "");
    c->keys_count++;
}
static void key_twice(struct craft *c)
{
    good(c);
    add(c, 0, "b", version(2, false), "");
    c->keys_count++;
}
static void key_missing(struct craft *c)
{
    good(c);
    c->keys_count++;
}
static void empty_key(struct craft *c)
{
    add(c, 0, "", version(2, false), "");
    good(c);
    c->keys_count++;
}
static void live_tombstone(struct craft *c)
{
    good(c);
    add(c, 0, "c", version(2, true), "");
    c->keys_count++;
}
static void version_to_come(struct craft *c)
{
    good(c);
    add(c, 0, "c", version(6, false), "");
    c->keys_count++;
}
static void version_unreadable(struct craft *c)
{
    good(c);
    add(c, 0, "c", bytes_of("\x10xx"), "");
    c->keys_count++;
}
static void history_of_other_revision(struct craft *c)
{
    good(c);
    add_old(c, "b", 1, 2);
}
static void history_key_unreadable(struct craft *c)
{
    good(c);
    add(c, 1, "some other key", version(1, false), "");
}
static void history_of_no_key(struct craft *c)
{
    good(c);
    c->rows[1].size = 0;
    c->link[1] = 0;
    c->rows_count[1] = 0;
    add_old(c, "", 1, 1);
}
static void event_key_of_wrong_size(struct craft *c)
{
    good(c);
    add_event(c, 3, 13, list_of("a"), "");
}
static void event_to_come(struct craft *c)
{
    good(c);
    add_event(c, 6, 12, list_of("a"), "");
}
static void event_of_nothing(struct craft *c)
{
    good(c);
    add_event(c, 3, 12, BYTES_NONE, "");
}
static void event_of_no_key(struct craft *c)
{
    good(c);
    add_event(c, 3, 12, list_of(""), "");
}
static void event_unreadable(struct craft *c)
{
    good(c);
    add_event(c, 3, 12,
              bytes_of("\x05"
                       "abc"),
              "");
}
static void event_with_value(struct craft *c)
{
    good(c);
    add_event(c, 3, 12, list_of("a"), "value");
}
static void group_of_nothing(struct craft *c)
{
    good(c);
    add(c, 3, "e/", group(0, 0), "");
}
static void group_with_value(struct craft *c)
{
    good(c);
    add(c, 3, "e/", group(1, 0), "value");
}
static void databases_out_of_order(struct craft *c)
{
    good(c);
    c->history_first = true;
}
/* Its place was passed as empty. */
static void database_too_late(struct craft *c)
{
    good(c);
    c->events_last = true;
    c->link[2] = 0;
}
static void long_number_zero(struct craft *c)
{
    good(c);
    add_long(c, 'a', 0, 0, 'k');
}
static void long_number_last(struct craft *c)
{
    good(c);
    add_long(c, 'a', 0, UINT64_MAX, 'k');
}
static void long_no_zero_byte(struct craft *c)
{
    good(c);
    add_long(c, 'a', 1, 5, 'k');
}
static void long_numbers_out_of_order(struct craft *c)
{
    good(c);
    add_long(c, 'a', 0, 5, 'k');
    add_long(c, 'b', 0, 5, 'k');
}
static void long_keys_out_of_order(struct craft *c)
{
    good(c);
    add_long(c, 'b', 0, 5, 'k');
    add_long(c, 'a', 0, 6, 'k');
}
static void long_in_other_bucket(struct craft *c)
{
    good(c);
    add_long(c, 'a', 0, 5, 'l');
}
static void no_revision(struct craft *c)
{
    good(c);
    c->revision = 0;
}
static void compacted_ahead(struct craft *c)
{
    good(c);
    c->compact = 6;
}
static void compacted_below_zero(struct craft *c)
{
    good(c);
    c->compact = -1;
    c->swept = c->sweep_next = 0;
}
static void swept_ahead(struct craft *c)
{
    good(c);
    c->swept = 3;
}
static void sweep_goes_on_ahead(struct craft *c)
{
    good(c);
    c->sweep_next = 6;
}
static void no_ino_left(struct craft *c)
{
    good(c);
    c->ino_next = 1;
}
static void record_without_name(struct craft *c)
{
    good(c);
    add_record(c, "");
}
static void record_twice(struct craft *c)
{
    good(c);
    add_record(c, "voters");
}
static void record_name_too_long(struct craft *c)
{
    good(c);
    add_record(c, "abcdefghijabcdefghijabcdefghijabcdefghij"
                  "abcdefghijabcdefghijabcd");
}
static void records_too_many(struct craft *c)
{
    char name[16];
    good(c);
    for (unsigned i = 0; i < 64; i++) {
        (void)snprintf(name, sizeof name, "r%u", i);
        add_record(c, name);
    }
}
static void records_cut(struct craft *c)
{
    good(c);
    c->records_count++;
}
static void state_goes_on(struct craft *c)
{
    good(c);
    c->more_state = true;
}
static void end_goes_on(struct craft *c)
{
    good(c);
    c->more_end = true;
}
static void block_of_other_number(struct craft *c)
{
    good(c);
    c->wrong_number = true;
}
static void rows_uncounted(struct craft *c)
{
    good(c);
    c->rows_count[2]++;
}
static void no_rows_in_block(struct craft *c)
{
    good(c);
    buf_append_byte(&c->rows[3], 0);
}

static const struct {
    const char *name;
    void (*make)(struct craft *c);
    enum status wanted;
} cases[] = {
#define SOUND(make)                                                            \
    {                                                                          \
#make, make, ST_OK                                                     \
    }
#define FAULTY(make)                                                           \
    {                                                                          \
#make, make, ST_CORRUPT                                                \
    }
    SOUND(good),
    SOUND(long_keys),
    FAULTY(lease_key_of_no_lease),
    FAULTY(lease_of_wrong_kind),
    FAULTY(lease_key_of_wrong_kind),
    FAULTY(lease_without_ttl),
    FAULTY(lease_without_id),
    FAULTY(lease_missing),
    FAULTY(key_out_of_order),
    FAULTY(key_twice),
    FAULTY(key_missing),
    FAULTY(empty_key),
    FAULTY(live_tombstone),
    FAULTY(version_to_come),
    FAULTY(version_unreadable),
    FAULTY(history_of_other_revision),
    FAULTY(history_key_unreadable),
    FAULTY(history_of_no_key),
    FAULTY(event_key_of_wrong_size),
    FAULTY(event_to_come),
    FAULTY(event_of_nothing),
    FAULTY(event_of_no_key),
    FAULTY(event_unreadable),
    FAULTY(event_with_value),
    FAULTY(group_of_nothing),
    FAULTY(group_with_value),
    FAULTY(databases_out_of_order),
    FAULTY(database_too_late),
    FAULTY(long_number_zero),
    FAULTY(long_number_last),
    FAULTY(long_no_zero_byte),
    FAULTY(long_numbers_out_of_order),
    FAULTY(long_keys_out_of_order),
    FAULTY(long_in_other_bucket),
    FAULTY(no_revision),
    FAULTY(compacted_ahead),
    FAULTY(compacted_below_zero),
    FAULTY(swept_ahead),
    FAULTY(sweep_goes_on_ahead),
    FAULTY(no_ino_left),
    FAULTY(record_without_name),
    FAULTY(record_twice),
    FAULTY(record_name_too_long),
    FAULTY(records_too_many),
    FAULTY(records_cut),
    FAULTY(state_goes_on),
    FAULTY(end_goes_on),
    FAULTY(block_of_other_number),
    FAULTY(rows_uncounted),
    FAULTY(no_rows_in_block),
};

static void craft_fini(struct craft *c)
{
    for (unsigned db = 0; db < DATABASES; db++) {
        buf_fini(&c->rows[db]);
    }
    buf_fini(&c->records);
    buf_fini(&c->stream);
}

/* Danger: a member with a defect of its own, all of whose checksums hold,
 * brings another one down, or gives it a state that no store can have. */
TEST(transfer_hostile, a_state_that_no_store_can_have_is_refused)
{
    struct rig to;
    transfer_rig_begin(&to);
    for (size_t i = 0; i < count_of(cases); i++) {
        struct craft c = {0};
        cases[i].make(&c);
        write_all(&c);
        to.fault.text[0] = '\0';
        const enum status st =
            transfer_receive(&to, buf_bytes(&c.stream), 10, 2);
        if (st != cases[i].wanted) {
            fail_msg("%s: %s: %s", cases[i].name, status_name(st),
                     to.fault.text);
        }
        if (st == ST_OK) {
            transfer_open(&to);
            EXPECT_INT(store_applied_index(to.store), 9);
            (void)rig_hash(&to);
            store_close(to.store);
            to.store = NULL;
        }
        craft_fini(&c);
    }
    rig_end(&to);
}

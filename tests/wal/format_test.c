/* docs/FORMATS.md, "The log", held against the bytes: everything here is
 * written from that page alone, with a checksum of its own. A change that fails
 * this test makes old logs unreadable. */

#include "base/codec.h"
#include "tests/wal/rig.h"

#define SECTOR 512u
#define ROOM   476u

/* RFC 3720, appendix B.4, bit by bit. */
static uint32_t crc(uint32_t before, const uint8_t *data, size_t size)
{
    uint32_t c = ~before;
    for (size_t i = 0; i < size; i++) {
        c ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            c = (c >> 1) ^ (c & 1 ? 0x82f63b78u : 0);
        }
    }
    return ~c;
}

static uint64_t number(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    while (size-- > 0) {
        value = value << 8 | at[size];
    }
    return value;
}

struct view {
    const uint8_t *file;
    uint32_t segment;
};

static void expect_sector(const struct view *v, uint32_t n, bool head,
                          uint32_t opening)
{
    const uint8_t *s = v->file + (size_t)n * SECTOR;
    EXPECT_INT(number(s, 4), n | (head ? 0x80000000u : 0));
    EXPECT_INT(number(s + 4, 4), v->segment);
    EXPECT_INT(number(s + 8, 4), opening);
    EXPECT_INT(number(s + 12, 4), crc(0, s, 12));
    EXPECT(memcmp(s, s + 496, 16) == 0);
    EXPECT_INT(number(s + 16, 4), crc(crc(0, s, 16), s + 20, 492));
}

/* The rooms of `count` sectors, put together. */
static void rooms(const struct view *v, uint32_t n, uint32_t count, uint8_t *to)
{
    for (uint32_t i = 0; i < count; i++) {
        memcpy(to + (size_t)i * ROOM, v->file + (size_t)(n + i) * SECTOR + 20,
               ROOM);
    }
}

struct head {
    uint32_t type, sectors, entries, flags, chain;
    uint64_t synced, term, vote, commit, start, start_term, last, last_term;
};

static void expect_head(const uint8_t *r, const struct head *h,
                        size_t meta_size)
{
    EXPECT_INT(number(r, 4), h->type);
    EXPECT_INT(number(r + 4, 4), h->sectors);
    EXPECT_INT(number(r + 8, 4), h->entries);
    EXPECT_INT(number(r + 12, 4), h->flags);
    EXPECT_INT(number(r + 16, 4), h->chain);
    EXPECT_INT(number(r + 20, 4),
               crc(crc(h->chain, r, 20), r + 24, meta_size - 24));
    EXPECT_INT(number(r + 24, 8), h->synced);
    EXPECT_INT(number(r + 32, 8), h->term);
    EXPECT_INT(number(r + 40, 8), h->vote);
    EXPECT_INT(number(r + 48, 8), h->commit);
    EXPECT_INT(number(r + 56, 8), h->start);
    EXPECT_INT(number(r + 64, 8), h->start_term);
    EXPECT_INT(number(r + 72, 8), h->last);
    EXPECT_INT(number(r + 80, 8), h->last_term);
}

static void expect_zeros(const uint8_t *at, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        EXPECT_INT(at[i], 0);
    }
}

/* The first record of a segment; returns its checksum. */
static uint32_t expect_segment(const struct view *v, struct head h,
                               uint32_t opening, uint32_t previous,
                               uint32_t previous_end)
{
    uint8_t r[ROOM];
    expect_sector(v, 0, true, opening);
    rooms(v, 0, 1, r);
    h.type = 1;
    h.sectors = 1;
    expect_head(r, &h, 124);
    EXPECT(memcmp(r + 88, "keelwal1", 8) == 0);
    EXPECT_INT(number(r + 96, 8), RIG_CLUSTER);
    EXPECT_INT(number(r + 104, 8), RIG_MEMBER);
    EXPECT_INT(number(r + 112, 4), previous);
    EXPECT_INT(number(r + 116, 4), previous_end);
    EXPECT_INT(number(r + 120, 4), 8192 / SECTOR);
    expect_zeros(r + 124, ROOM - 124);
    return (uint32_t)number(r + 20, 4);
}

static uint32_t expect_state(const struct view *v, uint32_t n, struct head h,
                             uint32_t opening)
{
    uint8_t r[ROOM];
    expect_sector(v, n, true, opening);
    rooms(v, n, 1, r);
    h.type = 2;
    h.sectors = 1;
    expect_head(r, &h, 88);
    expect_zeros(r + 88, ROOM - 88);
    return (uint32_t)number(r + 20, 4);
}

TEST(format, is_what_the_page_says)
{
    const struct wal_options o = rig_options(8192);
    struct disk_sim *sim = disk_sim_new(1);
    struct rig_log log = {0};
    struct fault f;
    struct wal *w = rig_open_well(sim, &o);
    const struct raft_hard_state hs = {.term = 6, .vote = 62, .commit = 1};
    rig_write(w, &log, (struct rig_batch){1, 5, 2, 300, &hs});
    wal_close(w);
    w = rig_open_well(sim, &o);
    EXPECT_INT(wal_trim(w, 1, 5, &f), ST_OK);
    rig_log_trim(&log, 1, 5);
    rig_write(w, &log, (struct rig_batch){2, 6, 1, 0, NULL});
    EXPECT_INT(wal_restart_at(w, 9, 7, &f), ST_OK);
    wal_close(w);

    /* Segment 1 was recycled by the restart; its copy from before: */
    EXPECT(disk_sim_contents(sim, "00000001.wal").data == NULL);
    const struct bytes two = disk_sim_contents(sim, "00000002.wal");
    const struct bytes one = disk_sim_contents(sim, "00000003.wal");
    EXPECT_INT(one.size, 8192);
    EXPECT_INT(two.size, 8192);
    const struct view v1 = {one.data, 1};

    struct head h = {0};
    h.chain = expect_segment(&v1, h, 1, 0, 0);
    h.synced = SECTOR;
    h.chain = expect_state(&v1, 1, h, 1); /* the first opening */

    /* The batch: a sector of head and identifiers, two of data. */
    uint8_t r[3 * ROOM];
    expect_sector(&v1, 2, true, 1);
    expect_sector(&v1, 3, false, 1);
    expect_sector(&v1, 4, false, 1);
    rooms(&v1, 2, 3, r);
    h.type = 2;
    h.sectors = 3;
    h.entries = 2;
    h.synced = 2 * SECTOR;
    h.term = 6;
    h.vote = 62;
    h.commit = 1;
    expect_head(r, &h, 88 + 2 * 28);
    for (uint64_t i = 1; i <= 2; i++) {
        const uint8_t *id = r + 88 + 28 * (i - 1);
        const uint8_t *data = r + ROOM + 300 * (i - 1);
        struct payload *p = rig_payload((struct rig_entry){i, 5, 300});
        EXPECT_INT(number(id, 8), i);
        EXPECT_INT(number(id + 8, 8), 5);
        EXPECT_INT(number(id + 16, 4), 300);
        EXPECT_INT(number(id + 20, 4), crc(0, p->data, 300));
        EXPECT_INT(number(id + 24, 4), i % 3);
        EXPECT(memcmp(data, p->data, 300) == 0);
        payload_drop(p);
    }
    expect_zeros(r + 88 + 56, ROOM - 88 - 56);
    expect_zeros(r + ROOM + 600, 2 * ROOM - 600);

    /* The second opening vouches for all before. */
    h.chain = (uint32_t)number(r + 20, 4);
    h.entries = 0;
    h.synced = 5 * SECTOR;
    h.last = 2;
    h.last_term = 5;
    h.chain = expect_state(&v1, 5, h, 2);

    /* An entry without data, behind a trim. */
    expect_sector(&v1, 6, true, 2);
    rooms(&v1, 6, 1, r);
    h.type = 2;
    h.sectors = 1;
    h.entries = 1;
    h.synced = 6 * SECTOR;
    h.start = 1;
    h.start_term = 5;
    expect_head(r, &h, 88 + 28);
    EXPECT_INT(number(r + 88 + 16, 4), 0);
    EXPECT_INT(number(r + 88 + 20, 4), 0); /* of no bytes */
    expect_zeros(one.data + 7 * SECTOR, 8192 - 7 * SECTOR);

    /* The restart. */
    h.chain = (uint32_t)number(r + 20, 4);
    h.entries = 0;
    h.flags = 1;
    h.synced = 0;
    h.start = h.last = 9;
    h.start_term = h.last_term = 7;
    (void)expect_segment(&(struct view){two.data, 2}, h, 2, 1, 7);
    expect_zeros(two.data + SECTOR, 8192 - SECTOR);
    rig_log_fini(&log);
    disk_sim_free(sim);
}

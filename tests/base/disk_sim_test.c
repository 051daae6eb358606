/* The simulated disk: tests of storage are worth what this one's promises are
 * (tests/lib/disk_sim.h). */

#include "base/buf.h"
#include "tests/lib/disk_sim.h"
#include "tests/lib/test.h"

#define SECTOR 512
#define SEEDS  200

static struct disk *open_disk(struct disk_sim *sim)
{
    struct disk *d = NULL;
    EXPECT_INT(disk_sim_open(sim, &d, NULL), ST_OK);
    return d;
}

static struct disk_file *open_file(struct disk *d, const char *name,
                                   bool create)
{
    struct disk_file *f = NULL;
    EXPECT_INT(d->ops->open(d, name, create, &f, NULL), ST_OK);
    return f;
}

/* `sectors` sectors full of one byte. */
static void write_filled(struct disk_file *f, uint64_t offset, char byte,
                         size_t sectors)
{
    uint8_t data[16 * SECTOR];
    EXPECT(sectors <= 16);
    memset(data, byte, sectors * SECTOR);
    EXPECT_INT(f->disk->ops->write(
                   f, offset, (struct bytes){data, sectors * SECTOR}, NULL),
               ST_OK);
}

static void sync_all(struct disk *d, struct disk_file *f)
{
    EXPECT_INT(d->ops->sync(f, NULL), ST_OK);
    EXPECT_INT(d->ops->sync_names(d, NULL), ST_OK);
}

static bool has(struct disk_sim *sim, const char *name)
{
    return disk_sim_contents(sim, name).data != NULL;
}

/* Danger: a simulator that loses synced bytes makes correct code fail. */
TEST(disk_sim, what_was_synced_survives_every_crash)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk_sim *sim = disk_sim_new(test_seed() + seed);
        struct disk *d = open_disk(sim);
        struct disk_file *f = open_file(d, "a", true);
        write_filled(f, 0, 'x', 4);
        write_filled(f, SECTOR, 'y', 2);
        sync_all(d, f);
        disk_sim_crash(sim);

        const struct bytes b = disk_sim_contents(sim, "a");
        EXPECT_INT(b.size, 4 * SECTOR);
        for (size_t i = 0; i < b.size; i++) {
            EXPECT_INT(b.data[i],
                       i / SECTOR == 0 || i / SECTOR == 3 ? 'x' : 'y');
        }
        d->ops->close(f);
        d->ops->free(d);
        disk_sim_free(sim);
    }
}

/* What became of a sector that was 'o', then 'p', then 'q' without a sync. */
enum { SEEN_OLD = 1, SEEN_MIDDLE = 2, SEEN_NEW = 4, SEEN_TORN = 8 };

static unsigned look_at_sector(const uint8_t *s)
{
    for (size_t i = 0; i < SECTOR; i++) {
        EXPECT(s[i] == 'o' || s[i] == 'p' || s[i] == 'q');
        if (s[i] != s[0]) {
            return SEEN_TORN;
        }
    }
    return s[0] == 'o' ? SEEN_OLD : s[0] == 'p' ? SEEN_MIDDLE : SEEN_NEW;
}

/* Danger: a recovery that was only tried on "all kept" and "all lost" breaks
 * on the disk that wrote the second sector and not the first. */
TEST(disk_sim, unsynced_sectors_come_out_old_new_between_and_torn)
{
    unsigned seen = 0;
    bool later_without_earlier = false, torn_backwards = false;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk_sim *sim = disk_sim_new(test_seed() + seed);
        struct disk *d = open_disk(sim);
        struct disk_file *f = open_file(d, "a", true);
        write_filled(f, 0, 'o', 8);
        sync_all(d, f);
        write_filled(f, 0, 'p', 8);
        write_filled(f, 0, 'q', 8);
        disk_sim_crash(sim);

        const struct bytes b = disk_sim_contents(sim, "a");
        EXPECT_INT(b.size, 8 * SECTOR);
        unsigned before = SEEN_NEW;
        for (size_t i = 0; i < 8; i++) {
            const unsigned now = look_at_sector(b.data + i * SECTOR);
            later_without_earlier |= before == SEEN_OLD && now == SEEN_NEW;
            torn_backwards |= b.data[i * SECTOR] == 'o' &&
                              b.data[(i + 1) * SECTOR - 1] != 'o';
            seen |= now;
            before = now;
        }
        d->ops->close(f);
        d->ops->free(d);
        disk_sim_free(sim);
    }
    EXPECT_INT(seen, SEEN_OLD | SEEN_MIDDLE | SEEN_NEW | SEEN_TORN);
    EXPECT(later_without_earlier);
    EXPECT(torn_backwards); /* the end of a sector new, its beginning old */
}

/* Danger: size and data are written apart; a file that grew may come back with
 * zeros where data was, or short. */
TEST(disk_sim, an_unsynced_end_comes_out_short_zero_or_whole)
{
    bool is_short = false, has_zeros = false, is_whole = false;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk_sim *sim = disk_sim_new(test_seed() + seed);
        struct disk *d = open_disk(sim);
        struct disk_file *f = open_file(d, "a", true);
        write_filled(f, 0, 'o', 1);
        sync_all(d, f);
        write_filled(f, SECTOR, 'n', 2);
        disk_sim_crash(sim);

        const struct bytes b = disk_sim_contents(sim, "a");
        EXPECT(b.size >= SECTOR && b.size <= 3 * SECTOR);
        size_t zeros = 0;
        for (size_t i = SECTOR; i < b.size; i++) {
            EXPECT(b.data[i] == 0 || b.data[i] == 'n');
            zeros += b.data[i] == 0;
        }
        is_short |= b.size < 3 * SECTOR;
        has_zeros |= zeros > 0;
        is_whole |= b.size == 3 * SECTOR && zeros == 0;
        d->ops->close(f);
        d->ops->free(d);
        disk_sim_free(sim);
    }
    EXPECT(is_short);
    EXPECT(has_zeros);
    EXPECT(is_whole);
}

/* Danger: the most common crash bug of all is the directory that nobody
 * synced (ALICE, OSDI 2014). */
TEST(disk_sim, names_are_lost_until_sync_names)
{
    size_t kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk_sim *sim = disk_sim_new(test_seed() + seed);
        struct disk *d = open_disk(sim);
        struct disk_file *f = open_file(d, "a", true);
        write_filled(f, 0, 'x', 1);
        EXPECT_INT(d->ops->sync(f, NULL), ST_OK);
        disk_sim_crash(sim);
        if (has(sim, "a")) {
            EXPECT_INT(disk_sim_contents(sim, "a").size, SECTOR);
            kept++;
        }
        d->ops->close(f);
        d->ops->free(d);
        disk_sim_free(sim);
    }
    EXPECT(kept > 0 && kept < SEEDS);
}

/* rename(2): whoever looks finds the old file or the new one, never none. */
TEST(disk_sim, a_rename_over_a_file_is_whole_or_not_at_all)
{
    size_t renamed = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk_sim *sim = disk_sim_new(test_seed() + seed);
        disk_sim_put(sim, "a", bytes_of("old"));
        disk_sim_put(sim, "tmp", bytes_of("new"));
        struct disk *d = open_disk(sim);
        EXPECT_INT(d->ops->rename(d, "tmp", "a", NULL), ST_OK);
        EXPECT_BYTES(disk_sim_contents(sim, "a"), bytes_of("new"));
        disk_sim_crash(sim);
        if (has(sim, "tmp")) {
            EXPECT_BYTES(disk_sim_contents(sim, "a"), bytes_of("old"));
        } else {
            EXPECT_BYTES(disk_sim_contents(sim, "a"), bytes_of("new"));
            renamed++;
        }
        d->ops->free(d);
        disk_sim_free(sim);
    }
    EXPECT(renamed > 0 && renamed < SEEDS);
}

/* The way a file is published: made under another name, then renamed.  The
 * rename of a file whose creation was lost cannot have happened. */
TEST(disk_sim, changes_of_names_that_rest_on_lost_ones_are_lost)
{
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk_sim *sim = disk_sim_new(test_seed() + seed);
        struct disk *d = open_disk(sim);
        struct disk_file *f = open_file(d, "tmp", true);
        EXPECT_INT(d->ops->write(f, 0, bytes_of("x"), NULL), ST_OK);
        EXPECT_INT(d->ops->sync(f, NULL), ST_OK);
        EXPECT_INT(d->ops->rename(d, "tmp", "a", NULL), ST_OK);
        EXPECT_INT(d->ops->rename(d, "a", "b", NULL), ST_OK);
        disk_sim_crash(sim);
        const bool tmp = has(sim, "tmp"), a = has(sim, "a"), b = has(sim, "b");
        EXPECT(tmp + a + b <= 1);
        seen |= tmp ? 1 : a ? 2 : b ? 4 : 8;
        d->ops->close(f);
        d->ops->free(d);
        disk_sim_free(sim);
    }
    EXPECT_INT(seen, 15);
}

/* Rebello et al., ATC 2020: after a failed fsync the kernel forgets what was
 * dirty, so that a second one succeeds over lost data. */
TEST(disk_sim, a_second_sync_after_a_failed_one_lies)
{
    size_t lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct disk_sim *sim = disk_sim_new(test_seed() + seed);
        struct disk *d = open_disk(sim);
        struct disk_file *f = open_file(d, "a", true);
        write_filled(f, 0, 'o', 1);
        sync_all(d, f);
        write_filled(f, 0, 'n', 1);
        disk_sim_plan(sim, (struct disk_sim_fault){.on = DISK_SIM_SYNC,
                                                   .what = DISK_SIM_FAIL,
                                                   .st = ST_IO});
        EXPECT_INT(d->ops->sync(f, NULL), ST_IO);
        EXPECT_INT(disk_sim_contents(sim, "a").data[0], 'n');
        EXPECT_INT(d->ops->sync(f, NULL), ST_OK);
        disk_sim_crash(sim);
        const uint8_t *s = disk_sim_contents(sim, "a").data;
        lost += s[0] == 'o' || s[SECTOR - 1] == 'o';
        d->ops->close(f);
        d->ops->free(d);
        disk_sim_free(sim);
    }
    EXPECT(lost > 0 && lost < SEEDS);
}

static void write_a_little(struct disk *d, bool *ret_failed)
{
    struct disk_file *f = NULL;
    *ret_failed = true;
    if (d->ops->open(d, "a", true, &f, NULL) != ST_OK) {
        return;
    }
    *ret_failed = d->ops->write(f, 0, bytes_of("one"), NULL) != ST_OK ||
                  d->ops->write(f, 3, bytes_of("two"), NULL) != ST_OK ||
                  d->ops->sync(f, NULL) != ST_OK ||
                  d->ops->sync_names(d, NULL) != ST_OK;
    d->ops->close(f);
}

/* The loop that every storage test is built on: each edge once, then an end. */
TEST(disk_sim, every_operation_can_be_made_to_fail_in_turn)
{
    uint64_t n = 0;
    for (;; n++) {
        struct disk_sim *sim = disk_sim_new(test_seed() + n);
        struct disk *d = open_disk(sim);
        disk_sim_plan(sim, (struct disk_sim_fault){.on = DISK_SIM_CHANGES,
                                                   .after = n,
                                                   .what = DISK_SIM_FAIL,
                                                   .st = ST_IO});
        bool failed;
        write_a_little(d, &failed);
        const uint64_t struck = disk_sim_faults_struck(sim);
        EXPECT_INT(failed, struck > 0);
        d->ops->free(d);
        disk_sim_free(sim);
        if (struck == 0) {
            break;
        }
    }
    EXPECT_INT(n, 5); /* create, two writes, two syncs */
}

/* After the lights go out nothing works until the restart. */
TEST(disk_sim, a_cut_ends_everything_until_the_crash_is_settled)
{
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct disk *d = open_disk(sim);
    struct disk_file *f = open_file(d, "a", true);
    sync_all(d, f);
    disk_sim_plan(sim, (struct disk_sim_fault){.on = DISK_SIM_WRITE,
                                               .after = 1,
                                               .what = DISK_SIM_CUT});
    EXPECT_INT(d->ops->write(f, 0, bytes_of("x"), NULL), ST_OK);
    EXPECT_INT(d->ops->write(f, 1, bytes_of("y"), NULL), ST_IO);
    EXPECT_INT(d->ops->sync(f, NULL), ST_IO);
    EXPECT_INT(d->ops->sync_names(d, NULL), ST_IO);
    disk_sim_crash(sim);

    struct disk *after = open_disk(sim);
    EXPECT_INT(d->ops->write(f, 0, bytes_of("x"), NULL), ST_IO);
    struct disk_file *g = open_file(after, "a", false);
    EXPECT_INT(after->ops->write(g, 0, bytes_of("z"), NULL), ST_OK);
    after->ops->close(g);
    d->ops->close(f);
    d->ops->free(d);
    after->ops->free(after);
    disk_sim_free(sim);
}

/* A full disk takes what fits, and overwriting needs no room. */
TEST(disk_sim, a_full_disk_writes_what_fits_and_says_so)
{
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct disk *d = open_disk(sim);
    struct disk_file *f = open_file(d, "a", true);
    disk_sim_set_capacity(sim, 5);
    uint64_t space = 0;
    EXPECT_INT(d->ops->write(f, 0, bytes_of("abc"), NULL), ST_OK);
    EXPECT_INT(d->ops->space(d, &space, NULL), ST_OK);
    EXPECT_INT(space, 2);
    EXPECT_INT(d->ops->write(f, 3, bytes_of("defg"), NULL), ST_NO_SPACE);
    EXPECT_BYTES(disk_sim_contents(sim, "a"), bytes_of("abcde"));
    EXPECT_INT(d->ops->write(f, 0, bytes_of("ABC"), NULL), ST_OK);
    EXPECT_INT(d->ops->remove(d, "a", NULL), ST_OK);
    EXPECT_INT(d->ops->space(d, &space, NULL), ST_OK);
    EXPECT_INT(space, 5);
    d->ops->close(f);
    d->ops->free(d);
    disk_sim_free(sim);
}

/* A test that cannot be repeated finds bugs nobody can fix. */
TEST(disk_sim, the_same_seed_gives_the_same_end)
{
    struct disk_sim *first = disk_sim_new(test_seed());
    struct disk *d = open_disk(first);
    struct disk_file *f = open_file(d, "a", true);
    write_filled(f, 0, 'o', 8);
    sync_all(d, f);
    write_filled(f, 0, 'n', 8);
    EXPECT_INT(d->ops->rename(d, "a", "b", NULL), ST_OK);

    bool differs = false;
    for (uint64_t seed = 0; seed < 32; seed++) {
        struct disk_sim *x = disk_sim_clone(first, seed);
        struct disk_sim *y = disk_sim_clone(first, seed);
        struct disk_sim *z = disk_sim_clone(first, seed + 1);
        disk_sim_crash(x);
        disk_sim_crash(y);
        disk_sim_crash(z);
        EXPECT_INT(has(x, "a"), has(y, "a"));
        const char *name = has(x, "a") ? "a" : "b";
        EXPECT_BYTES(disk_sim_contents(x, name), disk_sim_contents(y, name));
        differs |= !bytes_equal(disk_sim_contents(x, name),
                                disk_sim_contents(z, name));
        disk_sim_free(x);
        disk_sim_free(y);
        disk_sim_free(z);
    }
    EXPECT(differs);
    d->ops->close(f);
    d->ops->free(d);
    disk_sim_free(first);
}

/* Misdirected and lost writes say that all went well (TigerBeetle's and CORDS'
 * faults): nothing but a checksum in the data can tell. */
TEST(disk_sim, lost_and_misdirected_writes_report_success)
{
    struct disk_sim *sim = disk_sim_new(test_seed());
    struct disk *d = open_disk(sim);
    struct disk_file *f = open_file(d, "a", true);
    write_filled(f, 0, 'o', 4);
    disk_sim_plan(sim, (struct disk_sim_fault){.on = DISK_SIM_WRITE,
                                               .what = DISK_SIM_LOSE});
    disk_sim_plan(sim, (struct disk_sim_fault){.on = DISK_SIM_WRITE,
                                               .after = 1,
                                               .what = DISK_SIM_MISDIRECT});
    write_filled(f, 0, 'l', 1);
    EXPECT(memchr(disk_sim_contents(sim, "a").data, 'l', 4 * SECTOR) == NULL);
    write_filled(f, 0, 'm', 1);
    const struct bytes b = disk_sim_contents(sim, "a");
    EXPECT_INT(b.data[0], 'o');
    EXPECT(memchr(b.data, 'm', b.size) != NULL);
    EXPECT_INT(disk_sim_faults_struck(sim), 2);
    d->ops->close(f);
    d->ops->free(d);
    disk_sim_free(sim);
}

TEST(disk_sim, a_flip_changes_one_bit_for_good)
{
    struct disk_sim *sim = disk_sim_new(test_seed());
    disk_sim_put(sim, "a", bytes_of("abc"));
    disk_sim_flip(sim, "a", 1, 0x01);
    EXPECT_BYTES(disk_sim_contents(sim, "a"), bytes_of("acc"));
    disk_sim_crash(sim);
    EXPECT_BYTES(disk_sim_contents(sim, "a"), bytes_of("acc"));

    char name[256];
    uint64_t offset;
    EXPECT(disk_sim_flip_any(sim, name, &offset));
    EXPECT_TEXT(name, "a");
    EXPECT(offset < 3);
    const struct bytes now = disk_sim_contents(sim, "a");
    const uint8_t bits = now.data[offset] ^ (uint8_t) "acc"[offset];
    EXPECT_INT(__builtin_popcount(bits), 1);
    disk_sim_free(sim);
}

static void add_name(void *arg, const char *name)
{
    struct buf *b = arg;
    buf_append(b, bytes_of(name));
    buf_append_byte(b, ' ');
}

/* The rest of base/disk.h's contract, as the real disk's tests have it. */
TEST(disk_sim, obeys_the_contract_of_a_disk)
{
    struct disk_sim *sim = disk_sim_new(test_seed());
    disk_sim_trace_on(sim);
    struct disk *d = open_disk(sim);
    struct disk *second = NULL;
    EXPECT_INT(disk_sim_open(sim, &second, NULL), ST_BUSY);

    struct disk_file *f = NULL;
    EXPECT_INT(d->ops->open(d, "b", false, &f, NULL), ST_NOT_FOUND);
    f = open_file(d, "b", true);
    struct disk_file *again = NULL;
    EXPECT_INT(d->ops->open(d, "b", true, &again, NULL), ST_EXISTS);
    EXPECT_INT(d->ops->rename(d, "x", "y", NULL), ST_NOT_FOUND);
    EXPECT_INT(d->ops->remove(d, "x", NULL), ST_NOT_FOUND);

    EXPECT_INT(d->ops->write(f, 2, bytes_of("cd"), NULL), ST_OK);
    char got[8];
    size_t size = 0;
    EXPECT_INT(d->ops->read(f, 1, got, sizeof got, &size, NULL), ST_OK);
    EXPECT_BYTES(((struct bytes){(uint8_t *)got, size}),
                 ((struct bytes){(const uint8_t *)"\0cd", 3}));
    EXPECT_INT(d->ops->read(f, 4, got, sizeof got, &size, NULL), ST_OK);
    EXPECT_INT(size, 0);
    EXPECT_INT(d->ops->sync(f, NULL), ST_OK);
    d->ops->close(f);

    d->ops->close(open_file(d, "a", true));
    d->ops->close(open_file(d, "B", true));
    struct buf names = {0};
    EXPECT_INT(d->ops->list(d, add_name, &names, NULL), ST_OK);
    EXPECT_BYTES(buf_bytes(&names), bytes_of("B a b "));
    buf_fini(&names);

    EXPECT_TEXT(disk_sim_trace(sim), "create b\n"
                                     "create b -> EXISTS\n"
                                     "rename x y -> NOT_FOUND\n"
                                     "remove x -> NOT_FOUND\n"
                                     "write b 2+2\n"
                                     "sync b\n"
                                     "create a\n"
                                     "create B\n");
    EXPECT_INT(disk_sim_count(sim, DISK_SIM_CREATE | DISK_SIM_SYNC), 5);
    d->ops->free(d);
    disk_sim_free(sim);
}

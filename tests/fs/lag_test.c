/* Answers run ahead of the watch: what another mount does to a file that is
 * being written here may be seen in an answer before it is told.  A program
 * that was told "written" must find it, wherever the file has gone. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "fs/inode.h"
#include "tests/fs/rig.h"

static struct rig r;
static uint64_t node, handle;

/* /k is open and written to. */
static void begin(uint32_t flags)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/k", "old");
    node = rig_walk(&r, "k");
    EXPECT_INT(rig_open(&r, node, flags, &handle), 0);
    EXPECT_INT(rig_write(&r, node, handle, 0, "mine", flags), 0);
    rig_run(&r);
}

static void end(void)
{
    r.kv.hold_events = false;
    EXPECT_INT(rig_release(&r, node, handle), 0);
    rig_run(&r);
    rig_end(&r);
}

/* The close succeeds once the watch tells, and not before. */
static void closes_when_told(void)
{
    struct fuse_flush_in in = {.fh = handle};
    (void)rig_ask(&r, FUSE_FLUSH, node, &in, sizeof in, NULL, 0);
    rig_run(&r);
    r.kv.hold_events = false;
    rig_run(&r);
    rig_pass(&r, 1);
    const struct rig_reply *reply = rig_reply(&r);
    EXPECT(reply->there);
    EXPECT_INT(reply->error, 0);
}

static void move_away(struct fake_kv *f)
{
    (void)fake_move(f, "/k", "/m", false, false);
}

/* `mv` on another mount while an editor saves: one of ten saves was nowhere. */
TEST(lag, what_is_renamed_at_its_publication_is_published_under_its_new_name)
{
    static const uint32_t flags[] = {O_WRONLY, O_WRONLY | O_TRUNC,
                                     O_WRONLY | O_APPEND};
    for (size_t i = 0; i < count_of(flags); i++) {
        begin(flags[i]);
        r.kv.before_txn = move_away;
        EXPECT_INT(rig_flush(&r, node, handle), 0);
        EXPECT_TEXT(rig_value(&r, "/k"), "-");
        EXPECT_TEXT(rig_value(&r, "/m"), i == 2 ? "oldmine" : "mine");
        end();
    }
}

/* The same behind a backlog of events: it waits for them. */
TEST(lag, a_close_waits_until_it_is_told_where_the_file_is)
{
    begin(O_WRONLY);
    r.kv.hold_events = true;
    r.kv.before_txn = move_away;
    struct fuse_flush_in in = {.fh = handle};
    (void)rig_ask(&r, FUSE_FLUSH, node, &in, sizeof in, NULL, 0);
    rig_run(&r);
    rig_pass(&r, 4000);
    EXPECT(!rig_reply(&r)->there);
    r.kv.hold_events = false;
    rig_run(&r);
    rig_pass(&r, 1);
    EXPECT_INT(rig_reply(&r)->error, 0);
    EXPECT_TEXT(rig_value(&r, "/m"), "mine");
    end();
}

/* Never for longer than any call; then the program knows that it does not. */
TEST(lag, a_close_that_is_not_told_fails_in_time)
{
    begin(O_WRONLY);
    r.kv.hold_events = true;
    r.kv.before_txn = move_away;
    struct fuse_flush_in in = {.fh = handle};
    (void)rig_ask(&r, FUSE_FLUSH, node, &in, sizeof in, NULL, 0);
    rig_run(&r);
    rig_pass(&r, 4990);
    EXPECT(!rig_reply(&r)->there);
    rig_pass(&r, 20);
    EXPECT_INT(rig_reply(&r)->error, ETIMEDOUT);
    end();
}

/* An unlinked file takes its draft along, as ever. */
static void remove_it(struct fake_kv *f)
{
    (void)fake_delete(f, "/k");
}

static void make_anew(struct fake_kv *f)
{
    (void)fake_delete(f, "/k");
    (void)fake_put(f, "/k", "another");
}

TEST(lag, what_is_removed_at_its_publication_is_gone)
{
    begin(O_WRONLY);
    r.kv.before_txn = remove_it;
    EXPECT_INT(rig_flush(&r, node, handle), 0);
    EXPECT_TEXT(rig_value(&r, "/k"), "-");
    EXPECT_TEXT(rig_read_text(&r, node, handle), "mine");
    end();
    begin(O_WRONLY);
    r.kv.before_txn = make_anew;
    EXPECT_INT(rig_flush(&r, node, handle), 0);
    EXPECT_TEXT(rig_value(&r, "/k"), "another");
    end();
}

/* When the events are gone for good nobody can say where the file is. */
TEST(lag, a_close_fails_when_what_happened_was_compacted)
{
    begin(O_WRONLY);
    r.kv.hold_events = true;
    move_away(&r.kv);
    fake_miss(&r.kv);
    struct fuse_flush_in in = {.fh = handle};
    (void)rig_ask(&r, FUSE_FLUSH, node, &in, sizeof in, NULL, 0);
    r.kv.hold_events = false;
    rig_pass(&r, 100);
    EXPECT_INT(rig_reply(&r)->error, EIO);
    end();
}

/* --- another file has the name by now --- */

static void begin_displaced(void)
{
    begin(O_WRONLY);
    r.kv.hold_events = true;
    move_away(&r.kv);
}

/* Somebody here looks at the new file, which says nothing about the old one. */
TEST(lag, a_file_that_is_looked_up_does_not_end_the_one_that_was_there)
{
    struct fuse_entry_out entry;
    begin_displaced();
    (void)fake_put(&r.kv, "/k", "another");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", &entry), 0);
    EXPECT(entry.nodeid != node);
    closes_when_told();
    EXPECT_TEXT(rig_value(&r, "/k"), "another");
    EXPECT_TEXT(rig_value(&r, "/m"), "mine");
    end();
}

TEST(lag, an_unlink_removes_the_file_that_is_there_and_no_other)
{
    begin_displaced();
    (void)fake_put(&r.kv, "/k", "another");
    EXPECT_INT(rig_unlink(&r, FUSE_ROOT_ID, "k"), 0);
    closes_when_told();
    EXPECT_TEXT(rig_value(&r, "/k"), "-");
    EXPECT_TEXT(rig_value(&r, "/m"), "mine");
    end();
}

TEST(lag, a_rename_moves_the_file_that_is_there_and_no_other)
{
    begin_displaced();
    (void)fake_put(&r.kv, "/k", "another");
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "k", FUSE_ROOT_ID, "z", 0), 0);
    closes_when_told();
    EXPECT_TEXT(rig_value(&r, "/z"), "another");
    EXPECT_TEXT(rig_value(&r, "/m"), "mine");
    end();
}

TEST(lag, a_rename_replaces_the_file_that_is_there_and_no_other)
{
    begin_displaced();
    (void)fake_put(&r.kv, "/k", "another");
    (void)fake_put(&r.kv, "/x", "x");
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "x", FUSE_ROOT_ID, "k", 0), 0);
    closes_when_told();
    EXPECT_TEXT(rig_value(&r, "/k"), "x");
    EXPECT_TEXT(rig_value(&r, "/m"), "mine");
    end();
}

TEST(lag, an_exchange_moves_the_files_that_are_there_and_no_other)
{
    begin_displaced();
    (void)fake_put(&r.kv, "/k", "another");
    (void)fake_put(&r.kv, "/x", "x");
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "x", FUSE_ROOT_ID, "k", 2), 0);
    closes_when_told();
    EXPECT_TEXT(rig_value(&r, "/k"), "x");
    EXPECT_TEXT(rig_value(&r, "/x"), "another");
    EXPECT_TEXT(rig_value(&r, "/m"), "mine");
    end();
}

/* Made anew here, with and without O_EXCL. */
TEST(lag, a_file_that_is_made_does_not_end_the_one_that_was_there)
{
    for (uint32_t excl = 0; excl <= O_EXCL; excl += O_EXCL) {
        uint64_t other;
        uint64_t other_handle;
        begin_displaced();
        EXPECT_INT(rig_create(&r, FUSE_ROOT_ID, "k", O_WRONLY | excl, &other,
                              &other_handle),
                   0);
        EXPECT(other != node);
        EXPECT_INT(rig_write(&r, other, other_handle, 0, "new", 0), 0);
        closes_when_told();
        EXPECT_INT(rig_flush(&r, other, other_handle), 0);
        EXPECT_INT(rig_release(&r, other, other_handle), 0);
        EXPECT_TEXT(rig_value(&r, "/k"), "new");
        EXPECT_TEXT(rig_value(&r, "/m"), "mine");
        end();
    }
}

/* Away and back again: what was refused in between is asked again. */
TEST(lag, a_file_that_is_back_is_found)
{
    struct fuse_entry_out entry;
    struct fuse_flush_in in = {.fh = handle};
    begin_displaced();
    in.fh = handle;
    (void)rig_ask(&r, FUSE_FLUSH, node, &in, sizeof in, NULL, 0);
    rig_run(&r);
    (void)fake_move(&r.kv, "/m", "/k", false, false);
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", &entry), 0);
    EXPECT_INT(entry.nodeid, node);
    r.kv.hold_events = false;
    rig_run(&r);
    rig_pass(&r, 1);
    EXPECT_INT(rig_reply(&r)->error, 0);
    EXPECT_TEXT(rig_value(&r, "/k"), "mine");
    end();
}

/* Moved again and again, and over another, before anything is told. */
TEST(lag, a_file_is_followed_through_many_names)
{
    struct fuse_entry_out entry;
    begin_displaced();
    (void)fake_put(&r.kv, "/k", "another");
    (void)fake_move(&r.kv, "/m", "/l", false, false);
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", &entry), 0);
    (void)fake_put(&r.kv, "/o", "other");
    (void)fake_exchange(&r.kv, "/l", "/o");
    (void)fake_put(&r.kv, "/t", "target");
    (void)fake_move(&r.kv, "/o", "/t", false, true);
    closes_when_told();
    EXPECT_TEXT(rig_value(&r, "/k"), "another");
    EXPECT_TEXT(rig_value(&r, "/l"), "other");
    EXPECT_TEXT(rig_value(&r, "/t"), "mine");
    end();
}

/* A directory that is renamed here with a file in it that was renamed elsewhere
 * a moment ago. */
TEST(lag, a_directory_that_moves_takes_nothing_along_that_had_left)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/", "");
    (void)fake_put(&r.kv, "/d/k", "old");
    node = rig_walk(&r, "d/k");
    EXPECT_INT(rig_open(&r, node, O_WRONLY, &handle), 0);
    EXPECT_INT(rig_write(&r, node, handle, 0, "mine", 0), 0);
    rig_run(&r);
    r.kv.hold_events = true;
    (void)fake_move(&r.kv, "/d/k", "/m", false, false);
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "d", FUSE_ROOT_ID, "e", 0), 0);
    closes_when_told();
    EXPECT_TEXT(rig_value(&r, "/m"), "mine");
    EXPECT_TEXT(rig_value(&r, "/e/k"), "-");
    end();
}

/* --- files that are being made --- */

/* A file that is open for writing is renamed elsewhere to a name that is just
 * being made here, of which nobody there knows: it is one file then, and who
 * writes to either is heard. */
TEST(lag, what_is_renamed_to_a_file_that_is_being_made_is_kept_and_so_is_that)
{
    for (int first = 0; first < 3; first++) {
        uint64_t made;
        uint64_t made_handle;
        struct fuse_entry_out entry;
        struct fuse_attr attr;
        begin(O_WRONLY);
        r.pid = PID_B;
        EXPECT_INT(
            rig_create(&r, FUSE_ROOT_ID, "m", O_WRONLY, &made, &made_handle),
            0);
        EXPECT_INT(rig_write(&r, made, made_handle, 4, "+new", 0), 0);
        move_away(&r.kv);
        if (first == 0) {
            rig_run(&r);
        } else if (first == 1) {
            r.kv.hold_events = true;
            EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "m", &entry), 0);
            EXPECT_INT(entry.nodeid, node);
            r.kv.hold_events = false;
        }
        EXPECT_INT(rig_flush(&r, made, made_handle), 0);
        EXPECT_INT(rig_getattr(&r, made, &attr), 0); /* fstat */
        r.pid = PID_A;
        EXPECT_INT(rig_flush(&r, node, handle), 0);
        EXPECT_INT(rig_release(&r, made, made_handle), 0);
        EXPECT_TEXT(rig_value(&r, "/m"), "mine+new");
        EXPECT_TEXT(rig_value(&r, "/k"), "-");
        rig_forget(&r, made, 1);
        end();
    }
}

/* Closed, and its publication on its way, when the other comes there. */
static void move_away_and_tell(struct fake_kv *f)
{
    struct fuse_entry_out entry;
    move_away(f);
    r.kv.hold = false;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "m", &entry), 0);
}

TEST(lag, a_publication_goes_on_as_that_of_what_was_renamed_there)
{
    uint64_t made;
    uint64_t made_handle;
    begin(O_WRONLY);
    EXPECT_INT(rig_create(&r, FUSE_ROOT_ID, "m", O_WRONLY, &made, &made_handle),
               0);
    EXPECT_INT(rig_write(&r, made, made_handle, 4, "+new", 0), 0);
    r.kv.hold = true;
    EXPECT_INT(rig_release(&r, made, made_handle), 0);
    r.kv.hold = false;
    move_away_and_tell(&r.kv);
    EXPECT_INT(rig_flush(&r, node, handle), 0);
    EXPECT_TEXT(rig_value(&r, "/m"), "mine+new");
    end();
}

/* Who opens, stats or cuts a file off while it is renamed elsewhere need not
 * hear of it: ESTALE is what a program on one machine never sees.  The kernel
 * walks again, and no more than once. */
TEST(lag, calls_follow_a_file_that_is_renamed_elsewhere)
{
    struct fuse_open_in open_in = {.flags = O_RDONLY};
    const struct fuse_getattr_in attr_in = {.getattr_flags = 0};
    const struct fuse_setattr_in size_in = {.valid = FATTR_SIZE, .size = 1};
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/k", "old");
    node = rig_walk(&r, "k");
    r.kv.hold_events = true;
    move_away(&r.kv);
    EXPECT_INT(rig_open(&r, node, O_RDONLY, &handle), ESTALE);
    (void)fake_move(&r.kv, "/m", "/k", false, false);
    const size_t confirmed = r.kv.linearizable;
    EXPECT_INT(rig_walk(&r, "k"), node);
    EXPECT_INT(r.kv.linearizable, confirmed + 1);
    (void)fake_move(&r.kv, "/k", "/m", false, false);
    (void)rig_ask(&r, FUSE_OPEN, node, &open_in, sizeof open_in, NULL, 0);
    (void)rig_ask(&r, FUSE_GETATTR, node, &attr_in, sizeof attr_in, NULL, 0);
    (void)rig_ask(&r, FUSE_SETATTR, node, &size_in, sizeof size_in, NULL, 0);
    rig_run(&r);
    EXPECT(!rig_reply(&r)->there);
    r.kv.hold_events = false;
    rig_run(&r);
    rig_pass(&r, 1);
    for (int i = 0; i < 3; i++) {
        const struct rig_reply *reply = rig_reply(&r);
        EXPECT(reply->there);
        EXPECT_INT(reply->error, 0);
    }
    EXPECT_TEXT(rig_value(&r, "/m"), "o");
    rig_end(&r);
}

/* A name that was a file's before the call, as a look-up that nobody confirmed
 * has it, is no name to open it by. */
TEST(lag, a_name_that_a_file_has_left_does_not_open_it)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/k", "old");
    node = rig_walk(&r, "k");
    move_away(&r.kv);
    EXPECT_INT(rig_open(&r, node, O_RDONLY, &handle), ESTALE);
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", NULL), ENOENT);
    rig_end(&r);
    /* Told between the look-up and the open; a leader's look-up is good. */
    for (int leads = 0; leads < 2; leads++) {
        rig_begin(&r, "");
        r.kv.status.role = leads == 1 ? KV_LEADER : KV_FOLLOWER;
        (void)fake_put(&r.kv, "/k", "old");
        node = rig_walk(&r, "k");
        move_away(&r.kv);
        rig_run(&r);
        EXPECT_INT(rig_truncate(&r, node, 0, 1), leads == 1 ? 0 : ESTALE);
        rig_pass(&r, 1100);
        (void)fake_move(&r.kv, "/m", "/k", false, false);
        rig_run(&r);
        EXPECT_INT(rig_open(&r, node, O_RDONLY, &handle),
                   leads == 1 ? 0 : ESTALE);
        EXPECT_INT(rig_walk(&r, "k"), node);
        EXPECT_INT(leads == 1 ? 0 : rig_open(&r, node, O_RDONLY, &handle), 0);
        EXPECT_INT(rig_release(&r, node, handle), 0);
        rig_end(&r);
    }
}

/* Removed: then it is known to be gone, and the kernel walks again. */
TEST(lag, calls_that_find_a_file_gone_say_so_when_it_is_told)
{
    struct fuse_open_in open_in = {.flags = O_RDONLY};
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/k", "old");
    node = rig_walk(&r, "k");
    r.kv.hold_events = true;
    (void)fake_delete(&r.kv, "/k");
    EXPECT_INT(rig_open(&r, node, O_RDONLY, &handle), ESTALE);
    (void)rig_ask(&r, FUSE_OPEN, node, &open_in, sizeof open_in, NULL, 0);
    rig_run(&r);
    EXPECT(!rig_reply(&r)->there);
    r.kv.hold_events = false;
    rig_run(&r);
    rig_pass(&r, 1);
    EXPECT_INT(rig_reply(&r)->error, ESTALE);
    rig_end(&r);
}

/* Nobody writes to the other: then nothing is lost, and nothing fails (it was
 * EIO, since two nodes stood for one file). */
TEST(lag, a_file_that_is_being_made_goes_on_as_what_was_renamed_there)
{
    for (int told = 0; told < 2; told++) {
        rig_begin(&r, "");
        (void)fake_put(&r.kv, "/k", "a longer value");
        (void)rig_walk(&r, "k");
        EXPECT_INT(rig_create(&r, FUSE_ROOT_ID, "m", O_WRONLY, &node, &handle),
                   0);
        EXPECT_INT(rig_write(&r, node, handle, 0, "mine", 0), 0);
        if (told == 1) {
            move_away(&r.kv);
            rig_run(&r);
        } else {
            r.kv.before_txn = move_away;
        }
        EXPECT_INT(rig_flush(&r, node, handle), 0);
        EXPECT_TEXT(rig_value(&r, "/m"), "minenger value");
        end();
    }
}

/* A rename that fails changes nothing; it took the new file away first. */
TEST(lag, a_rename_that_fails_leaves_a_file_that_is_being_made)
{
    rig_begin(&r, "");
    EXPECT_INT(rig_create(&r, FUSE_ROOT_ID, "m", O_WRONLY, &node, &handle), 0);
    EXPECT_INT(rig_write(&r, node, handle, 0, "mine", 0), 0);
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "k", FUSE_ROOT_ID, "m", 0), ENOENT);
    EXPECT_INT(rig_flush(&r, node, handle), 0);
    EXPECT_TEXT(rig_value(&r, "/m"), "mine");
    end();
}

/* --- directories --- */

/* Removed and made again elsewhere, and looked up before that is told: who is
 * in it need not leave. */
TEST(lag, a_directory_that_was_made_again_is_not_ended_by_its_removal)
{
    uint64_t made;
    uint64_t made_handle;
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/", "");
    const uint64_t d = rig_walk(&r, "d");
    rig_run(&r);
    r.kv.hold_events = true;
    (void)fake_delete(&r.kv, "/d/");
    (void)fake_put(&r.kv, "/d/", "");
    EXPECT_INT(rig_walk(&r, "d"), d);
    r.kv.hold_events = false;
    rig_run(&r);
    EXPECT_INT(rig_create(&r, d, "n", O_WRONLY, &made, &made_handle), 0);
    EXPECT_INT(rig_flush(&r, made, made_handle), 0);
    EXPECT_INT(rig_release(&r, made, made_handle), 0);
    rig_run(&r);
    EXPECT_TEXT(rig_value(&r, "/d/n"), "");
    rig_end(&r);
}

/* Renamed and made again elsewhere: what is made in the new one stays there
 * when the table follows the rename, whose replay may have to wait. */
TEST(lag, what_is_made_in_a_directory_is_not_found_in_one_that_was_renamed)
{
    uint64_t made;
    uint64_t made_handle;
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/", "");
    const uint64_t d = rig_walk(&r, "d");
    r.kv.hold_events = true;
    const int64_t moved = fake_move(&r.kv, "/d/", "/e/", true, false);
    (void)fake_put(&r.kv, "/d/", "");
    EXPECT_INT(rig_walk(&r, "d"), d);
    fs_nodes_move_below(r.fs, bytes_of("/d/"), bytes_of("/e/"), moved);
    EXPECT_INT(rig_create(&r, d, "n", O_WRONLY, &made, &made_handle), 0);
    EXPECT_INT(rig_release(&r, made, made_handle), 0);
    rig_run(&r);
    EXPECT_TEXT(rig_value(&r, "/d/n"), "");
    EXPECT_TEXT(rig_value(&r, "/e/n"), "-");
    rig_end(&r);
}

/* Looked up under its new name before the table follows: both numbers stand for
 * the one directory. */
TEST(lag, a_directory_that_was_looked_up_under_its_new_name_is_the_same)
{
    uint64_t made;
    uint64_t made_handle;
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/", "");
    (void)fake_put(&r.kv, "/d/x", "1");
    const uint64_t d = rig_walk(&r, "d");
    r.kv.hold_events = true;
    const int64_t moved = fake_move(&r.kv, "/d/", "/e/", true, false);
    (void)fake_put(&r.kv, "/e/y", "2");
    const uint64_t e = rig_walk(&r, "e");
    fs_nodes_move_below(r.fs, bytes_of("/d/"), bytes_of("/e/"), moved);
    EXPECT_TEXT(rig_list(&r, d, 4096, false), "./ ../ x y");
    EXPECT_TEXT(rig_list(&r, e, 4096, false), "./ ../ x y");
    EXPECT_INT(rig_create(&r, e, "n", O_WRONLY, &made, &made_handle), 0);
    EXPECT_INT(rig_release(&r, made, made_handle), 0);
    rig_run(&r);
    EXPECT_TEXT(rig_value(&r, "/e/n"), "");
    rig_forget(&r, e, 1);
    rig_forget(&r, d, 1);
    rig_end(&r);
}

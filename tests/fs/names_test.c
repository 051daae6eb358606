/* Calls that change names, and listings. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/prng.h"
#include "fs/inode.h"
#include "tests/fs/rig.h"

static struct rig r;

/* --- directories --- */

TEST(directory, markers_are_made_and_removed)
{
    rig_begin(&r, "");
    uint64_t d;
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, "d", &d), 0);
    EXPECT_TEXT(rig_value(&r, "/d/"), "");
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, "d", NULL), EEXIST);
    (void)fake_put(&r.kv, "/f", "1");
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, "f", NULL), EEXIST);
    (void)fake_put(&r.kv, "/i/x", "1");
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, "i", NULL), EEXIST);
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, "%value", NULL), EINVAL);
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, "%root", NULL), EEXIST);
    EXPECT_INT(rig_rmdir(&r, FUSE_ROOT_ID, "d"), 0);
    EXPECT_TEXT(rig_value(&r, "/d/"), "-");
    EXPECT_INT(rig_rmdir(&r, FUSE_ROOT_ID, "d"), ENOENT);
    EXPECT_INT(rig_rmdir(&r, FUSE_ROOT_ID, "f"), ENOTDIR);
    rig_end(&r);
}

/* rmdir of what somebody has just put a key into would lose it. */
TEST(directory, only_empty_ones_are_removed)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/", "");
    (void)fake_put(&r.kv, "/d/x", "1");
    EXPECT_INT(rig_rmdir(&r, FUSE_ROOT_ID, "d"), ENOTEMPTY);
    (void)fake_delete(&r.kv, "/d/x");
    (void)fake_put(&r.kv, "/d", "its value"); /* d/%value */
    EXPECT_INT(rig_rmdir(&r, FUSE_ROOT_ID, "d"), ENOTEMPTY);
    (void)fake_delete(&r.kv, "/d");
    (void)fake_put(&r.kv, "/d/", "a file"); /* d/% */
    EXPECT_INT(rig_rmdir(&r, FUSE_ROOT_ID, "d"), ENOTEMPTY);
    (void)fake_put(&r.kv, "/d/", "");
    uint64_t node;
    uint64_t handle;
    const uint64_t d = rig_walk(&r, "d");
    EXPECT_INT(rig_create(&r, d, "new", O_WRONLY, &node, &handle), 0);
    EXPECT_INT(rig_rmdir(&r, FUSE_ROOT_ID, "d"), ENOTEMPTY);
    EXPECT_INT(rig_unlink(&r, d, "new"), 0);
    EXPECT_INT(rig_rmdir(&r, FUSE_ROOT_ID, "d"), 0);
    EXPECT_INT(rig_release(&r, node, handle), 0);
    rig_end(&r);
}

TEST(directory, implicit_ones_go_with_their_last_file)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/i/x", "1");
    const uint64_t d = rig_walk(&r, "i");
    struct fuse_attr attr;
    EXPECT_INT(rig_unlink(&r, d, "x"), 0);
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "i", NULL), ENOENT);
    EXPECT_INT(rig_getattr(&r, d, &attr), ESTALE);
    uint64_t m;
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, "m", &m), 0);
    (void)fake_put(&r.kv, "/m/x", "1");
    EXPECT_INT(rig_unlink(&r, m, "x"), 0);
    EXPECT_INT(rig_getattr(&r, m, &attr), 0); /* made by mkdir: it stays */
    rig_end(&r);
}

TEST(unlink, files_and_only_files)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d", "v");
    (void)fake_put(&r.kv, "/d/x", "1");
    (void)fake_put(&r.kv, "/e/", "");
    EXPECT_INT(rig_unlink(&r, FUSE_ROOT_ID, "nothing"), ENOENT);
    EXPECT_INT(rig_unlink(&r, FUSE_ROOT_ID, "d"), EISDIR);
    EXPECT_TEXT(rig_value(&r, "/d"), "v");
    EXPECT_INT(rig_unlink(&r, rig_walk(&r, "e"), "%"), ENOENT);
    EXPECT_TEXT(rig_value(&r, "/e/"), ""); /* the marker is no file */
    EXPECT_INT(rig_unlink(&r, rig_walk(&r, "d"), "%value"), 0);
    EXPECT_TEXT(rig_value(&r, "/d"), "-");
    rig_end(&r);
}

/* --- rename --- */

TEST(rename, replaces_atomically)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/tmp", "new");
    (void)fake_put_lease(&r.kv, "/k", "old", 9);
    const int64_t created = fake_get(&r.kv, "/k")->create_revision;
    const uint64_t moved = rig_walk(&r, "tmp");
    const uint64_t replaced = rig_walk(&r, "k");
    const size_t writes = r.kv.writes;
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "tmp", FUSE_ROOT_ID, "k", 0), 0);
    EXPECT_INT(r.kv.writes - writes, 1);
    EXPECT_TEXT(rig_value(&r, "/k"), "new");
    EXPECT_TEXT(rig_value(&r, "/tmp"), "-");
    /* The target's lease and life stay. */
    EXPECT_INT(fake_get(&r.kv, "/k")->lease, 9);
    EXPECT_INT(fake_get(&r.kv, "/k")->create_revision, created);
    /* The kernel has moved the inode: it is known by that. */
    EXPECT_INT(rig_walk(&r, "k"), moved);
    struct fuse_attr attr;
    EXPECT_INT(rig_getattr(&r, moved, &attr), 0);
    EXPECT_INT(rig_getattr(&r, replaced, &attr), ESTALE);
    rig_end(&r);
}

/* tail -F and all that look for rotated files compare inode numbers. */
TEST(rename, over_a_file_is_another_inode_everywhere)
{
    rig_begin(&r, "");
    struct fuse_entry_out before;
    struct fuse_entry_out after;
    struct fuse_attr attr;
    uint64_t h;
    (void)fake_put(&r.kv, "/k", "old");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", &before), 0);
    EXPECT_INT(rig_open(&r, before.nodeid, O_RDWR, &h), 0);
    EXPECT_INT(rig_write(&r, before.nodeid, h, 0, "O", 0), 0);
    (void)fake_put(&r.kv, "/tmp", "new");
    (void)fake_move(&r.kv, "/tmp", "/k", false, true);
    rig_run(&r);
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", &after), 0);
    EXPECT(after.nodeid != before.nodeid);
    EXPECT(after.attr.ino != before.attr.ino);
    EXPECT_INT(rig_getattr(&r, before.nodeid, &attr), 0); /* still open */
    EXPECT_INT(attr.nlink, 0);
    EXPECT_INT(attr.ino, before.attr.ino);
    /* What was written to the replaced file goes with it. */
    EXPECT_INT(rig_flush(&r, before.nodeid, h), 0);
    EXPECT_TEXT(rig_value(&r, "/k"), "new");
    EXPECT_INT(rig_release(&r, before.nodeid, h), 0);
    rig_end(&r);
}

/* The watch lags behind what transactions answer: the table may still know the
 * target by the name that it had before. */
TEST(rename, over_what_was_renamed_elsewhere_a_moment_ago)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/u", "old");
    (void)fake_put(&r.kv, "/s", "new");
    const uint64_t u = rig_walk(&r, "u");
    const uint64_t s = rig_walk(&r, "s");
    (void)fake_move(&r.kv, "/u", "/t", false, true);
    (void)rig_ask(&r, FUSE_RENAME2, FUSE_ROOT_ID,
                  &(struct fuse_rename2_in){.newdir = FUSE_ROOT_ID},
                  sizeof(struct fuse_rename2_in), "s\0t", 4);
    rig_read(&r);
    EXPECT(fake_kv_answer_one(&r.kv)); /* before any event */
    EXPECT_INT(rig_reply(&r)->error, 0);
    rig_run(&r);
    EXPECT_TEXT(rig_value(&r, "/t"), "new");
    EXPECT_INT(rig_walk(&r, "t"), s);
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "u", NULL), ENOENT);
    struct fuse_attr attr;
    EXPECT_INT(rig_getattr(&r, u, &attr), ESTALE);
    rig_end(&r);
}

TEST(rename, keeps_the_number)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/a", "1");
    (void)fake_put(&r.kv, "/d/", "");
    const uint64_t a = rig_walk(&r, "a");
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "a", rig_walk(&r, "d"), "b", 0), 0);
    EXPECT_INT(rig_walk(&r, "d/b"), a);
    EXPECT_INT(fake_get(&r.kv, "/d/b")->ino, a);
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "a", NULL), ENOENT);
    rig_end(&r);
}

static void remove_d(struct fake_kv *f)
{
    (void)fake_delete(f, "/d/");
}

/* Danger: rmdir elsewhere was acknowledged, and the directory is back, holding
 * what a call here made in it that had begun before. */
TEST(names, nothing_is_made_in_a_directory_that_has_gone)
{
    for (int what = 0; what < 4; what++) {
        rig_begin(&r, "");
        (void)fake_put(&r.kv, "/f", "1");
        (void)fake_put(&r.kv, "/d/", "");
        (void)fake_put(&r.kv, "/e/x", "");
        const uint64_t d = rig_walk(&r, "d");
        (void)rig_walk(&r, "f");
        (void)rig_walk(&r, "e");
        uint64_t node, h;
        r.kv.before_txn = remove_d;
        const int error =
            what == 0   ? rig_create(&r, d, "n", O_WRONLY | O_EXCL, &node, &h)
            : what == 1 ? rig_mkdir(&r, d, "n", NULL)
            : what == 2 ? rig_rename(&r, FUSE_ROOT_ID, "f", d, "n", 0)
                        : rig_rename(&r, FUSE_ROOT_ID, "e", d, "n", 0);
        EXPECT_INT(error, ESTALE); /* the kernel walks again: ENOENT */
        EXPECT_TEXT(rig_value(&r, "/d/"), "-");
        EXPECT_TEXT(rig_value(&r, "/d/n"), "-");
        EXPECT_TEXT(rig_value(&r, "/d/n/"), "-");
        EXPECT_TEXT(rig_value(&r, "/d/n/x"), "-");
        EXPECT_TEXT(rig_value(&r, "/f"), "1");
        rig_end(&r);
    }
}

TEST(rename, refusals)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/f", "1");
    (void)fake_put(&r.kv, "/g", "2");
    (void)fake_put(&r.kv, "/d/x", "3");
    (void)fake_put(&r.kv, "/e/", "");
    const uint32_t no_replace = 1;
    const uint32_t exchange = 2;
    const uint64_t top = FUSE_ROOT_ID;
    EXPECT_INT(rig_rename(&r, top, "none", top, "n", 0), ENOENT);
    EXPECT_INT(rig_rename(&r, top, "f", top, "d", 0), EISDIR);
    EXPECT_INT(rig_rename(&r, top, "d", top, "f", 0), ENOTDIR);
    EXPECT_INT(rig_rename(&r, top, "e", top, "d", 0), ENOTEMPTY);
    EXPECT_INT(rig_rename(&r, top, "f", top, "g", no_replace), EEXIST);
    EXPECT_INT(rig_rename(&r, top, "d", top, "e", no_replace), EEXIST);
    EXPECT_INT(rig_rename(&r, top, "f", top, "none", exchange), ENOENT);
    EXPECT_INT(rig_rename(&r, top, "f", top, "g", 4), EINVAL);
    EXPECT_INT(rig_rename(&r, top, "f", top, "%41", 0), EINVAL);
    EXPECT_TEXT(rig_value(&r, "/f"), "1");
    EXPECT_TEXT(rig_value(&r, "/g"), "2");
    EXPECT_INT(rig_rename(&r, top, "f", top, "h", no_replace), 0);
    EXPECT_TEXT(rig_value(&r, "/h"), "1");
    rig_end(&r);
}

TEST(rename, exchange)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/a", "1");
    (void)fake_put(&r.kv, "/b", "2");
    const uint64_t a = rig_walk(&r, "a");
    const uint64_t b = rig_walk(&r, "b");
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "a", FUSE_ROOT_ID, "b", 2), 0);
    EXPECT_TEXT(rig_value(&r, "/a"), "2");
    EXPECT_TEXT(rig_value(&r, "/b"), "1");
    EXPECT_INT(rig_walk(&r, "b"), a);
    EXPECT_INT(rig_walk(&r, "a"), b);
    rig_end(&r);
}

TEST(rename, exchange_with_directories)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/f", "file");
    (void)fake_put(&r.kv, "/d/", "");
    (void)fake_put(&r.kv, "/d/x", "1");
    (void)fake_put(&r.kv, "/e/x", "2");
    (void)fake_put(&r.kv, "/e/y/z", "3");
    const uint64_t f = rig_walk(&r, "f");
    const uint64_t d = rig_walk(&r, "d");
    const uint64_t x = rig_walk(&r, "d/x");
    const size_t writes = r.kv.writes;
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "f", FUSE_ROOT_ID, "d", 2), 0);
    EXPECT_INT(r.kv.writes - writes, 1);
    EXPECT_TEXT(rig_value(&r, "/d"), "file");
    EXPECT_TEXT(rig_value(&r, "/f/x"), "1");
    EXPECT_INT(rig_walk(&r, "d"), f);
    EXPECT_INT(rig_walk(&r, "f"), d);
    EXPECT_INT(rig_walk(&r, "f/x"), x);
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "f", FUSE_ROOT_ID, "e", 2), 0);
    EXPECT_TEXT(rig_value(&r, "/e/x"), "1");
    EXPECT_TEXT(rig_value(&r, "/f/x"), "2");
    EXPECT_TEXT(rig_value(&r, "/f/y/z"), "3");
    EXPECT_TEXT(rig_value(&r, "/e/"), "");
    EXPECT_TEXT(rig_value(&r, "/f/"), "-");
    EXPECT_INT(rig_walk(&r, "e/x"), x);
    for (int i = 0; i < 200; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "/big/%d", i);
        (void)fake_put(&r.kv, key, "");
    }
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "f", FUSE_ROOT_ID, "big", 2),
               EXDEV);
    rig_end(&r);
}

/* A kernel that has not heard that a directory was moved into another one asks
 * for what has no end. */
TEST(rename, not_with_what_is_inside)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/a/b/x", "1");
    const uint64_t a = rig_walk(&r, "a");
    const uint64_t b = rig_walk(&r, "a/b");
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "a", a, "b", 2), EINVAL);
    EXPECT_INT(rig_rename(&r, a, "b", FUSE_ROOT_ID, "a", 2), EINVAL);
    EXPECT_INT(rig_rename(&r, b, "x", FUSE_ROOT_ID, "a", 2), EINVAL);
    EXPECT_TEXT(rig_value(&r, "/a/b/x"), "1");
    rig_end(&r);
}

/* A directory that is renamed while its listing is asked for: the node died of
 * it. */
TEST(rename, of_a_directory_that_is_being_opened)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/x", "1");
    const uint64_t d = rig_walk(&r, "d");
    const struct fuse_open_in in = {.flags = O_RDONLY | O_DIRECTORY};
    const struct fuse_getattr_in attr_in = {.getattr_flags = 0};
    r.kv.hold_events = r.kv.hold = true;
    const int64_t moved = fake_move(&r.kv, "/d/", "/e/", true, false);
    (void)fake_put(&r.kv, "/d/y", "another");
    (void)rig_ask(&r, FUSE_OPENDIR, d, &in, sizeof in, NULL, 0);
    (void)rig_ask(&r, FUSE_GETATTR, d, &attr_in, sizeof attr_in, NULL, 0);
    rig_run(&r);
    fs_nodes_move_below(r.fs, bytes_of("/d/"), bytes_of("/e/"), moved);
    r.kv.hold = false;
    rig_run(&r);
    EXPECT_INT(rig_reply(&r)->error, 0);
    EXPECT_INT(rig_reply(&r)->error, 0);
    EXPECT_TEXT(rig_list(&r, d, 4096, false), "./ ../ x");
    rig_end(&r);
}

/* What is being written into a directory would be in another's place. */
TEST(rename, not_over_files_that_are_not_published_yet)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/x", "1");
    (void)fake_put(&r.kv, "/e/", "");
    uint64_t node;
    uint64_t h;
    const uint64_t e = rig_walk(&r, "e");
    EXPECT_INT(rig_create(&r, e, "new", O_WRONLY, &node, &h), 0);
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "d", FUSE_ROOT_ID, "e", 0),
               ENOTEMPTY);
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "d", FUSE_ROOT_ID, "e", 1), EEXIST);
    EXPECT_INT(rig_write(&r, node, h, 0, "2", 0), 0);
    EXPECT_INT(rig_flush(&r, node, h), 0);
    EXPECT_TEXT(rig_value(&r, "/e/new"), "2");
    EXPECT_TEXT(rig_value(&r, "/d/x"), "1");
    EXPECT_INT(rig_release(&r, node, h), 0);
    rig_end(&r);
}

TEST(rename, directories_with_all_below)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d", "value");
    (void)fake_put(&r.kv, "/d/", "");
    (void)fake_put(&r.kv, "/d/x", "1");
    (void)fake_put(&r.kv, "/d/s/y", "2");
    (void)fake_put(&r.kv, "/e/", ""); /* empty: may be replaced */
    uint64_t h;
    const uint64_t y = rig_walk(&r, "d/s/y");
    const uint64_t d = rig_walk(&r, "d");
    EXPECT_INT(rig_open(&r, y, O_RDWR, &h), 0);
    const size_t writes = r.kv.writes;
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "d", FUSE_ROOT_ID, "e", 0), 0);
    EXPECT_INT(r.kv.writes - writes, 1);
    EXPECT_TEXT(rig_value(&r, "/e"), "value");
    EXPECT_TEXT(rig_value(&r, "/e/x"), "1");
    EXPECT_TEXT(rig_value(&r, "/d/x"), "-");
    EXPECT_INT(rig_walk(&r, "e"), d);
    EXPECT_INT(rig_walk(&r, "e/s/y"), y);
    /* An open file below has followed. */
    EXPECT_INT(rig_write(&r, y, h, 0, "9", 0), 0);
    EXPECT_INT(rig_flush(&r, y, h), 0);
    EXPECT_TEXT(rig_value(&r, "/e/s/y"), "9");
    EXPECT_INT(rig_release(&r, y, h), 0);
    rig_end(&r);
}

/* mv copies on EXDEV. */
TEST(rename, too_large_or_unsupported_is_another_device)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/x", "1");
    (void)fake_put(&r.kv, "/f", "1");
    r.kv.without_extensions = true;
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "f", FUSE_ROOT_ID, "g", 0), EXDEV);
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "d", FUSE_ROOT_ID, "e", 0), EXDEV);
    r.kv.without_extensions = false;
    r.kv.fail = ST_TOO_MANY_OPS;
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "d", FUSE_ROOT_ID, "e", 0), EXDEV);
    rig_end(&r);
}

/* A temporary file that was never published is what atomic writers rename. */
TEST(rename, publishes_what_has_no_revision)
{
    rig_begin(&r, "");
    uint64_t node;
    uint64_t h;
    (void)fake_put(&r.kv, "/k", "old");
    EXPECT_INT(rig_create(&r, FUSE_ROOT_ID, "tmp", O_WRONLY, &node, &h), 0);
    EXPECT_INT(rig_write(&r, node, h, 0, "new", 0), 0);
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "tmp", FUSE_ROOT_ID, "k", 0), 0);
    EXPECT_TEXT(rig_value(&r, "/k"), "new");
    EXPECT_INT(rig_write(&r, node, h, 3, "er", 0), 0);
    EXPECT_INT(rig_flush(&r, node, h), 0);
    EXPECT_TEXT(rig_value(&r, "/k"), "newer");
    EXPECT_INT(rig_release(&r, node, h), 0);
    rig_end(&r);
}

/* --- listings --- */

TEST(listing, names_of_the_table)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/a", "value");
    (void)fake_put(&r.kv, "/a-b", "1"); /* sorts between a and a/ */
    (void)fake_put(&r.kv, "/a/x", "1");
    (void)fake_put(&r.kv, "/.keelfs", "1");
    (void)fake_put(&r.kv, "//y", "1");
    (void)fake_put(&r.kv, "/", "1");
    (void)fake_put(&r.kv, "foo", "1");
    (void)fake_put(&r.kv, "zoo/bar", "1");
    EXPECT_TEXT(rig_list(&r, FUSE_ROOT_ID, 4096, false),
                "./ ../ %root/ %2Ekeelfs %/ a-b a/");
    EXPECT_TEXT(rig_list(&r, rig_walk(&r, "a"), 4096, true), "./ ../ %value x");
    EXPECT_TEXT(rig_list(&r, rig_walk(&r, "%"), 4096, true), "./ ../ %value y");
    EXPECT_TEXT(rig_list(&r, rig_walk(&r, "%root"), 4096, true),
                "./ ../ foo zoo/");
    EXPECT_TEXT(rig_list(&r, rig_walk(&r, "%root/zoo"), 4096, true),
                "./ ../ bar");
    rig_end(&r);
}

TEST(listing, continued_names)
{
    rig_begin(&r, "");
    char key[700];
    char wanted[2000];
    char a[254];
    memset(a, 'a', 253);
    a[253] = 0;
    (void)snprintf(key, sizeof key, "/%s", a);
    (void)fake_put(&r.kv, key, "1");
    (void)snprintf(key, sizeof key, "/%sbb", a);
    (void)fake_put(&r.kv, key, "1");
    (void)snprintf(key, sizeof key, "/%sbbb", a);
    (void)fake_put(&r.kv, key, "1");
    (void)snprintf(key, sizeof key, "/%sbcde/x", a);
    (void)fake_put(&r.kv, key, "1");
    (void)snprintf(wanted, sizeof wanted, "./ ../ %s %sbb %s%%+/", a, a, a);
    EXPECT_TEXT(rig_list(&r, FUSE_ROOT_ID, 4096, false), wanted);
    (void)snprintf(key, sizeof key, "%s%%+", a);
    EXPECT_TEXT(rig_list(&r, rig_walk(&r, key), 4096, true),
                "./ ../ bbb bcde/");
    rig_end(&r);
}

/* One moment of the directory, whatever happens while it is read. */
TEST(listing, is_one_moment)
{
    rig_begin(&r, "");
    for (int i = 0; i < 5; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "/d/%d", i);
        (void)fake_put(&r.kv, key, "");
    }
    const uint64_t d = rig_walk(&r, "d");
    const struct fuse_open_in in = {.flags = 0};
    struct fuse_open_out out;
    memcpy(&out, rig_call(&r, FUSE_OPENDIR, d, &in, sizeof in, NULL, 0)->body,
           sizeof out);
    (void)fake_delete(&r.kv, "/d/3");
    (void)fake_put(&r.kv, "/d/9", "");
    struct fuse_read_in read = {.fh = out.fh, .size = 4096};
    const struct rig_reply *reply =
        rig_call(&r, FUSE_READDIR, d, &read, sizeof read, NULL, 0);
    EXPECT_INT(reply->size, 7 * 32); /* two dots and five names */
    const struct fuse_release_in done = {.fh = out.fh};
    (void)rig_call(&r, FUSE_RELEASEDIR, d, &done, sizeof done, NULL, 0);
    EXPECT_TEXT(rig_list(&r, d, 4096, false), "./ ../ 0 1 2 4 9");
    EXPECT_INT(rig_lookup(&r, d, "9", NULL), 0);
    rig_end(&r);
}

/* Entries neither doubled nor lost, over several pages, with replies of any
 * size, from any offset. */
TEST(listing, pages_and_seeking)
{
    rig_begin(&r, "");
    struct prng p;
    prng_init(&p, test_seed());
    const int count = 3000;
    for (int i = 0; i < count; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "/d/k%05d", i);
        (void)fake_put(&r.kv, key, "");
        if (i % 3 == 0) {
            (void)snprintf(key, sizeof key, "/d/k%05d/sub", i);
            (void)fake_put(&r.kv, key, "");
        } else if (i % 7 == 0) {
            (void)snprintf(key, sizeof key, "/d/k%05d-", i);
            (void)fake_put(&r.kv, key, "");
        }
    }
    struct buf wanted = {.size = 0};
    buf_append(&wanted, bytes_of("./ ../"));
    for (int i = 0; i < count; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, " k%05d%s", i, i % 3 == 0 ? "/" : "");
        buf_append(&wanted, bytes_of(name));
        if (i % 3 != 0 && i % 7 == 0) {
            (void)snprintf(name, sizeof name, " k%05d-", i);
            buf_append(&wanted, bytes_of(name));
        }
    }
    buf_append_byte(&wanted, 0);
    const uint64_t d = rig_walk(&r, "d");
    for (int i = 0; i < 6; i++) {
        const uint32_t size = 200 + (uint32_t)prng_below(&p, 60000);
        EXPECT_TEXT(rig_list(&r, d, size, i % 2 == 1),
                    (const char *)wanted.data);
    }
    buf_fini(&wanted);

    /* From an offset in a page that is no longer at hand. */
    const struct fuse_open_in in = {.flags = 0};
    struct fuse_open_out out;
    memcpy(&out, rig_call(&r, FUSE_OPENDIR, d, &in, sizeof in, NULL, 0)->body,
           sizeof out);
    static uint64_t offsets[4000];
    static char names[4000][16];
    size_t seen = 0;
    struct fuse_read_in read = {.fh = out.fh, .size = 4096};
    for (;;) {
        const struct rig_reply *reply =
            rig_call(&r, FUSE_READDIR, d, &read, sizeof read, NULL, 0);
        if (reply->size == 0) {
            break;
        }
        for (size_t at = 0; at < reply->size;) {
            struct fuse_dirent e;
            memcpy(&e, reply->body + at, sizeof e);
            offsets[seen] = e.off;
            memcpy(names[seen], reply->body + at + FUSE_NAME_OFFSET, 15);
            names[seen++][e.namelen] = 0;
            read.offset = e.off;
            at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + e.namelen);
        }
    }
    for (int i = 0; i < 200; i++) {
        const size_t at = prng_below(&p, seen - 1);
        read.offset = offsets[at];
        const struct rig_reply *reply =
            rig_call(&r, FUSE_READDIR, d, &read, sizeof read, NULL, 0);
        struct fuse_dirent e;
        memcpy(&e, reply->body, sizeof e);
        EXPECT_BYTES(
            ((struct bytes){reply->body + FUSE_NAME_OFFSET, e.namelen}),
            bytes_of(names[at + 1]));
    }
    const struct fuse_release_in done = {.fh = out.fh};
    (void)rig_call(&r, FUSE_RELEASEDIR, d, &done, sizeof done, NULL, 0);
    rig_end(&r);
}

/* A file that is a directory too must be found out even when the page ends
 * between the two. */
TEST(listing, names_that_reach_over_a_page)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/x", "value");
    (void)fake_put(&r.kv, "/d/y", "value");
    for (int i = 0; i < FS_LISTING_PAGE + 5; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "/d/x-%05d", i);
        (void)fake_put(&r.kv, key, "");
    }
    (void)fake_put(&r.kv, "/d/x/sub", "1");
    const uint64_t d = rig_walk(&r, "d");
    const char *text = rig_list(&r, d, 4096, false);
    EXPECT(strstr(text, " x ") == NULL);
    EXPECT(strstr(text, " x/ ") != NULL);
    EXPECT(strstr(text, " y") != NULL);
    rig_end(&r);
}

/* O(own children), not O(everything below). */
TEST(listing, does_not_read_what_is_below)
{
    rig_begin(&r, "");
    for (int i = 0; i < 5000; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "/d/sub/%05d", i);
        (void)fake_put(&r.kv, key, "");
    }
    const uint64_t d = rig_walk(&r, "d");
    const size_t asked = r.kv.asked;
    EXPECT_TEXT(rig_list(&r, d, 65536, false), "./ ../ sub/");
    EXPECT_INT(r.kv.asked - asked, 1);
    rig_end(&r);
}

/* What readdirplus counts as looked up, the kernel forgets. */
TEST(listing, plus_counts_lookups)
{
    rig_begin(&r, "");
    struct fuse_attr attr;
    (void)fake_put(&r.kv, "/d/x", "1");
    const uint64_t d = rig_walk(&r, "d");
    EXPECT_TEXT(rig_list(&r, d, 4096, true), "./ ../ x");
    const uint64_t x = fake_get(&r.kv, "/d/x")->ino;
    EXPECT_INT(rig_getattr(&r, x, &attr), 0);
    rig_forget(&r, x, 1);
    EXPECT_INT(rig_getattr(&r, x, &attr), ESTALE);
    rig_end(&r);
}

TEST(listing, compacted_meanwhile_is_stale)
{
    rig_begin(&r, "");
    for (int i = 0; i < FS_LISTING_PAGE + 5; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "/d/%05d", i);
        (void)fake_put(&r.kv, key, "");
    }
    const uint64_t d = rig_walk(&r, "d");
    const struct fuse_open_in in = {.flags = 0};
    struct fuse_open_out out;
    memcpy(&out, rig_call(&r, FUSE_OPENDIR, d, &in, sizeof in, NULL, 0)->body,
           sizeof out);
    (void)fake_put(&r.kv, "/other", "");
    r.kv.status.compact_revision = r.kv.status.header.revision;
    const struct fuse_read_in read = {
        .fh = out.fh, .size = 4096, .offset = 2 << 16};
    EXPECT_INT(
        rig_call(&r, FUSE_READDIR, d, &read, sizeof read, NULL, 0)->error,
        ESTALE);
    const struct fuse_release_in done = {.fh = out.fh};
    (void)rig_call(&r, FUSE_RELEASEDIR, d, &done, sizeof done, NULL, 0);
    rig_end(&r);
}

/* LOOKUP, GETATTR, FORGET: what there is. */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/fs/rig.h"

/* A "no such file" out of a store that has not been heard does real damage. */
TEST(lookup, answers_when_the_store_does)
{
    static struct rig r;
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/color", "green");
    r.kv.hold = true;
    (void)rig_ask(&r, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "color", 6);
    rig_run(&r);
    EXPECT(!rig_reply(&r)->there); /* the store has not answered */
    r.kv.hold = false;
    rig_run(&r);
    const struct rig_reply *reply = rig_reply(&r);
    EXPECT(reply->there);
    EXPECT_INT(reply->error, 0);
    struct fuse_entry_out e;
    memcpy(&e, reply->body, sizeof e);
    EXPECT_INT(e.nodeid, fake_get(&r.kv, "/color")->ino);
    EXPECT_INT(e.attr.ino, e.nodeid);
    EXPECT_INT(e.attr.size, 5);
    EXPECT_INT(e.attr.mode, S_IFREG | 0644);
    EXPECT_INT(e.attr.nlink, 1);
    EXPECT_INT(e.entry_valid, 0);
    EXPECT_INT(e.attr_valid, 0);
    EXPECT_INT((int64_t)e.attr.mtime * 1000000000 + e.attr.mtimensec,
               fake_get(&r.kv, "/color")->mtime_ns);
    rig_end(&r);
}

/* That a name is not there has to be confirmed with the leader; that it is may
 * come from applied state. */
TEST(lookup, only_absence_costs_a_read_index)
{
    static struct rig r;
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/color", "green");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "color", NULL), 0);
    EXPECT_INT(r.kv.linearizable, 0);
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "colour", NULL), ENOENT);
    EXPECT_INT(r.kv.linearizable, 1);
    rig_end(&r);
}

/* Without a quorum "no such file" would be a lie. */
TEST(lookup, no_quorum_is_a_timeout)
{
    static struct rig r;
    rig_begin(&r, "");
    r.kv.fail = ST_NO_LEADER;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "color", NULL), ETIMEDOUT);
    r.kv.fail = ST_CORRUPT;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "color", NULL), EIO);
    r.kv.fail = ST_DENIED;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "color", NULL), EACCES);
    rig_end(&r);
}

TEST(lookup, the_directory_wins_the_name)
{
    static struct rig r;
    rig_begin(&r, "");
    struct fuse_entry_out file;
    struct fuse_entry_out directory;
    struct fuse_entry_out value;
    (void)fake_put(&r.kv, "/a", "v");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "a", &file), 0);
    EXPECT(S_ISREG(file.attr.mode));
    (void)fake_put(&r.kv, "/a/b", "w");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "a", &directory), 0);
    EXPECT(S_ISDIR(directory.attr.mode));
    EXPECT_INT(directory.attr.nlink, 1);
    EXPECT(directory.nodeid != file.nodeid); /* another inode */
    EXPECT_INT(rig_lookup(&r, directory.nodeid, "%value", &value), 0);
    EXPECT_INT(value.nodeid, file.nodeid); /* the same life */
    EXPECT_INT(rig_lookup(&r, directory.nodeid, "b", NULL), 0);
    /* And back. */
    (void)fake_delete(&r.kv, "/a/b");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "a", &value), 0);
    EXPECT_INT(value.nodeid, file.nodeid);
    rig_end(&r);
}

TEST(lookup, names_that_no_key_has)
{
    static struct rig r;
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/A", "v");
    char name[300];
    memset(name, 'x', sizeof name);
    name[255] = 0;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "%41", NULL), ENOENT);
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "%value", NULL), ENOENT);
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, name, NULL), ENOENT);
    name[255] = 'x';
    name[256] = 0;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, name, NULL), ENAMETOOLONG);
    EXPECT_INT(rig_lookup(&r, 4711, "a", NULL), ESTALE);
    rig_end(&r);
}

/* A directory's marker is the directory itself; with a value it is also a
 * file in it. */
TEST(lookup, markers)
{
    static struct rig r;
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/", "");
    const uint64_t d = rig_walk(&r, "d");
    EXPECT_INT(rig_lookup(&r, d, "%", NULL), ENOENT);
    EXPECT_TEXT(rig_list(&r, d, 4096, false), "./ ../");
    (void)fake_put(&r.kv, "/d/", "x");
    EXPECT_INT(rig_lookup(&r, d, "%", NULL), 0);
    EXPECT_TEXT(rig_list(&r, d, 4096, false), "./ ../ %");
    rig_end(&r);
}

/* An inode number seen twice for two lives makes tools take one file for
 * another. */
TEST(lookup, another_life_is_another_inode)
{
    static struct rig r;
    rig_begin(&r, "");
    struct fuse_entry_out first;
    struct fuse_entry_out second;
    struct fuse_attr attr;
    (void)fake_put(&r.kv, "/k", "1");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", &first), 0);
    (void)fake_put(&r.kv, "/k", "22");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", &second), 0);
    EXPECT_INT(second.nodeid, first.nodeid);
    EXPECT(second.attr.mtime * 1000000000 + second.attr.mtimensec >
           first.attr.mtime * 1000000000 + first.attr.mtimensec);
    (void)fake_delete(&r.kv, "/k");
    EXPECT_INT(rig_getattr(&r, first.nodeid, &attr), ESTALE);
    (void)fake_put(&r.kv, "/k", "333");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", &second), 0);
    EXPECT(second.nodeid != first.nodeid);
    EXPECT_INT(rig_getattr(&r, first.nodeid, &attr), ESTALE);
    EXPECT_INT(rig_getattr(&r, second.nodeid, &attr), 0);
    EXPECT_INT(attr.size, 3);
    rig_end(&r);
}

/* A foreign store has neither numbers nor times. */
TEST(lookup, store_without_extensions)
{
    static struct rig r;
    rig_begin(&r, "");
    r.kv.without_extensions = true;
    struct fuse_entry_out first;
    struct fuse_entry_out second;
    (void)fake_put(&r.kv, "/k", "1");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", &first), 0);
    EXPECT(first.nodeid > FUSE_ROOT_ID);
    (void)fake_put(&r.kv, "/k", "22");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", &second), 0);
    EXPECT_INT(second.nodeid, first.nodeid);
    EXPECT(second.attr.mtime * 1000000000 + second.attr.mtimensec >
           first.attr.mtime * 1000000000 + first.attr.mtimensec);
    (void)fake_put(&r.kv, "/d/x", "1");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "d", &first), 0);
    EXPECT(first.attr.ino != 0);
    rig_end(&r);
}

/* What the kernel has forgotten may be freed, and nothing else. */
TEST(lookup, forgotten_when_all_lookups_are)
{
    static struct rig r;
    rig_begin(&r, "");
    struct fuse_attr attr;
    (void)fake_put(&r.kv, "/k", "1");
    const uint64_t node = rig_walk(&r, "k");
    EXPECT_INT(rig_walk(&r, "k"), node);
    rig_forget(&r, node, 1);
    EXPECT_INT(rig_getattr(&r, node, &attr), 0);
    const struct {
        struct fuse_batch_forget_in head;
        struct fuse_forget_one one[2];
    } batch = {.head = {.count = 2},
               .one = {{.nodeid = node, .nlookup = 1},
                       {.nodeid = 4711, .nlookup = 5}}};
    (void)rig_ask(&r, FUSE_BATCH_FORGET, 0, &batch, sizeof batch, NULL, 0);
    rig_run(&r);
    EXPECT(!rig_reply(&r)->there);
    EXPECT_INT(rig_getattr(&r, node, &attr), ESTALE);
    rig_forget(&r, node, 99); /* no harm */
    rig_forget(&r, FUSE_ROOT_ID, 1);
    EXPECT_INT(rig_getattr(&r, FUSE_ROOT_ID, &attr), 0);
    rig_end(&r);
}

/* A node that is open outlives being forgotten. */
TEST(lookup, open_files_survive_forgetting)
{
    static struct rig r;
    rig_begin(&r, "");
    uint64_t h;
    (void)fake_put(&r.kv, "/k", "1");
    const uint64_t node = rig_walk(&r, "k");
    EXPECT_INT(rig_open(&r, node, O_RDONLY, &h), 0);
    rig_forget(&r, node, 1);
    EXPECT_TEXT(rig_read_text(&r, node, h), "1");
    EXPECT_INT(rig_release(&r, node, h), 0);
    rig_end(&r);
}

/* Modes are the mount's, and hold for everybody but root. */
TEST(lookup, permissions_by_mode)
{
    static struct rig r;
    rig_begin(&r, "fmode=0640,dmode=0750,uid=7,gid=8");
    uint64_t h;
    (void)fake_put(&r.kv, "/d/k", "1");
    const uint64_t node = rig_walk(&r, "d/k");
    r.uid = 1000;
    r.gid = 1000;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "d", NULL), EACCES);
    EXPECT_INT(rig_open(&r, node, O_RDONLY, &h), EACCES);
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, "e", NULL), EACCES);
    r.gid = 8;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "d", NULL), 0);
    EXPECT_INT(rig_open(&r, node, O_RDONLY, &h), 0);
    EXPECT_INT(rig_release(&r, node, h), 0);
    EXPECT_INT(rig_open(&r, node, O_WRONLY, &h), EACCES);
    EXPECT_INT(rig_unlink(&r, FUSE_ROOT_ID, "d"), EACCES);
    r.uid = 7;
    EXPECT_INT(rig_open(&r, node, O_RDWR, &h), 0);
    EXPECT_INT(rig_release(&r, node, h), 0);
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, "e", NULL), 0);
    rig_end(&r);
}

/* The control directory: what is looked at when nothing else works. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "tests/fs/rig.h"

static struct rig r;

static const struct kv_member three[] = {
    {.id = 0xa1, .name = "north", .is_self = true},
    {.id = 0xb2, .name = "south"},
    {.id = 0xc3, .name = "", .is_learner = true},
};

static void begin(const char *options)
{
    rig_begin(&r, options);
    r.kv.status.members = three;
    r.kv.status.members_count = 3;
    r.kv.status.role = KV_FOLLOWER;
    r.kv.status.leader = 0xb2;
    r.kv.status.applied = 77;
}

static uint64_t walk(const char *name)
{
    struct fuse_entry_out entry;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, ".keelfs", &entry), 0);
    if (name != NULL) {
        EXPECT_INT(rig_lookup(&r, entry.nodeid, name, &entry), 0);
    }
    return entry.nodeid;
}

/* Opens the file, reads it and closes it. */
static const char *cat(const char *name)
{
    uint64_t handle;
    const uint64_t node = walk(name);
    EXPECT_INT(rig_open(&r, node, O_RDONLY, &handle), 0);
    const char *text = rig_read_text(&r, node, handle);
    EXPECT_INT(rig_flush(&r, node, handle), 0);
    EXPECT_INT(rig_release(&r, node, handle), 0);
    return text;
}

/* One fact a line, the same names always: scripts read it. */
TEST(control, status_says_everything_that_is_known)
{
    begin("");
    EXPECT_TEXT(cat("status"), "name: north\n"
                               "member_id: a1\n"
                               "cluster_id: c1\n"
                               "role: follower\n"
                               "leader: south\n"
                               "leader_id: b2\n"
                               "term: 3\n"
                               "revision: 1\n"
                               "compact_revision: 0\n"
                               "applied: 77\n"
                               "members: 3\n"
                               "quorum: yes\n"
                               "writable: yes\n"
                               "keys: 3\n"
                               "store_bytes: 1048576\n"
                               "store_used_bytes: 524288\n"
                               "store_quota_bytes: 1073741824\n"
                               "log_bytes: 134217728\n"
                               "log_entries: 5077\n");
    EXPECT_TEXT(cat("leader"), "south\n");
    EXPECT_TEXT(cat("members"), "a1 north self\n"
                                "b2 south leader\n"
                                "c3 - learner\n");
    EXPECT_TEXT(cat("revision"), "1\n");
    EXPECT_TEXT(cat("health"), "ok\n");
    rig_end(&r);
}

/* People look when there is no quorum: what asked the cluster then would hang
 * with everything else. */
TEST(control, it_answers_without_asking_the_store)
{
    begin("");
    r.kv.hold = true;
    r.kv.status.leader = 0;
    r.kv.status.role = KV_CANDIDATE;
    r.kv.status.writable = false;
    const size_t asked = r.kv.asked;
    EXPECT_TEXT(rig_list(&r, walk(NULL), 4096, false),
                "./ ../ status leader members revision health leases/");
    EXPECT_TEXT(cat("leader"), "none\n");
    EXPECT(strstr(cat("status"), "\nquorum: no\nwritable: no, no leader is "
                                 "known: ") != NULL);
    EXPECT(strstr(cat("status"), "\nrole: candidate\n") != NULL);
    EXPECT(strncmp(cat("health"), "no leader is known: ", 20) == 0);
    EXPECT_INT(r.kv.asked, asked);
    rig_end(&r);
}

/* "Read-only file system" has several reasons: the wrong one sends people to
 * the wrong place. */
TEST(control, each_reason_for_refusing_writes_is_told)
{
    begin("");
    r.kv.status.disk_full = true;
    EXPECT_TEXT(cat("health"), "the disk under the store is full\n");
    r.kv.status.disk_full = false;
    r.kv.status.used_bytes = r.kv.status.quota_bytes;
    EXPECT_TEXT(cat("health"),
                "the store has reached its quota: only deleting is possible\n");
    EXPECT(strstr(cat("status"), "\nwritable: no, the store has reached its "
                                 "quota") != NULL);
    r.kv.status.used_bytes--;
    r.kv.status.no_space = true; /* another member's */
    EXPECT(strncmp(cat("health"), "alarm NOSPACE: ", 15) == 0);
    EXPECT(strstr(cat("status"), "\nwritable: no, alarm NOSPACE: ") != NULL);
    r.kv.status.no_space = false;
    r.kv.status.corrupt = true;
    EXPECT(strncmp(cat("health"), "alarm CORRUPT: ", 15) == 0);
    EXPECT(strstr(cat("status"), "\nwritable: no, alarm CORRUPT: ") != NULL);
    r.kv.status.corrupt = false;
    r.kv.status.writable = false;
    EXPECT_TEXT(cat("health"), "this member takes no writes: it is stopping\n");
    rig_end(&r);
    begin("ro");
    EXPECT_TEXT(cat("health"), "ok\n");
    EXPECT(strstr(cat("status"), "\nwritable: no, this mount is read-only "
                                 "(option ro)\n") != NULL);
    rig_end(&r);
}

/* A name that is not known must not look like one. */
TEST(control, a_leader_without_a_name_is_its_id)
{
    begin("");
    r.kv.status.leader = 0xc3;
    EXPECT_TEXT(cat("leader"), "c3\n");
    r.kv.status.members_count = 0;
    EXPECT_TEXT(cat("members"), "");
    EXPECT(strncmp(cat("status"), "name: -\n", 8) == 0);
    rig_end(&r);
}

/* A member called "x\nquorum: yes" would lie to whoever greps. */
TEST(control, a_name_cannot_begin_a_line)
{
    static const struct kv_member evil[] = {{.id = 0xa1, .name = "x\ny"}};
    begin("");
    r.kv.status.members = evil;
    r.kv.status.members_count = 1;
    EXPECT_TEXT(cat("members"), "a1 x?y\n");
    rig_end(&r);
}

/* Two reads of one cat must be of one moment. */
TEST(control, an_open_file_does_not_change)
{
    begin("");
    uint64_t handle;
    const uint64_t node = walk("revision");
    EXPECT_INT(rig_open(&r, node, O_RDONLY, &handle), 0);
    (void)fake_put(&r.kv, "/k", "1");
    EXPECT_TEXT(rig_read_text(&r, node, handle), "1\n");
    EXPECT_TEXT(cat("revision"), "2\n");
    EXPECT_TEXT(rig_read_text(&r, node, handle), "1\n");
    EXPECT_INT(rig_release(&r, node, handle), 0);
    /* One that is open at the end is nobody's leak. */
    EXPECT_INT(rig_open(&r, node, O_RDONLY, &handle), 0);
    rig_end(&r);
}

/* Listed, every find, cp -r and du of the tree would walk into it. */
TEST(control, it_is_listed_only_when_asked_for)
{
    begin("");
    EXPECT_TEXT(rig_list(&r, FUSE_ROOT_ID, 4096, false), "./ ../");
    rig_end(&r);
    begin("control=visible");
    (void)fake_put(&r.kv, "/a/b", "1");
    EXPECT_TEXT(rig_list(&r, FUSE_ROOT_ID, 4096, false), "./ ../ .keelfs/ a/");
    EXPECT_TEXT(rig_list(&r, FUSE_ROOT_ID, 4096, true), "./ ../ .keelfs/ a/");
    EXPECT_TEXT(rig_list(&r, rig_walk(&r, "a"), 4096, false), "./ ../ b");
    rig_end(&r);
    struct fs_options o;
    struct fault fault = {{0}};
    fs_options_default(&o);
    EXPECT_INT(fs_options_parse("control=shown", &o, &fault), ST_INVALID);
}

/* The listing must come whole through any reply's size. */
TEST(control, its_listing_comes_in_pieces_too)
{
    static const char whole[] =
        "./ ../ status leader members revision health leases/";
    begin("");
    EXPECT_TEXT(rig_list(&r, walk(NULL), 40, false), whole);
    EXPECT_TEXT(rig_list(&r, walk(NULL), 4096, true), whole);
    EXPECT_TEXT(rig_list(&r, walk(NULL), 200, true), whole);
    EXPECT_TEXT(rig_list(&r, walk("status"), 4096, false), "errno 20");
    rig_end(&r);
}

/* Only this name at the root is the directory's; a key can never be there. */
TEST(control, nothing_else_is_there)
{
    begin("");
    (void)fake_put(&r.kv, "/.keelfs/x", "1");
    (void)fake_put(&r.kv, "/a/.keelfs", "2");
    const uint64_t d = walk(NULL);
    EXPECT_INT(rig_lookup(&r, d, "x", NULL), ENOENT);
    EXPECT_INT(rig_lookup(&r, d, ".keelfs", NULL), ENOENT);
    EXPECT_INT(rig_lookup(&r, walk("status"), "status", NULL), ENOENT);
    EXPECT_INT(rig_lookup(&r, rig_walk(&r, "a"), ".keelfs", NULL), ENOENT);
    EXPECT_INT(rig_lookup(&r, rig_walk(&r, "a"), "%2Ekeelfs", NULL), 0);
    EXPECT_INT(rig_lookup(&r, rig_walk(&r, "%2Ekeelfs"), "x", NULL), 0);
    struct fuse_attr attr;
    EXPECT_INT(rig_getattr(&r, d + 15, &attr), ESTALE);
    rig_end(&r);
}

/* What could be written there would be lost, or taken for a key. */
TEST(control, it_is_read_only)
{
    begin("");
    uint64_t node;
    uint64_t handle;
    const uint64_t d = walk(NULL);
    const uint64_t f = walk("status");
    (void)fake_put(&r.kv, "/k", "1");
    const size_t writes = r.kv.writes;
    EXPECT_INT(rig_create(&r, d, "new", O_WRONLY, &node, &handle), EROFS);
    EXPECT_INT(
        rig_create(&r, FUSE_ROOT_ID, ".keelfs", O_WRONLY, &node, &handle),
        EROFS);
    EXPECT_INT(rig_mkdir(&r, d, "new", NULL), EROFS);
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, ".keelfs", NULL), EROFS);
    EXPECT_INT(rig_unlink(&r, d, "status"), EROFS);
    EXPECT_INT(rig_rmdir(&r, FUSE_ROOT_ID, ".keelfs"), EROFS);
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "k", d, "k", 0), EROFS);
    EXPECT_INT(rig_rename(&r, d, "status", FUSE_ROOT_ID, "s", 0), EROFS);
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, ".keelfs", FUSE_ROOT_ID, "c", 0),
               EROFS);
    EXPECT_INT(rig_open(&r, f, O_WRONLY, &handle), EROFS);
    EXPECT_INT(rig_open(&r, f, O_RDONLY | O_TRUNC, &handle), EROFS);
    EXPECT_INT(rig_open(&r, d, O_RDONLY, &handle), EISDIR);
    EXPECT_INT(rig_truncate(&r, f, 0, 0), EROFS);
    const struct fuse_access_in in = {.mask = 2};
    EXPECT_INT(rig_call(&r, FUSE_ACCESS, f, &in, sizeof in, NULL, 0)->error,
               EROFS);
    EXPECT_INT(r.kv.writes, writes);
    rig_end(&r);
}

/* Without write bits, with a size of nothing: as in /proc. */
TEST(control, attributes)
{
    begin("");
    struct fuse_attr attr;
    EXPECT_INT(rig_getattr(&r, walk(NULL), &attr), 0);
    EXPECT_INT(attr.mode, 040555);
    EXPECT_INT(rig_getattr(&r, walk("health"), &attr), 0);
    EXPECT_INT(attr.mode, 0100444);
    EXPECT_INT(attr.size, 0);
    EXPECT_INT(attr.mtime, 1); /* now, by the rig's clock */
    rig_forget(&r, walk("health"), 3);
    EXPECT_TEXT(cat("health"), "ok\n"); /* it cannot be forgotten */
    rig_end(&r);
}

/* A key's identity is any number: one that is a control file's would be opened
 * as that. */
TEST(control, no_key_has_its_numbers)
{
    begin("");
    struct fuse_entry_out entry;
    r.kv.ino_next = walk(NULL);
    for (int i = 0; i < 20; i++) {
        char key[8];
        uint64_t handle;
        (void)snprintf(key, sizeof key, "/k%d", i);
        (void)fake_put(&r.kv, key, "mine");
        EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, key + 1, &entry), 0);
        EXPECT_INT(rig_open(&r, entry.nodeid, O_RDONLY, &handle), 0);
        EXPECT_TEXT(rig_read_text(&r, entry.nodeid, handle), "mine");
        EXPECT_INT(rig_release(&r, entry.nodeid, handle), 0);
    }
    rig_end(&r);
}

/* A directory's missing x bit is not to be walked around by this name. */
TEST(control, whoever_may_not_enter_the_root_may_not_enter_it)
{
    begin("dmode=700");
    r.uid = r.gid = 1000;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, ".keelfs", NULL), EACCES);
    rig_end(&r);
}

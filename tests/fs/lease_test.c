/* Leases by shell: attributes, touch, and .keelfs/leases (filesystem.md,
 * sections 6 and 8). */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "tests/fs/rig.h"

static struct rig r;

static const char *xattr(uint64_t node, const char *name)
{
    static char text[1024];
    const struct fuse_getxattr_in in = {.size = sizeof text - 1};
    const struct rig_reply *reply = rig_call(&r, FUSE_GETXATTR, node, &in,
                                             sizeof in, name, strlen(name) + 1);
    if (reply->error != 0) {
        (void)snprintf(text, sizeof text, "errno %d", reply->error);
        return text;
    }
    memcpy(text, reply->body, reply->size);
    text[reply->size] = 0;
    return text;
}

static int set(uint64_t node, const char *name, const char *value)
{
    const uint32_t in[2] = {(uint32_t)strlen(value), 0};
    char tail[256];
    const int size = snprintf(tail, sizeof tail, "%s%c%s", name, 0, value);
    return rig_call(&r, FUSE_SETXATTR, node, in, sizeof in, tail, (size_t)size)
        ->error;
}

static int touch(uint64_t node)
{
    const struct fuse_setattr_in in = {
        .valid = FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW};
    return rig_call(&r, FUSE_SETATTR, node, &in, sizeof in, NULL, 0)->error;
}

static int64_t lease_of(const char *key)
{
    const struct fake_version *v = fake_get(&r.kv, key);
    return v == NULL ? -1 : v->lease;
}

/* A service registers itself with echo, setfattr and touch. */
TEST(lease, setting_ttl_grants_and_attaches_and_touch_renews)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/svc", "here");
    const uint64_t n = rig_walk(&r, "svc");
    EXPECT_TEXT(xattr(n, "user.keelfs.ttl"), "errno 61"); /* ENODATA */
    EXPECT_INT(set(n, "user.keelfs.ttl", "10"), 0);
    EXPECT_INT(lease_of("/svc"), 0x1000);
    EXPECT_TEXT(rig_value(&r, "/svc"), "here");
    EXPECT_INT(fake_get(&r.kv, "/svc")->create_revision, 2);
    EXPECT_TEXT(xattr(n, "user.keelfs.lease"), "1000");
    EXPECT_TEXT(xattr(n, "user.keelfs.ttl"), "10");
    r.kv.leases[0].left_s = 4;
    EXPECT_TEXT(xattr(n, "user.keelfs.ttl"), "4");
    const size_t writes = r.kv.writes;
    EXPECT_INT(touch(n), 0);
    EXPECT_TEXT(xattr(n, "user.keelfs.ttl"), "10");
    EXPECT_INT(r.kv.writes, writes); /* no revision */
    /* Through an open file as well: that is how touch(1) does it. */
    uint64_t h;
    r.kv.leases[0].left_s = 4;
    EXPECT_INT(rig_open(&r, n, O_WRONLY | O_CREAT, &h), 0);
    EXPECT_INT(touch(n), 0);
    EXPECT_INT(rig_flush(&r, n, h), 0);
    EXPECT_INT(rig_release(&r, n, h), 0);
    EXPECT_INT(r.kv.leases[0].left_s, 10);
    EXPECT_INT(r.kv.renewals, 2);
    EXPECT_INT(r.kv.writes, writes);
    rig_end(&r);
}

TEST(lease, setting_ttl_again_replaces_and_zero_detaches)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/k", "1");
    const uint64_t n = rig_walk(&r, "k");
    EXPECT_INT(set(n, "user.keelfs.ttl", "10"), 0);
    EXPECT_INT(set(n, "user.keelfs.ttl", "20\n"), 0);
    EXPECT_INT(lease_of("/k"), 0x1001);
    EXPECT_TEXT(xattr(n, "user.keelfs.ttl"), "20");
    EXPECT_INT(set(n, "user.keelfs.ttl", "0"), 0);
    EXPECT_INT(lease_of("/k"), 0);
    EXPECT_TEXT(xattr(n, "user.keelfs.ttl"), "errno 61");
    const size_t writes = r.kv.writes;
    EXPECT_INT(set(n, "user.keelfs.ttl", "0"), 0); /* nothing to change */
    EXPECT_INT(r.kv.writes, writes);
    EXPECT_INT(set(n, "user.keelfs.ttl", "10"), 0);
    EXPECT_INT(rig_call(&r, FUSE_REMOVEXATTR, n, NULL, 0, "user.keelfs.ttl", 16)
                   ->error,
               0);
    EXPECT_INT(lease_of("/k"), 0);
    rig_end(&r);
}

TEST(lease, attach_takes_the_id_that_lease_shows)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/a", "1");
    (void)fake_put(&r.kv, "/b", "1");
    fake_grant(&r.kv, 0x7b, 30);
    const uint64_t a = rig_walk(&r, "a");
    const uint64_t b = rig_walk(&r, "b");
    EXPECT_INT(set(a, "user.keelfs.attach", "7b"), 0);
    EXPECT_INT(set(b, "user.keelfs.attach", "0x000000000000007B"), 0);
    EXPECT_INT(lease_of("/a"), 0x7b);
    EXPECT_INT(lease_of("/b"), 0x7b);
    EXPECT_TEXT(xattr(a, "user.keelfs.lease"), "7b");
    EXPECT_TEXT(xattr(a, "user.keelfs.attach"), "errno 61");
    const size_t writes = r.kv.writes;
    EXPECT_INT(set(a, "user.keelfs.attach", "7b"), 0); /* it is already */
    EXPECT_INT(r.kv.writes, writes);
    EXPECT_INT(set(a, "user.keelfs.attach", "7c"), ENOENT);
    EXPECT_INT(lease_of("/a"), 0x7b);
    rig_end(&r);
}

TEST(lease, bad_values_and_wrong_files_are_refused)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/k", "1");
    const uint64_t d = rig_walk(&r, "d");
    const uint64_t n = rig_walk(&r, "d/k");
    static const char *const bad[] = {"",    "x",    "-1",         "1.5",
                                      "1 2", "0x10", "9000000001", "\n"};
    for (size_t i = 0; i < count_of(bad); i++) {
        EXPECT_INT(set(n, "user.keelfs.ttl", bad[i]), EINVAL);
    }
    EXPECT_INT(set(n, "user.keelfs.attach", "xyz"), EINVAL);
    EXPECT_INT(set(n, "user.keelfs.attach", "10000000000000000"), EINVAL);
    EXPECT_INT(set(d, "user.keelfs.ttl", "10"), EOPNOTSUPP);
    EXPECT_TEXT(xattr(d, "user.keelfs.ttl"), "errno 61");
    r.uid = 5;
    EXPECT_INT(set(n, "user.keelfs.ttl", "10"), EACCES);
    r.uid = 0;
    r.kv.status.writable = false;
    EXPECT_INT(set(n, "user.keelfs.ttl", "10"), EROFS);
    r.kv.status.writable = true;
    EXPECT_INT(lease_of("/d/k"), 0);
    rig_end(&r);
}

/* Danger: a copying tool binds its copy to a live lease. */
TEST(lease, what_changes_a_lease_is_never_listed)
{
    rig_begin(&r, "");
    fake_grant(&r.kv, 0x7b, 30);
    (void)fake_put_lease(&r.kv, "/k", "1", 0x7b);
    const uint64_t n = rig_walk(&r, "k");
    const struct fuse_getxattr_in in = {.size = 1000};
    const struct rig_reply *reply =
        rig_call(&r, FUSE_LISTXATTR, n, &in, sizeof in, NULL, 0);
    for (size_t i = 0; i < reply->size; i++) {
        const char *name = (const char *)reply->body + i;
        EXPECT(strcmp(name, "user.keelfs.ttl") != 0);
        EXPECT(strcmp(name, "user.keelfs.attach") != 0);
    }
    /* And what cp -a does set is ignored. */
    EXPECT_INT(set(n, "user.keelfs.lease", "99"), 0);
    EXPECT_INT(lease_of("/k"), 0x7b);
    rig_end(&r);
}

/* Danger: a file that is only being written gets no lease, or its lease is
 * attached to nothing. */
TEST(lease, a_file_that_is_not_published_is_published_first)
{
    rig_begin(&r, "");
    uint64_t n, h;
    EXPECT_INT(rig_create(&r, FUSE_ROOT_ID, "new", O_WRONLY, &n, &h), 0);
    EXPECT_INT(rig_write(&r, n, h, 0, "text", 0), 0);
    EXPECT_INT(set(n, "user.keelfs.ttl", "10"), 0);
    EXPECT_INT(lease_of("/new"), 0x1000);
    EXPECT_TEXT(rig_value(&r, "/new"), "text");
    EXPECT_INT(rig_write(&r, n, h, 4, " more", 0), 0);
    EXPECT_INT(rig_flush(&r, n, h), 0);
    EXPECT_TEXT(rig_value(&r, "/new"), "text more");
    EXPECT_INT(lease_of("/new"), 0x1000); /* a write keeps it */
    EXPECT_INT(rig_release(&r, n, h), 0);
    rig_end(&r);
}

static void somebody_recreates(struct fake_kv *f)
{
    (void)fake_delete(f, "/k");
    (void)fake_put(f, "/k", "another");
}

/* Danger: a lease is attached to a file that took the name meanwhile. */
/* Danger: two writers of a new file that cannot be published, and the call asks
 * one and the other as fast as it can, until its time is over. */
TEST(lease, each_writer_of_a_new_file_is_tried_once)
{
    rig_begin(&r, "");
    uint64_t n;
    uint64_t handles[2];
    EXPECT_INT(rig_create(&r, FUSE_ROOT_ID, "new", O_WRONLY, &n, &handles[0]),
               0);
    EXPECT_INT(rig_open(&r, n, O_WRONLY, &handles[1]), 0);
    r.kv.fail = ST_NO_SPACE;
    static const char tail[] = "user.keelfs.ttl\00010";
    const uint32_t in[2] = {2, 0};
    (void)rig_ask(&r, FUSE_SETXATTR, n, in, sizeof in, tail, sizeof tail - 1);
    rig_read(&r);
    int answers = 0;
    while (fake_kv_answer_one(&r.kv) && answers < 10) {
        answers++;
    }
    EXPECT_INT(answers, 2);
    const struct rig_reply *reply = rig_reply(&r);
    EXPECT(reply->there);
    EXPECT_INT(reply->error, EIO);
    r.kv.fail = ST_OK;
    EXPECT_INT(rig_release(&r, n, handles[0]), 0);
    EXPECT_INT(rig_release(&r, n, handles[1]), 0);
    rig_end(&r);
}

TEST(lease, another_life_of_the_name_is_left_alone)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/k", "1");
    const uint64_t n = rig_walk(&r, "k");
    r.kv.before_txn = somebody_recreates;
    EXPECT_INT(set(n, "user.keelfs.ttl", "10"), ESTALE);
    EXPECT_INT(lease_of("/k"), 0);
    rig_end(&r);
}

/* Danger: a service believes that it is registered when its lease is gone. */
TEST(lease, touching_what_has_ended_fails)
{
    rig_begin(&r, "");
    fake_grant(&r.kv, 0x7b, 30);
    (void)fake_put_lease(&r.kv, "/k", "1", 0x7b);
    const uint64_t n = rig_walk(&r, "k");
    r.kv.leases[0] = (struct fake_lease){0}; /* its key is about to go */
    EXPECT_INT(touch(n), ESTALE);
    EXPECT_TEXT(xattr(n, "user.keelfs.ttl"), "errno 61");
    r.kv.status.writable = false;
    EXPECT_INT(touch(n), EROFS);
    rig_end(&r);
}

/* --- .keelfs/leases --- */

static uint64_t at(const char *a, const char *b)
{
    struct fuse_entry_out entry;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, ".keelfs", &entry), 0);
    EXPECT_INT(rig_lookup(&r, entry.nodeid, "leases", &entry), 0);
    if (a != NULL) {
        EXPECT_INT(rig_lookup(&r, entry.nodeid, a, &entry), 0);
    }
    if (b != NULL) {
        EXPECT_INT(rig_lookup(&r, entry.nodeid, b, &entry), 0);
    }
    return entry.nodeid;
}

static const char *cat(const char *lease, const char *name)
{
    static char text[1000];
    uint64_t handle;
    const uint64_t node = at(lease, name);
    EXPECT_INT(rig_open(&r, node, O_RDONLY, &handle), 0);
    (void)snprintf(text, sizeof text, "%s", rig_read_text(&r, node, handle));
    EXPECT_TEXT(rig_read_text(&r, node, handle), ""); /* the end */
    EXPECT_INT(rig_release(&r, node, handle), 0);
    return text;
}

TEST(leases, a_directory_for_each)
{
    rig_begin(&r, "");
    EXPECT_TEXT(rig_list(&r, at(NULL, NULL), 4096, false), "./ ../ grant");
    fake_grant(&r.kv, 0x7b, 30);
    fake_grant(&r.kv, -2, 40);
    (void)fake_put_lease(&r.kv, "/b", "1", 0x7b);
    (void)fake_put_lease(&r.kv, "/a\n%", "1", 0x7b);
    EXPECT_TEXT(rig_list(&r, at(NULL, NULL), 4096, false),
                "./ ../ grant 7b/ fffffffffffffffe/");
    EXPECT_TEXT(rig_list(&r, at(NULL, NULL), 64, false),
                "./ ../ grant 7b/ fffffffffffffffe/");
    EXPECT_TEXT(rig_list(&r, at("7b", NULL), 4096, false),
                "./ ../ ttl granted_ttl keys");
    r.kv.leases[0].left_s = 12;
    EXPECT_TEXT(cat("7b", "ttl"), "12\n");
    EXPECT_TEXT(cat("7b", "granted_ttl"), "30\n");
    EXPECT_TEXT(cat("7b", "keys"), "/a%0A%25\n/b\n");
    EXPECT_TEXT(cat("fffffffffffffffe", "keys"), "");
    rig_end(&r);
}

TEST(leases, grant_gives_the_id_on_the_same_handle)
{
    rig_begin(&r, "");
    uint64_t h;
    const uint64_t grant = at("grant", NULL);
    EXPECT_INT(rig_open(&r, grant, O_RDWR, &h), 0);
    EXPECT_TEXT(rig_read_text(&r, grant, h), "");
    EXPECT_INT(rig_write(&r, grant, h, 0, "60\n", 0), 0);
    EXPECT_TEXT(rig_read_text(&r, grant, h), "1000\n");
    EXPECT_TEXT(rig_read_text(&r, grant, h), "");
    EXPECT_INT(rig_write(&r, grant, h, 3, "70", 0), 0);
    EXPECT_TEXT(rig_read_text(&r, grant, h), "1001\n");
    EXPECT_INT(rig_write(&r, grant, h, 0, "soon", 0), EINVAL);
    EXPECT_INT(rig_flush(&r, grant, h), 0);
    EXPECT_INT(rig_release(&r, grant, h), 0);
    EXPECT_TEXT(cat("1001", "granted_ttl"), "70\n");
    EXPECT_INT(rig_open(&r, grant, O_WRONLY | O_TRUNC, &h), 0);
    EXPECT_INT(rig_write(&r, grant, h, 0, "80", 0), 0);
    EXPECT_INT(rig_release(&r, grant, h), 0);
    rig_end(&r);
}

TEST(leases, touch_renews_and_rmdir_revokes)
{
    rig_begin(&r, "");
    fake_grant(&r.kv, 0x7b, 30);
    (void)fake_put_lease(&r.kv, "/a", "1", 0x7b);
    r.kv.leases[0].left_s = 3;
    const uint64_t lease = at("7b", NULL);
    EXPECT_INT(touch(lease), 0);
    EXPECT_INT(r.kv.leases[0].left_s, 30);
    EXPECT_INT(rig_rmdir(&r, at(NULL, NULL), "7b"), 0);
    EXPECT_TEXT(rig_value(&r, "/a"), "-");
    EXPECT_INT(rig_rmdir(&r, at(NULL, NULL), "7b"), ENOENT);
    EXPECT_INT(touch(lease), ESTALE);
    EXPECT_INT(rig_lookup(&r, at(NULL, NULL), "7b", NULL), ENOENT);
    rig_end(&r);
}

/* Danger: two names for one directory confuse the kernel; names that nobody
 * granted are shown. */
TEST(leases, only_what_is_there_has_a_name)
{
    rig_begin(&r, "");
    fake_grant(&r.kv, 0x7b, 30);
    const uint64_t top = at(NULL, NULL);
    static const char *const none[] = {"7B", "07b", "0x7b", "7c", "0",
                                       "",   "x",   "ttl",  "7b "};
    for (size_t i = 0; i < count_of(none); i++) {
        EXPECT_INT(rig_lookup(&r, top, none[i], NULL), ENOENT);
    }
    EXPECT_INT(rig_lookup(&r, at("7b", NULL), "grant", NULL), ENOENT);
    EXPECT_INT(rig_lookup(&r, at("grant", NULL), "x", NULL), ENOENT);
    /* Forgotten numbers stand for nothing, and are not given to another soon.
     */
    struct fuse_attr attr;
    const uint64_t lease = at("7b", NULL);
    EXPECT_INT(rig_getattr(&r, lease, &attr), 0);
    rig_forget(&r, lease, 100);
    EXPECT_INT(rig_getattr(&r, lease, &attr), ESTALE);
    EXPECT(at("7b", NULL) != lease);
    rig_end(&r);
}

TEST(leases, who_may_not_write_the_root_changes_nothing)
{
    rig_begin(&r, "");
    fake_grant(&r.kv, 0x7b, 30);
    const uint64_t top = at(NULL, NULL);
    const uint64_t grant = at("grant", NULL);
    const uint64_t lease = at("7b", NULL);
    uint64_t h;
    r.uid = 5;
    EXPECT_INT(rig_open(&r, grant, O_RDWR, &h), EACCES);
    EXPECT_INT(rig_rmdir(&r, top, "7b"), EACCES);
    EXPECT_INT(touch(lease), EACCES);
    EXPECT_TEXT(cat("7b", "ttl"), "30\n");
    r.uid = 0;
    r.kv.status.writable = false;
    EXPECT_INT(rig_open(&r, grant, O_RDWR, &h), EROFS);
    EXPECT_INT(rig_rmdir(&r, top, "7b"), EROFS);
    EXPECT_INT(touch(lease), EROFS);
    EXPECT_INT(rig_mkdir(&r, top, "8", NULL), EROFS);
    EXPECT_INT(rig_unlink(&r, top, "grant"), EROFS);
    EXPECT_INT(rig_open(&r, at("7b", "ttl"), O_WRONLY, &h), EROFS);
    rig_end(&r);
}

/* Danger: a filesystem that ends with these open touches freed memory. */
TEST(leases, open_files_and_parked_calls_end_with_the_filesystem)
{
    rig_begin(&r, "");
    uint64_t h;
    fake_grant(&r.kv, 0x7b, 30);
    const uint64_t grant = at("grant", NULL);
    EXPECT_INT(rig_open(&r, grant, O_RDWR, &h), 0);
    const struct fuse_open_in in = {.flags = 0};
    EXPECT_INT(
        rig_call(&r, FUSE_OPENDIR, at(NULL, NULL), &in, sizeof in, NULL, 0)
            ->error,
        0);
    r.kv.hold = true;
    const struct fuse_write_in w = {.fh = h, .size = 2};
    (void)rig_ask(&r, FUSE_WRITE, grant, &w, sizeof w, "60", 2);
    (void)rig_ask(&r, FUSE_OPENDIR, at(NULL, NULL), &in, sizeof in, NULL, 0);
    rig_read(&r);
    rig_end(&r);
}

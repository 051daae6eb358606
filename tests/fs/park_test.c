/* Parked requests: time, interruptions, limits, the end; and what is not
 * there. */

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "base/must.h"
#include "tests/fs/rig.h"

static struct rig r;

static void interrupt(uint64_t unique)
{
    const struct fuse_interrupt_in in = {.unique = unique};
    (void)rig_ask(&r, FUSE_INTERRUPT, 0, &in, sizeof in, NULL, 0);
}

/* A dead quorum must not hold anybody for good. */
TEST(park, timeouts)
{
    rig_begin(&r, "timeout=250ms");
    uint64_t node;
    uint64_t h;
    (void)fake_put(&r.kv, "/k", "1");
    node = rig_walk(&r, "k");
    EXPECT_INT(rig_open(&r, node, O_WRONLY, &h), 0);
    EXPECT_INT(rig_write(&r, node, h, 0, "x", 0), 0);
    r.kv.hold = true;
    const uint64_t asked =
        rig_ask(&r, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "k", 2);
    const struct fuse_flush_in in = {.fh = h};
    const uint64_t closed =
        rig_ask(&r, FUSE_FLUSH, node, &in, sizeof in, NULL, 0);
    rig_run(&r);
    rig_pass(&r, 200);
    EXPECT(!rig_reply(&r)->there);
    rig_pass(&r, 60);
    size_t replies = 0;
    for (struct rig_reply *reply; (reply = rig_reply(&r))->there; replies++) {
        EXPECT(reply->unique == asked || reply->unique == closed);
        EXPECT_INT(reply->error, ETIMEDOUT);
    }
    EXPECT_INT(replies, 2);
    r.kv.hold = false;
    EXPECT_INT(rig_release(&r, node, h), 0);
    rig_end(&r);
}

static bool writes_now;

static bool is_writing(uint32_t thread)
{
    return thread == PID_A && writes_now;
}

/* Danger: `echo > new` hangs for seconds without a quorum, or a name is called
 * missing that nobody has confirmed to be. */
TEST(park, a_look_up_for_a_writing_call_is_refused_without_a_leader)
{
    rig_begin(&r, "timeout=1s");
    r.fs->system.is_writing = is_writing;
    r.pid = PID_A;
    r.kv.hold = true;
    for (writes_now = false;; writes_now = true) {
        r.kv.status.writable = true;
        (void)rig_ask(&r, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "n", 2);
        r.kv.hold = false;
        rig_read(&r);
        (void)fake_kv_answer_one(&r.kv); /* not here; and elsewhere? */
        r.kv.hold = true;
        rig_pass(&r, 500);
        EXPECT(!rig_reply(&r)->there); /* there is a leader: it may answer */
        r.kv.status.writable = false;
        rig_pass(&r, 110);
        const struct rig_reply *reply = rig_reply(&r);
        EXPECT_INT(reply->there, writes_now);
        if (writes_now) {
            EXPECT_INT(reply->error, EROFS);
            break;
        }
        rig_pass(&r, 400);
        EXPECT_INT(rig_reply(&r)->error, ETIMEDOUT);
    }
    /* The leader is gone already, and the thread not yet asleep. */
    writes_now = false;
    (void)rig_ask(&r, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "n", 2);
    rig_read(&r);
    (void)fake_kv_answer_one(&r.kv);
    rig_pass(&r, 1);
    EXPECT(!rig_reply(&r)->there);
    writes_now = true;
    rig_pass(&r, 3);
    EXPECT_INT(rig_reply(&r)->error, EROFS);
    rig_end(&r);
}

TEST(park, system_calls_that_write)
{
    static const struct {
        bool opens; /* begins with openat's number */
        const char *text;
        bool writes;
    } table[] = {
        {false, "running\n", false},
        {false, "-1 0x7ffe 0x7f00\n", false},
        {false, "", false},
        {true, " 0xffffff9c 0x55 0x241 0x1b6 0x0 0x0 0x7f 0x7f\n", true},
        {true, " 0xffffff9c 0x55 0x1 0x0 0x0 0x0 0x7f 0x7f\n", true},
        {true, " 0xffffff9c 0x55 0x0 0x0 0x0 0x0 0x7f 0x7f\n", false},
        {true, " 0xffffff9c 0x55 0x80000 0x0 0x0 0x0 0x7f 0x7f\n", false},
    };
    for (size_t i = 0; i < count_of(table); i++) {
        char number[32];
        char text[128];
        (void)snprintf(number, sizeof number, "%ld", (long)SYS_openat);
        (void)snprintf(text, sizeof text, "%s%s", table[i].opens ? number : "",
                       table[i].text);
        EXPECT_INT(fs_syscall_writes(text), table[i].writes);
    }
    const long numbers[] = {SYS_mkdirat, SYS_renameat2, SYS_unlinkat,
                            SYS_newfstatat, SYS_faccessat};
    for (size_t i = 0; i < count_of(numbers); i++) {
        char text[128];
        (void)snprintf(text, sizeof text,
                       "%ld 0xffffff9c 0x55 0x0 0x0 0x0 0x0 0x7f 0x7f\n",
                       numbers[i]);
        EXPECT_INT(fs_syscall_writes(text), i < 3);
    }
}

TEST(park, interrupted)
{
    rig_begin(&r, "");
    r.kv.hold = true;
    const uint64_t unique =
        rig_ask(&r, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "k", 2);
    rig_run(&r);
    EXPECT(!rig_reply(&r)->there);
    interrupt(unique);
    rig_run(&r);
    const struct rig_reply *reply = rig_reply(&r);
    EXPECT_INT(reply->unique, unique);
    EXPECT_INT(reply->error, EINTR);
    EXPECT_INT(r.kv.cancelled, 1);
    EXPECT(!rig_reply(&r)->there);
    rig_end(&r);
}

static bool not_dying(uint32_t thread)
{
    (void)thread;
    return false;
}

/* No local filesystem's mkdir fails because of a SIGCHLD; only a deadly signal
 * ends a change that is under way. A close ends by itself. */
TEST(park, harmless_signals_do_not_break_changes)
{
    rig_begin(&r, "");
    uint64_t node;
    uint64_t h;
    (void)fake_put(&r.kv, "/k", "1");
    node = rig_walk(&r, "k");
    EXPECT_INT(rig_open(&r, node, O_WRONLY, &h), 0);
    EXPECT_INT(rig_write(&r, node, h, 0, "x", 0), 0);
    r.kv.hold = true;
    const struct fuse_mkdir_in in = {.mode = 0755};
    uint64_t unique =
        rig_ask(&r, FUSE_MKDIR, FUSE_ROOT_ID, &in, sizeof in, "d", 2);
    rig_run(&r);
    r.fs->system.is_dying = not_dying;
    interrupt(unique);
    rig_run(&r);
    EXPECT(!rig_reply(&r)->there);
    r.kv.hold = false;
    rig_run(&r);
    EXPECT_INT(rig_reply(&r)->error, 0);

    r.kv.hold = true;
    const struct fuse_flush_in flush = {.fh = h};
    unique = rig_ask(&r, FUSE_FLUSH, node, &flush, sizeof flush, NULL, 0);
    rig_run(&r);
    interrupt(unique);
    rig_run(&r);
    EXPECT(!rig_reply(&r)->there);
    r.kv.hold = false;
    rig_run(&r);
    EXPECT_INT(rig_reply(&r)->error, 0);
    EXPECT_TEXT(rig_value(&r, "/k"), "x");
    EXPECT_INT(rig_release(&r, node, h), 0);
    rig_end(&r);
}

/* Beyond the limit the kernel is told to come again; nothing is lost. */
TEST(park, too_many)
{
    rig_begin(&r, "");
    r.fs->calls_max = 3;
    r.kv.hold = true;
    uint64_t last = 0;
    for (int i = 0; i < 4; i++) {
        last = rig_ask(&r, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "k", 2);
    }
    rig_run(&r);
    const struct rig_reply *reply = rig_reply(&r);
    EXPECT_INT(reply->unique, last);
    EXPECT_INT(reply->error, EAGAIN);
    EXPECT(!rig_reply(&r)->there);
    r.kv.hold = false;
    rig_run(&r);
    for (int i = 0; i < 3; i++) {
        EXPECT_INT(rig_reply(&r)->error, ENOENT);
    }
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "k", NULL), ENOENT);
    rig_end(&r);
}

/* Whoever waits when the filesystem goes gets an answer, and the store may
 * still work on what was asked. */
TEST(park, the_end_answers_everybody)
{
    rig_begin(&r, "");
    uint64_t node;
    uint64_t h;
    (void)fake_put(&r.kv, "/k", "1");
    node = rig_walk(&r, "k");
    EXPECT_INT(rig_open(&r, node, O_WRONLY, &h), 0);
    EXPECT_INT(rig_write(&r, node, h, 0, "x", 0), 0);
    r.kv.hold = true;
    const struct fuse_flush_in in = {.fh = h};
    (void)rig_ask(&r, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "k", 2);
    (void)rig_ask(&r, FUSE_FLUSH, node, &in, sizeof in, NULL, 0);
    rig_run(&r);
    fs_free(r.fs);
    r.fs = NULL;
    size_t replies = 0;
    while (rig_reply(&r)->there) {
        replies++;
    }
    EXPECT_INT(replies, 2);
    rig_end(&r);
}

/* --- attributes beside the value --- */

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

static const char *xattrs(uint64_t node)
{
    static char text[1024];
    const struct fuse_getxattr_in in = {.size = sizeof text - 1};
    const struct rig_reply *reply =
        rig_call(&r, FUSE_LISTXATTR, node, &in, sizeof in, NULL, 0);
    EXPECT_INT(reply->error, 0);
    size_t used = 0;
    for (size_t i = 0; i < reply->size; i++) {
        text[used++] = reply->body[i] == 0 ? ' ' : (char)reply->body[i];
    }
    text[used] = 0;
    return text;
}

TEST(xattr, of_files)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/k", "1");
    (void)fake_put_lease(&r.kv, "/k", "2", 0x7b);
    const uint64_t k = rig_walk(&r, "k");
    EXPECT_TEXT(xattr(k, "user.keelfs.key"), "/k");
    EXPECT_TEXT(xattr(k, "user.keelfs.create_revision"), "2");
    EXPECT_TEXT(xattr(k, "user.keelfs.mod_revision"), "3");
    EXPECT_TEXT(xattr(k, "user.keelfs.version"), "2");
    EXPECT_TEXT(xattr(k, "user.keelfs.lease"), "7b");
    EXPECT_TEXT(xattr(k, "user.keelfs.revision"), "errno 61"); /* ENODATA */
    EXPECT_TEXT(xattr(k, "user.other"), "errno 61");
    EXPECT_TEXT(xattr(k, "security.selinux"), "errno 95"); /* EOPNOTSUPP */
    EXPECT_TEXT(xattr(k, "system.posix_acl_access"), "errno 95");
    EXPECT_TEXT(xattrs(k), "user.keelfs.key user.keelfs.create_revision "
                           "user.keelfs.mod_revision user.keelfs.version "
                           "user.keelfs.lease ");
    (void)fake_put(&r.kv, "/k", "3");
    EXPECT_TEXT(xattr(k, "user.keelfs.lease"), "errno 61");
    const struct fuse_getxattr_in small = {.size = 1};
    EXPECT_INT(rig_call(&r, FUSE_GETXATTR, k, &small, sizeof small,
                        "user.keelfs.key", 16)
                   ->error,
               ERANGE);
    const struct fuse_getxattr_in none = {.size = 0};
    struct fuse_getxattr_out out;
    memcpy(&out,
           rig_call(&r, FUSE_GETXATTR, k, &none, sizeof none, "user.keelfs.key",
                    16)
               ->body,
           sizeof out);
    EXPECT_INT(out.size, 2);
    rig_end(&r);
}

TEST(xattr, of_directories_and_the_root)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/d/x", "1");
    const uint64_t d = rig_walk(&r, "d");
    EXPECT_TEXT(xattr(d, "user.keelfs.key"), "/d/");
    EXPECT_TEXT(xattrs(d), "user.keelfs.key ");
    EXPECT_TEXT(xattr(FUSE_ROOT_ID, "user.keelfs.key"), "/");
    EXPECT_TEXT(xattr(FUSE_ROOT_ID, "user.keelfs.revision"), "2");
    EXPECT_TEXT(xattr(FUSE_ROOT_ID, "user.keelfs.cluster_id"), "c1");
    EXPECT_TEXT(xattr(FUSE_ROOT_ID, "user.keelfs.member_id"), "a1");
    EXPECT_TEXT(xattr(FUSE_ROOT_ID, "user.keelfs.leader"), "a1");
    EXPECT_TEXT(xattr(FUSE_ROOT_ID, "user.keelfs.raft_term"), "3");
    rig_end(&r);
    rig_begin(&r, "xattrs=hidden");
    (void)fake_put(&r.kv, "/k", "1");
    EXPECT_TEXT(xattrs(rig_walk(&r, "k")), "");
    EXPECT_TEXT(xattr(rig_walk(&r, "k"), "user.keelfs.key"), "/k");
    rig_end(&r);
}

/* cp -a and rsync -X try to set what they have read. */
TEST(xattr, setting_is_ignored_or_refused)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/k", "1");
    const uint64_t k = rig_walk(&r, "k");
    static const struct {
        const char *name;
        int error;
    } rows[] = {{"user.keelfs.version", 0},
                {"security.selinux", EOPNOTSUPP},
                {"system.posix_acl_access", EOPNOTSUPP}};
    for (size_t i = 0; i < count_of(rows); i++) {
        char tail[64];
        const size_t size = strlen(rows[i].name) + 1;
        memcpy(tail, rows[i].name, size);
        memcpy(tail + size, "9", 1);
        /* The short form, which the kernel uses without extensions. */
        const struct {
            uint32_t size, flags;
        } in = {.size = 1};
        EXPECT_INT(
            rig_call(&r, FUSE_SETXATTR, k, &in, sizeof in, tail, size + 1)
                ->error,
            rows[i].error);
    }
    EXPECT_TEXT(xattr(k, "user.keelfs.version"), "1");
    rig_end(&r);
}

/* --- what is not there --- */

TEST(misc, refusals)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/k", "1");
    const uint64_t k = rig_walk(&r, "k");
    const struct fuse_link_in link = {.oldnodeid = k};
    EXPECT_INT(rig_call(&r, FUSE_LINK, FUSE_ROOT_ID, &link, sizeof link, "l", 2)
                   ->error,
               EPERM);
    EXPECT_INT(
        rig_call(&r, FUSE_SYMLINK, FUSE_ROOT_ID, NULL, 0, "s\0k", 4)->error,
        EPERM);
    struct fuse_mknod_in node = {.mode = 0010644}; /* a fifo */
    EXPECT_INT(
        rig_call(&r, FUSE_MKNOD, FUSE_ROOT_ID, &node, sizeof node, "p", 2)
            ->error,
        EPERM);
    node.mode = 0100644;
    EXPECT_INT(
        rig_call(&r, FUSE_MKNOD, FUSE_ROOT_ID, &node, sizeof node, "f", 2)
            ->error,
        0);
    EXPECT_TEXT(rig_value(&r, "/f"), "");
    EXPECT_INT(
        rig_call(&r, FUSE_MKNOD, FUSE_ROOT_ID, &node, sizeof node, "f", 2)
            ->error,
        EEXIST);
    rig_end(&r);
}

TEST(misc, statfs)
{
    rig_begin(&r, "");
    struct fuse_statfs_out out;
    memcpy(&out,
           rig_call(&r, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0, NULL, 0)->body,
           sizeof out);
    EXPECT_INT(out.st.blocks * out.st.bsize, 1 << 30);
    EXPECT_INT((out.st.blocks - out.st.bfree) * out.st.bsize, 1 << 19);
    EXPECT_INT(out.st.files, 3);
    EXPECT_INT(out.st.namelen, 255);
    rig_end(&r);
}

/* Modes and owners are the mount's: what cp -a sets is forgotten. */
TEST(misc, modes_are_accepted_and_forgotten)
{
    rig_begin(&r, "");
    (void)fake_put(&r.kv, "/k", "1");
    const uint64_t k = rig_walk(&r, "k");
    const size_t writes = r.kv.writes;
    struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = 0600};
    const struct rig_reply *reply =
        rig_call(&r, FUSE_SETATTR, k, &in, sizeof in, NULL, 0);
    EXPECT_INT(reply->error, 0);
    struct fuse_attr_out out;
    memcpy(&out, reply->body, sizeof out);
    EXPECT_INT(out.attr.mode & 0777, 0644);
    EXPECT_INT(r.kv.writes, writes);
    r.uid = 5;
    EXPECT_INT(rig_call(&r, FUSE_SETATTR, k, &in, sizeof in, NULL, 0)->error,
               EPERM);
    in.valid = FATTR_MTIME | FATTR_MTIME_NOW;
    EXPECT_INT(rig_call(&r, FUSE_SETATTR, k, &in, sizeof in, NULL, 0)->error,
               EACCES);
    rig_end(&r);
}

/* touch: when it returns, the file is there for all to see. */
TEST(misc, touch_publishes_a_new_file)
{
    rig_begin(&r, "");
    uint64_t node;
    uint64_t h;
    EXPECT_INT(rig_create(&r, FUSE_ROOT_ID, "n", O_WRONLY, &node, &h), 0);
    const struct fuse_setattr_in in = {
        .valid = FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW};
    EXPECT_INT(rig_call(&r, FUSE_SETATTR, node, &in, sizeof in, NULL, 0)->error,
               0);
    EXPECT_TEXT(rig_value(&r, "/n"), "");
    EXPECT_INT(rig_release(&r, node, h), 0);
    rig_end(&r);
}

TEST(options, parsing)
{
    struct fs_options o;
    struct fault fault = {{0}};
    fs_options_default(&o);
    EXPECT_BYTES(o.prefix, bytes_of("/"));
    EXPECT_INT(o.timeout_ms, 5000);
    EXPECT_INT(fs_options_parse("prefix=/app/,consistency=serializable,"
                                "events=rename,fmode=0600,dmode=0700,uid=3,"
                                "gid=4,timeout=2s,publish_idle=250ms,"
                                "xattrs=hidden,ro",
                                &o, &fault),
               ST_OK);
    EXPECT_BYTES(o.prefix, bytes_of("/app/"));
    EXPECT_INT(o.consistency, FS_SERIALIZABLE);
    EXPECT_INT(o.events, FS_EVENTS_RENAME);
    EXPECT_INT(o.file_mode, 0600);
    EXPECT_INT(o.directory_mode, 0700);
    EXPECT_INT(o.uid, 3);
    EXPECT_INT(o.gid, 4);
    EXPECT_INT(o.timeout_ms, 2000);
    EXPECT_INT(o.publish_idle_ms, 250);
    EXPECT(o.xattrs_hidden);
    EXPECT(o.read_only);
    static const char *const bad[] = {"prefix=app", "prefix=",  "events=maybe",
                                      "fmode=999",  "uid=-1",   "timeout=0",
                                      "timeout=5x", "nonsense", "ro=1"};
    for (size_t i = 0; i < count_of(bad); i++) {
        if (fs_options_parse(bad[i], &o, &fault) != ST_INVALID) {
            fail_msg("'%s' was taken", bad[i]);
        }
        EXPECT(strstr(fault.text, bad[i]) != NULL);
        EXPECT(strstr(fault.text, "consistency=") != NULL);
    }
}

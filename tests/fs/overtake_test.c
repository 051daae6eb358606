/* What a mount's own calls have told already (fs/overtake.c), with a crew that
 * performs nothing: what it was asked for, in order, is what watchers hear. */

#include <errno.h>
#include <fcntl.h>

#include "fs/replay.h"
#include "tests/fs/rig.h"

#define PID_HELPER 7000000

static struct rig r;
static struct fs_helper *held[64];
static size_t held_count;
static char heard[1024];

static void perform(struct fs_crew *crew, struct fs_helper *h)
{
    static const char letters[] = "CMRUDdNXATS"; /* enum fs_op_type */
    const struct fs_order *o = &h->op->order;
    const size_t size = strlen(heard);
    (void)crew;
    (void)snprintf(heard + size, sizeof heard - size, "%s%c%s%s%s",
                   size > 0 ? " " : "", letters[o->type], o->path,
                   o->other_path != NULL ? ">" : "",
                   o->other_path != NULL ? o->other_path : "");
    held[held_count++] = h;
}

static void begin(const char *options)
{
    static struct fs_crew crew = {.perform = perform};
    rig_begin(&r, options);
    fs_replay_begin(r.fs, &crew);
    for (size_t i = 0; i < FS_HELPERS; i++) {
        r.fs->replay->helpers[i].thread_id = PID_HELPER + (uint32_t)i;
    }
    held_count = 0;
    heard[0] = '\0';
}

static void end(void)
{
    fs_replay_end(r.fs);
    rig_end(&r);
}

/* All that was asked for is performed; what is asked for then. */
static const char *rest(void)
{
    struct fs_helper *done[64];
    const size_t count = held_count;
    memcpy(done, held, sizeof done);
    held_count = 0;
    heard[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        fs_replay_done(r.fs, done[i]);
    }
    return heard;
}

/* Danger: a watcher is told that a name is gone, which a call of this mount has
 * made since.  (The simulator.) */
TEST(overtake, a_rename_here_is_the_last_to_tell_of_both_names)
{
    begin("");
    (void)fake_put(&r.kv, "/a", "1");
    (void)fake_put(&r.kv, "/b", "1");
    rig_run(&r);
    EXPECT_TEXT(heard, "Ca"); /* and b's waits for it: one directory */
    (void)fake_delete(&r.kv, "/b");
    rig_run(&r);
    EXPECT_INT(rig_rename(&r, FUSE_ROOT_ID, "a", FUSE_ROOT_ID, "b", 0), 0);
    EXPECT_TEXT(rest(), "");
    end();
}

/* The change had not come through the watch when the call was answered. */
TEST(overtake, changes_that_come_later_are_not_told)
{
    uint64_t node, handle;
    begin("");
    (void)fake_put(&r.kv, "/a", "1");
    rig_run(&r);
    (void)rest();
    r.kv.hold_events = true;
    (void)fake_delete(&r.kv, "/a");
    EXPECT_INT(
        rig_create(&r, FUSE_ROOT_ID, "a", O_WRONLY | O_EXCL, &node, &handle),
        0);
    r.kv.hold_events = false;
    rig_run(&r);
    EXPECT_TEXT(heard, "");
    EXPECT(list_is_empty(&r.fs->replay->takes)); /* the watch is past it */
    end();
}

/* Of a rename elsewhere whose new name this mount has removed since, it is left
 * that the old name is gone; of one whose old name it has made again, that the
 * new one is there. */
TEST(overtake, what_is_left_of_a_rename_is_told)
{
    uint64_t node;
    begin("");
    (void)fake_put(&r.kv, "/a", "1");
    (void)fake_put(&r.kv, "/c", "1");
    rig_run(&r);
    (void)rest();
    (void)rest();
    (void)fake_put(&r.kv, "/z", "1");
    (void)fake_move(&r.kv, "/a", "/b", false, true);
    (void)fake_move(&r.kv, "/c", "/d", false, true);
    rig_run(&r);
    EXPECT_TEXT(heard, "Cz");
    EXPECT_INT(rig_unlink(&r, FUSE_ROOT_ID, "b"), 0);
    EXPECT_INT(rig_mkdir(&r, FUSE_ROOT_ID, "c", &node), 0);
    EXPECT_TEXT(rest(), "Ua");
    EXPECT_TEXT(rest(), "Cd");
    EXPECT_TEXT(rest(), "");
    end();
}

/* A helper that has begun, and comes to the name after the call, fails; what it
 * looks up is no longer what it was sent for. */
TEST(overtake, a_helper_under_way_is_stopped)
{
    uint64_t node, handle;
    struct fuse_entry_out entry;
    begin("");
    (void)fake_put(&r.kv, "/a", "1");
    (void)rig_walk(&r, "a");
    (void)rest();
    (void)fake_delete(&r.kv, "/a");
    rig_run(&r);
    EXPECT_TEXT(heard, "Ua");
    EXPECT_INT(
        rig_create(&r, FUSE_ROOT_ID, "a", O_WRONLY | O_EXCL, &node, &handle),
        0);
    r.pid = PID_HELPER;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "a", &entry), EIO);
    r.pid = PID_A;
    EXPECT_TEXT(rest(), "");
    end();
}

/* Danger: with renames shown as writes, the removal of the old name was taken
 * for one of the file, which lives under the new one: what a process then wrote
 * into it was acknowledged and lost.  (The simulator.) */
TEST(overtake, a_file_shown_as_moved_by_writes_lives_on)
{
    struct fuse_entry_out old, new;
    begin("events=write");
    (void)fake_put(&r.kv, "/b", "1");
    (void)rig_walk(&r, "b");
    (void)rest();
    (void)fake_move(&r.kv, "/b", "/a", false, true);
    rig_run(&r);
    EXPECT_TEXT(heard, "Ca");
    EXPECT_TEXT(rest(), "Ub");
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "a", &new), 0);
    r.pid = PID_HELPER;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "b", &old), 0);
    r.pid = PID_A;
    EXPECT(old.nodeid != new.nodeid);
    end();
}

/* Danger: a watcher saw a file appear that never came to be, and not go. */
TEST(overtake, what_was_never_published_is_told_to_be_gone)
{
    uint64_t node, handle;
    begin("");
    EXPECT_INT(rig_create(&r, FUSE_ROOT_ID, "a", O_WRONLY, &node, &handle), 0);
    EXPECT_INT(rig_write(&r, node, handle, 0, "x", 0), 0);
    r.kv.fail = ST_IO;
    EXPECT(rig_flush(&r, node, handle) != 0);
    EXPECT_INT(rig_release(&r, node, handle), 0);
    rig_run(&r);
    EXPECT_TEXT(heard, "Ua");
    /* The next one of the name is another, at the same revision. */
    struct fuse_entry_out entry;
    r.kv.fail = ST_OK;
    EXPECT_INT(rig_create(&r, FUSE_ROOT_ID, "a", O_WRONLY, &node, &handle), 0);
    r.pid = PID_HELPER;
    EXPECT_INT(rig_lookup(&r, FUSE_ROOT_ID, "a", &entry), EIO);
    r.pid = PID_A;
    EXPECT_TEXT(rest(), "");
    end();
}

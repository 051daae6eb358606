/* How often modifications are replayed (fs/pace.h), with helpers that are all
 * busy: what would run next is what the queue holds. */

#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/pace.h"
#include "fs/watchers.h"
#include "tests/fs/rig.h"

static struct rig r;
static struct fs_op *busy;
static const char *const names[] = {"/a", "/b", "/c"};

static struct fs_replay *replay(void)
{
    return r.fs->replay;
}

static struct fs_op *op_on(enum fs_op_type type, const char *key)
{
    struct fs_op *op = fs_op_new(r.fs, type, bytes_of(key), true, false);
    struct fs_node *n = fs_node_find(r.fs, false, bytes_of(key));
    EXPECT(op != NULL && n != NULL);
    op->node = fs_node_hold(n);
    op->item.ino = n->ino;
    return op;
}

static void begin(void)
{
    rig_begin(&r, "");
    for (size_t i = 0; i < count_of(names); i++) {
        (void)fake_put(&r.kv, names[i], "1");
        (void)rig_walk(&r, names[i] + 1);
    }
    static struct fs_crew nobody; /* is asked */
    fs_replay_begin(r.fs, &nobody);
    busy = op_on(FS_OP_STAT, "/a");
    for (size_t i = 0; i < FS_HELPERS; i++) {
        r.fs->replay->helpers[i].op = busy;
    }
}

static void drop(struct list *all)
{
    struct list *at;
    while ((at = list_pop(all)) != NULL) {
        struct fs_op *op = container_of(at, struct fs_op, link);
        fs_pace_forget(op);
        fs_op_free(r.fs, op);
    }
}

static void end(void)
{
    fs_replay_end(r.fs);
    fs_op_free(r.fs, busy);
    rig_end(&r);
}

/* The list as "M/a U/b …". */
static const char *text_of(const struct list *all)
{
    static char text[4096];
    size_t size = 0;
    text[0] = '\0';
    list_each (at, all) {
        const struct fs_op *op = container_of(at, struct fs_op, link);
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%c%.*s",
                                 size > 0 ? " " : "",
                                 op->type == FS_OP_MODIFY     ? 'M'
                                 : op->type == FS_OP_TRUNCATE ? 'T'
                                                              : 'U',
                                 (int)op->key.size, (const char *)op->key.data);
    }
    return text;
}

static size_t length_of(const struct list *all)
{
    size_t count = 0;
    list_each (at, all) {
        count++;
    }
    return count;
}

/* Uses up the burst, so that what comes next has to rest. */
static void exhaust(void)
{
    for (int i = 0; i < 2 * FS_PACE_BURST && list_is_empty(&replay()->resting);
         i++) {
        fs_replay_add(r.fs, op_on(FS_OP_TRUNCATE, "/a"));
    }
    EXPECT_TEXT(text_of(&replay()->resting), "T/a");
}

/* Telling every change of a busy cluster costs more than making it: three
 * files changed a thousand times must not be three thousand replays.  But each
 * file's last change is told. */
TEST(pace, a_backlog_of_one_file_is_told_once)
{
    begin();
    exhaust();
    const size_t told = length_of(&replay()->queue);
    EXPECT(told >= FS_PACE_BURST && told <= FS_PACE_BURST + 1);
    for (int i = 0; i < 1000; i++) {
        fs_replay_add(r.fs, op_on(FS_OP_MODIFY, "/b"));
        fs_replay_add(r.fs, op_on(FS_OP_TRUNCATE, "/b"));
        fs_replay_add(r.fs, op_on(FS_OP_TRUNCATE, "/c"));
    }
    EXPECT_TEXT(text_of(&replay()->resting), "T/a M/b T/c");
    EXPECT_INT(length_of(&replay()->queue), told);
    EXPECT_INT(replay()->queued, told + 3);
    rig_pass(&r, 1);
    EXPECT_TEXT(text_of(&replay()->resting), "");
    EXPECT_INT(length_of(&replay()->queue), told + 3);
    end();
}

/* A watcher that is told of a file's end, and then of its modification, has a
 * file that is not there. */
TEST(pace, nothing_about_a_name_overtakes_its_modification)
{
    begin();
    exhaust();
    fs_replay_add(r.fs, op_on(FS_OP_TRUNCATE, "/b"));
    fs_replay_add(r.fs, op_on(FS_OP_MODIFY, "/c"));
    drop(&replay()->queue);
    fs_replay_add(r.fs, op_on(FS_OP_UNLINK, "/c"));
    EXPECT_TEXT(text_of(&replay()->queue), "M/c U/c");
    EXPECT_TEXT(text_of(&replay()->resting), "T/a T/b");
    end();
}

/* Without watchers the same backlog may wait ten times as long; whoever comes
 * is seen by the next look and then told at the full rate. */
TEST(pace, the_rate_follows_what_a_look_saw)
{
    begin();
    fs_pace_saw(r.fs, false);
    exhaust();
    rig_pass(&r, 1);
    EXPECT_TEXT(text_of(&replay()->resting), "T/a");
    fs_pace_saw(r.fs, true);
    rig_pass(&r, 1);
    EXPECT_TEXT(text_of(&replay()->resting), "");
    end();
}

/* The guess has to be right where everything can be seen; where it cannot, it
 * has to be "somebody". */
TEST(pace, a_watch_is_seen_and_none_is_not)
{
    struct stat st;
    const char *directory = test_directory();
    EXPECT_INT(stat(directory, &st), 0);
    const int fd = inotify_init1(IN_CLOEXEC);
    EXPECT(inotify_add_watch(fd, directory, IN_MODIFY) >= 0);
    EXPECT(fs_watchers_exist(st.st_dev));
    (void)close(fd);
    if (fs_watchers_exist(makedev(0, 1048575))) {
        SKIP("not all processes can be looked at");
    }
}

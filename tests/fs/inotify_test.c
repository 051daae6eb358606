/* inotify on real mounts: the table of filesystem.md section 5, seen by
 * programs that know nothing of us. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fs/live.h"
#include "tests/fs/watcher.h"

static struct live l;
static struct watcher w;

#define ELSEWHERE(change)                                                      \
    do {                                                                       \
        live_lock(&l);                                                         \
        (void)(change);                                                        \
        live_unlock(&l);                                                       \
    } while (0)

static void begin(const char *options)
{
    live_prepare(&l);
    (void)fake_put(&l.kv, "/d/", "");
    (void)fake_put(&l.kv, "/d/old", "1");
    (void)fake_put(&l.kv, "/e/", "");
    live_begin(&l, 1, options);
    watcher_begin(&w, live_path(&l, 0, "d"));
}

static void end(void)
{
    watcher_end(&w);
    live_end(&l);
}

TEST(inotify, key_created)
{
    begin("");
    ELSEWHERE(fake_put(&l.kv, "/d/k", "1"));
    EXPECT_EVENTS(&w, "CREATE k\nOPEN k\nMODIFY k\nCLOSE_WRITE k\n");
    EXPECT_TEXT(live_read(live_path(&l, 0, "d/k")), "1");
    end();
}

TEST(inotify, value_changed)
{
    begin("");
    ELSEWHERE(fake_put(&l.kv, "/d/old", "22"));
    EXPECT_EVENTS(&w, "OPEN old\nMODIFY old\nCLOSE_WRITE old\n");
    watcher_end(&w);
    watcher_begin(&w, live_path(&l, 0, "d/old"));
    ELSEWHERE(fake_put(&l.kv, "/d/old", "333"));
    EXPECT_EVENTS(&w, "OPEN\nMODIFY\nCLOSE_WRITE\n");
    struct stat st;
    EXPECT_INT(stat(live_path(&l, 0, "d/old"), &st), 0);
    EXPECT_INT(st.st_size, 3);
    end();
}

TEST(inotify, key_deleted)
{
    begin("");
    ELSEWHERE(fake_delete(&l.kv, "/d/old"));
    EXPECT_EVENTS(&w, "DELETE old\n");
    end();
}

/* Somebody has looked at the file before, and watches it. */
TEST(inotify, watched_file_deleted)
{
    begin("");
    watcher_end(&w);
    watcher_begin(&w, live_path(&l, 0, "d/old"));
    ELSEWHERE(fake_delete(&l.kv, "/d/old"));
    EXPECT_EVENTS(&w, "ATTRIB\nDELETE_SELF\nIGNORED\n");
    end();
}

TEST(inotify, directories_made_and_removed)
{
    begin("");
    ELSEWHERE(fake_put(&l.kv, "/d/sub/", ""));
    EXPECT_EVENTS(&w, "CREATE sub/\n");
    ELSEWHERE(fake_delete(&l.kv, "/d/sub/"));
    EXPECT_EVENTS(&w, "DELETE sub/\n");
    /* Implicit ones. */
    ELSEWHERE(fake_put(&l.kv, "/d/imp/x", "1"));
    EXPECT_EVENTS(&w, "CREATE imp/\n");
    EXPECT_TEXT(live_read(live_path(&l, 0, "d/imp/x")), "1");
    ELSEWHERE(fake_delete(&l.kv, "/d/imp/x"));
    EXPECT_EVENTS(&w, "DELETE imp/\n");
    end();
}

/* A file turns into a directory because a key appears below it, and back. */
TEST(inotify, file_turns_into_a_directory)
{
    begin("");
    ELSEWHERE(fake_put(&l.kv, "/d/old/x", "1"));
    EXPECT_EVENTS(&w, "DELETE old\nCREATE old/\n");
    EXPECT_TEXT(live_read(live_path(&l, 0, "d/old/%value")), "1");
    ELSEWHERE(fake_delete(&l.kv, "/d/old/x"));
    EXPECT_EVENTS(&w, "DELETE old/\nCREATE old\nOPEN old\n"
                      "MODIFY old\nCLOSE_WRITE old\n");
    EXPECT_TEXT(live_read(live_path(&l, 0, "d/old")), "1");
    end();
}

TEST(inotify, renamed_elsewhere)
{
    begin("");
    watcher_add(&w, live_path(&l, 0, "e"));
    ELSEWHERE(fake_move(&l.kv, "/d/old", "/d/new", false, true));
    EXPECT_EVENTS(&w, "MOVED_FROM old=1\nMOVED_TO new=1\n");
    ELSEWHERE(fake_move(&l.kv, "/d/new", "/e/new", false, true));
    EXPECT_EVENTS(&w, "MOVED_FROM new=1\nMOVED_TO new=1\n");
    EXPECT_TEXT(live_read(live_path(&l, 0, "e/new")), "1");
    end();
}

TEST(inotify, directory_renamed_elsewhere)
{
    begin("");
    ELSEWHERE(fake_put(&l.kv, "/d/sub/a", "1"));
    ELSEWHERE(fake_put(&l.kv, "/d/sub/b/c", "2"));
    EXPECT_EVENTS(&w, "CREATE sub/\n");
    watcher_add(&w, live_path(&l, 0, "d/sub"));
    ELSEWHERE(fake_move(&l.kv, "/d/sub/", "/d/moved/", true, false));
    EXPECT_EVENTS(&w, "MOVED_FROM sub/=1\nMOVED_TO moved/=1\nMOVE_SELF\n");
    EXPECT_TEXT(live_read(live_path(&l, 0, "d/moved/b/c")), "2");
    end();
}

/* What this mount did itself has had its events: one MODIFY follows the close,
 * when the committed value is there to be read. */
TEST(inotify, own_changes_invent_nothing)
{
    begin("");
    EXPECT_INT(live_write(live_path(&l, 0, "d/mine"), "1"), 0);
    EXPECT_EVENTS(&w, "CREATE mine\nOPEN mine\nMODIFY mine\n"
                      "CLOSE_WRITE mine\nMODIFY mine\n");
    EXPECT_INT(rename(live_path(&l, 0, "d/mine"), live_path(&l, 0, "d/m")), 0);
    EXPECT_EVENTS(&w, "MOVED_FROM mine=1\nMOVED_TO m=1\n");
    EXPECT_INT(unlink(live_path(&l, 0, "d/m")), 0);
    EXPECT_EVENTS(&w, "DELETE m\n");
    EXPECT_INT(mkdir(live_path(&l, 0, "d/s"), 0755), 0);
    EXPECT_INT(rename(live_path(&l, 0, "d/s"), live_path(&l, 0, "d/t")), 0);
    EXPECT_INT(rmdir(live_path(&l, 0, "d/t")), 0);
    EXPECT_EVENTS(&w, "CREATE s/\nMOVED_FROM s/=1\nMOVED_TO t/=1\nDELETE t/\n");
    end();
}

/* A bare truncation goes out after the close was answered. */
TEST(inotify, late_publication_is_replayed)
{
    begin("");
    const int fd = open(live_path(&l, 0, "d/old"), O_WRONLY | O_TRUNC);
    EXPECT(fd >= 0);
    EXPECT_INT(close(fd), 0);
    /* The first three are what the kernel says of the calls themselves. */
    EXPECT_EVENTS(&w, "OPEN old\nMODIFY old\nCLOSE_WRITE old\n"
                      "OPEN old\nMODIFY old\nCLOSE_WRITE old\n");
    end();
}

/* The last file of a directory without a marker takes it along, and no VFS
 * call says so. */
TEST(inotify, implicit_directory_goes_with_an_own_unlink)
{
    begin("");
    ELSEWHERE(fake_put(&l.kv, "/d/imp/x", "1"));
    EXPECT_EVENTS(&w, "CREATE imp/\n");
    EXPECT_INT(unlink(live_path(&l, 0, "d/imp/x")), 0);
    EXPECT_EVENTS(&w, "DELETE imp/\n");
    end();
}

TEST(inotify, modes)
{
    begin("events=rename");
    ELSEWHERE(fake_put(&l.kv, "/d/old", "22"));
    EXPECT_EVENTS(&w, "MOVED_FROM %new=1\nMOVED_TO old=1\n");
    EXPECT_TEXT(live_read(live_path(&l, 0, "d/old")), "22");
    end();
    begin("events=write");
    ELSEWHERE(fake_move(&l.kv, "/d/old", "/d/new", false, true));
    EXPECT_EVENTS(&w, "CREATE new\nOPEN new\nMODIFY new\nCLOSE_WRITE new\n"
                      "DELETE old\n");
    end();
    begin("events=off");
    ELSEWHERE(fake_put(&l.kv, "/d/old", "22"));
    EXPECT_EVENTS(&w, "");
    end();
}

/* Two nodes: what one mount does, the watchers of the other see. */
TEST(inotify, two_mounts)
{
    live_prepare(&l);
    (void)fake_put(&l.kv, "/d/", "");
    live_begin(&l, 2, "");
    watcher_begin(&w, live_path(&l, 1, "d"));
    EXPECT_INT(live_write(live_path(&l, 0, "d/f"), "1"), 0);
    EXPECT_EVENTS(&w, "CREATE f\nOPEN f\nMODIFY f\nCLOSE_WRITE f\n");
    EXPECT_INT(live_write(live_path(&l, 0, "d/f"), "2"), 0);
    EXPECT_EVENTS(&w, "OPEN f\nMODIFY f\nCLOSE_WRITE f\n");
    EXPECT_INT(rename(live_path(&l, 0, "d/f"), live_path(&l, 0, "d/g")), 0);
    EXPECT_EVENTS(&w, "MOVED_FROM f=1\nMOVED_TO g=1\n");
    EXPECT_INT(unlink(live_path(&l, 0, "d/g")), 0);
    EXPECT_EVENTS(&w, "DELETE g\n");
    EXPECT_INT(mkdir(live_path(&l, 0, "d/s"), 0755), 0);
    EXPECT_EVENTS(&w, "CREATE s/\n");
    EXPECT_INT(rmdir(live_path(&l, 0, "d/s")), 0);
    EXPECT_EVENTS(&w, "DELETE s/\n");
    watcher_end(&w);
    live_end(&l);
}

/* The kernel keeps names and attributes here: replays bring them up to date,
 * before anybody is woken. */
TEST(inotify, serializable_mount_forgets_what_changed)
{
    begin("consistency=serializable");
    struct stat st;
    const char *path = live_path(&l, 0, "d/old");
    EXPECT_INT(stat(path, &st), 0);
    ELSEWHERE(fake_put(&l.kv, "/d/old", "22"));
    EXPECT_EVENTS(&w, "OPEN old\nMODIFY old\nCLOSE_WRITE old\n");
    EXPECT_INT(stat(path, &st), 0);
    EXPECT_INT(st.st_size, 2);
    ELSEWHERE(fake_delete(&l.kv, "/d/old"));
    EXPECT_EVENTS(&w, "DELETE old\n");
    EXPECT_INT(stat(path, &st), -1);
    EXPECT_INT(errno, ENOENT);
    ELSEWHERE(fake_put(&l.kv, "/d/old", "333"));
    EXPECT_EVENTS(&w, "CREATE old\nOPEN old\nMODIFY old\nCLOSE_WRITE old\n");
    EXPECT_INT(stat(path, &st), 0);
    EXPECT_INT(st.st_size, 3);
    end();
}

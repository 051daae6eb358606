/* The filesystem as programs meet it: real mounts of a fake keystore. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fs/live.h"

/* The first thing anybody tries. */
TEST(mount, cat_echo_ls_mkdir)
{
    static struct live l;
    live_begin(&l, 1, "");

    EXPECT_INT(live_write(live_path(&l, 0, "greeting"), "hello\n"), 0);
    EXPECT_TEXT(live_read(live_path(&l, 0, "greeting")), "hello\n");
    live_lock(&l);
    EXPECT_BYTES(fake_get(&l.kv, "/greeting")->value, bytes_of("hello\n"));
    (void)fake_put(&l.kv, "/config/app/timeout", "30");
    live_unlock(&l);
    EXPECT_TEXT(live_read(live_path(&l, 0, "config/app/timeout")), "30");
    EXPECT_INT(mkdir(live_path(&l, 0, "new"), 0755), 0);
    EXPECT_INT(mkdir(live_path(&l, 0, "new"), 0755), -1);
    EXPECT_INT(errno, EEXIST);

    char names[256] = "";
    DIR *d = opendir(l.path[0]);
    EXPECT(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            (void)strcat(names, e->d_name);
            (void)strcat(names, e->d_type == DT_DIR ? "/ " : " ");
        }
    }
    (void)closedir(d);
    EXPECT_TEXT(names, "config/ greeting new/ ");

    struct stat st;
    EXPECT_INT(stat(live_path(&l, 0, "greeting"), &st), 0);
    EXPECT_INT(st.st_size, 6);
    EXPECT_INT(unlink(live_path(&l, 0, "greeting")), 0);
    EXPECT_INT(stat(live_path(&l, 0, "greeting"), &st), -1);
    EXPECT_INT(rmdir(live_path(&l, 0, "new")), 0);
    live_end(&l);
}

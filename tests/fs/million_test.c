/* A directory of a million names, over the socket pair. */

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "tests/fs/rig.h"

#define NAMES 1000000

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static size_t heap_bytes(void)
{
    size_t pages = 0;
    size_t resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    EXPECT(f != NULL);
    EXPECT_INT(fscanf(f, "%zu %zu", &pages, &resident), 2);
    (void)fclose(f);
    return resident * 4096;
}

/* Listing costs memory for a page, not for the directory. */
TEST(million, listed_with_bounded_memory)
{
    static struct rig r;
    rig_begin(&r, "timeout=60s");
    for (int i = 0; i < NAMES; i++) {
        char key[32];
        const int size = snprintf(key, sizeof key, "/d/name-%07d", i);
        (void)fake_put_bytes(&r.kv,
                             (struct bytes){(const uint8_t *)key, (size_t)size},
                             BYTES_NONE);
        if (i % 10000 == 0) {
            rig_run(&r);
        }
    }
    rig_run(&r);
    const uint64_t d = rig_walk(&r, "d");
    const struct fuse_open_in in = {.flags = 0};
    struct fuse_open_out out;
    const size_t before = heap_bytes();
    const double start = seconds();
    memcpy(&out, rig_call(&r, FUSE_OPENDIR, d, &in, sizeof in, NULL, 0)->body,
           sizeof out);
    struct fuse_read_in read = {.fh = out.fh, .size = 65536};
    size_t count = 0;
    char last[32] = "";
    for (;;) {
        const struct rig_reply *reply =
            rig_call(&r, FUSE_READDIR, d, &read, sizeof read, NULL, 0);
        if (reply->size == 0) {
            break;
        }
        for (size_t at = 0; at < reply->size; count++) {
            struct fuse_dirent e;
            memcpy(&e, reply->body + at, sizeof e);
            char name[32] = "";
            memcpy(name, reply->body + at + FUSE_NAME_OFFSET, e.namelen);
            EXPECT(name[0] == '.' || strcmp(name, last) > 0);
            if (name[0] != '.') {
                memcpy(last, name, sizeof last);
            }
            read.offset = e.off;
            at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + e.namelen);
        }
    }
    EXPECT_INT(count, NAMES + 2);
    const double took = seconds() - start;
    const size_t grown = heap_bytes() - before;
    print_message("# %d names in %.2f s, %zu KiB\n", NAMES, took, grown / 1024);
    EXPECT(grown < 16 << 20);
    const struct fuse_release_in done = {.fh = out.fh};
    (void)rig_call(&r, FUSE_RELEASEDIR, d, &done, sizeof done, NULL, 0);
    rig_end(&r);
}

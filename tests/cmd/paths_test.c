/* Which places the server refuses, on directories of the test. */

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/paths.h"
#include "tests/lib/test.h"

/* base/
 *   data/        a/ a/inner/       b/
 *   to_a -> a    loop -> loop      dangling -> nowhere      file        */
struct rig {
    char base[PATH_MAX];
    struct fault fault;
};

static const char *at(const struct rig *r, const char *name)
{
    static char texts[8][PATH_MAX + 64];
    static size_t next;
    char *text = texts[next++ % count_of(texts)];
    (void)snprintf(text, sizeof texts[0], "%s/%s", r->base, name);
    return text;
}

static void rig_begin(struct rig *r)
{
    char *real = realpath(test_directory(), NULL);
    assert_non_null(real);
    *r = (struct rig){.fault = {{0}}};
    (void)snprintf(r->base, sizeof r->base, "%s", real);
    free(real);
    static const char *const directories[] = {"data", "a", "a/inner", "b"};
    for (size_t i = 0; i < count_of(directories); i++) {
        EXPECT_INT(mkdir(at(r, directories[i]), 0755), 0);
    }
    EXPECT_INT(symlink("a", at(r, "to_a")), 0);
    EXPECT_INT(symlink("loop", at(r, "loop")), 0);
    EXPECT_INT(symlink("nowhere", at(r, "dangling")), 0);
    const int fd = open(at(r, "file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    EXPECT(fd >= 0);
    EXPECT_INT(close(fd), 0);
}

/* "" leaves a part out. */
static enum status check(struct rig *r, const char *data_dir, const char *log,
                         const char *first, const char *second)
{
    const char *mounts[2];
    size_t count = 0;
    if (first[0] != '\0') {
        mounts[count++] = at(r, first);
    }
    if (second[0] != '\0') {
        mounts[count++] = at(r, second);
    }
    const struct paths p = {.data_dir = at(r, data_dir),
                            .log = log[0] != '\0' ? at(r, log) : NULL,
                            .mounts = mounts,
                            .mounts_count = count};
    return paths_check(&p, &r->fault);
}

TEST(paths, places_beside_each_other_are_fine)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(check(&r, "data", "", "", ""), ST_OK);
    EXPECT_INT(check(&r, "data", "log", "a", "b"), ST_OK);
    EXPECT_INT(check(&r, "not/yet/there", "not/there", "a", "b"), ST_OK);
    /* A name that begins like the mount's is not inside it. */
    EXPECT_INT(check(&r, "a.data", "a.log", "a", "b"), ST_OK);
    EXPECT_INT(check(&r, "data", "", "to_a", "b"), ST_OK);
}

/* A server that reads its own mount waits for itself, and nothing but SIGKILL
 * ends it. */
TEST(paths, what_is_inside_a_mount_is_refused)
{
    static const struct {
        const char *data_dir, *log, *first, *second;
        const char *part; /* of the message */
    } rows[] = {
        {"a", "", "a", "", "the data directory"},
        {"a/data", "", "a", "", "the data directory"},
        {"a/not/yet", "", "b", "a", "the data directory"},
        {"to_a/data", "", "a", "", "the data directory"},
        {"a/data", "", "to_a", "", "the data directory"},
        {"b/../a/data", "", "a", "", "the data directory"},
        {"data", "a/inner/log", "a", "", "the log"},
        {"data", "to_a/log", "a", "", "the log"},
        {"data", "", "a/inner", "a", "inside another mount"},
        {"data", "", "a", "a/inner", "inside another mount"},
        {"data", "", "to_a/inner", "a", "inside another mount"},
        {"data", "", "a", "a", "the same directory"},
        {"data", "", "a", "to_a", "the same directory"},
        {"data", "", "a/", "a", "the same directory"},
        {"", "", "a", "", "inside the data directory"},
        {"a", "", "a/inner", "", "inside the data directory"},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        struct rig r;
        rig_begin(&r);
        const enum status st = check(&r, rows[i].data_dir, rows[i].log,
                                     rows[i].first, rows[i].second);
        if (st != ST_INVALID || strstr(r.fault.text, rows[i].part) == NULL) {
            fail_msg("row %zu: %s: '%s' does not say '%s'", i, status_name(st),
                     r.fault.text, rows[i].part);
        }
    }
}

/* The message says what to do. */
TEST(paths, a_mount_point_must_be_a_directory)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(check(&r, "data", "", "missing", ""), ST_NOT_FOUND);
    EXPECT(strstr(r.fault.text, "make it first (mkdir -p '") != NULL);
    EXPECT_INT(check(&r, "data", "", "dangling", ""), ST_NOT_FOUND);
    EXPECT_INT(check(&r, "data", "", "file", ""), ST_INVALID);
    EXPECT(strstr(r.fault.text, "is not a directory") != NULL);
    EXPECT(check(&r, "data", "", "loop", "") != ST_OK);
    EXPECT(check(&r, "data", "", "file/x", "") != ST_OK);
}

TEST(paths, the_working_directory_is_looked_at)
{
    struct rig r;
    rig_begin(&r);
    char before[PATH_MAX];
    EXPECT(getcwd(before, sizeof before) != NULL);
    EXPECT_INT(chdir(at(&r, "a/inner")), 0);
    const enum status st = check(&r, "data", "", "a", "");
    const enum status other = check(&r, "data", "", "b", "");
    EXPECT_INT(chdir(before), 0);
    EXPECT_INT(st, ST_INVALID);
    EXPECT_INT(other, ST_OK);
}

static enum status resolve(struct rig *r, const char *path, char *ret)
{
    return paths_resolve(path, ret, PATH_MAX, &r->fault);
}

TEST(paths, resolve_follows_links_and_keeps_what_is_not_there_yet)
{
    struct rig r;
    rig_begin(&r);
    char path[PATH_MAX];
    EXPECT_INT(resolve(&r, at(&r, "to_a/inner"), path), ST_OK);
    EXPECT_TEXT(path, at(&r, "a/inner"));
    EXPECT_INT(resolve(&r, at(&r, "to_a/x//y/"), path), ST_OK);
    EXPECT_TEXT(path, at(&r, "a/x//y"));
    EXPECT_INT(resolve(&r, "/", path), ST_OK);
    EXPECT_TEXT(path, "/");
    EXPECT_INT(resolve(&r, "//surely-not-there", path), ST_OK);
    EXPECT_TEXT(path, "/surely-not-there");
    EXPECT(resolve(&r, at(&r, "loop"), path) != ST_OK);
    EXPECT_INT(resolve(&r, "", path), ST_NOT_FOUND);

    char before[PATH_MAX];
    EXPECT(getcwd(before, sizeof before) != NULL);
    EXPECT_INT(chdir(at(&r, "a")), 0);
    const enum status st = resolve(&r, "new/x", path);
    EXPECT_INT(chdir(before), 0);
    EXPECT_INT(st, ST_OK);
    EXPECT_TEXT(path, at(&r, "a/new/x"));
}

/* etcd makes them, and so do its operators expect it of us. */
TEST(paths, missing_parents_are_made_and_the_last_part_is_not)
{
    struct rig r;
    rig_begin(&r);
    EXPECT_INT(paths_make_parents(at(&r, "b/x//y/z"), &r.fault), ST_OK);
    EXPECT_INT(access(at(&r, "b/x/y"), F_OK), 0);
    EXPECT(access(at(&r, "b/x/y/z"), F_OK) != 0);
    EXPECT_INT(paths_make_parents(at(&r, "b/x/y/z/"), &r.fault), ST_OK);
    EXPECT(access(at(&r, "b/x/y/z"), F_OK) != 0);
    EXPECT_INT(paths_make_parents("/", &r.fault), ST_OK);
    EXPECT_INT(paths_make_parents("just-a-name", &r.fault), ST_OK);
    EXPECT(paths_make_parents(at(&r, "file/x/y"), &r.fault) != ST_OK);
    EXPECT(strstr(r.fault.text, "cannot make the directory") != NULL);
}

TEST(paths, fresh_and_hiding)
{
    struct rig r;
    rig_begin(&r);
    EXPECT(paths_is_fresh(at(&r, "data")));
    EXPECT(paths_is_fresh(at(&r, "missing")));
    EXPECT_INT(mkdir(at(&r, "data/wal"), 0700), 0);
    EXPECT(!paths_is_fresh(at(&r, "data")));
    EXPECT(paths_hides_files(at(&r, "a")));
    EXPECT(!paths_hides_files(at(&r, "b")));
    EXPECT(!paths_hides_files(at(&r, "missing")));
}

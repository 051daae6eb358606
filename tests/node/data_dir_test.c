/* A data directory is looked at before anything in it is touched. */

#include "node/data_dir.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "tests/lib/test.h"

/* Writing into somebody else's directory is how data gets lost. */
TEST(data_dir, what_is_not_ours_is_refused_and_named)
{
    char path[512];
    struct data_dir dir;
    struct fault fault = {{0}};
    const char *base = test_directory();
    (void)snprintf(path, sizeof path, "%s/photos", base);
    EXPECT_INT(mkdir(path, 0700), 0);
    EXPECT_INT(data_dir_open(base, &dir, &fault), ST_INVALID);
    EXPECT(strstr(fault.text, "photos") != NULL);
}

/* People will point at their old etcd's directory. */
TEST(data_dir, etcds_is_recognised)
{
    char path[512];
    struct data_dir dir;
    struct fault fault = {{0}};
    const char *base = test_directory();
    (void)snprintf(path, sizeof path, "%s/member", base);
    EXPECT_INT(mkdir(path, 0700), 0);
    EXPECT_INT(data_dir_open(base, &dir, &fault), ST_INVALID);
    EXPECT(strstr(fault.text, "etcd") != NULL);
}

TEST(data_dir, a_missing_one_is_made_for_its_owner_alone)
{
    char path[512];
    struct data_dir dir;
    struct fault fault = {{0}};
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/new", test_directory());
    EXPECT_INT(data_dir_open(path, &dir, &fault), ST_OK);
    EXPECT_INT(stat(path, &st), 0);
    EXPECT_INT(st.st_mode & 0777, 0700);
    EXPECT_INT(data_dir_open(path, &dir, &fault), ST_OK); /* and again */
}

/* A full or read-only place must say which, not crash later. */
TEST(data_dir, a_missing_parent_and_a_file_are_refused)
{
    struct data_dir dir;
    struct fault fault = {{0}};
    EXPECT_INT(data_dir_open("/nonexistent/x", &dir, &fault), ST_NOT_FOUND);
    EXPECT(strstr(fault.text, "/nonexistent/x") != NULL);
    EXPECT_INT(data_dir_open("/dev/null", &dir, &fault), ST_IO);
    EXPECT_INT(data_dir_open("", &dir, &fault), ST_INVALID);
}

/* Danger: the mark of a loss is forgotten or replaced by a smaller one, and the
 * member votes as if it had never promised.  Of two the greater stays, by term
 * first. */
TEST(data_dir, the_mark_of_a_loss_keeps_the_greater_promise)
{
    struct data_dir dir;
    struct fault fault = {{0}};
    uint64_t index = 0;
    uint64_t term = 0;
    EXPECT_INT(data_dir_open(test_directory(), &dir, &fault), ST_OK);
    EXPECT_INT(data_dir_mending(&dir, &index, &term, &fault), ST_NOT_FOUND);
    EXPECT_INT(data_dir_set_mending(&dir, 70, 5, &fault), ST_OK);
    EXPECT_INT(data_dir_set_mending(&dir, 60, 5, &fault), ST_OK);
    EXPECT_INT(data_dir_set_mending(&dir, 900, 4, &fault), ST_OK);
    EXPECT_INT(data_dir_mending(&dir, &index, &term, &fault), ST_OK);
    EXPECT_INT(index, 70);
    EXPECT_INT(term, 5);
    EXPECT_INT(data_dir_set_mending(&dir, 10, 6, &fault), ST_OK);
    EXPECT_INT(data_dir_mending(&dir, &index, &term, &fault), ST_OK);
    EXPECT_INT(index, 10);
    EXPECT_INT(term, 6);
    EXPECT_INT(data_dir_open(test_directory(), &dir, &fault), ST_OK);
    EXPECT_INT(data_dir_end_mending(&dir, &fault), ST_OK);
    EXPECT_INT(data_dir_mending(&dir, &index, &term, &fault), ST_NOT_FOUND);
}

/* Danger: a damaged mark passes for none. */
TEST(data_dir, a_damaged_mark_of_a_loss_is_no_mark_less)
{
    struct data_dir dir;
    struct fault fault = {{0}};
    uint64_t index, term;
    EXPECT_INT(data_dir_open(test_directory(), &dir, &fault), ST_OK);
    EXPECT_INT(data_dir_set_mending(&dir, 70, 5, &fault), ST_OK);
    FILE *f = fopen(dir.mending, "r+");
    EXPECT(f != NULL && fputc(0x5a, f) == 0x5a && fclose(f) == 0);
    EXPECT_INT(data_dir_mending(&dir, &index, &term, &fault), ST_CORRUPT);
    EXPECT(strstr(fault.text, "replace this member") != NULL);
    EXPECT_INT(data_dir_set_mending(&dir, 80, 5, &fault), ST_CORRUPT);
}

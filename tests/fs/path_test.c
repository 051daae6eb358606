/* Keys and paths, from filesystem.md section 1. */

#include "fs/path.h"

#include <stdlib.h>

#include "base/must.h"
#include "base/prng.h"
#include "tests/lib/test.h"

static struct bytes raw(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

/* Goes down a path as the kernel would. *ret_file is set for a last name that
 * is %value or ordinary. ST_INVALID: some name is none. */
static enum status walk(struct bytes prefix, struct bytes path,
                        struct buf *ret_key)
{
    struct buf directory = {.size = 0};
    struct buf key = {.size = 0};
    enum status st = ST_OK;
    buf_append(&directory, prefix);
    for (size_t at = 0; st == ST_OK && at <= path.size;) {
        size_t end = at;
        while (end < path.size && path.data[end] != '/') {
            end++;
        }
        enum fs_name_kind kind;
        st = fs_path_resolve(prefix, buf_bytes(&directory),
                             (struct bytes){path.data + at, end - at}, &kind,
                             &key);
        if (st == ST_OK && kind == FS_NAME_VALUE && end < path.size) {
            st = ST_INVALID; /* a file: nothing is below it */
        }
        if (st == ST_OK) {
            buf_clear(&directory);
            buf_append(&directory, buf_bytes(&key));
            if (kind == FS_NAME_ORDINARY) {
                buf_append_byte(&directory, '/');
            }
        }
        at = end + 1;
    }
    buf_clear(ret_key);
    buf_append(ret_key, buf_bytes(&key));
    buf_fini(&key);
    buf_fini(&directory);
    return st;
}

static void expect_both_ways(const char *prefix, struct bytes key,
                             const char *path)
{
    struct buf text = {.size = 0};
    struct buf back = {.size = 0};
    EXPECT(fs_path_of(bytes_of(prefix), key, true, &text));
    EXPECT_BYTES(buf_bytes(&text), bytes_of(path));
    EXPECT_INT(walk(bytes_of(prefix), buf_bytes(&text), &back), ST_OK);
    EXPECT_BYTES(buf_bytes(&back), key);
    buf_fini(&text);
    buf_fini(&back);
}

/* A row that is mapped otherwise than the contract says shows people other
 * files than they stored. */
TEST(path, table_of_the_contract)
{
    expect_both_ways("/", bytes_of("/config/app/timeout"),
                     "config/app/timeout");
    expect_both_ways("/", bytes_of("/a/"), "a/%");
    expect_both_ways("/", bytes_of("/a//b"), "a/%/b");
    expect_both_ways("/", bytes_of("/"), "%");
    expect_both_ways("/", bytes_of("//"), "%/%");
    expect_both_ways("/", bytes_of("/a/."), "a/%2E");
    expect_both_ways("/", bytes_of("/a/.."), "a/%2E%2E");
    expect_both_ways("/", bytes_of("/a/..."), "a/...");
    expect_both_ways("/", raw("/a\0b%", 5), "a%00b%25");
    expect_both_ways("/", bytes_of("foo"), "%root/foo");
    expect_both_ways("/", bytes_of("foo/bar"), "%root/foo/bar");
    expect_both_ways("/", bytes_of("foo/"), "%root/foo/%");
    expect_both_ways("/", bytes_of("/.keelfs"), "%2Ekeelfs");
    expect_both_ways("/", bytes_of("/x/.keelfs/y"), "x/%2Ekeelfs/y");
    expect_both_ways("/", bytes_of("/.keelfs2"), ".keelfs2");
    expect_both_ways("/app/", bytes_of("/app/x"), "x");
    expect_both_ways("/", bytes_of("/%value"), "%25value");
    expect_both_ways("/", bytes_of("/a\xff\n b"), "a\xff\n b");
}

/* The value of a key that is a directory too has a name of its own. */
TEST(path, value_of_a_directory)
{
    struct buf key = {.size = 0};
    EXPECT_INT(walk(bytes_of("/"), bytes_of("a/%value"), &key), ST_OK);
    EXPECT_BYTES(buf_bytes(&key), bytes_of("/a"));
    EXPECT_INT(walk(bytes_of("/"), bytes_of("a/%/%value"), &key), ST_OK);
    EXPECT_BYTES(buf_bytes(&key), bytes_of("/a/"));
    EXPECT_INT(walk(bytes_of("/"), bytes_of("%value"), &key), ST_INVALID);
    EXPECT_INT(walk(bytes_of("/app/"), bytes_of("%value"), &key), ST_INVALID);
    EXPECT_INT(walk(bytes_of("/"), bytes_of("%root/%value"), &key), ST_INVALID);
    buf_fini(&key);
}

/* Two names for one key, and a program that lists sees another tree than one
 * that opens. */
TEST(path, what_encoding_would_not_produce_is_no_name)
{
    static const char *const bad[] = {
        "%41",     "%2e",       "%2Ekeelfs2",  "%2E.",    "a%2Eb",     "%2F",
        "%",       "%4",        "%%",          "a%",      "%zz",       "%00%",
        "%25%",    "x/%2e",     "%value2",     "%root/%", "a%+",       "%+",
        "x/%root", "%root/%/a", "%root/%root", ".keelfs", "%2E%2E%2E",
    };
    struct buf key = {.size = 0};
    for (size_t i = 0; i < count_of(bad); i++) {
        /* "%" alone is one, for the key that is the prefix. */
        const bool fine = strcmp(bad[i], "%") == 0;
        const enum status st = walk(bytes_of("/"), bytes_of(bad[i]), &key);
        if ((st == ST_OK) != fine) {
            fail_msg("'%s' is %s", bad[i], status_name(st));
        }
    }
    EXPECT_INT(walk(bytes_of("/app/"), bytes_of("%root"), &key), ST_INVALID);
    buf_fini(&key);
}

/* Names over 255 bytes cannot be; the key must be reachable all the same. */
TEST(path, long_components_are_continued)
{
    for (size_t size = 250; size < 800; size++) {
        struct buf key = {.size = 0};
        struct buf path = {.size = 0};
        struct buf back = {.size = 0};
        buf_append(&key, bytes_of("/d/"));
        for (size_t i = 0; i < size; i++) {
            buf_append_byte(&key, i % 7 == size % 7 ? '%' : 'x');
        }
        EXPECT(fs_path_of(bytes_of("/"), buf_bytes(&key), true, &path));
        size_t run = 0;
        for (size_t i = 0; i < path.size; i++) {
            run = path.data[i] == '/' ? 0 : run + 1;
            EXPECT(run <= FS_NAME_MAX);
        }
        EXPECT_INT(walk(bytes_of("/"), buf_bytes(&path), &back), ST_OK);
        EXPECT_BYTES(buf_bytes(&back), buf_bytes(&key));
        buf_fini(&key);
        buf_fini(&path);
        buf_fini(&back);
    }
}

/* 255 bytes fit; 256 are continued; a split where none is needed, or at
 * another place, is no name. */
TEST(path, continued_names_have_one_form)
{
    char a255[256];
    char a253[254];
    char text[600];
    struct buf key = {.size = 0};
    memset(a255, 'a', sizeof a255);
    a255[255] = 0;
    memset(a253, 'a', sizeof a253);
    a253[253] = 0;
    (void)snprintf(text, sizeof text, "/%s", a255);
    expect_both_ways("/", bytes_of(text), a255);
    char path[600];
    (void)snprintf(text, sizeof text, "/%saaa", a253);
    (void)snprintf(path, sizeof path, "%s%%+/aaa", a253);
    expect_both_ways("/", bytes_of(text), path);

    (void)snprintf(path, sizeof path, "%s%%+/aa", a253); /* fits in one */
    EXPECT_INT(walk(bytes_of("/"), bytes_of(path), &key), ST_INVALID);
    (void)snprintf(path, sizeof path, "%s%%+/aaaa", a253 + 1); /* too early */
    EXPECT_INT(walk(bytes_of("/"), bytes_of(path), &key), ST_INVALID);
    (void)snprintf(path, sizeof path, "%s%%+/%%value", a253);
    EXPECT_INT(walk(bytes_of("/"), bytes_of(path), &key), ST_INVALID);
    (void)snprintf(path, sizeof path, "%s%%+/%%", a253);
    EXPECT_INT(walk(bytes_of("/"), bytes_of(path), &key), ST_INVALID);
    buf_fini(&key);
}

/* A key that is likely to hit the table's rows. */
static void random_key(struct prng *p, struct buf *key)
{
    static const char *const pieces[] = {
        "/",    "a", "%",   ".",      "..",      "",      "//",
        "\xff", "-", "%41", "%value", ".keelfs", "%root", "\n"};
    const size_t count = 1 + prng_below(p, 8);
    buf_clear(key);
    for (size_t i = 0; i < count; i++) {
        if (prng_chance(p, 1, 8)) {
            const size_t size = prng_below(p, 600);
            for (size_t j = 0; j < size; j++) {
                buf_append_byte(
                    key, prng_chance(p, 1, 20) ? '%' : (uint8_t)('a' + j % 3));
            }
        } else if (prng_chance(p, 1, 6)) {
            buf_append_byte(key, (uint8_t)prng_below(p, 256));
        } else {
            buf_append(key, bytes_of(pieces[prng_below(p, count_of(pieces))]));
        }
    }
    if (key->size == 0) {
        buf_append_byte(key, 'k');
    }
}

/* Every byte string that can be a key has one path, which names it and nothing
 * else. */
TEST(path, total_and_reversible)
{
    struct prng p;
    prng_init(&p, test_seed());
    struct buf key = {.size = 0};
    struct buf path = {.size = 0};
    struct buf back = {.size = 0};
    for (size_t i = 0; i < 20000; i++) {
        random_key(&p, &key);
        buf_clear(&path);
        EXPECT(fs_path_of(bytes_of("/"), buf_bytes(&key), true, &path));
        EXPECT_INT(walk(bytes_of("/"), buf_bytes(&path), &back), ST_OK);
        EXPECT_BYTES(buf_bytes(&back), buf_bytes(&key));
    }
    buf_fini(&key);
    buf_fini(&path);
    buf_fini(&back);
}

/* From the other side: whatever text resolves is the path of what it resolves
 * to. Continued names may lead to directories that no key is in. */
TEST(path, what_resolves_is_the_path)
{
    struct prng p;
    prng_init(&p, test_seed() + 1);
    struct buf text = {.size = 0};
    struct buf key = {.size = 0};
    struct buf path = {.size = 0};
    size_t valid = 0;
    for (size_t i = 0; i < 20000; i++) {
        random_key(&p, &text);
        if (walk(bytes_of("/"), buf_bytes(&text), &key) != ST_OK ||
            key.size == 0) {
            continue;
        }
        const size_t last = fs_path_component(buf_bytes(&text));
        const struct bytes name = bytes_after(buf_bytes(&text), last);
        if (bytes_equal(name, bytes_of(FS_VALUE_NAME)) ||
            (name.size > 1 && name.data[name.size - 1] == '+' &&
             name.data[name.size - 2] == '%')) {
            continue;
        }
        valid++;
        buf_clear(&path);
        EXPECT(fs_path_of(bytes_of("/"), buf_bytes(&key), true, &path));
        EXPECT_BYTES(buf_bytes(&path), buf_bytes(&text));
    }
    EXPECT(valid > 100);
    buf_fini(&text);
    buf_fini(&key);
    buf_fini(&path);
}

/* A listing names keys as a look-up resolves them. */
TEST(path, listed_names_resolve_to_what_was_listed)
{
    struct prng p;
    prng_init(&p, test_seed() + 2);
    struct buf key = {.size = 0};
    struct buf directory = {.size = 0};
    struct buf back = {.size = 0};
    for (size_t i = 0; i < 20000; i++) {
        random_key(&p, &key);
        buf_clear(&directory);
        buf_append(&directory, bytes_of("/dir/"));
        buf_append(&directory, buf_bytes(&key));
        struct fs_name name;
        EXPECT(fs_path_name(bytes_of("/dir/"), buf_bytes(&directory), &name));
        enum fs_name_kind kind;
        EXPECT_INT(
            fs_path_resolve(bytes_of("/"), bytes_of("/dir/"),
                            (struct bytes){(uint8_t *)name.text, name.size},
                            &kind, &back),
            ST_OK);
        EXPECT_INT(kind, name.more ? FS_NAME_CONTINUED : FS_NAME_ORDINARY);
        EXPECT_BYTES(buf_bytes(&back), raw(directory.data, name.covered));
    }
    buf_fini(&key);
    buf_fini(&directory);
    buf_fini(&back);
}

TEST(path, ends_of_ranges)
{
    struct buf end = {.size = 0};
    fs_path_end(bytes_of("/a/"), &end);
    EXPECT_BYTES(buf_bytes(&end), bytes_of("/a0"));
    fs_path_end(bytes_of("a\xff\xff"), &end);
    EXPECT_BYTES(buf_bytes(&end), bytes_of("b"));
    fs_path_end(bytes_of("\xff"), &end);
    EXPECT_BYTES(buf_bytes(&end), raw("", 1));
    buf_fini(&end);
}

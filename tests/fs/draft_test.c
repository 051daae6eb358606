/* Drafts: what is written is laid over whatever is current by then. */

#include "fs/draft.h"

#include "base/prng.h"
#include "tests/lib/test.h"

static struct bytes raw(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

static void expect_merge(const struct fs_draft *d, const char *current,
                         const char *wanted)
{
    struct buf merged = {.size = 0};
    fs_draft_merge(d, bytes_of(current), &merged);
    EXPECT_BYTES(buf_bytes(&merged), bytes_of(wanted));
    buf_fini(&merged);
}

/* Two writers of different ranges: neither may undo the other. */
TEST(draft, only_touched_ranges_change)
{
    struct fs_draft d = {.begun = false};
    fs_draft_begin(&d, bytes_of("aaaaaaaa"));
    fs_draft_write(&d, 2, bytes_of("XY"));
    fs_draft_write(&d, 6, bytes_of("Z"));
    EXPECT_BYTES(buf_bytes(&d.content), bytes_of("aaXYaaZa"));
    expect_merge(&d, "bbbbbbbb", "bbXYbbZb");
    expect_merge(&d, "bbbbbbbbbbb", "bbXYbbZbbbb");
    struct buf merged = {.size = 0};
    fs_draft_merge(&d, bytes_of("b"), &merged);
    EXPECT_BYTES(buf_bytes(&merged), raw("b\0XY\0\0Z", 7));
    buf_fini(&merged);
    fs_draft_fini(&d);
}

TEST(draft, truncation_cuts_the_current_value_too)
{
    struct fs_draft d = {.begun = false};
    fs_draft_begin(&d, bytes_of("aaaaaaaa"));
    fs_draft_write(&d, 6, bytes_of("ZZ"));
    fs_draft_truncate(&d, 3);
    expect_merge(&d, "bbbbbbbbbb", "bbb");
    fs_draft_write(&d, 3, bytes_of("c"));
    expect_merge(&d, "bbbbbbbbbb", "bbbc");
    fs_draft_fini(&d);

    struct fs_draft all = {.begun = false};
    fs_draft_begin(&all, bytes_of("aaaa"));
    fs_draft_truncate(&all, 0);
    EXPECT(fs_draft_replaces(&all));
    EXPECT(!all.written);
    fs_draft_write(&all, 0, bytes_of("new"));
    EXPECT(fs_draft_replaces(&all));
    expect_merge(&all, "whatever", "new");
    fs_draft_fini(&all);
}

/* Danger: what O_TRUNC opened was empty, somebody else writes more, and the
 * short value that is published has the end of theirs. */
TEST(draft, a_fresh_one_replaces_whatever_is_there_once_it_is_written)
{
    struct fs_draft d = {.begun = false};
    fs_draft_begin_fresh(&d);
    EXPECT(!fs_draft_is_dirty(&d));
    expect_merge(&d, "theirs", "theirs"); /* nothing was said about it */
    fs_draft_write(&d, 0, bytes_of("new"));
    EXPECT(fs_draft_replaces(&d));
    expect_merge(&d, "theirs", "new");
    fs_draft_fini(&d);

    struct fs_draft tail = {.begun = false};
    fs_draft_begin_fresh(&tail);
    fs_draft_append(&tail, bytes_of("new"));
    expect_merge(&tail, "theirs", "new"); /* as if it had been cut off */
    fs_draft_reset(&tail);
    fs_draft_begin(&tail, bytes_of("new")); /* published: no longer fresh */
    fs_draft_write(&tail, 0, bytes_of("N"));
    expect_merge(&tail, "theirs", "Nheirs");
    fs_draft_fini(&tail);
}

/* Lines appended on several nodes must all be there. */
TEST(draft, appended_bytes_go_behind_the_current_end)
{
    struct fs_draft d = {.begun = false};
    fs_draft_begin(&d, bytes_of("one\n"));
    fs_draft_append(&d, bytes_of("two\n"));
    fs_draft_append(&d, bytes_of("three\n"));
    EXPECT_BYTES(buf_bytes(&d.content), bytes_of("one\ntwo\nthree\n"));
    expect_merge(&d, "one\nelse\n", "one\nelse\ntwo\nthree\n");
    expect_merge(&d, "", "two\nthree\n");
    fs_draft_write(&d, 0, bytes_of("ONE"));
    fs_draft_write(&d, 4, bytes_of("TWO"));
    expect_merge(&d, "one\nelse\n", "ONE\nelse\nTWO\nthree\n");
    fs_draft_truncate(&d, 8);
    expect_merge(&d, "one\nelse\n", "ONE\nelse\nTWO\n");
    fs_draft_truncate(&d, 2);
    expect_merge(&d, "one\nelse\n", "ON");
    fs_draft_fini(&d);
}

/* Holes read as zeros. */
TEST(draft, holes_and_extensions_are_zeros)
{
    struct fs_draft d = {.begun = false};
    fs_draft_begin(&d, bytes_of("ab"));
    fs_draft_write(&d, 4, bytes_of("x"));
    struct buf merged = {.size = 0};
    fs_draft_merge(&d, bytes_of("cd"), &merged);
    EXPECT_BYTES(buf_bytes(&merged), raw("cd\0\0x", 5));
    fs_draft_extend(&d, 7);
    fs_draft_merge(&d, bytes_of("cdefg"), &merged);
    EXPECT_BYTES(buf_bytes(&merged), raw("cdefx\0\0", 7));
    fs_draft_zero(&d, 1, 2);
    fs_draft_merge(&d, bytes_of("cdefg"), &merged);
    EXPECT_BYTES(buf_bytes(&merged), raw("c\0\0fx\0\0", 7));
    buf_fini(&merged);
    fs_draft_fini(&d);
}

/* Laid over the value that it began with, a draft gives what the handle has
 * seen all the time, whatever was done. */
TEST(draft, merging_with_the_base_gives_the_content)
{
    struct prng p;
    prng_init(&p, test_seed());
    for (size_t round = 0; round < 3000; round++) {
        struct fs_draft d = {.begun = false};
        uint8_t base[64];
        uint8_t bytes[32];
        prng_fill(&p, base, sizeof base);
        const struct bytes start = {base, prng_below(&p, sizeof base)};
        fs_draft_begin(&d, start);
        const size_t steps = prng_below(&p, 8);
        for (size_t i = 0; i < steps; i++) {
            prng_fill(&p, bytes, sizeof bytes);
            const struct bytes more = {bytes, prng_below(&p, sizeof bytes)};
            switch (prng_below(&p, 5)) {
            case 0:
                fs_draft_append(&d, more);
                break;
            case 1:
                fs_draft_truncate(&d, prng_below(&p, 80));
                break;
            case 2:
                fs_draft_extend(&d, prng_below(&p, 80));
                break;
            case 3:
                fs_draft_zero(&d, prng_below(&p, 80), prng_below(&p, 20));
                break;
            default:
                fs_draft_write(&d, prng_below(&p, 70), more);
                break;
            }
        }
        struct buf merged = {.size = 0};
        fs_draft_merge(&d, start, &merged);
        EXPECT_BYTES(buf_bytes(&merged), buf_bytes(&d.content));
        buf_fini(&merged);
        fs_draft_fini(&d);
    }
}

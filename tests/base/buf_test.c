/* The growing buffer and byte slices. */

#include "base/buf.h"
#include "base/list.h"
#include "base/payload.h"
#include "tests/lib/test.h"

TEST(buf, a_zeroed_one_is_empty_and_can_be_finished)
{
    struct buf b = {0};
    EXPECT_INT(buf_bytes(&b).size, 0);
    buf_append(&b, BYTES_NONE);
    buf_clear(&b);
    buf_fini(&b);
    buf_fini(&b);
}

TEST(buf, keeps_what_was_appended_while_it_grows)
{
    struct buf b = {0};
    for (size_t i = 0; i < 1000; i++) {
        buf_append_byte(&b, (uint8_t)i);
        const uint8_t pair[] = {(uint8_t)(i + 1), (uint8_t)(i + 2)};
        buf_append(&b, (struct bytes){pair, 2});
    }
    EXPECT_INT(b.size, 3000);
    for (size_t i = 0; i < 1000; i++) {
        EXPECT_INT(b.data[3 * i], (uint8_t)i);
        EXPECT_INT(b.data[3 * i + 2], (uint8_t)(i + 2));
    }
    EXPECT(b.capacity < 4 * b.size);
    buf_fini(&b);
}

/* Reserving is for read(2): the bytes count only when they are there. */
TEST(buf, reserve_gives_room_and_counts_nothing)
{
    struct buf b = {0};
    buf_append(&b, bytes_of("ab"));
    uint8_t *at = buf_reserve(&b, 10000);
    memcpy(at, "cd", 2);
    EXPECT_INT(b.size, 2);
    EXPECT(buf_extend(&b, 2) == at);
    EXPECT_BYTES(buf_bytes(&b), bytes_of("abcd"));
    buf_fini(&b);
}

/* Danger: what was in memory before leaks into a file. */
TEST(buf, resize_fills_with_zeros_also_where_it_had_bytes_before)
{
    struct buf b = {0};
    buf_append(&b, bytes_of("secret"));
    buf_resize(&b, 2);
    buf_resize(&b, 6);
    EXPECT_BYTES(buf_bytes(&b),
                 ((struct bytes){(const uint8_t *)"se\0\0\0\0", 6}));
    buf_fini(&b);
}

/* Bytewise and unsigned: etcd's order of keys. */
TEST(bytes, compare_is_bytewise_and_the_shorter_comes_first)
{
    const struct {
        const char *a, *b;
        int order;
    } rows[] = {
        {"", "", 0},
        {"", "a", -1},
        {"a", "a", 0},
        {"a", "b", -1},
        {"a", "aa", -1},
        {"b", "aa", 1},
        {"a\x7F", "a\x80", -1},
        {"\xFF", "z", 1},
    };
    for (size_t i = 0; i < count_of(rows); i++) {
        const struct bytes a = bytes_of(rows[i].a), b = bytes_of(rows[i].b);
        const int order = bytes_compare(a, b), back = bytes_compare(b, a);
        EXPECT_INT((order > 0) - (order < 0), rows[i].order);
        EXPECT_INT((back > 0) - (back < 0), -rows[i].order);
        EXPECT_INT(bytes_equal(a, b), rows[i].order == 0);
    }
    EXPECT_INT(bytes_compare(BYTES_NONE, bytes_of("")), 0);
    EXPECT(bytes_equal(BYTES_NONE, bytes_of("")));
}

TEST(bytes, prefixes_and_remainders)
{
    EXPECT(bytes_starts_with(bytes_of("abc"), bytes_of("ab")));
    EXPECT(bytes_starts_with(bytes_of("abc"), BYTES_NONE));
    EXPECT(bytes_starts_with(BYTES_NONE, BYTES_NONE));
    EXPECT(!bytes_starts_with(bytes_of("ab"), bytes_of("abc")));
    EXPECT(!bytes_starts_with(bytes_of("abc"), bytes_of("b")));
    EXPECT_BYTES(bytes_after(bytes_of("abc"), 1), bytes_of("bc"));
    EXPECT_INT(bytes_after(bytes_of("abc"), 3).size, 0);
    EXPECT_INT(bytes_after(BYTES_NONE, 0).size, 0);
}

/* An entry's data has many holders and is freed once; the address sanitizer
 * sees a free too many, and the leak checker one too few. */
TEST(payload, lives_as_long_as_its_last_holder)
{
    struct payload *p = payload_copy_of(bytes_of("data"));
    EXPECT(payload_hold(p) == p);
    payload_drop(p);
    EXPECT_BYTES(payload_bytes(p), bytes_of("data"));
    payload_drop(p);

    EXPECT(payload_hold(NULL) == NULL);
    payload_drop(NULL);
    EXPECT_INT(payload_bytes(NULL).size, 0);
    struct payload *empty = payload_copy_of(BYTES_NONE);
    EXPECT_INT(payload_bytes(empty).size, 0);
    payload_drop(empty);
}

struct item {
    char letter;
    struct list in_list;
};

static void expect_list(struct list *head, const char *wanted)
{
    char got[16] = {0};
    size_t n = 0;
    list_each (l, head) {
        EXPECT(n < sizeof got - 1);
        got[n++] = container_of(l, struct item, in_list)->letter;
    }
    EXPECT_TEXT(got, wanted);
    /* The way back is the same. */
    for (struct list *l = head->prev; l != head; l = l->prev) {
        EXPECT_INT(container_of(l, struct item, in_list)->letter, got[--n]);
    }
    EXPECT_INT(n, 0);
}

TEST(list, push_pop_insert_remove_splice)
{
    struct item items[] = {
        {.letter = 'a'}, {.letter = 'b'}, {.letter = 'c'}, {.letter = 'd'}};
    struct list one, two;
    list_init(&one);
    list_init(&two);
    EXPECT(list_is_empty(&one));
    EXPECT(list_pop(&one) == NULL);

    list_push(&one, &items[0].in_list);
    list_push(&one, &items[2].in_list);
    list_insert_before(&items[2].in_list, &items[1].in_list);
    expect_list(&one, "abc");
    list_remove(&items[1].in_list);
    list_remove(&items[1].in_list); /* harmless */
    expect_list(&one, "ac");
    EXPECT(list_is_empty(&items[1].in_list));

    list_push(&two, &items[1].in_list);
    list_push(&two, &items[3].in_list);
    list_splice(&one, &two);
    expect_list(&one, "acbd");
    EXPECT(list_is_empty(&two));
    list_splice(&one, &two); /* nothing */
    list_splice(&two, &one); /* into an empty one */
    expect_list(&two, "acbd");
    EXPECT(list_pop(&two) == &items[0].in_list);
    list_each_safe (l, &two) {
        list_remove(l);
    }
    EXPECT(list_is_empty(&two));
}

/* What a log says of members: commands, applied to a cluster as they come, and
 * the record of it in the store; the first byte says which. */

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "node/join.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct membership *m)
{
    must(m->count <= MEMBERSHIP_MAX);
    must(m->removed_count <= MEMBERSHIP_REMOVED_MAX);
    for (size_t i = 0; i < m->count; i++) {
        const struct membership_member *one = &m->members[i];
        must(one->id != 0 && (i == 0 || m->members[i - 1].id < one->id));
        must(!membership_was_removed(m, one->id));
        must(memchr(one->name, 0, sizeof one->name) != NULL);
        must(memchr(one->peer_urls, 0, sizeof one->peer_urls) != NULL);
        must(memchr(one->client_urls, 0, sizeof one->client_urls) != NULL);
    }
}

static void write_again(const struct membership *m)
{
    struct buf first = {0}, second = {0};
    struct membership *again = malloc(sizeof *again);
    must(again != NULL);
    membership_write(m, &first);
    must(membership_read(buf_bytes(&first), again) == ST_OK);
    check(again);
    membership_write(again, &second);
    must(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    free(again);
    buf_fini(&first);
    buf_fini(&second);
}

static void begin(struct membership *m)
{
    for (uint64_t id = 1; id <= 3; id++) {
        struct membership_member one = {.id = id, .started = id < 3};
        (void)snprintf(one.peer_urls, sizeof one.peer_urls, "http://m%d:1",
                       (int)id);
        must(membership_add_first(m, &one));
        m->conf.voters[m->conf.voters_count++] = id;
    }
}

static void apply(struct membership *m, struct bytes command)
{
    struct membership_stamp stamp;
    struct membership_change changes[RAFT_CHANGES_MAX];
    struct raft_conf_change change;
    struct buf again = {0};
    size_t count;
    if (!membership_is_command(command) ||
        membership_decode(command, &stamp, changes, &count) != ST_OK) {
        return;
    }
    must(count >= 1 && count <= RAFT_CHANGES_MAX);
    (void)membership_to_raft(changes, count, &change);
    membership_encode(&stamp, changes, count, &again);
    must(membership_decode(buf_bytes(&again), &stamp, changes, &count) ==
         ST_OK);
    (void)!membership_apply_all(m, changes, count);
    check(m);
    buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {{data, size}};
    const uint8_t which = fuzz_byte(&in) % 3;
    struct membership *m = calloc(1, sizeof *m);
    must(m != NULL);
    if (which == 0) {
        if (membership_read(in.left, m) == ST_OK) {
            write_again(m);
        }
    } else if (which == 1) {
        struct buf answer = {0};
        begin(m);
        join_answer(in.left, 5, 6, m, &answer);
        buf_fini(&answer);
    } else {
        begin(m);
        while (in.left.size > 0) {
            const size_t high = fuzz_byte(&in);
            apply(m, fuzz_bytes(&in, high << 8 | fuzz_byte(&in)));
        }
        write_again(m);
    }
    free(m);
    return 0;
}

static void seed_command(struct buf *to, const struct membership_change *c,
                         size_t count)
{
    const struct membership_stamp stamp = {4, 1};
    struct buf command = {0};
    membership_encode(&stamp, c, count, &command);
    buf_append_byte(to, (uint8_t)(command.size >> 8));
    buf_append_byte(to, (uint8_t)command.size);
    buf_append(to, buf_bytes(&command));
    buf_fini(&command);
}

bool fuzz_seed(size_t n, struct buf *to)
{
    const struct membership_change changes[] = {
        {.op = MEMBERSHIP_ADD,
         .id = 4,
         .is_learner = true,
         .peer_urls = bytes_of("http://m4:1,http://m4:2")},
        {.op = MEMBERSHIP_PUBLISH,
         .id = 4,
         .name = bytes_of("four"),
         .client_urls = bytes_of("http://m4:9")},
        {.op = MEMBERSHIP_PROMOTE, .id = 4},
        {.op = MEMBERSHIP_UPDATE, .id = 2, .peer_urls = bytes_of("http://b:1")},
        {.op = MEMBERSHIP_REMOVE, .id = 3}};
    if (n > 3) {
        return false;
    }
    buf_append_byte(to, (uint8_t)n);
    if (n == 0) {
        struct membership *m = calloc(1, sizeof *m);
        must(m != NULL);
        begin(m);
        m->removed[m->removed_count++] = 9;
        membership_write(m, to);
        free(m);
    } else if (n == 1) {
        buf_append_byte(to, 1);
    } else if (n == 2) {
        for (size_t i = 0; i < count_of(changes); i++) {
            seed_command(to, &changes[i], 1);
        }
    } else {
        to->data[to->size - 1] = 2;
        seed_command(to, changes + 3, 2);
    }
    return true;
}

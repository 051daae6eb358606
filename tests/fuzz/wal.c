/* A log's directory: the input is what is written through the log, then damage
 * to its files, segments whose checksums are right and whose numbers are not
 * among it, and then it is opened.
 *
 * What opens can be written to, and opened again with what was written; what is
 * damaged and knows its end can be mended. Nothing is worse than refused. */

#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/disk_sim.h"
#include "wal/internal.h"

#define SEGMENTS  6
#define STEPS_MAX 60

static struct fuzz_input in;
static struct disk_sim *sim;

static uint64_t number(void)
{
    const uint8_t how = fuzz_byte(&in);
    if (how < 200) {
        return how % 16;
    }
    uint64_t value = 0;
    for (int i = 0; i < (how < 230 ? 2 : 8); i++) {
        value = value << 8 | fuzz_byte(&in);
    }
    return value;
}

static struct wal_options options(void)
{
    struct wal_options o;
    wal_options_default(&o);
    o.segment_size = 4096;
    o.cluster_id = 0xc1;
    o.member_id = 0x3e;
    o.recycled_max = 2;
    return o;
}

/* --- opening --- */

struct taken {
    uint64_t last_index, last_term;
    size_t count;
};

static void take(void *arg, const struct raft_entry *e)
{
    struct taken *t = arg;
    must(e->index > 0);
    must(t->count == 0 || e->index <= t->last_index + 1);
    fuzz_touch(payload_bytes(e->payload));
    *t = (struct taken){e->index, e->term, t->count + 1};
}

static struct wal *open_log(struct wal_recovery *found, struct taken *t,
                            enum status *ret_status)
{
    const struct wal_options o = options();
    struct disk *disk;
    struct fault fault;
    struct wal *w = NULL;
    must(disk_sim_open(sim, &disk, &fault) == ST_OK);
    *t = (struct taken){0};
    *ret_status = wal_open(disk, &o, take, t, found, &w, &fault);
    must(*ret_status == ST_OK || *ret_status == ST_CORRUPT ||
         *ret_status == ST_INVALID || *ret_status == ST_IO ||
         *ret_status == ST_NO_SPACE);
    must((*ret_status == ST_OK) == (w != NULL));
    must(w != NULL || memchr(fault.text, 0, sizeof fault.text) != NULL);
    return w;
}

/* One entry more, durable. */
static bool append(struct wal *w, uint64_t index, uint64_t term)
{
    struct fault fault;
    struct payload *payload = payload_copy_of(bytes_of("one more"));
    const struct raft_entry e = {
        .index = index, .term = term, .payload = payload};
    const struct raft_hard_state hard = {term, 2, index};
    const struct wal_batch batch = {
        .hard_state = &hard, .entries = &e, .entries_count = 1};
    const enum status st = wal_append(w, &batch, &fault);
    payload_drop(payload);
    must(st == ST_OK || st == ST_NO_SPACE);
    return st == ST_OK && wal_sync(w, &fault) == ST_OK;
}

/* What raft lets be: sums of such numbers cannot overflow. */
static bool is_sane(uint64_t number)
{
    return number < UINT64_MAX / 4;
}

static void use(struct wal *w, uint64_t last_index, uint64_t last_term)
{
    struct wal_recovery found;
    struct taken t;
    enum status st;
    const bool wrote = is_sane(last_index) && is_sane(last_term) &&
                       append(w, last_index + 1, last_term + 1);
    wal_close(w);
    w = open_log(&found, &t, &st);
    must(st == ST_OK);
    must(found.last_index == last_index + (wrote ? 1 : 0));
    must(!wrote ||
         (t.last_index == last_index + 1 && t.last_term == last_term + 1 &&
          found.hard_state.term == last_term + 1));
    wal_close(w);
}

static void open_and_use(void)
{
    struct wal_recovery found = {0};
    struct taken t;
    enum status st;
    struct wal *w = open_log(&found, &t, &st);
    if (st == ST_OK) {
        must(found.last_index >= found.start_index);
        must(found.hard_state.commit >= found.start_index);
        must(found.hard_state.commit <= found.last_index);
        must(t.count == 0 || t.last_index == found.last_index);
        const uint64_t term = t.count > 0 ? t.last_term : found.start_term;
        use(w, found.last_index,
            term > found.hard_state.term ? term : found.hard_state.term);
    } else if (st == ST_CORRUPT && found.end_is_known) {
        const struct wal_options o = options();
        struct disk *disk;
        struct fault fault;
        must(disk_sim_open(sim, &disk, &fault) == ST_OK);
        if (wal_mend(disk, &o, &found, found.end_index, found.end_term, &w,
                     &fault) == ST_OK) {
            use(w, found.end_index,
                found.end_term > found.hard_state.term ? found.end_term
                                                       : found.hard_state.term);
        }
    }
}

/* --- a log --- */

static void write_log(void)
{
    struct wal_recovery found;
    struct taken t;
    enum status st;
    struct fault fault;
    struct wal *w = open_log(&found, &t, &st);
    must(st == ST_OK);
    uint64_t index = 0, term = 1;
    for (uint8_t n = fuzz_byte(&in) % 24; n > 0; n--) {
        const uint8_t how = fuzz_byte(&in);
        struct payload *payload = payload_new((size_t)how * 3);
        memset(payload->data, how, payload->size);
        struct raft_entry list[3];
        const uint8_t count = how % 4;
        term += how >= 240;
        for (uint8_t i = 0; i < count; i++) {
            list[i] = (struct raft_entry){
                .index = index + 1 + i, .term = term, .payload = payload};
        }
        const struct raft_hard_state hard = {term, how % 3, index};
        const struct wal_batch batch = {.hard_state =
                                            how % 5 == 0 ? &hard : NULL,
                                        .entries = list,
                                        .entries_count = count};
        must(wal_append(w, &batch, &fault) == ST_OK);
        index += count;
        must(how % 8 == 7 || wal_sync(w, &fault) == ST_OK);
        must(how % 32 != 9 || wal_trim(w, index / 2, term, &fault) == ST_OK ||
             index / 2 == 0);
        payload_drop(payload);
    }
    wal_close(w);
    if (fuzz_byte(&in) % 8 == 0) {
        disk_sim_crash(sim);
    }
}

/* --- damage --- */

static const char *some_name(void)
{
    static char name[SEGMENT_NAME_SIZE];
    segment_name(1 + fuzz_byte(&in) % SEGMENTS, name);
    return name;
}

static void damage_bytes(bool seals)
{
    const char *name = some_name();
    const struct bytes old = disk_sim_contents(sim, name);
    const uint64_t at = number() % (old.size + 1);
    const uint8_t mask = fuzz_byte(&in);
    if (at >= old.size || mask == 0) {
        return;
    }
    if (!seals) {
        disk_sim_flip(sim, name, at, mask);
        return;
    }
    struct buf all = {0};
    buf_append(&all, old);
    const size_t number = at / SECTOR_SIZE;
    if (all.size >= (number + 1) * SECTOR_SIZE) {
        uint8_t *sector = all.data + number * SECTOR_SIZE;
        const struct sector_place place = {segment_id(name), (uint32_t)number};
        const struct sector_verdict was = sector_judge(sector, place);
        sector[SECTOR_ROOM_OFFSET + at % SECTOR_ROOM] ^= mask;
        sector_seal(sector, place, was.head, was.opening);
        disk_sim_put(sim, name, buf_bytes(&all));
    }
    buf_fini(&all);
}

static void damage_file(void)
{
    const char *name = some_name();
    struct buf all = {0};
    buf_append(&all, disk_sim_contents(sim, name));
    const uint8_t how = fuzz_byte(&in);
    if (how < 100) {
        buf_resize(&all, number() % 8192); /* cut, or longer */
        disk_sim_put(sim, name, buf_bytes(&all));
    } else if (how < 200) {
        disk_sim_put(sim, some_name(), buf_bytes(&all)); /* another's name */
    } else if (how < 220) {
        disk_sim_put(sim, MAKING_NAME, buf_bytes(&all));
    } else {
        static const char *const odd[] = {"00000000.wal", "ffffffff.wal",
                                          "1.wal", "notes", "0000000g.wal"};
        disk_sim_put(sim, odd[how % count_of(odd)], buf_bytes(&all));
    }
    buf_fini(&all);
}

/* A segment that somebody made on purpose. */
static void forge(void)
{
    struct buf all = {0};
    const char *name = some_name();
    const uint32_t id = segment_id(name);
    const uint8_t how = fuzz_byte(&in);
    struct record_head head = {
        .type = RECORD_SEGMENT,
        .flags = how % 4 == 3 ? RECORD_RESET : 0,
        .cluster_id = 0xc1,
        .member_id = 0x3e,
        .previous = how % 2 == 0 ? id - 1 : (uint32_t)number(),
        .previous_end = (uint32_t)number(),
        .file_sectors = how < 200 ? 8 : (uint32_t)number(),
        .last_index = number(),
        .last_term = number()};
    const uint8_t records = fuzz_byte(&in) % 6;
    for (uint8_t i = 0; i <= records; i++) {
        struct raft_entry list[3];
        const uint32_t at = (uint32_t)(all.size / SECTOR_SIZE);
        struct payload *payload = payload_copy_of(fuzz_bytes(&in, i * 40U));
        head.entries = i == 0 ? 0 : fuzz_byte(&in) % 4;
        head.hard_state =
            (struct raft_hard_state){number(), number(), number()};
        head.start_index = number();
        head.start_term = number();
        head.synced = number() * SECTOR_SIZE;
        const uint64_t first = how % 16 < 12 ? head.last_index + 1 : number();
        const uint64_t term = number();
        for (uint32_t e = 0; e < head.entries; e++) {
            list[e] =
                (struct raft_entry){.index = first + e,
                                    .term = term,
                                    .type = (enum raft_entry_type)(how % 3),
                                    .payload = e % 2 == 0 ? payload : NULL};
        }
        record_write(&all, (struct sector_place){id, at}, 1 + how % 2, &head,
                     list);
        payload_drop(payload);
        head.type = RECORD_BATCH;
        head.flags = 0;
        head.chain = head.checksum;
        if (head.entries > 0 && how % 64 != 1) {
            head.last_index = first + head.entries - 1;
            head.last_term = term;
        }
    }
    buf_resize(&all, how < 220 ? 4096 : all.size);
    disk_sim_put(sim, name, buf_bytes(&all));
    buf_fini(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in.left = (struct bytes){data, size};
    sim = disk_sim_new(size);
    if (fuzz_byte(&in) % 4 != 0) {
        write_log();
    }
    for (int i = 0; in.left.size > 0 && i < STEPS_MAX; i++) {
        const uint8_t what = fuzz_byte(&in) % 8;
        if (what < 3) {
            damage_bytes(what == 2);
        } else if (what < 4) {
            damage_file();
        } else {
            forge();
        }
    }
    open_and_use();
    disk_sim_free(sim);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    /* Logs of some batches; then a flipped byte, a sealed one, a copied and a
     * cut file, and segments made on purpose. */
    static const uint8_t work[] = {
        1, 12, 1,  2, 3, 41, 73, 245, 18, 7,   21, 105, 33, 10, 1, 0,
        0, 40, 1,  2, 0, 90, 8,  3,   0,  150, 1,  3,   1,  20, 9, 4,
        1, 0,  0,  0, 0, 3,  5,  1,   1,  0,   0,  0,   1,  2,  0, 4,
        0, 2,  12, 3, 2, 1,  0,  1,   1,  1,   3,  2,   2,  2,  2};
    if (n > 4) {
        return false;
    }
    const size_t sizes[] = {15, 19, 27, 47, sizeof work};
    buf_append(to, (struct bytes){work, sizes[n]});
    return true;
}

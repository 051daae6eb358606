/* The state's way from one store to another (store/transfer.h). */

#include "transfer_rig.h"

#include <stdlib.h>

#include "base/codec.h"
#include "base/crc32c.h"
#include "base/must.h"

/* Danger: a member that lost or changed something on the way looks healthy.
 * All that can be asked is asked of both, and a second transfer has to bring
 * the same bytes. */
static void round_trip(uint64_t seed, unsigned steps, size_t block_bytes)
{
    struct rig from, to;
    struct prng chance;
    struct buf stream = {0}, again = {0};
    prng_init(&chance, seed);
    rig_begin(&from);
    transfer_rig_begin(&to);
    transfer_fill(&from, &chance, steps);
    transfer_settle(&from, 1);
    transfer_send(&from, block_bytes, &stream);

    const enum status st = transfer_receive(&to, buf_bytes(&stream), 1000, 2);
    if (st != ST_OK) {
        fail_msg("seed %llu: %s: %s", (unsigned long long)seed, status_name(st),
                 to.fault.text);
    }
    transfer_open(&to);
    struct store_identity identity;
    store_identity(to.store, &identity);
    EXPECT_INT(identity.cluster_id, CLUSTER_ID);
    EXPECT_INT(identity.member_id, 2);
    EXPECT_INT(store_applied_index(to.store), store_durable_index(from.store));
    EXPECT_INT(store_applied_term(to.store), store_durable_term(from.store));
    EXPECT_INT(store_revision(to.store), store_revision(from.store));
    if (transfer_digest(&from) != transfer_digest(&to)) {
        fail_msg("seed %llu: the states differ", (unsigned long long)seed);
    }
    transfer_send(&to, block_bytes, &again);
    /* Estimates of sizes may differ; and nothing behind the first block. */
    EXPECT_INT(stream.size, again.size);
    rig_end(&from);
    rig_end(&to);
    buf_fini(&stream);
    buf_fini(&again);
}

TEST(transfer, what_arrives_is_what_was_sent)
{
    static const size_t blocks[] = {1, 1000, 100000, (size_t)64 << 20};
    for (unsigned i = 0; i < 8; i++) {
        round_trip(test_seed() + i, 40 * i, blocks[i % count_of(blocks)]);
    }
}

/* Changes that need a directory to be there still.
 *
 * A name made in a directory that was removed meanwhile would bring it back.
 * So the change is made inside a transaction that first asks for the directory;
 * asking whether there is nothing ends at the first key, so nothing is the
 * outer transaction's success, and the change its failure. */

#include <errno.h>

#include "base/must.h"
#include "fs/call.h"
#include "fs/getattr.h"
#include "fs/names.h"
#include "fs/path.h"

static void answered(struct fs_call *c)
{
    if (fs_call_status(c) == ST_OK) {
        if (c->txn.result.succeeded) {
            fs_reply_errno(c, ESTALE); /* the kernel walks again */
            return;
        }
        must(c->txn.result.results_count == 1);
        c->txn.result = *c->txn.result.results[0].txn;
    }
    c->guard.next(c);
}

void fs_call_ask_within(struct fs_call *c, const struct fs_node *directory,
                        void (*next)(struct fs_call *c))
{
    struct fs *fs = c->fs;
    struct fs_guard *g = &c->guard;
    const struct bytes below = fs_node_key(directory);
    if (directory == fs->root || fs_directory_is_virtual(fs, directory) ||
        fs_has_pending_below(fs, below)) {
        fs_call_ask(c, next);
        return;
    }
    buf_clear(&g->below);
    buf_append(&g->below, below);
    fs_path_end(below, &g->end);
    g->next = next;
    g->inner = c->txn.spec;
    g->change = (struct kv_op){.type = KV_OP_TXN, .txn = &g->inner};
    g->nothing = (struct kv_compare){
        .keys = {.key = buf_bytes(&g->below), .end = buf_bytes(&g->end)},
        .target = KV_COMPARE_CREATE,
        .number = 0};
    c->txn.spec = (struct kv_txn_spec){.compares = &g->nothing,
                                       .compares_count = 1,
                                       .failure = &g->change,
                                       .failure_count = 1};
    fs_call_ask(c, answered);
}

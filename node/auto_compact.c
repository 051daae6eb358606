/* History compacted by itself: the compactor's wishes as requests. */

#include "base/log.h"
#include "base/must.h"
#include "node/upkeep.h"

static void done(struct kv_call *call)
{
    struct kv_compact *compact = container_of(call, struct kv_compact, call);
    struct upkeep *u = container_of(compact, struct upkeep, auto_compact);
    u->auto_compact_out = false;
    if (call->status == ST_OK) {
        log_info("history before revision %lld is compacted",
                 (long long)compact->revision);
    }
    if (call->status == ST_OK || call->status == ST_COMPACTED) {
        compactor_done(&u->compactor, loop_now_ns(), compact->revision);
    } else if (call->status != ST_STOPPED) {
        log_warn("history before revision %lld was not compacted: %s",
                 (long long)compact->revision, status_text(call->status));
    }
}

void upkeep_auto_compact(struct upkeep *u, int64_t now_ns)
{
    struct node *n = u->node;
    if (u->auto_compact_out) {
        return;
    }
    struct kv_header header;
    replica_header_of(n->replica, &header);
    const int64_t revision = compactor_tick(
        &u->compactor, now_ns, header.revision, replica_leads(n->replica));
    if (revision > 0) {
        u->auto_compact_out = true;
        u->auto_compact =
            (struct kv_compact){.call = {.done = done}, .revision = revision};
        kv_compact(node_kv(n), &u->auto_compact);
    }
}

/* kv/admin.h: the members of the cluster, and who leads it. */

#include "node/upkeep.h"

void upkeep_members(struct admin *a, struct admin_members *call)
{
    struct upkeep *u = container_of(a, struct upkeep, admin);
    upkeep_finish(u, &call->call, ST_UNSUPPORTED);
}

void upkeep_move_leader(struct admin *a, struct admin_move_leader *call)
{
    struct upkeep *u = container_of(a, struct upkeep, admin);
    upkeep_finish(u, &call->call, ST_UNSUPPORTED);
}

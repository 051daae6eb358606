/* kv/admin.h: the members of the cluster, and who leads it. */

#include "node/upkeep.h"

void upkeep_members(struct admin *a, struct admin_members *call)
{
    replica_members(upkeep_node(a)->replica, call);
}

void upkeep_move_leader(struct admin *a, struct admin_move_leader *call)
{
    replica_move_leader(upkeep_node(a)->replica, call);
}

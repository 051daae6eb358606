/* Every flag of `keelfs server`: etcd 3.6's, with etcd's defaults, and those of
 * the mounts. */
#ifndef CMD_SERVER_FLAGS_H
#define CMD_SERVER_FLAGS_H

#include "cmd/flags.h"

extern const struct flag server_flags[];
extern const size_t server_flags_count;

#endif

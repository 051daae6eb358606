/* Who this member is: cluster and member ids from the initial configuration.
 *
 * As in etcd the ids follow from what every member is told at its first start,
 * so that members agree without talking: a member's id from its name, its peer
 * URL and the cluster token; the cluster's id from all members' ids. The hash
 * is SHA-free on purpose: ids are names, not secrets.
 */
#ifndef NODE_IDENTITY_H
#define NODE_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

#define IDENTITY_MEMBERS_MAX 64

struct identity {
    uint64_t cluster_id;                   /* never 0 */
    uint64_t member_id;                    /* of `name`; never 0 */
    uint64_t voters[IDENTITY_MEMBERS_MAX]; /* ascending */
    size_t voters_count;
};

/* initial_cluster is "name=url[,name=url…]"; several URLs of one name are one
 * member.  ST_INVALID when it is malformed, has too many members, or does not
 * contain `name`: the fault says which. */
enum status identity_derive(const char *name, const char *token,
                            const char *initial_cluster, struct identity *ret,
                            struct fault *reterr) MUST_USE;

#endif

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

#define IDENTITY_MEMBERS_MAX   64
#define IDENTITY_ADDRESSES_MAX 1024 /* bytes, of one member */
#define IDENTITY_NAME_MAX      128  /* bytes kept for display */

struct identity {
    uint64_t cluster_id;                   /* never 0 */
    uint64_t member_id;                    /* of `name`; never 0 */
    uint64_t voters[IDENTITY_MEMBERS_MAX]; /* ascending */
    size_t voters_count;
    /* Of each voter; a longer one is cut. */
    char names[IDENTITY_MEMBERS_MAX][IDENTITY_NAME_MAX];
    /* Of each voter: "host:port,…", in the order they were given. */
    char addresses[IDENTITY_MEMBERS_MAX][IDENTITY_ADDRESSES_MAX];
};

/* initial_cluster is "name=url[,name=url…]"; several URLs of one name are one
 * member; a URL is http://host:port.  ST_INVALID when it is malformed, has too
 * many members, or does not contain `name`; ST_UNSUPPORTED for other schemes:
 * the fault says which. */
enum status identity_derive(const char *name, const char *token,
                            const char *initial_cluster, struct identity *ret,
                            struct fault *reterr) MUST_USE;

/* "http://host:port[,…]" without the schemes: "host:port,…".
 * ST_INVALID, ST_UNSUPPORTED as above. */
enum status identity_strip_urls(const char *urls, char *to, size_t size,
                                struct fault *reterr) MUST_USE;

#endif

/* A file's lease, by shell: attributes that are never listed, and touch.
 *
 *   user.keelfs.ttl     reads the seconds left; set to N, it grants a lease of
 *                       N seconds and attaches it to the file instead of the
 *                       one it has; 0, or removing it, detaches
 *   user.keelfs.attach  set to the id of a lease: attaches it
 *
 * A lease that loses its last file this way is not revoked: it may have keys
 * elsewhere, and ends by itself.
 */
#ifndef FS_LEASE_H
#define FS_LEASE_H

#include "fs/call.h"

enum fs_lease_attribute {
    FS_LEASE_NO_ATTRIBUTE,
    FS_LEASE_TTL,
    FS_LEASE_ATTACH
};
enum fs_lease_attribute fs_lease_attribute_of(const char *name);

void fs_lease_get(fuse_req_t req, fuse_ino_t id, const char *name, size_t size);
void fs_lease_set(fuse_req_t req, fuse_ino_t id, const char *name,
                  struct bytes value);

/* Renews the lease of c->node, a file, if it has one, and goes on: no revision,
 * no event.  Ends the call itself when it cannot. */
void fs_lease_touch(struct fs_call *c, void (*next)(struct fs_call *c));

/* --- lease_text.c --- */

/* A number as people and tools write it, perhaps with a newline; false when it
 * is none, or negative, or too large. */
bool fs_lease_read_ttl(struct bytes text, int64_t *ret);
/* A lease's id in hex, as user.keelfs.lease shows it, perhaps with "0x", zeros
 * before it, or a newline. */
bool fs_lease_read_id(struct bytes text, int64_t *ret);
#define FS_LEASE_NAME_SIZE 17 /* with its end */
void fs_lease_name(int64_t id, char ret[FS_LEASE_NAME_SIZE]);

#endif

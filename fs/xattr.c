/* Extended attributes: what is known of a key beside its value, read-only;
 * those that change a file's lease are in lease.c.
 *
 * Tools that copy files try to set what they have read: that is accepted and
 * ignored.  Security and ACL attributes are "not supported" rather than absent,
 * which is what makes cp go on.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "fs/getattr.h"
#include "fs/handlers.h"
#include "fs/lease.h"
#include "fs/path.h"
#include "fs/target.h"

#define OURS "user.keelfs."

enum attribute {
    KEY,
    CREATE_REVISION,
    MOD_REVISION,
    VERSION,
    LEASE,
    REVISION,
    COMPACT_REVISION,
    CLUSTER_ID,
    MEMBER_ID,
    LEADER,
    RAFT_TERM,
    ATTRIBUTES_COUNT
};

static const char *const names[ATTRIBUTES_COUNT] = {
    [KEY] = OURS "key",
    [CREATE_REVISION] = OURS "create_revision",
    [MOD_REVISION] = OURS "mod_revision",
    [VERSION] = OURS "version",
    [LEASE] = OURS "lease",
    [REVISION] = OURS "revision",
    [COMPACT_REVISION] = OURS "compact_revision",
    [CLUSTER_ID] = OURS "cluster_id",
    [MEMBER_ID] = OURS "member_id",
    [LEADER] = OURS "leader",
    [RAFT_TERM] = OURS "raft_term",
};

static int attribute_of(const char *name)
{
    for (int i = 0; i < ATTRIBUTES_COUNT; i++) {
        if (strcmp(name, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* Whether a node of this kind has it at all. */
static bool has(const struct fs *fs, const struct fs_node *n, int attribute)
{
    if (attribute == KEY) {
        return !n->directory || !fs_directory_is_virtual(fs, n);
    }
    return attribute <= LEASE ? !n->directory : n == fs->root;
}

static bool is_refused(const char *name)
{
    return strncmp(name, "security.", 9) == 0 ||
           strncmp(name, "system.", 7) == 0 ||
           strncmp(name, "trusted.", 8) == 0;
}

/* --- reading --- */

/* Appends the value; false when this file has none. */
static bool add_value(const struct fs_call *c, int attribute,
                      const struct kv_item *item, struct buf *to)
{
    struct kv_status status;
    char text[32];
    kv_status(c->fs->kv, &status);
    const struct {
        int64_t number;
        bool hex;
    } values[ATTRIBUTES_COUNT] = {
        [CREATE_REVISION] = {item != NULL ? item->create_revision : 0, false},
        [MOD_REVISION] = {item != NULL ? item->mod_revision : 0, false},
        [VERSION] = {item != NULL ? item->version : 0, false},
        [LEASE] = {item != NULL ? item->lease : 0, true},
        [REVISION] = {status.header.revision, false},
        [COMPACT_REVISION] = {status.compact_revision, false},
        [CLUSTER_ID] = {(int64_t)status.header.cluster_id, true},
        [MEMBER_ID] = {(int64_t)status.header.member_id, true},
        [LEADER] = {(int64_t)status.leader, true},
        [RAFT_TERM] = {(int64_t)status.header.raft_term, false},
    };
    if (attribute == KEY) {
        buf_append(to, fs_node_key(c->node));
        return true;
    }
    if (attribute == LEASE && (item == NULL || item->lease == 0)) {
        return false;
    }
    (void)snprintf(text, sizeof text,
                   values[attribute].hex ? "%" PRIx64 : "%" PRId64,
                   values[attribute].number);
    buf_append(to, bytes_of(text));
    return true;
}

void fs_xattr_reply(struct fs_call *c)
{
    if (c->size == 0) {
        fs_reply_xattr(c, c->data.size);
    } else if (c->data.size > c->size) {
        fs_reply_errno(c, ERANGE);
    } else {
        fs_reply_bytes(c, buf_bytes(&c->data));
    }
}

static void ask(struct fs_call *c);

static void answer(struct fs_call *c, const struct kv_item *item)
{
    buf_clear(&c->data);
    if (c->flags >= 0) {
        if (add_value(c, c->flags, item, &c->data)) {
            fs_xattr_reply(c);
        } else {
            fs_reply_errno(c, ENODATA);
        }
        return;
    }
    for (int i = 0; i < ATTRIBUTES_COUNT; i++) {
        struct buf value = {.size = 0};
        if (has(c->fs, c->node, i) && add_value(c, i, item, &value)) {
            buf_append(&c->data, bytes_of(names[i]));
            buf_append_byte(&c->data, 0);
        }
        buf_fini(&value);
    }
    fs_xattr_reply(c);
}

static void got(struct fs_call *c)
{
    const struct kv_range_result *r = &c->range.result;
    const struct fs_node *n = c->node;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    const struct kv_item *item = r->items_count > 0 ? &r->items[0] : NULL;
    const bool there =
        item != NULL && (n->directory || fs_ino_of(item) == n->ino);
    if (!there && n != c->fs->root && !n->pending) {
        if (!fs_call_follows(c, ask)) {
            fs_reply_errno(c, ESTALE);
        }
        return;
    }
    answer(c, there && !n->directory ? item : NULL);
}

/* flags: the attribute, or -1 for the list of all. */
static void ask(struct fs_call *c)
{
    const struct fs_node *n = c->node;
    const bool serializable = c->fs->options.consistency == FS_SERIALIZABLE;
    if (n->directory && fs_directory_is_virtual(c->fs, n)) {
        answer(c, NULL);
        return;
    }
    struct kv_range_spec *range = fs_call_range(c);
    buf_clear(&c->target.key);
    buf_append(&c->target.key, fs_node_key(n));
    const struct bytes key = buf_bytes(&c->target.key);
    if (n->directory) {
        fs_path_end(key, &c->target.end);
        *range = fs_op_group(key, buf_bytes(&c->target.end)).range;
    } else {
        *range = fs_op_key((struct kv_keys){.key = key}).range;
    }
    range->serializable = serializable;
    fs_call_ask(c, got);
}

static void begin(fuse_req_t req, fuse_ino_t id, int attribute, size_t size)
{
    struct fs *fs = fuse_req_userdata(req);
    struct fs_call *c = fs_call_begin(fs, req, FS_CALL_READS);
    if (c == NULL) {
        return;
    }
    struct fs_node *n = fs_node_of(fs, id);
    if (n == NULL || n->gone) {
        fs_reply_errno(c, ESTALE);
        return;
    }
    if (attribute >= 0 && !has(fs, n, attribute)) {
        fs_reply_errno(c, ENODATA);
        return;
    }
    c->flags = attribute;
    c->size = size;
    fs_call_hold_node(c, n);
    ask(c);
}

void fs_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size)
{
    const int attribute = attribute_of(name);
    if (fs_lease_attribute_of(name) != FS_LEASE_NO_ATTRIBUTE) {
        fs_lease_get(req, id, name, size);
        return;
    }
    if (attribute < 0) {
        /* or aborted: nothing more to do */
        (void)fuse_reply_err(req, is_refused(name) ? EOPNOTSUPP : ENODATA);
        return;
    }
    begin(req, id, attribute, size);
}

void fs_listxattr(fuse_req_t req, fuse_ino_t id, size_t size)
{
    const struct fs *fs = fuse_req_userdata(req);
    if (!fs->options.xattrs_hidden) {
        begin(req, id, -1, size);
    } else if (size == 0) {
        (void)fuse_reply_xattr(req, 0); /* or aborted */
    } else {
        (void)fuse_reply_buf(req, NULL, 0); /* or aborted */
    }
}

/* --- writing --- */

void fs_setxattr(fuse_req_t req, fuse_ino_t id, const char *name,
                 const char *value, size_t size, int flags)
{
    (void)flags;
    if (fs_lease_attribute_of(name) != FS_LEASE_NO_ATTRIBUTE) {
        fs_lease_set(req, id, name,
                     (struct bytes){(const uint8_t *)value, size});
        return;
    }
    (void)fuse_reply_err(req, attribute_of(name) >= 0 ? 0 : EOPNOTSUPP);
}

void fs_removexattr(fuse_req_t req, fuse_ino_t id, const char *name)
{
    if (fs_lease_attribute_of(name) != FS_LEASE_NO_ATTRIBUTE) {
        fs_lease_set(req, id, name, bytes_of("0"));
        return;
    }
    const int error = attribute_of(name) >= 0 ? 0
                      : is_refused(name)      ? EOPNOTSUPP
                                              : ENODATA;
    (void)fuse_reply_err(req, error); /* or aborted */
}

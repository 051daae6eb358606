/* A file's lease by its attributes and its times.
 *
 *   set ttl     (published?) -> grant -> attach
 *   set attach  (published?) ----------> attach
 *
 * Attaching is a change of the key: a revision, and ATTRIB for who watches.
 */

#include "fs/lease.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/events.h"
#include "fs/getattr.h"
#include "fs/handle.h"
#include "fs/target.h"

enum fs_lease_attribute fs_lease_attribute_of(const char *name)
{
    if (strcmp(name, "user.keelfs.ttl") == 0) {
        return FS_LEASE_TTL;
    }
    return strcmp(name, "user.keelfs.attach") == 0 ? FS_LEASE_ATTACH
                                                   : FS_LEASE_NO_ATTRIBUTE;
}

/* --- what the file's key is --- */

static void ask_item(struct fs_call *c, void (*next)(struct fs_call *c))
{
    buf_clear(&c->target.key);
    buf_append(&c->target.key, fs_node_key(c->node));
    struct kv_range_spec *range = fs_call_range(c);
    *range =
        fs_op_key((struct kv_keys){.key = buf_bytes(&c->target.key)}).range;
    range->serializable = c->kind == FS_CALL_READS &&
                          c->fs->options.consistency == FS_SERIALIZABLE;
    fs_call_ask(c, next);
}

/* The file, of the same life; NULL: the call has ended. */
static const struct kv_item *got_item(struct fs_call *c)
{
    const struct kv_range_result *r = &c->range.result;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return NULL;
    }
    if (r->items_count == 0 || !fs_item_is_file(&r->items[0]) ||
        fs_ino_of(&r->items[0]) != c->node->ino) {
        fs_reply_errno(c, ESTALE); /* the kernel walks again */
        return NULL;
    }
    fs_node_update(c->fs, c->node, &r->items[0], fs_call_revision(c));
    return &r->items[0];
}

/* --- reading what is left --- */

static void got_ttl(struct fs_call *c)
{
    char text[32];
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    if (c->lease.result.ttl_s < 0) {
        fs_reply_errno(c, ENODATA); /* it has just ended */
        return;
    }
    (void)snprintf(text, sizeof text, "%" PRId64, c->lease.result.ttl_s);
    buf_clear(&c->data);
    buf_append(&c->data, bytes_of(text));
    fs_xattr_reply(c);
}

static void got_lease(struct fs_call *c)
{
    const struct kv_item *item = got_item(c);
    if (item == NULL) {
        return;
    }
    if (item->lease == 0) {
        fs_reply_errno(c, ENODATA);
        return;
    }
    (void)fs_call_lease(c, KV_LEASE_TTL, item->lease);
    fs_call_ask(c, got_ttl);
}

void fs_lease_get(fuse_req_t req, fuse_ino_t id, const char *name, size_t size)
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
    if (fs_lease_attribute_of(name) != FS_LEASE_TTL || n->directory ||
        n->pending) {
        fs_reply_errno(c, ENODATA);
        return;
    }
    fs_call_hold_node(c, n);
    c->size = size;
    ask_item(c, got_lease);
}

/* --- attaching --- */

/* The lease that is to be the file's: c->offset. */
static void attach(struct fs_call *c);

static void attached(struct fs_call *c)
{
    struct fs *fs = c->fs;
    struct fs_node *n = c->node;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    const struct kv_txn_result *r = &c->txn.result;
    const struct kv_range_result *range =
        &r->results[r->succeeded ? 1 : 0].range;
    const struct kv_item *item =
        range->items_count > 0 ? &range->items[0] : NULL;
    if (item == NULL || !fs_item_is_file(item) || fs_ino_of(item) != n->ino) {
        fs_reply_errno(c, ESTALE);
        return;
    }
    if (!n->gone) {
        fs_node_update(fs, n, item, fs_call_revision(c));
    }
    if (r->succeeded) {
        fs_events_own(fs, item->mod_revision, BYTES_NONE, BYTES_NONE);
        fs_reply_errno(c, 0);
    } else if (item->lease == (int64_t)c->offset) {
        fs_reply_errno(c, 0); /* nothing to change */
    } else {
        attach(c); /* of another life in etcd's terms: it was moved */
    }
}

static void attach(struct fs_call *c)
{
    const struct fs_node *n = c->node;
    if (n->gone) {
        fs_reply_errno(c, ESTALE);
        return;
    }
    buf_clear(&c->target.key);
    buf_append(&c->target.key, fs_node_key(n));
    const struct kv_keys key = {.key = buf_bytes(&c->target.key)};
    struct kv_txn_spec *txn = fs_call_txn(c);
    c->compares[0] = (struct kv_compare){
        .keys = key, .target = KV_COMPARE_CREATE, .number = n->create_revision};
    c->compares[1] = (struct kv_compare){.keys = key,
                                         .target = KV_COMPARE_LEASE,
                                         .result = KV_COMPARE_NOT_EQUAL,
                                         .number = (int64_t)c->offset};
    txn->compares_count = 2;
    c->success[0] = (struct kv_op){.type = KV_OP_PUT,
                                   .put = {.key = key.key,
                                           .ignore_value = true,
                                           .lease = (int64_t)c->offset}};
    c->success[1] = fs_op_key(key);
    txn->success_count = 2;
    c->failure[0] = fs_op_key(key);
    txn->failure_count = 1;
    fs_call_ask(c, attached);
}

static void granted(struct fs_call *c)
{
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    c->offset = (off_t)c->lease.result.id;
    attach(c);
}

static void set_published(struct fs_call *c)
{
    if (c->flags == FS_LEASE_TTL && c->offset != 0) {
        fs_call_lease(c, KV_LEASE_GRANT, 0)->ttl_s = (int64_t)c->offset;
        fs_call_ask(c, granted);
    } else {
        attach(c);
    }
}

/* It may have been closed while the call waited for it. */
static bool is_open(const struct fs_node *n, const struct fs_handle *h)
{
    list_each (at, &n->handles) {
        if (container_of(at, struct fs_handle, node_link) == h) {
            return true;
        }
    }
    return false;
}

/* A file that is not in the store yet has to be there first. */
static void set_when_published(struct fs_call *c)
{
    struct fs_node *n = c->node;
    if (n->gone) {
        fs_reply_errno(c, ESTALE);
        return;
    }
    if (n->closing > 0) {
        fs_call_wait(c, &n->waiters, set_when_published);
        return;
    }
    if (!n->pending) {
        set_published(c);
        return;
    }
    bool passed = !is_open(n, c->handle); /* those before were tried */
    list_each (at, &n->handles) {
        struct fs_handle *h = container_of(at, struct fs_handle, node_link);
        if (!passed) {
            passed = h == c->handle;
        } else if (h->writes) {
            c->handle = h; /* each is tried once */
            fs_call_wait(c, &h->waiters, set_when_published);
            if (!h->publication.running) {
                fs_publish(h, FS_PUBLISH_SYNC);
            }
            return;
        }
    }
    fs_reply_errno(c, EIO); /* its creation has failed */
}

static bool read_value(enum fs_lease_attribute what, struct bytes value,
                       int64_t *ret)
{
    return what == FS_LEASE_TTL ? fs_lease_read_ttl(value, ret)
                                : fs_lease_read_id(value, ret);
}

void fs_lease_set(fuse_req_t req, fuse_ino_t id, const char *name,
                  struct bytes value)
{
    struct fs *fs = fuse_req_userdata(req);
    struct fs_call *c = fs_call_begin(fs, req, FS_CALL_WRITES);
    if (c == NULL) {
        return;
    }
    const enum fs_lease_attribute what = fs_lease_attribute_of(name);
    const struct fs_asker who = fs_asker_of(req);
    struct fs_node *n = fs_node_of(fs, id);
    int64_t number = 0;
    int error = 0;
    if (n == NULL || n->gone) {
        error = ESTALE;
    } else if (n->directory) {
        error = EOPNOTSUPP;
    } else if (!fs_may(fs, n, &who, W_OK)) {
        error = EACCES;
    } else if (!read_value(what, value, &number)) {
        error = EINVAL;
    } else if (!fs_is_writable(fs)) {
        error = EROFS;
    }
    if (error != 0) {
        fs_reply_errno(c, error);
        return;
    }
    fs_call_hold_node(c, n);
    fs_call_locks(c, n); /* the kernel keeps the inode's lock */
    c->flags = (int)what;
    c->offset = (off_t)number;
    set_when_published(c);
}

/* --- touching --- */

static void renewed(struct fs_call *c)
{
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
    } else if (c->lease.result.ttl_s == 0) {
        fs_reply_errno(c, ESTALE); /* it has ended, and the file with it */
    } else {
        c->after(c);
    }
}

static void touch_got(struct fs_call *c)
{
    const struct kv_item *item = got_item(c);
    if (item == NULL) {
        return;
    }
    if (item->lease == 0) {
        c->after(c);
        return;
    }
    (void)fs_call_lease(c, KV_LEASE_KEEPALIVE, item->lease);
    fs_call_ask(c, renewed);
}

void fs_lease_touch(struct fs_call *c, void (*next)(struct fs_call *c))
{
    must(!c->node->directory && !c->node->pending);
    fs_call_locks(c, c->node); /* the kernel keeps the inode's lock */
    c->after = next;
    ask_item(c, touch_got);
}

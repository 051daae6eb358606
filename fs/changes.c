/* From changes to operations on the mount.
 *
 *   a key appears       [unlink DIR] mkdir DIR [create DIR/%value] … create
 *   a value changes     modify
 *   a key disappears    unlink … [unlink DIR/%value] rmdir DIR [create DIR]
 *   a key moves         rename; a directory's keys together as one rename
 *
 * (in brackets: when the directory's name is a key's too).  Of this mount's own
 * changes only the directories are left that came and went by themselves.
 */

#include "fs/changes.h"

#include "base/must.h"
#include "fs/events.h"
#include "fs/target.h"

/* A directory that was moved in one piece. */
struct moved {
    struct bytes from, to; /* empty: none */
};

static struct bytes key_of(const struct fs_change *c)
{
    return buf_bytes(&c->key);
}

static void add(struct fs_batch *b, enum fs_op_type type, struct bytes key,
                bool file, bool value)
{
    struct fs_op *op = fs_op_new(b->fs, type, key, file, value);
    if (op != NULL) {
        op->revision = b->revision;
        fs_replay_add(b->fs, op);
    }
}

/* An operation on a change's own file. */
static struct fs_op *file_op(struct fs_batch *b, enum fs_op_type type,
                             const struct fs_change *c)
{
    struct fs_op *op =
        fs_op_new(b->fs, type, key_of(c), true, c->shown_as_value);
    if (op != NULL) {
        op->revision = b->revision;
        op->item = c->item;
        op->item.ino =
            c->item.ino != 0 || c->node == NULL ? c->item.ino : c->node->ino;
        op->node = c->node == NULL ? NULL : fs_node_hold(c->node);
    }
    return op;
}

/* --- directories that come and go --- */

static bool is_own_directory(const struct fs_batch *b, struct bytes group)
{
    return (b->made.size > 0 &&
            bytes_starts_with(group, buf_bytes(&b->made))) ||
           (b->moved.size > 0 &&
            bytes_starts_with(group, buf_bytes(&b->moved)));
}

/* `but`: those below it came by a rename. */
static void directories_made(struct fs_batch *b, const struct fs_change *c,
                             struct bytes but)
{
    for (size_t i = c->groups; i > 0; i--) {
        const size_t size = fs_group_size(key_of(c), i - 1);
        const struct bytes group = {c->key.data, size};
        if ((but.size > 0 && bytes_starts_with(group, but)) ||
            (b->own && is_own_directory(b, group))) {
            continue;
        }
        const struct bytes name = {group.data, size - 1};
        if (c->group_file[i - 1]) {
            add(b, FS_OP_UNLINK, name, true, false);
        }
        add(b, FS_OP_MKDIR, group, false, false);
        if (c->group_file[i - 1]) {
            add(b, FS_OP_CREATE, name, true, true);
        }
    }
}

static void directories_removed(struct fs_batch *b, const struct fs_change *c,
                                struct bytes but)
{
    for (size_t i = 0; i < c->groups; i++) {
        const size_t size = fs_group_size(key_of(c), i);
        const struct bytes group = {c->key.data, size};
        if ((but.size > 0 && bytes_starts_with(group, but)) ||
            (b->own && is_own_directory(b, group))) {
            continue;
        }
        const struct bytes name = {group.data, size - 1};
        if (c->group_file[i]) {
            add(b, FS_OP_UNLINK, name, true, true);
        }
        struct fs_op *op = fs_op_new(b->fs, FS_OP_RMDIR, group, false, false);
        if (op != NULL) {
            struct fs_node *d = fs_node_find(b->fs, true, group);
            op->revision = b->revision;
            op->node = d == NULL ? NULL : fs_node_hold(d);
            fs_replay_add(b->fs, op);
        }
        if (c->group_file[i]) {
            add(b, FS_OP_CREATE, name, true, false);
        }
    }
}

/* --- directories that move --- */

/* Whether the batch made (removed) the directory with this beginning. */
static bool group_changed(const struct fs_batch *b, enum kv_event_type type,
                          struct bytes group)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct fs_change *c = &b->changes[i];
        if (c->type != type || !bytes_starts_with(key_of(c), group)) {
            continue;
        }
        for (size_t j = 0; j < c->groups; j++) {
            if (fs_group_size(key_of(c), j) == group.size) {
                return true;
            }
        }
    }
    return false;
}

/* The directory that this moved key came along with: the topmost one that
 * appeared under the new name while the old one disappeared. */
static struct moved find_moved(const struct fs_batch *b,
                               const struct fs_change *c)
{
    const struct bytes from = buf_bytes(&c->moved_from);
    const struct bytes to = key_of(c);
    size_t same = 0; /* bytes at the end */
    while (same < from.size && same < to.size &&
           from.data[from.size - 1 - same] == to.data[to.size - 1 - same]) {
        same++;
    }
    for (; same > 0; same--) {
        const struct moved m = {.from = {from.data, from.size - same + 1},
                                .to = {to.data, to.size - same + 1}};
        if (m.to.data[m.to.size - 1] == '/' && !bytes_equal(m.from, m.to) &&
            group_changed(b, KV_EVENT_PUT, m.to) &&
            group_changed(b, KV_EVENT_DELETE, m.from)) {
            return m;
        }
    }
    return (struct moved){.from = BYTES_NONE};
}

static void directory_moved(struct fs_batch *b, struct moved m)
{
    struct fs *fs = b->fs;
    struct fs_op *op = fs_op_new(fs, FS_OP_RENAME, m.from, false, false);
    if (op == NULL || !fs_op_set_other(fs, op, m.to, false, false)) {
        fs_op_free(fs, op);
        return;
    }
    struct fs_node *n = fs_node_find(fs, true, m.from);
    op->revision = b->revision;
    op->node = n == NULL ? NULL : fs_node_hold(n);
    op->moves_below = true;
    fs_replay_add(fs, op);
}

static bool came_along(const struct fs_change *c, struct moved m)
{
    return c->type == KV_EVENT_PUT
               ? bytes_starts_with(key_of(c), m.to) &&
                     bytes_starts_with(buf_bytes(&c->moved_from), m.from)
               : bytes_starts_with(key_of(c), m.from) &&
                     bytes_starts_with(buf_bytes(&c->moved_to), m.to);
}

/* --- files --- */

static bool replays_renames(const struct fs_batch *b)
{
    return b->fs->options.events != FS_EVENTS_WRITE;
}

static void file_moved(struct fs_batch *b, const struct fs_change *c)
{
    struct fs *fs = b->fs;
    const struct bytes from = buf_bytes(&c->moved_from);
    struct fs_op *op = fs_op_new(
        fs, c->exchange ? FS_OP_EXCHANGE : FS_OP_RENAME, from, true, false);
    if (op == NULL) {
        /* It came from where the mount does not reach. */
        fs_replay_add(fs, file_op(b, FS_OP_CREATE, c));
        return;
    }
    if (!fs_op_set_other(fs, op, key_of(c), true, c->shown_as_value)) {
        op->type = FS_OP_UNLINK;
    }
    buf_clear(&op->key);
    buf_append(&op->key, key_of(c));
    op->revision = b->revision;
    op->item = c->item;
    op->node = c->node == NULL ? NULL : fs_node_hold(c->node);
    op->other_node = c->other == NULL ? NULL : fs_node_hold(c->other);
    fs_replay_add(fs, op);
}

static void file_put(struct fs_batch *b, const struct fs_change *c)
{
    enum fs_op_type type = FS_OP_MODIFY;
    if (c->attrs_only) {
        type = FS_OP_ATTRIB;
    } else if (c->item.version == 1) {
        type = FS_OP_CREATE;
    } else if (b->fs->options.events == FS_EVENTS_RENAME) {
        type = FS_OP_REPLACE;
    }
    if (type == FS_OP_CREATE && c->other != NULL) {
        type = FS_OP_MODIFY; /* moved over another, and shown as a write */
    }
    fs_replay_add(b->fs, file_op(b, type, c));
}

static void put(struct fs_batch *b, const struct fs_change *c)
{
    directories_made(b, c, BYTES_NONE);
    const bool marker = fs_key_is_marker(key_of(c)) && c->item.value_size == 0;
    if (b->own || marker) {
        return;
    }
    if (c->moved_from.size == 0 || !replays_renames(b)) {
        file_put(b, c);
    } else if (!c->exchange ||
               bytes_compare(key_of(c), buf_bytes(&c->moved_from)) < 0) {
        file_moved(b, c); /* an exchange once, not twice */
    }
}

static void file_gone(struct fs_batch *b, const struct fs_change *c)
{
    struct fs_op *op = file_op(b, FS_OP_UNLINK, c);
    if (op != NULL && c->moved_to.size > 0) {
        /* Only the name goes: the file lives on under another. */
        fs_node_drop(b->fs, op->node);
        op->node = NULL;
        op->item.ino = 0;
    }
    fs_replay_add(b->fs, op);
}

static void gone(struct fs_batch *b, const struct fs_change *c)
{
    const bool moved = c->moved_to.size > 0 && replays_renames(b);
    if (!b->own && !moved && !fs_key_is_marker(key_of(c))) {
        file_gone(b, c);
    }
    directories_removed(b, c, BYTES_NONE);
}

void fs_batch_replay(struct fs_batch *b)
{
    struct moved m = {.from = BYTES_NONE};
    for (size_t i = 0; i < b->count; i++) {
        const struct fs_change *c = &b->changes[i];
        const bool is_put = c->type == KV_EVENT_PUT;
        if (!b->own && replays_renames(b) && m.to.size == 0 && is_put &&
            c->moved_from.size > 0 && !c->exchange) {
            m = find_moved(b, c);
            if (m.to.size > 0) {
                directories_made(b, c, m.to);
                directory_moved(b, m);
            }
        }
        if (m.to.size > 0 && came_along(c, m)) {
            if (!is_put) {
                directories_removed(b, c, m.from);
            }
        } else if (is_put) {
            put(b, c);
        } else {
            gone(b, c);
        }
    }
}

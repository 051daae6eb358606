/* Names in directories, and the keys that they stand for. */

#include "fs/target.h"

#include <string.h>

#include "base/must.h"
#include "fs/path.h"

int fs_target_resolve(struct fs_call *c, struct fs_target *t, fuse_ino_t parent,
                      const char *name)
{
    struct fs *fs = c->fs;
    struct fs_node *n = fs_node_of(fs, parent);
    if (n == NULL) {
        return ESTALE;
    }
    if (!n->directory) {
        return ENOTDIR;
    }
    const struct bytes text = bytes_of(name);
    if (text.size > FS_NAME_MAX) {
        return ENAMETOOLONG;
    }
    enum fs_name_kind kind;
    if (fs_path_resolve(buf_bytes(&fs->prefix), fs_node_key(n), text, &kind,
                        &t->key) != ST_OK) {
        return EINVAL;
    }
    must(t->parent == NULL);
    t->parent = fs_node_hold(n);
    buf_clear(&t->below);
    switch (kind) {
    case FS_NAME_ORDINARY:
        t->kind = FS_TARGET_KEY;
        buf_append(&t->below, buf_bytes(&t->key));
        buf_append_byte(&t->below, '/');
        fs_path_end(buf_bytes(&t->below), &t->end);
        break;
    case FS_NAME_VALUE:
        t->kind = FS_TARGET_VALUE;
        break;
    case FS_NAME_CONTINUED:
    case FS_NAME_ROOT:
        t->kind = FS_TARGET_DIRECTORY;
        buf_append(&t->below, buf_bytes(&t->key));
        fs_path_end(buf_bytes(&t->below), &t->end);
        break;
    }
    return 0;
}

void fs_target_clear(struct fs *fs, struct fs_target *t)
{
    fs_node_drop(fs, t->parent);
    t->parent = NULL;
}

void fs_target_fini(struct fs_target *t)
{
    buf_fini(&t->key);
    buf_fini(&t->below);
    buf_fini(&t->end);
}

struct kv_keys fs_target_key(const struct fs_target *t)
{
    must(t->kind != FS_TARGET_DIRECTORY);
    return (struct kv_keys){.key = buf_bytes(&t->key)};
}

struct kv_keys fs_target_below(const struct fs_target *t)
{
    must(t->kind != FS_TARGET_VALUE);
    return (struct kv_keys){.key = buf_bytes(&t->below),
                            .end = buf_bytes(&t->end)};
}

bool fs_key_is_marker(struct bytes key)
{
    return key.size > 0 && key.data[key.size - 1] == '/';
}

bool fs_item_is_file(const struct kv_item *item)
{
    return !item->group &&
           !(fs_key_is_marker(item->key) && item->value_size == 0);
}

struct kv_op fs_op_key(struct kv_keys keys)
{
    return (struct kv_op){.type = KV_OP_RANGE,
                          .range = {.keys = keys, .keys_only = true}};
}

struct kv_op fs_op_group(struct bytes below, struct bytes end)
{
    return (struct kv_op){.type = KV_OP_RANGE,
                          .range = {.keys = {.key = below, .end = end},
                                    .keys_only = true,
                                    .limit = 1,
                                    .count_bounded = true,
                                    .grouped = true,
                                    .group_from = (uint32_t)below.size - 1}};
}

size_t fs_target_look(const struct fs_target *t, struct kv_op *ops)
{
    must(t->kind != FS_TARGET_DIRECTORY);
    ops[0] = fs_op_key(fs_target_key(t));
    if (t->kind == FS_TARGET_VALUE) {
        return 1;
    }
    ops[1] = fs_op_group(buf_bytes(&t->below), buf_bytes(&t->end));
    return 2;
}

struct fs_found fs_target_found(const struct fs_target *t,
                                const struct kv_op_result *results)
{
    struct fs_found found = {.file = NULL};
    if (results[0].range.items_count > 0 &&
        fs_item_is_file(&results[0].range.items[0])) {
        found.file = &results[0].range.items[0];
    }
    if (t->kind == FS_TARGET_KEY && results[1].range.items_count > 0) {
        found.directory = &results[1].range.items[0];
    }
    return found;
}

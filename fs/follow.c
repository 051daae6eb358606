/* Followers: handles that are read on at the end of what they pin. */

#include "base/must.h"
#include "fs/handle.h"

bool fs_handle_is_behind(const struct fs_handle *h)
{
    return h->came_to_end && !h->draft.begun && !h->node->gone &&
           h->node->mod_revision > h->pinned_revision;
}

static bool is_open(const struct fs_node *n, const struct fs_handle *h)
{
    list_each (at, &n->handles) {
        if (at == &h->node_link) {
            return true;
        }
    }
    return false;
}

static void got(struct fs_call *c)
{
    struct fs_handle *h = c->handle;
    const struct kv_range_result *r = &c->range.result;
    if (fs_call_status(c) != ST_OK) {
        fs_reply_status(c, fs_call_status(c));
        return;
    }
    if (!is_open(c->node, h)) {
        c->after(c); /* an fstat, and another thread's close */
        return;
    }
    if (r->items_count > 0 && fs_ino_of(&r->items[0]) == h->node->ino &&
        r->items[0].mod_revision > h->pinned_revision && !h->draft.begun &&
        bytes_starts_with(r->items[0].value, payload_bytes(h->pinned))) {
        payload_drop(h->pinned);
        h->pinned = payload_copy_of(r->items[0].value);
        h->pinned_revision = r->items[0].mod_revision;
    }
    c->after(c);
}

void fs_handle_catch_up(struct fs_call *c, struct fs_handle *h,
                        void (*next)(struct fs_call *c))
{
    must(fs_handle_is_behind(h));
    if (c->node == NULL) {
        fs_call_hold_node(c, h->node);
    }
    c->handle = h;
    c->after = next;
    buf_clear(&c->target.key);
    buf_append(&c->target.key, fs_node_key(h->node));
    struct kv_range_spec *range = fs_call_range(c);
    range->keys.key = buf_bytes(&c->target.key);
    range->serializable = true; /* the change is known here already */
    fs_call_ask(c, got);
}

/* Open files: their lives, and who opened them. */

#include "fs/handle.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/must.h"
#include "fs/attr.h"
#include "fs/events.h"

static void on_idle(struct fs *fs, struct fs_timer *timer)
{
    struct fs_handle *h = container_of(timer, struct fs_handle, idle);
    must(h->fs == fs);
    if (!h->publication.running && h->draft.written && !h->failed) {
        fs_publish(h, FS_PUBLISH_LATE);
    }
}

struct fs_handle *fs_handle_inner(struct fs *fs, struct fs_node *n)
{
    struct fs_handle *h = xcalloc(1, sizeof *h);
    h->fs = fs;
    h->node = fs_node_hold(n);
    h->idle.fire = on_idle;
    list_init(&h->waiters);
    list_init(&h->node_link);
    list_push(&fs->handles, &h->link);
    return h;
}

struct fs_handle *fs_handle_new(struct fs_call *c, struct fs_node *n)
{
    struct fs_handle *h = fs_handle_inner(c->fs, n);
    const struct fs_asker who = fs_asker_of(c->req);
    h->writes = (c->flags & O_ACCMODE) != O_RDONLY;
    h->thread = who.thread;
    h->group = who.thread != 0 ? c->fs->system.thread_group(who.thread) : 0;
    list_push(&n->handles, &h->node_link);
    return h;
}

void fs_handle_free(struct fs_handle *h)
{
    if (h == NULL) {
        return;
    }
    struct fs *fs = h->fs;
    must(!h->publication.running);
    must(list_is_empty(&h->waiters));
    fs_timer_stop(fs, &h->idle);
    list_remove(&h->link);
    list_remove(&h->node_link);
    struct fs_node *n = h->node;
    if (n->pending && list_is_empty(&n->handles)) {
        fs_node_end(fs, n, n->revision); /* nobody is left to create it */
        fs_events_unmade(fs, n);
    }
    fs_node_drop(fs, n);
    payload_drop(h->pinned);
    payload_drop(h->publication.doubt);
    fs_draft_fini(&h->draft);
    buf_fini(&h->publication.key);
    buf_fini(&h->publication.merged);
    free(h);
}

void fs_node_join(struct fs *fs, struct fs_node *pending, struct fs_node *to)
{
    must(pending->pending);
    must(!to->directory && to != pending);
    (void)fs_node_hold(pending);
    list_each (at, &fs->handles) {
        struct fs_handle *h = container_of(at, struct fs_handle, link);
        if (h->node != pending) {
            continue;
        }
        if (!list_is_empty(&h->node_link)) {
            list_remove(&h->node_link);
            list_push(&to->handles, &h->node_link);
        }
        if (h->released) {
            pending->closing--;
            to->closing++;
        }
        h->node = fs_node_hold(to);
        fs_node_drop(fs, pending);
    }
    must(pending->closing == 0);
    list_splice(&to->waiters, &pending->waiters);
    fs_node_joins(fs, pending, to);
    fs_node_drop(fs, pending);
}

struct bytes fs_handle_content(const struct fs_handle *h)
{
    return h->draft.begun ? buf_bytes(&h->draft.content)
                          : payload_bytes(h->pinned);
}

void fs_handle_edit(struct fs_handle *h)
{
    must(!h->publication.running);
    fs_draft_begin(&h->draft, payload_bytes(h->pinned));
}

void fs_handle_edited(struct fs_handle *h)
{
    struct fs *fs = h->fs;
    h->failed = false;
    if (fs->options.publish_idle_ms > 0 && h->draft.written) {
        fs_timer_set(fs, &h->idle,
                     fs->now_ns + fs->options.publish_idle_ms * 1000000);
    }
    fs_events_refresh(fs, h->node);
}

bool fs_handle_opened_by(const struct fs_handle *h, uint32_t thread)
{
    if (thread == 0 || thread == h->thread) {
        return true; /* 0: of another pid namespace */
    }
    return h->fs->system.thread_group(thread) == h->group;
}

struct fs_handle *fs_handle_of_group(struct fs *fs, const struct fs_node *n,
                                     uint32_t thread)
{
    if (list_is_empty(&n->handles) || thread == 0) {
        return NULL;
    }
    const uint32_t group = fs->system.thread_group(thread);
    for (struct list *at = n->handles.prev; at != &n->handles; at = at->prev) {
        struct fs_handle *h = container_of(at, struct fs_handle, node_link);
        if (h->group == group && !h->released) {
            return h;
        }
    }
    return NULL;
}

void fs_handle_release(struct fs_handle *h)
{
    must(!h->released);
    h->released = true;
    if (!h->publication.running &&
        (!fs_draft_is_dirty(&h->draft) || h->failed) &&
        !(h->node->pending && h->writes && !h->failed)) {
        fs_handle_free(h);
        return;
    }
    h->node->closing++;
    if (!h->publication.running) {
        fs_publish(h, FS_PUBLISH_LATE);
    }
}

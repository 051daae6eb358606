/* Watches: all over one stream of the present connection.
 *
 *   NEW --asked for--> CREATING --created--> ACTIVE --cancelled--> ENDED
 *    ^                     |                   |
 *    '------ the stream ends, at the next revision wanted
 *
 * A watch that is to begin "now" begins behind the newest revision that this
 * client has heard of: nothing that happens after kv_watch() returned is
 * missed, though the server hears of the watch later, or on another member.
 *
 * Events of a revision that may be that of a write whose answer is still to
 * come wait for it (rule 4 of kv/kv.h).  A write's revision is above every
 * revision seen before it was sent; so events wait while there is a write under
 * way that was sent when only lower revisions were known.
 */

#include "client/internal.h"
#include "client/message.h"

#define HELD_SIZE_MAX ((size_t)32 << 20)
#define AGAIN_MS      100

enum entry_state { ENTRY_NEW, ENTRY_CREATING, ENTRY_ACTIVE, ENTRY_ENDED };

struct watch_entry {
    struct list link;      /* NEW, CREATING, ENDED */
    struct hmap_node node; /* ACTIVE */
    enum entry_state state;
    struct kv_watch *watch; /* NULL: unwatched while it was CREATING */
    int64_t id;
    int64_t next;  /* the first revision not delivered; 0: what comes */
    bool from_now; /* and nothing has come */
    enum status why;
    int64_t compact_revision;
};

/* A message that waits. */
struct watch_held {
    struct list link;
    struct buf message;
};

static struct client *client_of(struct kv *kv)
{
    return container_of(kv, struct client, kv);
}

static void put_into(struct watch_entry *e, enum entry_state state,
                     struct list *list)
{
    e->state = state;
    list_remove(&e->link);
    list_push(list, &e->link);
}

static struct watch_entry *find(const struct client *c, int64_t id)
{
    const uint64_t hash = hash_u64((uint64_t)id);
    for (struct hmap_node *node = hmap_first(&c->watches, hash); node != NULL;
         node = hmap_next(node)) {
        struct watch_entry *e = container_of(node, struct watch_entry, node);
        if (e->id == id) {
            return e;
        }
    }
    return NULL;
}

static void end(struct client *c, struct watch_entry *e, enum status why,
                int64_t compact_revision)
{
    e->why = why;
    e->compact_revision = compact_revision;
    put_into(e, ENTRY_ENDED, &c->watches_ended);
    client_mark(c);
}

/* --- the stream --- */

static void clear_held(struct client *c)
{
    struct list *link;
    while ((link = list_pop(&c->held)) != NULL) {
        struct watch_held *h = container_of(link, struct watch_held, link);
        buf_fini(&h->message);
        free(h);
    }
    c->held_size = 0;
}

/* All are to be created anew. */
static void renew_all(struct client *c)
{
    struct hmap_node *node;
    clear_held(c);
    while ((node = hmap_any(&c->watches)) != NULL) {
        struct watch_entry *e = container_of(node, struct watch_entry, node);
        hmap_remove(&c->watches, node);
        put_into(e, ENTRY_NEW, &c->watches_new);
    }
    struct list *link;
    while ((link = list_pop(&c->watches_creating)) != NULL) {
        struct watch_entry *e = container_of(link, struct watch_entry, link);
        if (e->watch == NULL) {
            free(e);
        } else {
            put_into(e, ENTRY_NEW, &c->watches_new);
        }
    }
}

void watches_leave(struct client *c)
{
    if (c->watch_conn != NULL) {
        grpc_client_cancel(&c->watch_call);
        c->watch_conn = NULL;
    }
    renew_all(c);
}

static void stream_ended(struct grpc_client_call *call,
                         const struct grpc_outcome *how)
{
    struct client *c = container_of(call, struct client, watch_call);
    c->watch_conn = NULL;
    renew_all(c);
    client_mark(c);
    if (how->answered && (how->code == GRPC_PERMISSION_DENIED ||
                          how->code == 16 || how->code == GRPC_UNIMPLEMENTED)) {
        struct list *link;
        while ((link = list_pop(&c->watches_new)) != NULL) {
            end(c, container_of(link, struct watch_entry, link),
                status_of_outcome(how), 0);
        }
        return;
    }
    if (how->answered && how->code == GRPC_UNAVAILABLE) {
        channel_suspect(c);
    }
    client_again(c, AGAIN_MS);
}

static void message_came(struct grpc_client_call *call, struct bytes message);

static void open_stream(struct client *c)
{
    /* A member without a leader says so, instead of nothing. */
    const struct grpc_metadata leader = {"hasleader", bytes_of("true")};
    c->watch_conn = c->conn;
    c->watch_call.on_message = message_came;
    c->watch_call.on_end = stream_ended;
    grpc_client_start(grpc_conn_client(c->conn->grpc), &c->watch_call,
                      "/etcdserverpb.Watch/Watch", 0, &leader, 1);
}

void watches_resume(struct client *c)
{
    struct list *link;
    if (!channel_is_ready(c) || list_is_empty(&c->watches_new)) {
        return;
    }
    if (c->watch_conn == NULL) {
        open_stream(c);
    }
    while ((link = list_pop(&c->watches_new)) != NULL) {
        struct watch_entry *e = container_of(link, struct watch_entry, link);
        message_write_watch(grpc_client_begin_message(&c->watch_call), e->watch,
                            e->next);
        grpc_client_end_message(&c->watch_call);
        put_into(e, ENTRY_CREATING, &c->watches_creating);
    }
}

/* The stream says what it should not; another one will not. */
static void break_stream(struct client *c)
{
    watches_leave(c);
    client_again(c, AGAIN_MS);
}

/* --- what it says --- */

static void send_cancel(struct client *c, int64_t id)
{
    if (c->watch_conn != NULL) {
        message_write_unwatch(grpc_client_begin_message(&c->watch_call), id);
        grpc_client_end_message(&c->watch_call);
    }
}

static enum status status_of_reason(struct bytes reason)
{
    /* "rpc error: code = PermissionDenied desc = etcdserver: …" */
    static const char description[] = "desc = ";
    const uint8_t *at =
        memmem(reason.data, reason.size, description, sizeof description - 1);
    if (at != NULL) {
        reason = bytes_after(reason, (size_t)(at - reason.data) +
                                         sizeof description - 1);
    }
    const struct grpc_outcome how = {
        .code = GRPC_UNKNOWN, .text = reason, .answered = true};
    const enum status st = status_of_outcome(&how);
    return st == ST_IO ? ST_STOPPED : st;
}

static void created(struct client *c, const struct message_watch *m)
{
    struct list *link = list_pop(&c->watches_creating);
    if (link == NULL) {
        break_stream(c);
        return;
    }
    struct watch_entry *e = container_of(link, struct watch_entry, link);
    if (e->watch == NULL) {
        free(e);
        if (!m->canceled) {
            send_cancel(c, m->id);
        }
    } else if (m->canceled) {
        end(c, e, status_of_reason(m->reason), 0);
    } else {
        e->id = m->id;
        e->state = ENTRY_ACTIVE;
        hmap_insert(&c->watches, &e->node, hash_u64((uint64_t)e->id));
        if (e->next == 0) {
            e->next = m->header.revision + 1;
        }
    }
}

static void canceled(struct client *c, struct watch_entry *e,
                     const struct message_watch *m)
{
    hmap_remove(&c->watches, &e->node);
    if (m->compact_revision == 0) {
        end(c, e, status_of_reason(m->reason), 0);
    } else if (e->from_now) {
        /* It began behind what we knew: of the past there is nothing to miss
         * for who asked for what comes. */
        e->next = m->compact_revision;
        put_into(e, ENTRY_NEW, &c->watches_new);
        watches_resume(c);
    } else {
        end(c, e, ST_COMPACTED, m->compact_revision);
    }
}

/* Does this hold what may be a write's of ours that is not answered? */
static bool must_wait(const struct client *c, const struct message_watch *m)
{
    if (m->events_count == 0 || list_is_empty(&c->writes)) {
        return false;
    }
    const struct client_request *oldest =
        container_of(c->writes.next, struct client_request, write_link);
    return oldest->seen < m->events[m->events_count - 1].item.mod_revision;
}

static void take_events(struct watch_entry *e, const struct message_watch *m)
{
    size_t skip = 0;
    while (skip < m->events_count &&
           m->events[skip].item.mod_revision < e->next) {
        skip++;
    }
    if (skip == m->events_count) {
        return;
    }
    e->next = m->events[m->events_count - 1].item.mod_revision + 1;
    e->from_now = false;
    /* May free it. */
    e->watch->on_events(e->watch, m->events + skip, m->events_count - skip,
                        m->header);
}

static void take(struct client *c, const struct message_watch *m)
{
    client_saw(c, &m->header);
    if (m->created) {
        created(c, m);
        return;
    }
    struct watch_entry *e = find(c, m->id);
    if (e == NULL) {
        return; /* unwatched meanwhile */
    }
    if (m->events_count > 0) {
        take_events(e, m);
    } else if (m->canceled) {
        canceled(c, e, m);
    } else if (m->header.revision >= e->next) {
        e->next = m->header.revision + 1; /* progress */
    }
}

static void hold(struct client *c, struct bytes message)
{
    struct watch_held *h = xcalloc(1, sizeof *h);
    buf_append(&h->message, message);
    c->held_size += message.size;
    list_push(&c->held, &h->link);
    if (c->held_size > HELD_SIZE_MAX) {
        break_stream(c); /* to be asked for again, when there is room */
    }
}

static void message_came(struct grpc_client_call *call, struct bytes message)
{
    struct client *c = container_of(call, struct client, watch_call);
    struct arena arena = {0};
    struct message_watch m;
    if (message_read_watch(&arena, message, &m) != ST_OK) {
        break_stream(c);
    } else if (!list_is_empty(&c->held) || must_wait(c, &m)) {
        hold(c, message);
    } else {
        take(c, &m);
    }
    arena_fini(&arena);
}

bool watches_deliver(struct client *c)
{
    bool any = false;
    while (!list_is_empty(&c->held)) {
        struct watch_held *h =
            container_of(c->held.next, struct watch_held, link);
        struct arena arena = {0};
        struct message_watch m;
        must(message_read_watch(&arena, buf_bytes(&h->message), &m) == ST_OK);
        const bool waits = must_wait(c, &m);
        if (!waits) {
            list_remove(&h->link);
            c->held_size -= h->message.size;
            take(c, &m); /* may clear the others */
            buf_fini(&h->message);
            free(h);
            any = true;
        }
        arena_fini(&arena);
        if (waits) {
            break;
        }
    }
    struct list *link;
    while ((link = list_pop(&c->watches_ended)) != NULL) {
        struct watch_entry *e = container_of(link, struct watch_entry, link);
        e->watch->state = NULL;
        e->watch->on_end(e->watch, e->why, e->compact_revision);
        free(e);
        any = true;
    }
    return any;
}

/* --- for the owner --- */

static bool is_empty(const struct kv_keys *keys)
{
    const bool open = keys->end.size == 1 && keys->end.data[0] == 0;
    return keys->end.size > 0 && !open &&
           bytes_compare(keys->end, keys->key) <= 0;
}

void client_watch(struct kv *kv, struct kv_watch *watch)
{
    struct client *c = client_of(kv);
    must(!c->stopping);
    struct watch_entry *e = xcalloc(1, sizeof *e);
    e->watch = watch;
    watch->state = e;
    list_init(&e->link);
    e->next = watch->start_revision;
    if (e->next == 0) {
        e->from_now = true;
        e->next = c->seen > 0 ? c->seen + 1 : 0;
    }
    if (is_empty(&watch->keys)) {
        list_push(&c->watches_idle, &e->link); /* nothing will ever happen */
        return;
    }
    list_push(&c->watches_new, &e->link);
    watches_resume(c);
}

void client_unwatch(struct kv *kv, struct kv_watch *watch)
{
    struct client *c = client_of(kv);
    struct watch_entry *e = watch->state;
    if (e == NULL) {
        return;
    }
    watch->state = NULL;
    switch (e->state) {
    case ENTRY_CREATING:
        e->watch = NULL; /* until its id is known */
        return;
    case ENTRY_ACTIVE:
        hmap_remove(&c->watches, &e->node);
        send_cancel(c, e->id);
        break;
    case ENTRY_NEW:
    case ENTRY_ENDED:
        list_remove(&e->link);
        break;
    }
    free(e);
}

void watches_stop(struct client *c)
{
    watches_leave(c);
    list_splice(&c->watches_new, &c->watches_idle);
    struct list *link;
    while ((link = list_pop(&c->watches_new)) != NULL) {
        end(c, container_of(link, struct watch_entry, link), ST_STOPPED, 0);
    }
    (void)watches_deliver(c);
    hmap_fini(&c->watches);
}

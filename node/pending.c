/* The table of waiting requests. */

#include "node/pending.h"

#include <stdlib.h>

#include "base/must.h"

void pending_init(struct pending_table *t, uint64_t first_ticket,
                  size_t count_max)
{
    *t = (struct pending_table){.ticket_last = first_ticket,
                                .count_max = count_max};
    list_init(&t->queued_writes);
    list_init(&t->queued_reads);
    list_init(&t->proposed);
    list_init(&t->reading);
    list_init(&t->sweeping);
    list_init(&t->asking);
    list_init(&t->moving);
    list_init(&t->finished);
    list_init(&t->spare);
}

void pending_fini(struct pending_table *t)
{
    must(t->count == 0);
    struct list *link;
    while ((link = list_pop(&t->spare)) != NULL) {
        free(container_of(link, struct pending, link));
    }
    hmap_fini(&t->tickets);
    heap_fini(&t->deadlines);
}

struct pending *pending_add(struct pending_table *t, struct kv_call *call,
                            enum pending_kind kind, bool is_write,
                            int64_t deadline_ns)
{
    struct list *link = list_pop(&t->spare);
    struct pending *p = link != NULL ? container_of(link, struct pending, link)
                                     : xmalloc(sizeof *p);
    *p = (struct pending){
        .call = call, .kind = kind, .ticket = ++t->ticket_last};
    list_init(&p->link);
    list_init(&p->question.link);
    call->state = p;
    t->count++;
    heap_push(&t->deadlines, &p->deadline, deadline_ns);
    if (t->count > t->count_max) {
        pending_finish(t, p, ST_TOO_MANY);
        return p;
    }
    p->place = PENDING_QUEUED;
    list_push(is_write ? &t->queued_writes : &t->queued_reads, &p->link);
    return p;
}

static void move_to(struct pending *p, struct list *to,
                    enum pending_place place)
{
    list_remove(&p->link);
    list_push(to, &p->link);
    p->place = place;
}

static void forget_ticket(struct pending_table *t, struct pending *p)
{
    list_remove(&p->question.link);
    if (p->place == PENDING_PROPOSED || p->place == PENDING_ASKING) {
        hmap_remove(&t->tickets, &p->by_ticket);
    }
    payload_drop(p->command);
    p->command = NULL;
}

void pending_set_proposed(struct pending_table *t, struct pending *p,
                          uint64_t term, struct payload *command)
{
    must(p->place == PENDING_QUEUED);
    must(p->command == NULL);
    p->term = term;
    p->command = payload_hold(command);
    move_to(p, &t->proposed, PENDING_PROPOSED);
    hmap_insert(&t->tickets, &p->by_ticket, hash_u64(p->ticket));
}

bool pending_is_made_of(const struct pending *p, const struct payload *entry)
{
    return p->command != NULL &&
           (p->command == entry ||
            bytes_equal(payload_bytes(p->command), payload_bytes(entry)));
}

void pending_set_asking(struct pending_table *t, struct pending *p)
{
    must(p->place == PENDING_QUEUED);
    move_to(p, &t->asking, PENDING_ASKING);
    hmap_insert(&t->tickets, &p->by_ticket, hash_u64(p->ticket));
}

bool pending_requeue_before(struct pending_table *t, uint64_t term)
{
    bool any = false;
    list_each_safe (link, &t->proposed) {
        struct pending *p = container_of(link, struct pending, link);
        if (p->term < term) {
            forget_ticket(t, p);
            move_to(p, &t->queued_writes, PENDING_QUEUED);
            any = true;
        }
    }
    return any;
}

void pending_set_reading(struct pending_table *t, struct pending *p)
{
    must(p->place == PENDING_QUEUED);
    move_to(p, &t->reading, PENDING_READING);
}

void pending_set_moving(struct pending_table *t, struct pending *p)
{
    must(p->place == PENDING_QUEUED);
    move_to(p, &t->moving, PENDING_MOVING);
}

void pending_set_sweeping(struct pending_table *t, struct pending *p)
{
    must(p->place == PENDING_PROPOSED);
    forget_ticket(t, p);
    if (p->call->timeout_ms == 0) {
        /* It is done; how long the sweep takes, only its caller can judge. */
        heap_remove(&t->deadlines, &p->deadline);
        heap_push(&t->deadlines, &p->deadline, INT64_MAX);
    }
    move_to(p, &t->sweeping, PENDING_SWEEPING);
}

void pending_finish(struct pending_table *t, struct pending *p, enum status st)
{
    must(p->place != PENDING_FINISHED);
    forget_ticket(t, p);
    heap_remove(&t->deadlines, &p->deadline);
    p->call->status = st;
    move_to(p, &t->finished, PENDING_FINISHED);
}

struct pending *pending_find(struct pending_table *t, uint64_t ticket)
{
    const uint64_t hash = hash_u64(ticket);
    for (struct hmap_node *n = hmap_first(&t->tickets, hash); n != NULL;
         n = hmap_next(n)) {
        struct pending *p = container_of(n, struct pending, by_ticket);
        if (p->ticket == ticket) {
            return p;
        }
    }
    return NULL;
}

void pending_done(struct pending_table *t, struct pending *p, enum status st)
{
    struct kv_call *call = p->call;
    forget_ticket(t, p);
    heap_remove(&t->deadlines, &p->deadline);
    list_remove(&p->link);
    list_push(&t->spare, &p->link);
    must(t->count > 0);
    t->count--;
    call->state = NULL;
    call->status = st;
    call->done(call);
}

bool pending_deliver(struct pending_table *t)
{
    /* Only those of now: what done() submits and is refused waits for the
     * next round, so that no caller can keep us here. */
    struct list now;
    list_init(&now);
    list_splice(&now, &t->finished);
    if (list_is_empty(&now)) {
        return false;
    }
    while (!list_is_empty(&now)) {
        struct pending *p = container_of(now.next, struct pending, link);
        pending_done(t, p, p->call->status);
    }
    return true;
}

void pending_expire(struct pending_table *t, int64_t now_ns)
{
    struct heap_node *n;
    while ((n = heap_first(&t->deadlines)) != NULL && n->at <= now_ns) {
        pending_finish(t, container_of(n, struct pending, deadline),
                       ST_TIMEOUT);
    }
}

void pending_finish_proposed(struct pending_table *t, enum status st)
{
    list_each_safe (link, &t->proposed) {
        pending_finish(t, container_of(link, struct pending, link), st);
    }
}

void pending_finish_all(struct pending_table *t, enum status st)
{
    struct heap_node *n;
    while ((n = heap_first(&t->deadlines)) != NULL) {
        pending_finish(t, container_of(n, struct pending, deadline), st);
    }
}

int64_t pending_next_deadline(const struct pending_table *t)
{
    const struct heap_node *n = heap_first(&t->deadlines);
    return n == NULL ? INT64_MAX : n->at;
}

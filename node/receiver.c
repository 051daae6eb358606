/* The receiving end of a state's transfer.
 *
 *   IDLE -> TAKING (pieces wait for the worker, in order)
 *        -> COMPLETE (the node gets ready for it) -> TOLD (raft heard) -> IDLE
 *
 * The worker has the import while a job is out; what happens meanwhile waits in
 * the list of pieces or in `gave_up`. */

#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/log.h"
#include "base/must.h"
#include "node/transfer.h"
#include "proto/raft_codec.h"

struct piece {
    struct list link;
    bool is_last;
    struct payload *bytes;
};

struct receiver {
    struct receiver_options options;
    char *path;
    struct worker *worker;
    struct worker_job job;

    bool taking;
    uint64_t from, id;
    struct raft_message message; /* of BEGIN */
    struct store_import *import; /* the worker's while a job is out */
    struct list pieces;
    uint64_t waiting;      /* bytes in pieces */
    struct piece *working; /* NULL: the job opens the import */
    uint64_t received;     /* bytes of the stream */
    bool ended;            /* END came */
    int64_t moved_ns;
    bool gave_up;
    enum status status;
    struct fault fault;

    struct store_import *arrived; /* COMPLETE, or TOLD */
    uint64_t arrived_index;
    bool told;
    uint64_t waiter, waiter_id; /* offers another state; RAFT_NONE: nobody */
};

/* The sender has others to serve: it shall not wait for nothing. */
static void decline(struct receiver *r, uint64_t to, uint64_t id)
{
    struct buf frame = {0};
    write_u8(&frame, TRANSFER_FAILED);
    write_u64(&frame, id);
    (void)peers_send_bulk(r->options.peers, to, &frame); /* or it times out */
}

static void answer(struct receiver *r, enum transfer_frame what, uint64_t taken)
{
    struct buf frame = {0};
    write_u8(&frame, (uint8_t)what);
    write_u64(&frame, r->id);
    if (what == TRANSFER_TAKEN) {
        write_u64(&frame, taken);
    }
    (void)peers_send_bulk(r->options.peers, r->from,
                          &frame); /* or it times out */
}

static void piece_free(struct piece *p)
{
    payload_drop(p->bytes);
    free(p);
}

static void clear(struct receiver *r)
{
    struct list *link;
    while ((link = list_pop(&r->pieces)) != NULL) {
        piece_free(container_of(link, struct piece, link));
    }
    store_import_free(r->import);
    r->import = NULL;
    raft_message_fini(&r->message);
    r->taking = false;
    r->waiting = 0;
}

static void give_up(struct receiver *r, const char *why)
{
    if (!r->taking || r->gave_up) {
        return;
    }
    log_warn("the state from member %llx was not taken: %s",
             (unsigned long long)r->from, why);
    answer(r, TRANSFER_FAILED, 0);
    if (worker_is_busy(r->worker)) {
        r->gave_up = true;
    } else {
        clear(r);
    }
}

/* --- the worker's part --- */

static void work(struct worker_job *job)
{
    struct receiver *r = container_of(job, struct receiver, job);
    const struct piece *p = r->working;
    if (p == NULL) {
        r->status = store_import_begin(r->path, &r->options.store,
                                       r->options.identity.cluster_id,
                                       &r->import, &r->fault);
    } else if (!p->is_last) {
        r->status =
            store_import_write(r->import, payload_bytes(p->bytes), &r->fault);
    } else {
        r->status =
            store_import_finish(r->import, &r->options.identity, &r->fault);
    }
}

static void go_on(struct receiver *r);

/* All but the last byte. */
static void answer_nearly(struct receiver *r, uint64_t position)
{
    answer(r, TRANSFER_TAKEN, position > 0 ? position - 1 : 0);
}

static void complete(struct receiver *r)
{
    must(r->arrived == NULL);
    r->arrived = r->import;
    r->import = NULL;
    r->arrived_index = r->message.snapshot->index;
    r->told = false;
    r->taking = false;
    log_info("the state of entry %llu is complete",
             (unsigned long long)r->arrived_index);
    answer_nearly(r, r->received);
}

const char *receiver_complete(const struct receiver *r)
{
    return r->arrived == NULL ? NULL : store_import_path(r->arrived);
}

bool receiver_has_told(const struct receiver *r)
{
    return r->arrived != NULL && r->told;
}

void receiver_tell(struct receiver *r)
{
    struct raft_message m;
    must(r->arrived != NULL && !r->told);
    r->told = true;
    answer(r, TRANSFER_TAKEN, r->received);
    raft_message_take(&m, &r->message);
    r->options.arrived(r->options.arg, &m);
    raft_message_fini(&m);
}

/* The one that arrived is out of the way. */
static void let_others(struct receiver *r)
{
    r->arrived = NULL;
    if (r->waiter != RAFT_NONE) {
        decline(r, r->waiter, r->waiter_id);
        r->waiter = RAFT_NONE;
    }
}

/* What raft is told, and what will be in its place. */
static bool is_as_announced(const struct receiver *r)
{
    struct store_transfer_info info;
    return store_import_info(r->import, &info) &&
           info.index == r->message.snapshot->index &&
           info.term == r->message.snapshot->term;
}

static void worked(struct worker_job *job)
{
    struct receiver *r = container_of(job, struct receiver, job);
    struct piece *p = r->working;
    const bool was_last = p != NULL && p->is_last;
    r->working = NULL;
    if (p != NULL) {
        r->waiting -= p->bytes == NULL ? 0 : p->bytes->size;
        piece_free(p);
    }
    if (r->gave_up) {
        r->gave_up = false;
        clear(r);
        return;
    }
    if (r->status != ST_OK) {
        give_up(r, r->fault.text);
        return;
    }
    if (was_last && !is_as_announced(r)) {
        give_up(r, "it is of another entry than was announced");
        return;
    }
    r->moved_ns = loop_now_ns();
    if (was_last) {
        complete(r);
    } else {
        answer_nearly(r, store_import_position(r->import));
        go_on(r);
    }
}

static void start(struct receiver *r, struct piece *working)
{
    r->working = working;
    r->job = (struct worker_job){.run = work, .done = worked};
    worker_run(r->worker, &r->job);
}

static void go_on(struct receiver *r)
{
    if (worker_is_busy(r->worker)) {
        return;
    }
    struct list *link = list_pop(&r->pieces);
    if (link != NULL) {
        start(r, container_of(link, struct piece, link));
    }
}

/* --- frames --- */

static void begin(struct receiver *r, uint64_t from, uint64_t id,
                  struct bytes encoded)
{
    struct fault fault;
    struct raft_message m;
    if (r->arrived != NULL && (r->waiter == RAFT_NONE || r->waiter == from)) {
        r->waiter = from; /* declined when it can begin again */
        r->waiter_id = id;
        return;
    }
    if (worker_is_busy(r->worker) || r->arrived != NULL) {
        decline(r, from, id); /* the one before is on its way into place */
        return;
    }
    if (r->taking) {
        clear(r); /* the sender began again */
    }
    if (raft_codec_decode(encoded, &m, &fault) != ST_OK) {
        log_warn("member %llx announces a state wrongly: %s",
                 (unsigned long long)from, fault.text);
        return;
    }
    if (m.type != RAFT_MSG_SNAPSHOT || m.snapshot == NULL ||
        m.to != r->options.identity.member_id) {
        raft_message_fini(&m);
        return;
    }
    raft_message_take(&r->message, &m);
    r->taking = true;
    r->received = 0;
    r->ended = false;
    r->from = from;
    r->id = id;
    r->moved_ns = loop_now_ns();
    log_info("taking the state of entry %llu from member %llx",
             (unsigned long long)r->message.snapshot->index,
             (unsigned long long)from);
    start(r, NULL);
}

static void add_piece(struct receiver *r, struct bytes bytes, bool is_last)
{
    if (r->ended) {
        return; /* said again after a connection was lost */
    }
    r->received += bytes.size;
    r->ended = is_last;
    if (r->waiting + bytes.size > 4 * TRANSFER_WINDOW) {
        give_up(r, "the sender does not wait for it to be taken");
        return;
    }
    struct piece *p = xcalloc(1, sizeof *p);
    p->is_last = is_last;
    if (!is_last) {
        p->bytes = payload_copy_of(bytes);
        r->waiting += bytes.size;
    }
    list_push(&r->pieces, &p->link);
    go_on(r);
}

/* The sender's connection was lost, and with it what was on the way. */
static void resume(struct receiver *r, uint64_t from, uint64_t id)
{
    const bool here = r->taking || (r->arrived != NULL && !r->told);
    const bool ours = here && !r->gave_up && from == r->from && id == r->id;
    struct buf frame = {0};
    write_u8(&frame, ours ? TRANSFER_AT : TRANSFER_FAILED);
    write_u64(&frame, id);
    if (ours) {
        write_u64(&frame, r->received);
        r->moved_ns = loop_now_ns();
    }
    (void)peers_send_bulk(r->options.peers, from, &frame);
}

void receiver_on_frame(struct receiver *r, uint64_t from,
                       enum transfer_frame what, struct bytes body)
{
    struct reader in = reader_of(body);
    const uint64_t id = read_u64(&in);
    if (!reader_ok(&in)) {
        return;
    }
    if (what == TRANSFER_BEGIN) {
        begin(r, from, id, in.left);
    } else if (what == TRANSFER_RESUME) {
        resume(r, from, id);
    } else if (r->taking && !r->gave_up && from == r->from && id == r->id) {
        add_piece(r, in.left, what == TRANSFER_END);
    }
}

void receiver_on_tick(struct receiver *r, int64_t now_ns)
{
    if (r->taking &&
        now_ns - r->moved_ns > TRANSFER_IDLE_MS * INT64_C(1000000)) {
        give_up(r, "nothing came for half a minute");
    } else if (r->arrived != NULL && !r->told &&
               now_ns - r->moved_ns > TRANSFER_SIGN_MS * INT64_C(1000000)) {
        r->moved_ns = now_ns;
        answer_nearly(r, r->received); /* it goes on */
    }
}

struct store_import *receiver_take(struct receiver *r, uint64_t index)
{
    if (r->arrived == NULL || r->arrived_index != index) {
        return NULL;
    }
    struct store_import *i = r->arrived;
    let_others(r);
    return i;
}

void receiver_drop(struct receiver *r)
{
    if (r->arrived == NULL) {
        return;
    }
    if (!r->told) {
        answer(r, TRANSFER_FAILED, 0);
        raft_message_fini(&r->message);
    }
    store_import_free(r->arrived);
    let_others(r);
}

enum status receiver_new(const struct receiver_options *options,
                         struct receiver **ret, struct fault *reterr)
{
    struct receiver *r = xcalloc(1, sizeof *r);
    r->options = *options;
    list_init(&r->pieces);
    const enum status st =
        worker_new(options->loop, "keelfs-receive", &r->worker, reterr);
    if (st != ST_OK) {
        free(r);
        return st;
    }
    const size_t size = strlen(options->store_path) + 1;
    r->path = xmalloc(size);
    memcpy(r->path, options->store_path, size);
    *ret = r;
    return ST_OK;
}

void receiver_free(struct receiver *r)
{
    if (r == NULL) {
        return;
    }
    worker_free(r->worker);
    if (r->working != NULL) {
        piece_free(r->working);
    }
    clear(r);
    store_import_free(r->arrived);
    free(r->path);
    free(r);
}

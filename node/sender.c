/* The sending end of a state's transfer.
 *
 *   IDLE -> READING <-> WAITING (for the window or the queue) -> ENDED -> IDLE
 *
 * A connection that is lost (`broken`) stops it anywhere; the receiver says how
 * much it has, the export seeks there, and it goes on.
 *
 * READING: a worker has the export.  A failure while it has it is carried out
 * when it comes back. */

#include <stdlib.h>

#include "base/codec.h"
#include "base/log.h"
#include "base/must.h"
#include "node/transfer.h"
#include "proto/raft_codec.h"

struct sender {
    struct sender_options options;
    struct worker *worker;
    struct worker_job job;

    struct store_export *export; /* NULL: idle */
    uint64_t member;             /* to whom */
    uint64_t id;                 /* of this transfer */
    uint64_t sent, taken;        /* bytes of the stream */
    int64_t moved_ns;
    bool gave_up; /* while the worker has the export */
    bool ended;   /* END was sent */
    bool
        broken; /* the connection was lost: RESUME until the receiver says AT */
    uint64_t at; /* ... where */

    struct buf piece; /* the worker's while it reads */
    bool piece_waits; /* read, not sent yet */
    bool piece_is_last;
    enum status status;
    struct fault fault;
};

static void read_piece(struct worker_job *job)
{
    struct sender *s = container_of(job, struct sender, job);
    write_u8(&s->piece, TRANSFER_DATA);
    write_u64(&s->piece, s->id);
    s->status =
        store_export_next(s->export, &s->piece, &s->piece_is_last, &s->fault);
}

static void on_at(struct sender *s, uint64_t at);

static void over(struct sender *s, bool ok)
{
    const uint64_t member = s->member;
    store_export_free(s->export);
    s->export = NULL;
    buf_clear(&s->piece);
    s->options.over(s->options.arg, member, ok);
}

static void give_up(struct sender *s, const char *why)
{
    if (s->export == NULL || s->gave_up) {
        return;
    }
    log_warn("the state for member %llx did not get there: %s",
             (unsigned long long)s->member, why);
    if (worker_is_busy(s->worker)) {
        s->gave_up = true;
    } else {
        over(s, false);
    }
}

static bool send_small(struct sender *s, enum transfer_frame what)
{
    struct buf frame = {0};
    write_u8(&frame, (uint8_t)what);
    write_u64(&frame, s->id);
    return peers_send_bulk(s->options.peers, s->member, &frame);
}

static void go_on(struct sender *s);

/* The frame goes with its buffer, so a full queue would lose it: the window is
 * smaller than the queue, and only this transfer uses it. */
static void send_piece(struct sender *s)
{
    const size_t size = s->piece.size - 9;
    s->piece_waits = false;
    if (!peers_send_bulk(s->options.peers, s->member, &s->piece)) {
        sender_on_lost(s, s->member);
        return;
    }
    s->sent += size;
    if (s->piece_is_last) {
        s->ended = true;
        if (!send_small(s, TRANSFER_END)) {
            sender_on_lost(s, s->member);
        }
        return;
    }
    go_on(s);
}

static void was_read(struct worker_job *job)
{
    struct sender *s = container_of(job, struct sender, job);
    if (s->gave_up) {
        over(s, false);
    } else if (s->broken) {
        buf_clear(&s->piece); /* read again from where it goes on */
    } else if (s->status != ST_OK) {
        give_up(s, s->fault.text);
    } else {
        s->piece_waits = true;
        go_on(s);
    }
}

static void go_on(struct sender *s)
{
    if (s->export == NULL || s->ended || s->broken ||
        worker_is_busy(s->worker) || s->sent - s->taken >= TRANSFER_WINDOW) {
        return;
    }
    if (s->piece_waits) {
        send_piece(s);
        return;
    }
    s->job = (struct worker_job){.run = read_piece, .done = was_read};
    worker_run(s->worker, &s->job);
}

static bool send_begin(struct sender *s, struct raft_message *m,
                       const struct store_transfer_info *info)
{
    struct raft_conf_state conf;
    if (!s->options.conf_at(s->options.arg, info->index, &conf)) {
        log_error("who were members at entry %llu is not known any more",
                  (unsigned long long)info->index);
        return false;
    }
    struct raft_snapshot *at =
        raft_snapshot_new(info->index, info->term, &conf, NULL);
    raft_snapshot_drop(m->snapshot);
    m->snapshot = at;
    struct buf frame = {0};
    write_u8(&frame, TRANSFER_BEGIN);
    write_u64(&frame, s->id);
    struct fault fault;
    if (raft_codec_encode(m, &frame, &fault) != ST_OK) {
        log_error("a snapshot message cannot be sent: %s", fault.text);
        buf_fini(&frame);
        return false;
    }
    return peers_send_bulk(s->options.peers, s->member, &frame);
}

bool sender_begin(struct sender *s, struct store *store,
                  struct raft_message *take, uint64_t *ret_index)
{
    struct fault fault;
    if (s->export != NULL) {
        raft_message_fini(take);
        return false;
    }
    const enum status st =
        store_export_begin(store, STORE_EXPORT_BLOCK_BYTES, &s->export, &fault);
    if (st != ST_OK) {
        log_error("the state cannot be sent: %s", fault.text);
        s->export = NULL;
        raft_message_fini(take);
        return false;
    }
    struct store_transfer_info info;
    store_export_info(s->export, &info);
    s->member = take->to;
    s->id++;
    s->sent = s->taken = 0;
    s->gave_up = s->ended = s->piece_waits = s->broken = false;
    s->moved_ns = loop_now_ns();
    const bool begun = send_begin(s, take, &info);
    raft_message_fini(take);
    if (!begun) {
        store_export_free(s->export);
        s->export = NULL;
        return false;
    }
    log_info("sending the state of entry %llu to member %llx",
             (unsigned long long)info.index, (unsigned long long)s->member);
    *ret_index = info.index;
    go_on(s);
    return true;
}

void sender_on_frame(struct sender *s, uint64_t from, enum transfer_frame what,
                     struct bytes body)
{
    struct reader r = reader_of(body);
    const uint64_t id = read_u64(&r);
    if (s->export == NULL || from != s->member || id != s->id || s->gave_up) {
        return; /* of an earlier one */
    }
    if (what == TRANSFER_FAILED) {
        give_up(s, "the receiver could not take it");
        return;
    }
    const uint64_t taken = read_u64(&r);
    if (what == TRANSFER_AT && reader_done(&r)) {
        on_at(s, taken);
        return;
    }
    if (!reader_done(&r) || taken < s->taken || taken > s->sent) {
        give_up(s, "the receiver's answer makes no sense");
        return;
    }
    s->taken = taken;
    s->moved_ns = loop_now_ns();
    if (s->ended && s->taken == s->sent) {
        log_info("member %llx has the state", (unsigned long long)s->member);
        over(s, true);
    } else {
        go_on(s);
    }
}

/* --- after a connection was lost --- */

static void seek(struct worker_job *job)
{
    struct sender *s = container_of(job, struct sender, job);
    s->status = store_export_seek(s->export, s->at, &s->fault);
}

static void has_sought(struct worker_job *job)
{
    struct sender *s = container_of(job, struct sender, job);
    if (s->gave_up) {
        over(s, false);
    } else if (s->status != ST_OK) {
        give_up(s, s->fault.text);
    } else if (!s->broken) { /* else it was lost again meanwhile */
        log_info("sending the state to member %llx goes on at byte %llu",
                 (unsigned long long)s->member, (unsigned long long)s->at);
        s->sent = s->at;
        go_on(s);
    }
}

/* What the receiver has is at least what it said it had taken, and at most what
 * was sent. */
static void on_at(struct sender *s, uint64_t at)
{
    if (!s->broken || worker_is_busy(s->worker)) {
        return; /* of an earlier question: it is asked again */
    }
    if (at < s->taken || at > s->sent) {
        give_up(s, "the receiver's answer makes no sense");
        return;
    }
    s->broken = false;
    s->at = at;
    s->moved_ns = loop_now_ns();
    s->job = (struct worker_job){.run = seek, .done = has_sought};
    worker_run(s->worker, &s->job);
}

void sender_on_lost(struct sender *s, uint64_t member)
{
    if (s->export == NULL || s->member != member || s->gave_up) {
        return;
    }
    s->broken = true;
    s->ended = false;
    if (s->piece_waits) {
        buf_clear(&s->piece);
        s->piece_waits = false;
    }
}

void sender_on_ready(struct sender *s, uint64_t member)
{
    if (s->export != NULL && s->member == member) {
        go_on(s);
    }
}

void sender_on_tick(struct sender *s, int64_t now_ns)
{
    if (s->export != NULL &&
        now_ns - s->moved_ns > TRANSFER_IDLE_MS * INT64_C(1000000)) {
        give_up(s, "nothing was taken for half a minute");
    } else if (s->export != NULL && s->broken && !s->gave_up) {
        (void)send_small(s, TRANSFER_RESUME); /* or with the next tick */
    }
}

bool sender_stop(struct sender *s)
{
    give_up(s, "this member takes another's state itself");
    return s->export == NULL;
}

enum status sender_new(const struct sender_options *options,
                       struct sender **ret, struct fault *reterr)
{
    struct sender *s = xcalloc(1, sizeof *s);
    s->options = *options;
    const enum status st =
        worker_new(options->loop, "keelfs-send", &s->worker, reterr);
    if (st != ST_OK) {
        free(s);
        return st;
    }
    *ret = s;
    return ST_OK;
}

void sender_free(struct sender *s)
{
    if (s == NULL) {
        return;
    }
    worker_free(s->worker);
    store_export_free(s->export);
    buf_fini(&s->piece);
    free(s);
}

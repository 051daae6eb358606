/* A connection's bytes.
 *
 * In: into one buffer, in which whole frames are handed on where they lie; the
 * beginning of the next one is moved to the front.  The buffer grows by
 * doubling as bytes arrive, whatever a length promises.
 *
 * Out: uv_try_write() with many frames at once.  What the system does not take
 * goes to uv_write(), which waits for room; until its callback nothing else is
 * written, so order is kept and there is one write in flight. */

#include "net/peer_conn.h"

#include <linux/sockios.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/must.h"
#include "net/loop_internal.h"

#define READ_SIZE_MIN    ((size_t)64 << 10)
#define READ_SIZE_MAX    ((size_t)256 << 10) /* then others have their turn */
#define IN_CAPACITY_KEPT ((size_t)1 << 20)
#define WRITE_FRAMES_MAX 256 /* in one writev, which takes 1024 pieces */

void peer_why(struct fault *ret, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(ret->text, sizeof ret->text, format, args);
    va_end(args);
}

/* --- queues --- */

void peer_queue_init(struct peer_queue *q)
{
    list_init(&q->frames);
    q->count = q->bytes = 0;
}

static size_t memory_of(const struct peer_out *f)
{
    return sizeof *f + f->body.capacity;
}

void peer_queue_push_take(struct peer_queue *q, enum peer_frame_type type,
                          struct buf *body)
{
    struct peer_out *f = xmalloc(sizeof *f);
    f->body = *body;
    *body = (struct buf){0};
    peer_header_put(f->header, type, buf_bytes(&f->body));
    list_push(&q->frames, &f->link);
    q->count++;
    q->bytes += memory_of(f);
}

void peer_queue_move(struct peer_queue *to, struct peer_queue *from)
{
    list_splice(&to->frames, &from->frames);
    to->count += from->count;
    to->bytes += from->bytes;
    from->count = from->bytes = 0;
}

static struct peer_out *first_of(const struct peer_queue *q)
{
    must(q->count > 0);
    return container_of(q->frames.next, struct peer_out, link);
}

static void drop_first(struct peer_queue *q)
{
    struct peer_out *f = first_of(q);
    list_remove(&f->link);
    q->count--;
    q->bytes -= memory_of(f);
    buf_fini(&f->body);
    free(f);
}

void peer_queue_clear(struct peer_queue *q)
{
    while (q->count > 0) {
        drop_first(q);
    }
    must(q->bytes == 0);
}

/* --- life --- */

struct peer_conn *peer_conn_new(struct loop *l, const struct peer_conn_ops *ops,
                                void *owner)
{
    struct peer_conn *c = xcalloc(1, sizeof *c);
    c->loop = l;
    c->ops = ops;
    c->owner = owner;
    c->frame_size_max = PEER_CONTROL_SIZE_MAX;
    peer_queue_init(&c->out);
    must(uv_tcp_init(&l->uv, &c->tcp) == 0); /* makes no system call */
    c->tcp.data = c;
    return c;
}

static void closed(uv_handle_t *handle)
{
    struct peer_conn *c = handle->data;
    peer_queue_clear(&c->out);
    buf_fini(&c->in);
    free(c);
}

void peer_conn_close(struct peer_conn *c)
{
    if (c != NULL && !c->closing) {
        c->closing = true;
        uv_close((uv_handle_t *)&c->tcp, closed);
    }
}

static void end(struct peer_conn *c, enum peer_end how, const struct fault *why)
{
    must(!c->closing);
    c->open = false;
    c->ops->end(c->owner, how, why);
}

static void end_by_error(struct peer_conn *c, const char *what, int error)
{
    struct fault fault;
    if (error == UV_EOF) {
        peer_why(&fault, "closed by the other side");
    } else {
        peer_why(&fault, "%s%s", what, uv_strerror(error));
    }
    end(c, PEER_END_CLOSED, &fault);
}

/* --- in --- */

/* The first frame in what arrived at `at`: its size with the header, 0 when it
 * is not whole yet, or SIZE_MAX when the connection is over. */
static size_t take_frame(struct peer_conn *c, size_t at)
{
    const struct bytes left = bytes_after(buf_bytes(&c->in), at);
    struct peer_header header;
    struct fault fault;
    if (left.size < PEER_HEADER_SIZE) {
        return 0;
    }
    if (peer_header_read(left.data, c->frame_size_max, &header, &fault) !=
        ST_OK) {
        end(c, PEER_END_MALFORMED, &fault);
        return SIZE_MAX;
    }
    if (left.size - PEER_HEADER_SIZE < header.size) {
        return 0;
    }
    const struct bytes body = {left.data + PEER_HEADER_SIZE, header.size};
    if (!peer_header_matches(left.data, body)) {
        peer_why(&fault, "a frame with a wrong checksum");
        end(c, PEER_END_MALFORMED, &fault);
        return SIZE_MAX;
    }
    c->ops->frame(c->owner, header.type, body);
    return c->closing ? SIZE_MAX : PEER_HEADER_SIZE + header.size;
}

static void take_frames(struct peer_conn *c)
{
    size_t at = 0, size;
    while ((size = take_frame(c, at)) != 0) {
        if (size == SIZE_MAX) {
            return;
        }
        at += size;
    }
    if (at > 0) {
        memmove(c->in.data, c->in.data + at, c->in.size - at);
        c->in.size -= at;
    }
    if (c->in.size == 0 && c->in.capacity > IN_CAPACITY_KEPT) {
        buf_fini(&c->in);
    }
}

static void make_room(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct peer_conn *c = handle->data;
    size_t room = c->frame_size_max + PEER_HEADER_SIZE;
    if (room > READ_SIZE_MIN) {
        room = READ_SIZE_MIN;
    }
    uint8_t *at = buf_reserve(&c->in, room);
    room = c->in.capacity - c->in.size;
    if (room > READ_SIZE_MAX) {
        room = READ_SIZE_MAX;
    }
    *ret = uv_buf_init((char *)at, (unsigned)room);
}

static void arrived(uv_stream_t *stream, ssize_t size, const uv_buf_t *unused)
{
    (void)unused; /* lies in c->in */
    struct peer_conn *c = stream->data;
    if (c->closing || !c->open) {
        return;
    }
    loop_count_event(c->loop);
    if (size < 0) {
        end_by_error(c, "cannot read: ", (int)size);
        return;
    }
    if (size > 0) {
        c->heard_ns = loop_now_ns();
        c->in.size += (size_t)size;
        take_frames(c);
    }
}

static MUST_USE enum status begin(struct peer_conn *c, struct fault *reterr)
{
    /* Small messages must not wait for the acknowledgement of others. */
    int error = uv_tcp_nodelay(&c->tcp, 1);
    if (error == 0) {
        error = uv_read_start((uv_stream_t *)&c->tcp, make_room, arrived);
    }
    if (error < 0) {
        return fault_sys(reterr, -error, "cannot use a connection");
    }
    c->open = true;
    c->heard_ns = loop_now_ns();
    return ST_OK;
}

static void connected(uv_connect_t *request, int error)
{
    struct peer_conn *c = container_of(request, struct peer_conn, connect);
    if (c->closing) {
        return;
    }
    loop_count_event(c->loop);
    struct fault fault;
    if (error < 0) {
        end_by_error(c, "", error);
    } else if (begin(c, &fault) != ST_OK) {
        end(c, PEER_END_CLOSED, &fault);
    } else {
        c->ops->connected(c->owner);
    }
}

enum status peer_conn_connect(struct peer_conn *c,
                              const struct sockaddr *address,
                              struct fault *reterr)
{
    const int error = uv_tcp_connect(&c->connect, &c->tcp, address, connected);
    if (error < 0) {
        return fault_sys(reterr, -error, "cannot connect");
    }
    return ST_OK;
}

enum status peer_conn_accept(struct peer_conn *c, uv_stream_t *listener,
                             struct fault *reterr)
{
    const int error = uv_accept(listener, (uv_stream_t *)&c->tcp);
    if (error < 0) {
        return fault_sys(reterr, -error, "cannot accept a connection");
    }
    return begin(c, reterr);
}

/* --- out --- */

/* Pieces of the first frames, without what has left already. */
static unsigned gather(const struct peer_conn *c,
                       uv_buf_t pieces[2 * WRITE_FRAMES_MAX], size_t *ret_size)
{
    unsigned count = 0;
    size_t skip = c->head_sent, size = 0, frames = 0;
    list_each (link, &c->out.frames) {
        struct peer_out *f = container_of(link, struct peer_out, link);
        if (frames++ == WRITE_FRAMES_MAX) {
            break;
        }
        struct {
            uint8_t *data;
            size_t size;
        } both[2] = {{f->header, sizeof f->header},
                     {f->body.data, f->body.size}};
        for (size_t i = 0; i < 2; i++) {
            const size_t less = skip < both[i].size ? skip : both[i].size;
            skip -= less;
            if (both[i].size > less) {
                pieces[count++] = uv_buf_init((char *)both[i].data + less,
                                              (unsigned)(both[i].size - less));
                size += both[i].size - less;
            }
        }
    }
    *ret_size = size;
    return count;
}

/* So many bytes more have left. */
static void consume(struct peer_conn *c, size_t size)
{
    c->written += size;
    c->head_sent += size;
    while (c->out.count > 0) {
        const struct peer_out *f = first_of(&c->out);
        const size_t whole = sizeof f->header + f->body.size;
        if (c->head_sent < whole) {
            break;
        }
        if (f->header[4] == PEER_FRAME_MESSAGE) {
            c->frames_sent++;
            c->bytes_sent += f->body.size;
        }
        c->head_sent -= whole;
        drop_first(&c->out);
    }
    must(c->out.count > 0 || c->head_sent == 0);
}

static void written(uv_write_t *request, int error)
{
    struct peer_conn *c = container_of(request, struct peer_conn, write);
    must(c->writing);
    c->writing = false;
    if (c->closing || !c->open) {
        return;
    }
    loop_count_event(c->loop);
    if (error < 0) {
        end_by_error(c, "cannot write: ", error);
        return;
    }
    consume(c, c->writing_size);
    c->ops->sent(c->owner);
    if (!c->closing) {
        (void)peer_conn_flush(c); /* the owner is told */
    }
}

/* What the system did not take now; false: the connection is over. */
static bool write_later(struct peer_conn *c)
{
    uv_buf_t pieces[2 * WRITE_FRAMES_MAX];
    const unsigned count = gather(c, pieces, &c->writing_size);
    const int error =
        uv_write(&c->write, (uv_stream_t *)&c->tcp, pieces, count, written);
    if (error < 0) {
        end_by_error(c, "cannot write: ", error);
        return false;
    }
    c->writing = true;
    return true;
}

bool peer_conn_flush(struct peer_conn *c)
{
    bool sent = false;
    while (c->open && !c->closing && !c->writing && c->out.count > 0) {
        uv_buf_t pieces[2 * WRITE_FRAMES_MAX];
        size_t size;
        const unsigned count = gather(c, pieces, &size);
        int done = uv_try_write((uv_stream_t *)&c->tcp, pieces, count);
        if (done == UV_EAGAIN) {
            done = 0;
        }
        if (done < 0) {
            end_by_error(c, "cannot write: ", done);
            return false;
        }
        sent |= done > 0;
        consume(c, (size_t)done);
        if ((size_t)done < size && !write_later(c)) {
            return false;
        }
    }
    if (sent) {
        c->ops->sent(c->owner);
    }
    return !c->closing;
}

bool peer_conn_moved(struct peer_conn *c)
{
    int fd, queued;
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0 ||
        ioctl(fd, SIOCOUTQ, &queued) != 0 || queued < 0) {
        return false;
    }
    uint64_t acked = c->written;
    if (c->writing) {
        acked += c->writing_size -
                 uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
    }
    acked -= (uint64_t)queued < acked ? (uint64_t)queued : acked;
    const bool moved = acked > c->acked;
    c->acked = acked;
    return moved;
}

#include "tests/sim/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "base/must.h"
#include "fs/internal.h"

/* Packets one behind the other, each after its size. */
struct queue {
    struct buf bytes;
    size_t first; /* where the next one begins */
};

struct wire {
    struct queue requests, replies;
};

static void begin(struct queue *q, size_t size)
{
    if (q->first == q->bytes.size) {
        buf_clear(&q->bytes);
        q->first = 0;
    }
    memcpy(buf_extend(&q->bytes, sizeof size), &size, sizeof size);
}

/* 0: there is none. */
static size_t take(struct queue *q, void *to, size_t room)
{
    size_t size;
    if (q->first == q->bytes.size) {
        return 0;
    }
    memcpy(&size, q->bytes.data + q->first, sizeof size);
    must(size > 0 && size <= room);
    memcpy(to, q->bytes.data + q->first + sizeof size, size);
    q->first += sizeof size + size;
    return size;
}

static ssize_t read_request(void *wire, void *to, size_t size)
{
    struct wire *w = wire;
    const size_t got = take(&w->requests, to, size);
    if (got == 0) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)got;
}

static ssize_t write_reply(void *wire, const struct iovec *parts, int count)
{
    struct wire *w = wire;
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        size += parts[i].iov_len;
    }
    begin(&w->replies, size);
    for (int i = 0; i < count; i++) {
        buf_append(&w->replies.bytes,
                   (struct bytes){parts[i].iov_base, parts[i].iov_len});
    }
    return (ssize_t)size;
}

void wire_send(struct wire *w, struct bytes head, struct bytes more,
               struct bytes most)
{
    begin(&w->requests, head.size + more.size + most.size);
    buf_append(&w->requests.bytes, head);
    buf_append(&w->requests.bytes, more);
    buf_append(&w->requests.bytes, most);
}

size_t wire_receive(struct wire *w, void *to, size_t room)
{
    return take(&w->replies, to, room);
}

void wire_attach(struct wire *w, struct fs *fs)
{
    fs->system.device = w;
    fs->system.read = read_request;
    fs->system.write = write_reply;
}

struct wire *wire_new(void)
{
    return xcalloc(1, sizeof(struct wire));
}

void wire_free(struct wire *w)
{
    if (w != NULL) {
        buf_fini(&w->requests.bytes);
        buf_fini(&w->replies.bytes);
        free(w);
    }
}

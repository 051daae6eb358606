/* The kernel's end of a mount. */

#include "tests/fuzz/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"
#include "fs/internal.h"
#include "fs/lease_dir.h"

#define ROUNDS_MAX 20000 /* more is a loop without an end */
#define ERRNO_MAX  4095

/* --- what the filesystem asks of the system --- */

static uint32_t group_of(uint32_t thread)
{
    return thread / 10 * 10;
}

static bool is_dying(uint32_t thread)
{
    return thread % 2 == 0;
}

static bool is_writing(uint32_t thread)
{
    return thread % 3 == 0;
}

/* --- what is known --- */

static void count_lookup(struct kernel *k, uint64_t id)
{
    size_t i = 0;
    while (i < k->nodes_count && k->nodes[i].id != id) {
        i++;
    }
    if (i == k->nodes_count) {
        if (k->nodes_count == k->nodes_capacity) {
            k->nodes_capacity = k->nodes_capacity * 2 + 16;
            k->nodes =
                xrealloc(k->nodes, k->nodes_capacity * sizeof k->nodes[0]);
        }
        k->nodes[k->nodes_count++] = (struct kernel_node){.id = id};
    }
    k->nodes[i].lookups++;
}

struct kernel_handle *kernel_handle_free(struct kernel *k)
{
    for (size_t i = 0; i < KERNEL_HANDLES; i++) {
        if (!k->handles[i].reserved) {
            return &k->handles[i];
        }
    }
    return NULL;
}

bool kernel_has_room(const struct kernel *k)
{
    size_t waiting = 0;
    for (size_t i = 0; i < KERNEL_REQUESTS; i++) {
        waiting += k->requests[i].unique != 0 ? 1 : 0;
    }
    return waiting < KERNEL_REQUESTS;
}

/* --- answers --- */

static void take_entry(struct kernel *k, struct bytes body)
{
    struct fuse_entry_out entry;
    must(body.size >= sizeof entry);
    memcpy(&entry, body.data, sizeof entry);
    must(entry.nodeid != 0 && entry.nodeid != FUSE_ROOT_ID);
    must(entry.attr.ino != 0 && entry.attr.nlink > 0);
    k->answer.node = entry.nodeid;
    count_lookup(k, entry.nodeid);
}

static void take_open(struct kernel *k, const struct kernel_request *q,
                      struct bytes body, uint64_t node)
{
    struct fuse_open_out out;
    struct kernel_handle *h = q->handle;
    must(body.size == sizeof out);
    memcpy(&out, body.data, sizeof out);
    must(h != NULL && h->reserved && !h->open);
    *h = (struct kernel_handle){.reserved = true,
                                .open = true,
                                .directory = q->opcode == FUSE_OPENDIR,
                                .node = node,
                                .handle = out.fh,
                                .flags = q->flags,
                                .pid = q->pid};
    k->answer.handle = h;
}

/* Whoever only reads sees one revision, and later ones that begin with what it
 * has seen. */
static void check_read(const struct kernel_request *q, struct bytes body)
{
    struct kernel_handle *h = q->handle;
    must(body.size <= q->size);
    if ((h->flags & O_ACCMODE) != O_RDONLY || h->node >= FS_LEASES_ID_FIRST ||
        q->offset >= KERNEL_VALUE) {
        return;
    }
    for (size_t i = 0; i < body.size; i++) {
        const uint64_t at = q->offset + i;
        must(at < KERNEL_VALUE);
        must(!h->is_seen[at] || h->seen[at] == body.data[i]);
        h->is_seen[at] = true;
        h->seen[at] = body.data[i];
    }
}

static void take_list(struct kernel *k, const struct kernel_request *q,
                      struct bytes body)
{
    const bool plus = q->opcode == FUSE_READDIRPLUS;
    must(body.size <= q->size);
    while (body.size > 0) {
        struct fuse_dirent e;
        if (plus) {
            struct fuse_entry_out entry;
            must(body.size >= sizeof entry);
            memcpy(&entry, body.data, sizeof entry);
            if (entry.nodeid != 0) {
                count_lookup(k, entry.nodeid);
            }
            body = bytes_after(body, sizeof entry);
        }
        must(body.size >= FUSE_NAME_OFFSET);
        memcpy(&e, body.data, FUSE_NAME_OFFSET);
        must(e.namelen > 0 && e.namelen <= 255);
        must(body.size >= FUSE_NAME_OFFSET + e.namelen);
        const uint8_t *name = body.data + FUSE_NAME_OFFSET;
        must(memchr(name, '/', e.namelen) == NULL);
        must(memchr(name, 0, e.namelen) == NULL);
        const size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + e.namelen);
        body = bytes_after(body, size < body.size ? size : body.size);
    }
}

static void take_success(struct kernel *k, const struct kernel_request *q,
                         struct bytes body)
{
    switch (q->opcode) {
    case FUSE_LOOKUP:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
        must(body.size == sizeof(struct fuse_entry_out));
        take_entry(k, body);
        break;
    case FUSE_CREATE:
        take_entry(k, body);
        take_open(k, q, bytes_after(body, sizeof(struct fuse_entry_out)),
                  k->answer.node);
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        take_open(k, q, body, q->node);
        break;
    case FUSE_READ:
        check_read(q, body);
        break;
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
        take_list(k, q, body);
        break;
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        must(body.size == sizeof(struct fuse_attr_out));
        break;
    case FUSE_WRITE:
    case FUSE_COPY_FILE_RANGE:
        must(body.size == sizeof(struct fuse_write_out));
        break;
    case FUSE_STATFS:
        must(body.size == sizeof(struct fuse_statfs_out));
        break;
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
        must(q->size != 0 ? body.size <= q->size
                          : body.size == sizeof(struct fuse_getxattr_out));
        break;
    default:
        must(body.size == 0);
    }
}

static void take_answer(struct kernel *k, const struct fuse_out_header *header,
                        struct bytes body)
{
    struct kernel_request *q = NULL;
    must(header->unique != 0); /* nothing is cached: nothing is invalidated */
    must(header->error <= 0 && header->error >= -ERRNO_MAX);
    for (size_t i = 0; i < KERNEL_REQUESTS && q == NULL; i++) {
        if (k->requests[i].unique == header->unique) {
            q = &k->requests[i];
        }
    }
    if (q == NULL) {
        /* Only an interrupt that came too early may be asked to come again. */
        must(header->error == -EAGAIN && k->interrupts > 0);
        k->interrupts--;
        return;
    }
    k->answer.unique = q->unique;
    k->answer.error = -header->error;
    k->answer.body = body;
    k->answer.node = 0;
    k->answer.handle = NULL;
    const struct kernel_request was = *q;
    q->unique = 0;
    if (was.handle != NULL && was.handle->open) {
        was.handle->in_flight--;
    }
    if (was.other != NULL) {
        was.other->in_flight--;
    }
    if (header->error == 0) {
        take_success(k, &was, body);
        if (was.opcode == FUSE_RELEASE || was.opcode == FUSE_RELEASEDIR) {
            was.handle->reserved = was.handle->open = false;
        }
    } else {
        must(body.size == 0);
        must(was.opcode != FUSE_RELEASE && was.opcode != FUSE_RELEASEDIR);
        if (was.handle != NULL && !was.handle->open) {
            was.handle->reserved = false; /* the open has failed */
        }
    }
}

static void take_answers(struct kernel *k)
{
    for (;;) {
        struct fuse_out_header header;
        const ssize_t size = recv(k->fd, k->packet, sizeof k->packet, 0);
        if (size <= 0) {
            return;
        }
        must((size_t)size >= sizeof header && (size_t)size < sizeof k->packet);
        memcpy(&header, k->packet, sizeof header);
        must(header.len == (size_t)size);
        take_answer(k, &header,
                    (struct bytes){k->packet + sizeof header,
                                   (size_t)size - sizeof header});
    }
}

void kernel_read(struct kernel *k)
{
    size_t rounds = 0;
    while (k->unread > 0) {
        must(++rounds < ROUNDS_MAX);
        const size_t count = fs_on_readable(k->fs, 0, k->now_ns);
        must(count > 0 && count <= k->unread);
        k->unread -= count;
    }
    take_answers(k);
}

void kernel_run(struct kernel *k)
{
    size_t rounds = 0;
    do {
        must(++rounds < ROUNDS_MAX);
        kernel_read(k);
    } while (fake_kv_pump(&k->kv));
    take_answers(k);
}

void kernel_pass(struct kernel *k, int64_t ms)
{
    k->now_ns += ms * 1000000;
    if (fs_deadline_ns(k->fs) <= k->now_ns) {
        fs_on_time(k->fs, k->now_ns);
    }
    kernel_read(k);
}

/* --- requests --- */

static void send_packet(struct kernel *k, struct fuse_in_header *header,
                        const void *head, size_t head_size, struct bytes tail)
{
    header->len = (uint32_t)(sizeof *header + head_size + tail.size);
    header->uid = header->gid = k->uid;
    must(header->len <= sizeof k->packet);
    memcpy(k->packet, header, sizeof *header);
    if (head_size > 0) {
        memcpy(k->packet + sizeof *header, head, head_size);
    }
    if (tail.size > 0) {
        memcpy(k->packet + sizeof *header + head_size, tail.data, tail.size);
    }
    must(send(k->fd, k->packet, header->len, 0) == (ssize_t)header->len);
    k->unread++;
}

uint64_t kernel_ask(struct kernel *k, const struct kernel_request *q,
                    const void *head, size_t head_size, struct bytes tail)
{
    struct kernel_request *place = NULL;
    for (size_t i = 0; i < KERNEL_REQUESTS && place == NULL; i++) {
        place = k->requests[i].unique == 0 ? &k->requests[i] : NULL;
    }
    must(place != NULL);
    *place = *q;
    place->unique = k->unique += 2;
    place->pid = k->pid;
    if (q->handle != NULL && q->handle->open) {
        q->handle->in_flight++;
    } else if (q->handle != NULL) {
        q->handle->reserved = true;
    }
    if (q->other != NULL) {
        q->other->in_flight++;
    }
    struct fuse_in_header header = {.opcode = q->opcode,
                                    .unique = place->unique,
                                    .nodeid = q->node,
                                    .pid = k->pid};
    send_packet(k, &header, head, head_size, tail);
    kernel_read(k);
    return header.unique;
}

void kernel_tell(struct kernel *k, uint32_t opcode, const void *head,
                 size_t head_size, struct bytes tail)
{
    struct fuse_in_header header = {.opcode = opcode, .unique = k->unique += 2};
    send_packet(k, &header, head, head_size, tail);
    kernel_read(k);
}

void kernel_forget(struct kernel *k, struct kernel_node *n, uint64_t lookups)
{
    must(lookups <= n->lookups);
    const struct fuse_forget_in in = {.nlookup = lookups};
    struct fuse_in_header header = {
        .opcode = FUSE_FORGET, .unique = k->unique += 2, .nodeid = n->id};
    n->lookups -= lookups;
    send_packet(k, &header, &in, sizeof in, BYTES_NONE);
    kernel_read(k);
}

void kernel_interrupt(struct kernel *k, uint64_t unique)
{
    const struct fuse_interrupt_in in = {.unique = unique};
    struct fuse_in_header header = {.opcode = FUSE_INTERRUPT,
                                    .unique = k->unique += 2};
    k->interrupts++;
    k->strays++;
    send_packet(k, &header, &in, sizeof in, BYTES_NONE);
    kernel_read(k);
}

bool kernel_release(struct kernel *k, struct kernel_handle *h)
{
    if (!h->open || h->in_flight > 0) {
        return false;
    }
    const struct fuse_release_in in = {.fh = h->handle, .flags = h->flags};
    const uint32_t pid = k->pid;
    k->pid = 0;
    (void)kernel_ask(k,
                     &(struct kernel_request){.opcode = h->directory
                                                            ? FUSE_RELEASEDIR
                                                            : FUSE_RELEASE,
                                              .node = h->node,
                                              .handle = h},
                     &in, sizeof in, BYTES_NONE);
    k->pid = pid;
    return true;
}

/* --- life --- */

void kernel_begin(struct kernel *k, const char *options)
{
    int fds[2];
    const int room = 1 << 20;
    memset(k, 0, offsetof(struct kernel, handles)); /* the rest is large */
    for (size_t i = 0; i < KERNEL_HANDLES; i++) {
        k->handles[i].reserved = k->handles[i].open = false;
    }
    k->nodes = xcalloc(1, sizeof k->nodes[0]);
    k->nodes[0].id = FUSE_ROOT_ID;
    k->nodes_count = k->nodes_capacity = 1;
    k->pid = 5000000;
    k->now_ns = 1000000000;
    fake_kv_init(&k->kv);
    k->kv.status.request_bytes_max = KERNEL_VALUE;
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                    fds) == 0);
    for (int i = 0; i < 2; i++) {
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    }
    struct fs_options o;
    struct fault fault;
    fs_options_default(&o);
    o.uid = o.gid = 0;
    must(fs_options_parse(options, &o, &fault) == ST_OK);
    must(fs_attach(&k->kv.kv, fds[0], &o, &k->fs, &fault) == ST_OK);
    k->fd = fds[1];
    k->fs->system = (struct fs_system){.thread_group = group_of,
                                       .is_dying = is_dying,
                                       .is_writing = is_writing};
    const struct fuse_init_in init = {
        .major = FUSE_KERNEL_VERSION,
        .minor = 31,
        .max_readahead = 65536,
        .flags = FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS |
                 FUSE_MAX_PAGES | FUSE_AUTO_INVAL_DATA};
    struct fuse_in_header header = {.opcode = FUSE_INIT, .unique = 1};
    send_packet(k, &header, &init, sizeof init, BYTES_NONE);
    must(fs_on_readable(k->fs, 0, k->now_ns) == 1);
    k->unread = 0;
    must(recv(k->fd, k->packet, sizeof k->packet, 0) > 0);
}

static bool is_quiet(const struct kernel *k)
{
    for (size_t i = 0; i < KERNEL_REQUESTS; i++) {
        if (k->requests[i].unique != 0) {
            return false;
        }
    }
    return true;
}

/* Nothing is held back and time passes: all deadlines. */
static void settle(struct kernel *k)
{
    k->kv.hold = false;
    for (int i = 0; i < 4; i++) {
        kernel_run(k);
        kernel_pass(k, 6000);
    }
    kernel_run(k);
}

static void check_empty(struct kernel *k)
{
    struct fs *fs = k->fs;
    must(list_is_empty(&fs->calls) && fs->calls_count == 0);
    must(list_is_empty(&fs->handles) && list_is_empty(&fs->listings));
    must(list_is_empty(&fs->controls) && list_is_empty(&fs->pending));
    must(heap_first(&fs->timers) == NULL);
    must(fs->renames_parked == 0);
    must(fs->nodes_by_id.count == 1 && fs->nodes_by_ino.count == 0);
    must(fs->root->holds == 0 && fs->root->mutations_parked == 0);
    for (size_t i = 1; i < k->nodes_count; i++) {
        enum fs_leases_part part;
        int64_t lease;
        const uint64_t id = k->nodes[i].id;
        if (fs_leases_has(id) && fs_leases_part_of(fs, id, &part, &lease)) {
            must(part == FS_LEASES_TOP || part == FS_LEASES_GRANT);
        }
    }
}

void kernel_end(struct kernel *k)
{
    k->kv.before_txn = NULL;
    k->kv.fail = ST_OK;
    k->kv.lies = 0;
    k->kv.status.writable = true;
    settle(k);
    must(is_quiet(k)); /* each request has been answered */
    while (k->strays > 0) {
        /* libfuse keeps an interrupt until a request comes after it. */
        k->strays--;
        (void)kernel_ask(k, &(struct kernel_request){.opcode = FUSE_STATFS},
                         NULL, 0, BYTES_NONE);
    }
    for (size_t i = 0; i < KERNEL_HANDLES; i++) {
        (void)kernel_release(k, &k->handles[i]);
    }
    settle(k);
    for (size_t i = 1; i < k->nodes_count; i++) {
        kernel_forget(k, &k->nodes[i], k->nodes[i].lookups);
    }
    must(is_quiet(k));
    check_empty(k);
    fs_free(k->fs);
    while (fake_kv_pump(&k->kv)) {
    }
    (void)close(k->fd);
    free(k->nodes);
    fake_kv_fini(&k->kv);
}

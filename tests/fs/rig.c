/* Raw FUSE requests over a socket pair. */

#include "tests/fs/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/must.h"

static uint32_t group_of(uint32_t thread)
{
    return thread / 10 * 10;
}

static bool always_dying(uint32_t thread)
{
    (void)thread;
    return true;
}

static bool never_writing(uint32_t thread)
{
    (void)thread;
    return false;
}

void rig_begin(struct rig *r, const char *options)
{
    int fds[2];
    const int room = 1 << 20;
    *r = (struct rig){.pid = PID_A};
    fake_kv_init(&r->kv);
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                    fds) == 0);
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    (void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    struct fs_options o;
    fs_options_default(&o);
    o.uid = o.gid = 0;
    struct fault fault = {{0}};
    if (fs_options_parse(options, &o, &fault) != ST_OK ||
        fs_attach(&r->kv.kv, fds[0], &o, &r->fs, &fault) != ST_OK) {
        fail_msg("%s", fault.text);
    }
    r->fd = fds[1];
    r->now_ns = 1000000000;
    r->fs->system = (struct fs_system){.thread_group = group_of,
                                       .is_dying = always_dying,
                                       .is_writing = never_writing};
    const struct fuse_init_in init = {
        .major = FUSE_KERNEL_VERSION,
        .minor = 31,
        .max_readahead = 65536,
        .flags = FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS |
                 FUSE_MAX_PAGES | FUSE_AUTO_INVAL_DATA};
    const struct rig_reply *reply =
        rig_call(r, FUSE_INIT, 0, &init, sizeof init, NULL, 0);
    EXPECT_INT(reply->error, 0);
}

void rig_end(struct rig *r)
{
    fs_free(r->fs);
    r->kv.hold = false;
    while (fake_kv_pump(&r->kv)) {
    }
    (void)close(r->fd);
    fake_kv_fini(&r->kv);
}

uint64_t rig_ask(struct rig *r, uint32_t opcode, uint64_t node,
                 const void *head, size_t head_size, const void *tail,
                 size_t tail_size)
{
    static uint8_t packet[256 * 1024];
    const struct fuse_in_header header = {
        .len = (uint32_t)(sizeof header + head_size + tail_size),
        .opcode = opcode,
        .unique = ++r->unique,
        .nodeid = node,
        .uid = r->uid,
        .gid = r->gid,
        .pid = r->pid};
    must(header.len <= sizeof packet);
    memcpy(packet, &header, sizeof header);
    if (head_size > 0) {
        memcpy(packet + sizeof header, head, head_size);
    }
    if (tail_size > 0) {
        memcpy(packet + sizeof header + head_size, tail, tail_size);
    }
    EXPECT_INT(send(r->fd, packet, header.len, 0), header.len);
    return header.unique;
}

void rig_read(struct rig *r)
{
    while (fs_on_readable(r->fs, r->fs == NULL ? -1 : 0, r->now_ns) > 0) {
    }
}

void rig_run(struct rig *r)
{
    bool any;
    do {
        rig_read(r);
        any = fake_kv_pump(&r->kv);
        if (fs_deadline_ns(r->fs) <= r->now_ns) {
            fs_on_time(r->fs, r->now_ns);
            any = true;
        }
    } while (any);
}

void rig_pass(struct rig *r, int64_t ms)
{
    r->now_ns += ms * 1000000;
    if (fs_deadline_ns(r->fs) <= r->now_ns) {
        fs_on_time(r->fs, r->now_ns);
    }
    rig_run(r);
}

struct rig_reply *rig_reply(struct rig *r)
{
    static struct rig_reply reply;
    static uint8_t packet[sizeof reply.body + sizeof(struct fuse_out_header)];
    struct fuse_out_header header;
    const ssize_t size = recv(r->fd, packet, sizeof packet, 0);
    reply = (struct rig_reply){.there = size > 0};
    if (!reply.there) {
        return &reply;
    }
    must((size_t)size >= sizeof header);
    memcpy(&header, packet, sizeof header);
    must(header.len == (size_t)size);
    reply.unique = header.unique;
    reply.error = -header.error;
    reply.size = (size_t)size - sizeof header;
    memcpy(reply.body, packet + sizeof header, reply.size);
    return &reply;
}

struct rig_reply *rig_call(struct rig *r, uint32_t opcode, uint64_t node,
                           const void *head, size_t head_size, const void *tail,
                           size_t tail_size)
{
    const uint64_t unique =
        rig_ask(r, opcode, node, head, head_size, tail, tail_size);
    rig_run(r);
    struct rig_reply *reply = rig_reply(r);
    EXPECT(reply->there);
    EXPECT_INT(reply->unique, unique);
    return reply;
}

int rig_lookup(struct rig *r, uint64_t parent, const char *name,
               struct fuse_entry_out *ret)
{
    const struct rig_reply *reply =
        rig_call(r, FUSE_LOOKUP, parent, NULL, 0, name, strlen(name) + 1);
    if (reply->error == 0 && ret != NULL) {
        memcpy(ret, reply->body, sizeof *ret);
    }
    return reply->error;
}

int rig_getattr(struct rig *r, uint64_t node, struct fuse_attr *ret)
{
    const struct fuse_getattr_in in = {.getattr_flags = 0};
    const struct rig_reply *reply =
        rig_call(r, FUSE_GETATTR, node, &in, sizeof in, NULL, 0);
    if (reply->error == 0) {
        struct fuse_attr_out out;
        memcpy(&out, reply->body, sizeof out);
        *ret = out.attr;
    }
    return reply->error;
}

int rig_open(struct rig *r, uint64_t node, uint32_t flags, uint64_t *ret)
{
    const struct fuse_open_in in = {.flags = flags};
    const struct rig_reply *reply =
        rig_call(r, FUSE_OPEN, node, &in, sizeof in, NULL, 0);
    if (reply->error == 0) {
        struct fuse_open_out out;
        memcpy(&out, reply->body, sizeof out);
        EXPECT((out.open_flags & FOPEN_DIRECT_IO) != 0);
        *ret = out.fh;
    }
    return reply->error;
}

int rig_create(struct rig *r, uint64_t parent, const char *name, uint32_t flags,
               uint64_t *ret_node, uint64_t *ret_handle)
{
    const struct fuse_create_in in = {.flags = flags | O_CREAT, .mode = 0644};
    const struct rig_reply *reply = rig_call(r, FUSE_CREATE, parent, &in,
                                             sizeof in, name, strlen(name) + 1);
    if (reply->error == 0) {
        struct fuse_entry_out entry;
        struct fuse_open_out out;
        memcpy(&entry, reply->body, sizeof entry);
        memcpy(&out, reply->body + sizeof entry, sizeof out);
        *ret_node = entry.nodeid;
        *ret_handle = out.fh;
    }
    return reply->error;
}

int rig_write(struct rig *r, uint64_t node, uint64_t handle, uint64_t offset,
              const char *text, uint32_t flags)
{
    const struct fuse_write_in in = {.fh = handle,
                                     .offset = offset,
                                     .size = (uint32_t)strlen(text),
                                     .flags = flags};
    const struct rig_reply *reply =
        rig_call(r, FUSE_WRITE, node, &in, sizeof in, text, in.size);
    if (reply->error == 0) {
        struct fuse_write_out out;
        memcpy(&out, reply->body, sizeof out);
        EXPECT_INT(out.size, in.size);
    }
    return reply->error;
}

int rig_flush(struct rig *r, uint64_t node, uint64_t handle)
{
    const struct fuse_flush_in in = {.fh = handle};
    return rig_call(r, FUSE_FLUSH, node, &in, sizeof in, NULL, 0)->error;
}

int rig_fsync(struct rig *r, uint64_t node, uint64_t handle)
{
    const struct fuse_fsync_in in = {.fh = handle};
    return rig_call(r, FUSE_FSYNC, node, &in, sizeof in, NULL, 0)->error;
}

int rig_release(struct rig *r, uint64_t node, uint64_t handle)
{
    const struct fuse_release_in in = {.fh = handle};
    const uint32_t pid = r->pid;
    r->pid = 0; /* as the kernel sends it */
    const int error =
        rig_call(r, FUSE_RELEASE, node, &in, sizeof in, NULL, 0)->error;
    r->pid = pid;
    return error;
}

int rig_mkdir(struct rig *r, uint64_t parent, const char *name, uint64_t *ret)
{
    const struct fuse_mkdir_in in = {.mode = 0755};
    const struct rig_reply *reply =
        rig_call(r, FUSE_MKDIR, parent, &in, sizeof in, name, strlen(name) + 1);
    if (reply->error == 0 && ret != NULL) {
        struct fuse_entry_out entry;
        memcpy(&entry, reply->body, sizeof entry);
        *ret = entry.nodeid;
    }
    return reply->error;
}

int rig_rmdir(struct rig *r, uint64_t parent, const char *name)
{
    return rig_call(r, FUSE_RMDIR, parent, NULL, 0, name, strlen(name) + 1)
        ->error;
}

int rig_unlink(struct rig *r, uint64_t parent, const char *name)
{
    return rig_call(r, FUSE_UNLINK, parent, NULL, 0, name, strlen(name) + 1)
        ->error;
}

int rig_rename(struct rig *r, uint64_t parent, const char *name,
               uint64_t other_parent, const char *other_name, uint32_t flags)
{
    char names[1024];
    const struct fuse_rename2_in in = {.newdir = other_parent, .flags = flags};
    const size_t first = strlen(name) + 1;
    const size_t second = strlen(other_name) + 1;
    memcpy(names, name, first);
    memcpy(names + first, other_name, second);
    return rig_call(r, FUSE_RENAME2, parent, &in, sizeof in, names,
                    first + second)
        ->error;
}

int rig_truncate(struct rig *r, uint64_t node, uint64_t handle, uint64_t size)
{
    const struct fuse_setattr_in in = {.valid = FATTR_SIZE |
                                                (handle != 0 ? FATTR_FH : 0),
                                       .fh = handle,
                                       .size = size};
    return rig_call(r, FUSE_SETATTR, node, &in, sizeof in, NULL, 0)->error;
}

void rig_forget(struct rig *r, uint64_t node, uint64_t lookups)
{
    const struct fuse_forget_in in = {.nlookup = lookups};
    (void)rig_ask(r, FUSE_FORGET, node, &in, sizeof in, NULL, 0);
    rig_run(r);
    EXPECT(!rig_reply(r)->there); /* it has no answer */
}

const char *rig_read_text(struct rig *r, uint64_t node, uint64_t handle)
{
    static char text[65536];
    const struct fuse_read_in in = {.fh = handle, .size = sizeof text - 1};
    const struct rig_reply *reply =
        rig_call(r, FUSE_READ, node, &in, sizeof in, NULL, 0);
    if (reply->error != 0) {
        (void)snprintf(text, sizeof text, "errno %d", reply->error);
        return text;
    }
    memcpy(text, reply->body, reply->size);
    text[reply->size] = 0;
    return text;
}

/* Appends the entries of one reply; returns the offset to go on from. */
static uint64_t list_entries(const struct rig_reply *reply, bool plus,
                             char *text, size_t size)
{
    uint64_t next = 0;
    const size_t skip = plus ? sizeof(struct fuse_entry_out) : 0;
    for (size_t at = 0; at < reply->size;) {
        struct fuse_dirent e;
        memcpy(&e, reply->body + at + skip, sizeof e);
        const char *name =
            (const char *)reply->body + at + skip + FUSE_NAME_OFFSET;
        next = e.off;
        at += skip + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + e.namelen);
        EXPECT(e.ino != 0);
        const size_t used = strlen(text);
        (void)snprintf(text + used, size - used, "%s%.*s%s",
                       used > 0 ? " " : "", (int)e.namelen, name,
                       e.type == 4 ? "/" : "");
    }
    return next;
}

const char *rig_list(struct rig *r, uint64_t node, uint32_t size, bool plus)
{
    static char text[1 << 20];
    const struct fuse_open_in open_in = {.flags = 0};
    const struct rig_reply *reply =
        rig_call(r, FUSE_OPENDIR, node, &open_in, sizeof open_in, NULL, 0);
    if (reply->error != 0) {
        (void)snprintf(text, sizeof text, "errno %d", reply->error);
        return text;
    }
    struct fuse_open_out out;
    memcpy(&out, reply->body, sizeof out);
    struct fuse_read_in in = {.fh = out.fh, .size = size};
    text[0] = 0;
    for (;;) {
        reply = rig_call(r, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in,
                         sizeof in, NULL, 0);
        EXPECT_INT(reply->error, 0);
        if (reply->size == 0) {
            break;
        }
        in.offset = list_entries(reply, plus, text, sizeof text);
    }
    const struct fuse_release_in release_in = {.fh = out.fh};
    EXPECT_INT(rig_call(r, FUSE_RELEASEDIR, node, &release_in,
                        sizeof release_in, NULL, 0)
                   ->error,
               0);
    return text;
}

uint64_t rig_walk(struct rig *r, const char *path)
{
    uint64_t node = FUSE_ROOT_ID;
    while (*path != 0) {
        char name[256];
        const size_t size = strcspn(path, "/");
        must(size < sizeof name);
        memcpy(name, path, size);
        name[size] = 0;
        struct fuse_entry_out entry;
        EXPECT_INT(rig_lookup(r, node, name, &entry), 0);
        node = entry.nodeid;
        path += size;
        path += *path == '/' ? 1 : 0;
    }
    return node;
}

const char *rig_value(struct rig *r, const char *key)
{
    static char text[65536];
    const struct fake_version *v = fake_get(&r->kv, key);
    if (v == NULL) {
        return "-";
    }
    memcpy(text, v->value.data, v->value.size);
    text[v->value.size] = 0;
    return text;
}

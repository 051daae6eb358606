/* The kernel's end of a mount: packets, and what belongs to the mount. */

#include "tests/sim/mount.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>

#include "base/must.h"
#include "fs/internal.h"
#include "tests/sim/crew.h"
#include "tests/sim/internal.h"
#include "tests/sim/told.h"
#include "tests/sim/wire.h"

#define ASKERS_MAX 64
#define PACKET_MAX (256 * 1024)

struct mount {
    struct fs *fs;
    struct wire *wire;
    struct kernel *kernel;
    struct crew *crew;
    struct told *told;
    uint64_t count; /* of requests */
    size_t waiting; /* askers */
    bool asked;     /* by others than helpers */
    bool unread;    /* requests were sent that it may not have read */
    struct fuse_asker *askers[ASKERS_MAX];
    uint64_t waits_for[ASKERS_MAX];                /* unique of the request */
    uint8_t packet[PACKET_MAX], reply[PACKET_MAX]; /* sent; received last */
};

/* Pids of the simulation are none of this machine's. */
static uint32_t group_of(uint32_t thread)
{
    return thread;
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

static void send_request(struct mount *m, uint32_t opcode, uint64_t node,
                         uint64_t unique, uint32_t pid, struct bytes head,
                         struct bytes tail)
{
    const struct fuse_in_header header = {
        .len = (uint32_t)(sizeof header + head.size + tail.size),
        .opcode = opcode,
        .unique = unique,
        .nodeid = node,
        .pid = pid};
    m->unread = true;
    wire_send(m->wire, (struct bytes){(const uint8_t *)&header, sizeof header},
              head, tail);
}

void mount_ask(struct mount *m, struct fuse_asker *a, uint32_t opcode,
               uint64_t node, struct bytes head, struct bytes tail,
               fuse_reply *on_reply)
{
    must(a->on_reply == NULL && a->number < ASKERS_MAX);
    a->on_reply = on_reply;
    m->waiting++;
    m->asked |= a->number < ASKER_HELPERS;
    m->askers[a->number] = a;
    m->waits_for[a->number] = ++m->count * ASKERS_MAX + a->number;
    send_request(m, opcode, node, m->waits_for[a->number], a->pid, head, tail);
}

void mount_tell(struct mount *m, uint32_t opcode, uint64_t node,
                struct bytes head)
{
    /* Nobody's number stands behind it: no asker waits for 0. */
    send_request(m, opcode, node, ++m->count * ASKERS_MAX + ASKERS_MAX - 1, 0,
                 head, BYTES_NONE);
}

static bool take_reply(struct mount *m)
{
    struct fuse_out_header header;
    const size_t size = wire_receive(m->wire, m->reply, sizeof m->reply);
    if (size == 0) {
        return false;
    }
    must(size >= sizeof header);
    memcpy(&header, m->reply, sizeof header);
    const size_t number = header.unique % ASKERS_MAX;
    struct fuse_asker *a = m->askers[number];
    if (a != NULL && m->waits_for[number] == header.unique) {
        fuse_reply *on_reply = a->on_reply;
        a->on_reply = NULL;
        m->askers[number] = NULL;
        m->waiting--;
        on_reply(
            a, -header.error,
            (struct bytes){m->reply + sizeof header, size - sizeof header});
    }
    return true;
}

bool mount_turn(struct mount *m, int64_t now_ns)
{
    bool any = false;
    if (fs_deadline_ns(m->fs) <= now_ns) {
        fs_on_time(m->fs, now_ns);
        any = true;
    }
    while (m->unread) {
        m->unread = fs_on_readable(m->fs, 0, now_ns) > 0;
        any = true;
    }
    while (m->waiting > 0 && take_reply(m)) {
        any = true;
    }
    return any;
}

/* How changes of elsewhere are shown. */
static enum fs_events draw_events(struct sim *s)
{
    static const enum fs_events all[] = {FS_EVENTS_AUTO,  FS_EVENTS_AUTO,
                                         FS_EVENTS_AUTO,  FS_EVENTS_AUTO,
                                         FS_EVENTS_WRITE, FS_EVENTS_RENAME};
    return all[prng_below(&s->prng, count_of(all))];
}

static struct fs *attach(struct member *member, int fd)
{
    struct fs_options o;
    struct fault fault;
    struct fs *fs;
    fs_options_default(&o);
    o.uid = o.gid = 0;
    o.events = draw_events(member->sim);
    o.publish_idle_ms = 0; /* a value is whole, however long its writer takes */
    must(fs_attach(replica_kv(member->replica), fd, &o, &fs, &fault) == ST_OK);
    fs->system = (struct fs_system){.thread_group = group_of,
                                    .is_dying = always_dying,
                                    .is_writing = never_writing};
    return fs;
}

struct mount *mount_new(struct member *member, int64_t now_ns)
{
    struct mount *m = xcalloc(1, sizeof *m);
    /* libfuse wants a descriptor; nothing goes through this one. */
    const int none = open("/dev/null", O_RDWR | O_CLOEXEC);
    must(none >= 0);
    m->fs = attach(member, none);
    m->wire = wire_new();
    wire_attach(m->wire, m->fs);
    m->kernel = kernel_new(member, m);
    m->crew = crew_new(member->sim, m->kernel, m->fs);
    m->told = told_new(member->sim, m);
    const struct fuse_init_in init = {
        .major = FUSE_KERNEL_VERSION,
        .minor = 31,
        .max_readahead = 65536,
        .flags = FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS |
                 FUSE_MAX_PAGES | FUSE_AUTO_INVAL_DATA | FUSE_PARALLEL_DIROPS};
    mount_tell(m, FUSE_INIT, 0,
               (struct bytes){(const uint8_t *)&init, sizeof init});
    (void)mount_turn(m, now_ns);
    return m;
}

bool mount_has_asked(struct mount *m)
{
    const bool asked = m->asked;
    m->asked = false;
    return asked;
}

struct kernel *mount_kernel(struct mount *m)
{
    return m->kernel;
}

void mount_check_end(struct mount *m)
{
    told_check_end(m->told);
}

void mount_free(struct mount *m)
{
    if (m == NULL) {
        return;
    }
    fs_free(m->fs);
    wire_free(m->wire);
    crew_free(m->crew);
    told_free(m->told);
    kernel_free(m->kernel);
    free(m);
}

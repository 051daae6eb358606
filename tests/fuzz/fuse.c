/* Requests of a kernel: the input is a list of them, of what the store does
 * meanwhile, and of time; tests/fuzz/kernel.h holds what a kernel guarantees,
 * and checks each answer. */

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>

#include "base/must.h"
#include "fs/control.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/kernel.h"

#define STEPS_MAX 400

static struct kernel kernel;
static struct fuzz_input in;

/* --- what requests are made of --- */

static const char *const names[] = {
    "a",    "b",    "c",     "d",       "%value", "%",     "%root",
    "a%",   "%2Fa", "a%2Fb", ".keelfs", "leases", "grant", "status",
    "1001", "ttl",  "keys",  "%41",     ".",      "..",    "x%00"};

/* A name with its end, in `to`. */
static void add_name(struct buf *to)
{
    const uint8_t which = fuzz_byte(&in);
    if (which < 192) {
        buf_append(to, bytes_of(names[which % count_of(names)]));
    } else if (which < 200) {
        buf_resize(to, to->size + 200 + which);
        memset(to->data + to->size - 200 - which, 'n', 200 + which);
    } else {
        const struct bytes raw = fuzz_bytes(&in, which - 200U);
        for (size_t i = 0; i < raw.size && raw.data[i] != 0; i++) {
            buf_append_byte(to, raw.data[i]);
        }
    }
    buf_append_byte(to, 0);
}

static uint64_t number(size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | fuzz_byte(&in);
    }
    return value;
}

static uint64_t some_node(void)
{
    const uint8_t which = fuzz_byte(&in);
    if (which < 240) {
        return kernel.nodes[which % kernel.nodes_count].id;
    }
    if (which < 248) {
        return FS_CONTROL_ID_FIRST + which - 240U;
    }
    return which < 252 ? FS_LEASES_ID_FIRST + which - 248U : number(8);
}

static uint64_t some_offset(void)
{
    const uint8_t which = fuzz_byte(&in);
    if (which < 200) {
        return which;
    }
    return which < 240 ? number(2) : which < 250 ? number(4) : number(8);
}

static uint32_t some_size(void)
{
    static const uint32_t sizes[] = {0, 1, 23, 32, 160, 4096, 65536, 131072};
    return sizes[fuzz_byte(&in) % count_of(sizes)];
}

static struct kernel_handle *some_handle(bool directory)
{
    const size_t from = fuzz_byte(&in);
    for (size_t i = 0; i < KERNEL_HANDLES; i++) {
        struct kernel_handle *h = &kernel.handles[(from + i) % KERNEL_HANDLES];
        if (h->open && h->directory == directory) {
            return h;
        }
    }
    return NULL;
}

/* --- requests by names --- */

static void by_name(uint32_t opcode, const void *head, size_t head_size)
{
    struct buf tail = {0};
    const struct kernel_request q = {.opcode = opcode, .node = some_node()};
    add_name(&tail);
    if (opcode == FUSE_RENAME || opcode == FUSE_RENAME2 ||
        opcode == FUSE_SYMLINK) {
        add_name(&tail);
    }
    (void)kernel_ask(&kernel, &q, head, head_size, buf_bytes(&tail));
    buf_fini(&tail);
}

static void rename_name(void)
{
    const struct fuse_rename2_in body = {.newdir = some_node(),
                                         .flags = fuzz_byte(&in) % 8};
    by_name(FUSE_RENAME2, &body, sizeof body);
}

static void make(uint32_t opcode)
{
    if (opcode == FUSE_MKDIR) {
        const struct fuse_mkdir_in body = {.mode = 0755};
        by_name(opcode, &body, sizeof body);
    } else {
        const struct fuse_mknod_in body = {.mode = (uint32_t)number(2)};
        by_name(opcode, &body, sizeof body);
    }
}

static void get_attribute(uint32_t opcode)
{
    static const char *const attributes[] = {
        "user.keelfs.ttl",     "user.keelfs.lease",    "user.keelfs.attach",
        "user.keelfs.key",     "user.keelfs.revision", "user.other",
        "security.capability", "user.keelfs.version"};
    static const char *const values[] = {"10", "0", "1001", "0x1000", "-1"};
    struct buf tail = {0};
    struct kernel_request q = {.opcode = opcode, .node = some_node()};
    const uint8_t which = fuzz_byte(&in);
    buf_append(&tail, bytes_of(attributes[which % count_of(attributes)]));
    buf_append_byte(&tail, 0);
    if (opcode == FUSE_SETXATTR) {
        const size_t name_size = tail.size;
        buf_append(&tail, which < 200
                              ? bytes_of(values[which / 8 % count_of(values)])
                              : fuzz_bytes(&in, which - 200U));
        /* The first fields: what follows them was added later. */
        const uint32_t body[2] = {(uint32_t)(tail.size - name_size), 0};
        (void)kernel_ask(&kernel, &q, body, sizeof body, buf_bytes(&tail));
    } else if (opcode == FUSE_REMOVEXATTR) {
        (void)kernel_ask(&kernel, &q, NULL, 0, buf_bytes(&tail));
    } else {
        const struct fuse_getxattr_in body = {.size = q.size = some_size()};
        (void)kernel_ask(&kernel, &q, &body, sizeof body,
                         opcode == FUSE_GETXATTR ? buf_bytes(&tail)
                                                 : BYTES_NONE);
    }
    buf_fini(&tail);
}

/* --- files --- */

static uint32_t open_flags(void)
{
    static const uint32_t access[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
    static const uint32_t rest[] = {
        0, O_TRUNC, O_APPEND, O_DSYNC, O_TRUNC | O_APPEND, O_SYNC, 0, O_EXCL};
    const uint8_t which = fuzz_byte(&in);
    return access[which % 4] | rest[which / 4 % 8];
}

static void open_file(uint32_t opcode)
{
    struct kernel_handle *h = kernel_handle_free(&kernel);
    if (h == NULL) {
        return;
    }
    const uint32_t flags = opcode == FUSE_OPENDIR ? 0 : open_flags();
    const struct kernel_request q = {
        .opcode = opcode, .node = some_node(), .flags = flags, .handle = h};
    if (opcode == FUSE_CREATE) {
        const struct fuse_create_in body = {.flags = flags | O_CREAT,
                                            .mode = 0644};
        struct buf tail = {0};
        add_name(&tail);
        (void)kernel_ask(&kernel, &q, &body, sizeof body, buf_bytes(&tail));
        buf_fini(&tail);
    } else {
        const struct fuse_open_in body = {.flags = flags};
        (void)kernel_ask(&kernel, &q, &body, sizeof body, BYTES_NONE);
    }
}

static void write_file(struct kernel_request *q)
{
    static uint8_t data[10000];
    const uint8_t how = fuzz_byte(&in);
    const size_t size = how < 240 ? how : number(2) % sizeof data;
    memset(data, 'A' + how % 26, size);
    const struct fuse_write_in body = {
        .fh = q->handle->handle,
        .offset = (q->handle->flags & O_APPEND) != 0 ? size : some_offset(),
        .size = (uint32_t)size,
        .flags = q->handle->flags};
    (void)kernel_ask(&kernel, q, &body, sizeof body,
                     (struct bytes){data, size});
}

static void read_or_write(uint32_t opcode)
{
    struct kernel_request q = {
        .opcode = opcode,
        .handle =
            some_handle(opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS)};
    if (q.handle == NULL) {
        return;
    }
    q.node = q.handle->node;
    if (opcode == FUSE_WRITE) {
        write_file(&q);
        return;
    }
    q.offset = some_offset();
    q.size = some_size();
    const struct fuse_read_in body = {.fh = q.handle->handle,
                                      .offset = q.offset,
                                      .size = q.size,
                                      .flags = q.handle->flags};
    (void)kernel_ask(&kernel, &q, &body, sizeof body, BYTES_NONE);
}

static void flush_or_sync(uint32_t opcode)
{
    const struct kernel_request q = {
        .opcode = opcode, .handle = some_handle(opcode == FUSE_FSYNCDIR)};
    if (q.handle == NULL) {
        return;
    }
    struct kernel_request at = q;
    at.node = q.handle->node;
    if (opcode == FUSE_FLUSH) {
        const struct fuse_flush_in body = {.fh = q.handle->handle};
        (void)kernel_ask(&kernel, &at, &body, sizeof body, BYTES_NONE);
    } else {
        const struct fuse_fsync_in body = {.fh = q.handle->handle};
        (void)kernel_ask(&kernel, &at, &body, sizeof body, BYTES_NONE);
    }
}

static void allocate(void)
{
    struct kernel_request q = {.opcode = FUSE_FALLOCATE,
                               .handle = some_handle(false)};
    if (q.handle == NULL) {
        return;
    }
    q.node = q.handle->node;
    const struct fuse_fallocate_in body = {.fh = q.handle->handle,
                                           .offset = some_offset() >> 1,
                                           .length = (some_offset() >> 1) + 1,
                                           .mode = fuzz_byte(&in) % 64};
    (void)kernel_ask(&kernel, &q, &body, sizeof body, BYTES_NONE);
}

static void copy_range(void)
{
    struct kernel_request q = {.opcode = FUSE_COPY_FILE_RANGE,
                               .handle = some_handle(false),
                               .other = some_handle(false)};
    if (q.handle == NULL) {
        return;
    }
    q.node = q.handle->node;
    const struct fuse_copy_file_range_in body = {.fh_in = q.handle->handle,
                                                 .off_in = some_offset(),
                                                 .nodeid_out = q.other->node,
                                                 .fh_out = q.other->handle,
                                                 .off_out = some_offset(),
                                                 .len = some_size()};
    (void)kernel_ask(&kernel, &q, &body, sizeof body, BYTES_NONE);
}

/* --- attributes --- */

static void get_attr(void)
{
    struct kernel_request q = {.opcode = FUSE_GETATTR, .node = some_node()};
    struct fuse_getattr_in body = {.getattr_flags = 0};
    if (fuzz_byte(&in) % 2 == 0) {
        q.handle = some_handle(false);
    }
    if (q.handle != NULL) {
        q.node = q.handle->node;
        body.getattr_flags = FUSE_GETATTR_FH;
        body.fh = q.handle->handle;
    }
    (void)kernel_ask(&kernel, &q, &body, sizeof body, BYTES_NONE);
}

static void set_attr(void)
{
    struct kernel_request q = {.opcode = FUSE_SETATTR, .node = some_node()};
    struct fuse_setattr_in body = {.valid = (uint32_t)number(2) &
                                            ~(uint32_t)FATTR_FH,
                                   .size = some_offset(),
                                   .mode = 0600,
                                   .uid = 7};
    struct kernel_handle *h =
        fuzz_byte(&in) % 2 == 0 ? some_handle(false) : NULL;
    if (h != NULL && (h->flags & O_ACCMODE) != O_RDONLY) {
        q.handle = h;
        q.node = h->node;
        body.valid |= FATTR_FH;
        body.fh = h->handle;
    }
    (void)kernel_ask(&kernel, &q, &body, sizeof body, BYTES_NONE);
}

static void plain(void)
{
    static const uint32_t opcodes[] = {FUSE_STATFS, FUSE_READLINK, FUSE_ACCESS};
    const uint8_t which = fuzz_byte(&in);
    const struct kernel_request q = {
        .opcode = opcodes[which % count_of(opcodes)], .node = some_node()};
    const struct fuse_access_in body = {.mask = which / 4 % 8};
    (void)kernel_ask(&kernel, &q, &body,
                     q.opcode == FUSE_ACCESS ? sizeof body : 0, BYTES_NONE);
}

/* Any body for what libfuse takes apart by itself, and operations there are
 * none of. Those are left out whose bodies a kernel vouches for. */
static void raw(void)
{
    static const uint32_t opcodes[] = {
        FUSE_LOOKUP,  FUSE_SYMLINK,      FUSE_MKNOD,  FUSE_MKDIR,
        FUSE_UNLINK,  FUSE_RMDIR,        FUSE_RENAME, FUSE_LINK,
        FUSE_STATFS,  FUSE_READLINK,     FUSE_ACCESS, FUSE_RENAME2,
        FUSE_GETLK,   FUSE_SETLK,        FUSE_SETLKW, FUSE_BMAP,
        FUSE_IOCTL,   FUSE_POLL,         FUSE_LSEEK,  FUSE_REMOVEXATTR,
        FUSE_OPENDIR, FUSE_SETUPMAPPING, FUSE_SYNCFS, FUSE_TMPFILE};
    const uint8_t which = fuzz_byte(&in);
    struct kernel_request q = {
        .opcode =
            which < 200 ? opcodes[which % count_of(opcodes)] : 54U + which,
        .node = some_node()};
    struct buf body = {0};
    buf_append(&body, fuzz_bytes(&in, fuzz_byte(&in) % 80));
    buf_resize(&body, body.size + 128); /* whatever is read there has an end */
    if (q.opcode == FUSE_OPENDIR) {
        q.handle = kernel_handle_free(&kernel);
    }
    if (q.opcode != FUSE_OPENDIR || q.handle != NULL) {
        (void)kernel_ask(&kernel, &q, NULL, 0, buf_bytes(&body));
    }
    buf_fini(&body);
}

/* --- what has no answer --- */

static void forget(void)
{
    struct kernel_node *n = &kernel.nodes[fuzz_byte(&in) % kernel.nodes_count];
    if (n->lookups > 0) {
        kernel_forget(&kernel, n, 1 + fuzz_byte(&in) % n->lookups);
    }
}

/* A flood of them, of nodes that are there and of some that never were. */
static void forget_many(void)
{
    struct fuse_forget_one ones[32];
    uint32_t count = 0;
    for (size_t i = fuzz_byte(&in); i < kernel.nodes_count && count < 30; i++) {
        struct kernel_node *n = &kernel.nodes[i];
        ones[count++] =
            (struct fuse_forget_one){.nodeid = n->id, .nlookup = n->lookups};
        n->lookups = 0;
    }
    ones[count++] =
        (struct fuse_forget_one){.nodeid = 1ULL << 40, .nlookup = 9};
    const struct fuse_batch_forget_in body = {.count = count};
    kernel_tell(&kernel, FUSE_BATCH_FORGET, &body, sizeof body,
                (struct bytes){(const uint8_t *)ones, count * sizeof ones[0]});
}

static void interrupt(void)
{
    const uint8_t which = fuzz_byte(&in);
    const struct kernel_request *q = &kernel.requests[which % KERNEL_REQUESTS];
    if (q->unique != 0) {
        kernel_interrupt(&kernel, q->unique);
    } else if (which >= 250) {
        kernel_interrupt(&kernel, kernel.unique + which);
    }
}

/* --- the store --- */

static void change_elsewhere(struct fake_kv *f)
{
    static const char *const keys[] = {"/a",  "/b",   "/c",     "/a/b", "/b/a",
                                       "/d/", "/d/c", "/d/c/a", "/a/",  "/%"};
    static const char *const values[] = {"", "one", "the second", "one more"};
    const uint8_t what = fuzz_byte(&in);
    const char *key = keys[what % count_of(keys)];
    const char *to = keys[fuzz_byte(&in) % count_of(keys)];
    if (what < 128) {
        (void)fake_put(f, key, values[what / 32]);
    } else if (what < 200) {
        (void)fake_delete(f, key);
    } else if (what < 216 && strcmp(key, to) != 0) {
        (void)fake_move(f, key, to, false, what % 2 == 0);
    } else if (what < 232) {
        (void)fake_move(f, "/d/", what % 2 == 0 ? "/c/" : "/b/e/", true, false);
    } else {
        (void)fake_revoke(f, 0x1000 + what % 3);
    }
}

static void store_step(void)
{
    static const enum status fails[] = {ST_OK,        ST_OK,       ST_TIMEOUT,
                                        ST_NO_LEADER, ST_NO_SPACE, ST_CORRUPT,
                                        ST_TOO_MANY,  ST_CANCELED};
    struct fake_kv *f = &kernel.kv;
    const uint8_t what = fuzz_byte(&in);
    switch (what % 8) {
    case 0:
        f->hold = !f->hold;
        break;
    case 1:
        (void)fake_kv_answer_one(f);
        break;
    case 2:
        f->fail = fails[what / 8 % count_of(fails)];
        break;
    case 3:
        f->lie = what < 128 ? ST_TIMEOUT : ST_CANCELED;
        f->lies = 1;
        break;
    case 4:
        f->presumes = !f->presumes;
        f->status.header.raft_term += what / 128;
        break;
    case 5:
        f->status.writable = what < 200;
        break;
    case 6:
        f->before_txn = change_elsewhere;
        break;
    default:
        change_elsewhere(f);
    }
    kernel_read(&kernel);
}

static void step(uint8_t what)
{
    static const uint32_t by_names[] = {FUSE_LOOKUP, FUSE_UNLINK, FUSE_RMDIR};
    static const uint32_t opens[] = {FUSE_OPEN, FUSE_CREATE, FUSE_CREATE,
                                     FUSE_OPENDIR};
    static const uint32_t moves[] = {FUSE_READ, FUSE_WRITE, FUSE_WRITE,
                                     FUSE_READDIR, FUSE_READDIRPLUS};
    static const uint32_t syncs[] = {FUSE_FLUSH, FUSE_FSYNC, FUSE_FSYNCDIR};
    static const uint32_t attributes[] = {FUSE_SETXATTR, FUSE_GETXATTR,
                                          FUSE_LISTXATTR, FUSE_REMOVEXATTR};
    const uint8_t more = what / 16;
    switch (what % 16) {
    case 0:
        by_name(by_names[more % 3], NULL, 0);
        break;
    case 1:
        rename_name();
        break;
    case 2:
        make(more % 2 == 0 ? FUSE_MKDIR : FUSE_MKNOD);
        break;
    case 3:
    case 4:
        open_file(opens[more % 4]);
        break;
    case 5:
    case 6:
        read_or_write(moves[more % 5]);
        break;
    case 7:
        flush_or_sync(syncs[more % 3]);
        break;
    case 8: {
        struct kernel_handle *h = some_handle(more % 4 == 3);
        (void)(h != NULL && kernel_release(&kernel, h));
        break;
    }
    case 9:
        more % 2 == 0 ? get_attr() : set_attr();
        break;
    case 10:
        get_attribute(attributes[more % 4]);
        break;
    case 11:
        more % 4 == 0 ? allocate() : more % 4 == 1 ? copy_range() : plain();
        break;
    case 12:
        raw();
        break;
    case 13:
        more % 4 == 0 ? forget_many() : more % 2 == 0 ? forget() : interrupt();
        break;
    case 14:
        store_step();
        break;
    default:
        kernel.pid = 5000000 + more;
        kernel.uid = more % 4 == 3 ? 1000 : 0;
        kernel_pass(&kernel, more < 8 ? 0 : more * 100);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const options[] = {"",
                                          "consistency=serializable",
                                          "timeout=1s,control=visible",
                                          "publish_idle=0s,xattrs=hidden",
                                          "prefix=/d/",
                                          "ro"};
    in.left = (struct bytes){data, size};
    const uint8_t how = fuzz_byte(&in);
    kernel_begin(&kernel, options[how % count_of(options)]);
    kernel.kv.without_extensions = how >= 192;
    (void)fake_put(&kernel.kv, "/a", "first");
    (void)fake_put(&kernel.kv, "/d/c", "second");
    fake_grant(&kernel.kv, 0x1001, 60);
    for (int steps = 0; in.left.size > 0 && steps < STEPS_MAX; steps++) {
        if (kernel_has_room(&kernel)) {
            step(fuzz_byte(&in));
        }
        if (!kernel.kv.hold || !kernel_has_room(&kernel)) {
            kernel.kv.hold = false;
            kernel_run(&kernel);
        }
    }
    kernel_end(&kernel);
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    /* A shell's writing of a new file and of one that is there; a rename, a
     * listing, a lease, a removal; then with a store that does not answer. */
    static const uint8_t work[] = {
        0,                            /* default options */
        0x13, 2, 0,    1,             /* CREATE b, written only */
        0x15, 0, 40,   0,             /* WRITE 40 bytes at 0 */
        0x07, 0,                      /* FLUSH */
        0x08, 0,                      /* RELEASE */
        0x00, 0, 0,                   /* LOOKUP a */
        0x03, 6, 2,                   /* OPEN, cut off */
        0x15, 0, 9,    0,             /* WRITE */
        0x17, 0,                      /* FSYNC */
        0x01, 0, 0,    0,    0, 2,    /* RENAME a c */
        0x33, 0,                      /* OPENDIR */
        0x35, 0, 0,    5,             /* READDIR */
        0x45, 0, 0,    5,             /* READDIRPLUS */
        0x0a, 2, 0,                   /* SETXATTR ttl */
        0x1a, 2, 0,    5,             /* GETXATTR */
        0x10, 0, 1,                   /* UNLINK b */
        0x0e, 0,                      /* the store holds */
        0x00, 0, 3,    0x13, 2, 0, 3, /* LOOKUP d, CREATE d */
        0x1d, 0, 0xff,                /* INTERRUPT, time */
        0x0e, 0, 0x0d, 0,             /* answers, BATCH_FORGET */
    };
    /* Two writers of a new file, a full disk, SETXATTR ttl. */
    static const uint8_t two[] = {0, 0x13, 2,    0,    2, 0x03, 2,
                                  1, 0x0e, 0x22, 0x0a, 1, 0};
    if (n == 6) {
        buf_append(to, (struct bytes){two, sizeof two});
    }
    if (n >= 6) {
        return n == 6;
    }
    const size_t cuts[] = {0, 12, 15, 24, 30, 44};
    buf_append_byte(to, (uint8_t)n);
    buf_append(to,
               (struct bytes){work + 1 + cuts[n], sizeof work - 1 - cuts[n]});
    return true;
}

/* One client beside a model of a filesystem: the input is a list of calls on a
 * few names, each of which ends before the next begins. Every errno, every byte
 * that is read, every listing, and what the store has after each call is the
 * model's.
 *
 * In the model a file has one writer at most: what two of them make of one
 * value is for tests/fs and the simulator. */

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/must.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/kernel.h"

#define DIRECTORIES 3 /* the root is one */
#define NAMES       3
#define FILES       64
#define OPEN_MAX_   8
#define SIZE_MAX_   4096
#define STEPS_MAX   200

struct file {
    bool linked, committed, written_to;
    struct buf content; /* what is committed */
};

struct open_file {
    struct file *file; /* NULL: a free place */
    struct kernel_handle *handle;
    bool writes, written, cut;
    struct buf view; /* what reads see */
};

static struct kernel kernel;
static struct fuzz_input in;
static struct file files[FILES];
static size_t files_count;
static struct file *names[DIRECTORIES][NAMES]; /* NULL: nothing has the name */
static bool is_there[DIRECTORIES];
static struct open_file opens[OPEN_MAX_];
static const char *const directory_names[DIRECTORIES] = {"", "d", "e"};
static const char *const file_names[NAMES] = {"x", "y", "z"};

struct place {
    size_t directory, name;
};

static struct place some_place(void)
{
    const uint8_t which = fuzz_byte(&in);
    const struct place p = {which / NAMES % DIRECTORIES, which % NAMES};
    return p;
}

static struct file *at(struct place p)
{
    return names[p.directory][p.name];
}

static struct file *file_new(struct place p, bool committed)
{
    struct file *f = &files[files_count++];
    *f = (struct file){.linked = true, .committed = committed};
    names[p.directory][p.name] = f;
    return f;
}

static void unlink_file(struct file *f)
{
    if (f != NULL) {
        f->linked = false;
    }
}

static void set(struct buf *to, struct bytes content)
{
    buf_clear(to);
    buf_append(to, content);
}

static void publish(struct open_file *o)
{
    o->written = o->cut = false;
    if (o->file->linked) {
        o->file->committed = true;
        set(&o->file->content, buf_bytes(&o->view));
    }
}

static struct open_file *writer_of(const struct file *f)
{
    for (size_t i = 0; i < OPEN_MAX_; i++) {
        if (opens[i].file == f && opens[i].writes) {
            return &opens[i];
        }
    }
    return NULL;
}

/* --- requests --- */

/* Asks, and returns the errno. */
static int call(const struct kernel_request *q, const void *head,
                size_t head_size, struct bytes tail)
{
    const uint64_t unique = kernel_ask(&kernel, q, head, head_size, tail);
    kernel_run(&kernel);
    must(kernel.answer.unique == unique);
    return kernel.answer.error;
}

static struct bytes name_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text) + 1};
}

static int call_name(uint32_t opcode, uint64_t parent, const char *name,
                     const void *head, size_t head_size)
{
    return call(&(struct kernel_request){.opcode = opcode, .node = parent},
                head, head_size, name_of(name));
}

/* The directory's node, looked up as a kernel does; 0: it is not there. */
static uint64_t directory_node(size_t directory)
{
    if (directory == 0) {
        return FUSE_ROOT_ID;
    }
    const int error = call_name(FUSE_LOOKUP, FUSE_ROOT_ID,
                                directory_names[directory], NULL, 0);
    must(error == (is_there[directory] ? 0 : ENOENT));
    return error == 0 ? kernel.answer.node : 0;
}

/* The file's node; 0: none. */
static uint64_t file_node(struct place p)
{
    const uint64_t parent = directory_node(p.directory);
    if (parent == 0) {
        return 0;
    }
    const int error =
        call_name(FUSE_LOOKUP, parent, file_names[p.name], NULL, 0);
    must(error == (at(p) != NULL ? 0 : ENOENT));
    if (error != 0) {
        return 0;
    }
    struct fuse_entry_out entry;
    memcpy(&entry, kernel.answer.body.data, sizeof entry);
    must(S_ISREG(entry.attr.mode));
    return kernel.answer.node;
}

/* --- names --- */

static void make_directory(void)
{
    const struct fuse_mkdir_in body = {.mode = 0755};
    const size_t d = 1 + fuzz_byte(&in) % (DIRECTORIES - 1);
    const int error = call_name(FUSE_MKDIR, FUSE_ROOT_ID, directory_names[d],
                                &body, sizeof body);
    must(error == (is_there[d] ? EEXIST : 0));
    is_there[d] = true;
}

static bool is_empty(size_t directory)
{
    for (size_t i = 0; i < NAMES; i++) {
        if (names[directory][i] != NULL) {
            return false;
        }
    }
    return true;
}

static void remove_directory(void)
{
    const size_t d = 1 + fuzz_byte(&in) % (DIRECTORIES - 1);
    const int error =
        call_name(FUSE_RMDIR, FUSE_ROOT_ID, directory_names[d], NULL, 0);
    must(error == (!is_there[d] ? ENOENT : is_empty(d) ? 0 : ENOTEMPTY));
    is_there[d] = is_there[d] && error != 0;
}

static void remove_file(void)
{
    const struct place p = some_place();
    const uint64_t parent = directory_node(p.directory);
    if (parent != 0) {
        const int error =
            call_name(FUSE_UNLINK, parent, file_names[p.name], NULL, 0);
        must(error == (at(p) != NULL ? 0 : ENOENT));
        unlink_file(at(p));
        names[p.directory][p.name] = NULL;
    }
}

/* What has no revision gets one, so that there is something to move. */
static void settle(struct file *f)
{
    if (f != NULL && !f->committed) {
        must(writer_of(f) != NULL);
        publish(writer_of(f));
    }
}

static int rename_in_model(struct place from, struct place to, uint32_t flags)
{
    struct file *a = at(from);
    struct file *b = at(to);
    if (a == b && a != NULL) {
        return 0;
    }
    if (a == NULL || ((flags & RENAME_EXCHANGE) != 0 && b == NULL)) {
        return ENOENT;
    }
    settle(a);
    if ((flags & RENAME_EXCHANGE) != 0) {
        settle(b);
        names[from.directory][from.name] = b;
    } else if (b != NULL && (flags & RENAME_NOREPLACE) != 0) {
        return EEXIST;
    } else {
        unlink_file(b);
        names[from.directory][from.name] = NULL;
    }
    names[to.directory][to.name] = a;
    return 0;
}

static void rename_file(void)
{
    static const uint32_t kinds[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    const struct place from = some_place();
    const struct place to = some_place();
    const uint32_t flags = kinds[fuzz_byte(&in) % count_of(kinds)];
    const uint64_t parent = directory_node(from.directory);
    const struct fuse_rename2_in body = {.newdir = directory_node(to.directory),
                                         .flags = flags};
    if (parent == 0 || body.newdir == 0 || file_node(from) == 0 ||
        (file_node(to) == 0 && (flags & RENAME_EXCHANGE) != 0)) {
        return; /* a kernel does not ask either */
    }
    char both[8];
    const int size = snprintf(both, sizeof both, "%s%c%s",
                              file_names[from.name], 0, file_names[to.name]);
    must(size > 0 && (size_t)size < sizeof both);
    const int error = call(
        &(struct kernel_request){.opcode = FUSE_RENAME2, .node = parent}, &body,
        sizeof body, (struct bytes){(const uint8_t *)both, (size_t)size + 1});
    must(error == rename_in_model(from, to, flags));
}

static void rename_directory(void)
{
    const size_t from = 1 + fuzz_byte(&in) % (DIRECTORIES - 1);
    const size_t to = DIRECTORIES - from;
    const struct fuse_rename2_in body = {.newdir = FUSE_ROOT_ID};
    static const char both[DIRECTORIES][4] = {"", "d\0e", "e\0d"};
    if (directory_node(from) == 0) {
        return;
    }
    const int error = call(
        &(struct kernel_request){.opcode = FUSE_RENAME2, .node = FUSE_ROOT_ID},
        &body, sizeof body, (struct bytes){(const uint8_t *)both[from], 4});
    if (is_there[to] && !is_empty(to)) {
        must(error == ENOTEMPTY);
        return;
    }
    must(error == 0);
    is_there[to] = true;
    is_there[from] = false;
    memcpy(names[to], names[from], sizeof names[to]);
    memset(names[from], 0, sizeof names[from]);
}

/* --- opening and closing --- */

static struct open_file *free_place(void)
{
    for (size_t i = 0; i < OPEN_MAX_; i++) {
        if (opens[i].file == NULL) {
            return &opens[i];
        }
    }
    return NULL;
}

static void opened(struct open_file *o, struct file *f, uint32_t flags)
{
    o->file = f;
    o->handle = kernel.answer.handle;
    o->writes = (flags & O_ACCMODE) != O_RDONLY;
    o->written = o->cut = false;
    set(&o->view, buf_bytes(&f->content));
    if ((flags & O_TRUNC) != 0 && o->writes) {
        o->cut = o->view.size > 0;
        buf_clear(&o->view);
    }
}

static uint32_t some_flags(void)
{
    static const uint32_t flags[] = {
        O_RDONLY, O_RDONLY,         O_WRONLY,          O_WRONLY | O_TRUNC,
        O_RDWR,   O_RDWR | O_TRUNC, O_RDWR | O_APPEND, O_RDWR | O_DSYNC};
    return flags[fuzz_byte(&in) % count_of(flags)];
}

static void open_file(void)
{
    const struct place p = some_place();
    const uint32_t flags = some_flags();
    struct open_file *o = free_place();
    struct file *f = at(p);
    if (o == NULL || f == NULL ||
        ((flags & O_ACCMODE) != O_RDONLY && writer_of(f) != NULL)) {
        return;
    }
    const struct kernel_request q = {.opcode = FUSE_OPEN,
                                     .node = file_node(p),
                                     .flags = flags,
                                     .handle = kernel_handle_free(&kernel)};
    const struct fuse_open_in body = {.flags = flags};
    must(call(&q, &body, sizeof body, BYTES_NONE) == 0);
    opened(o, f, flags);
}

static void create_file(void)
{
    const struct place p = some_place();
    const uint8_t how = fuzz_byte(&in);
    const uint32_t flags = O_CREAT | (how % 2 == 0 ? O_WRONLY : O_RDWR) |
                           (how % 4 < 2 ? O_EXCL : 0);
    struct open_file *o = free_place();
    const uint64_t parent = directory_node(p.directory);
    if (o == NULL || parent == 0 || files_count == FILES ||
        (at(p) != NULL && writer_of(at(p)) != NULL)) {
        return;
    }
    const struct kernel_request q = {.opcode = FUSE_CREATE,
                                     .node = parent,
                                     .flags = flags,
                                     .handle = kernel_handle_free(&kernel)};
    const struct fuse_create_in body = {.flags = flags, .mode = 0644};
    const int error = call(&q, &body, sizeof body, name_of(file_names[p.name]));
    if (at(p) != NULL && (flags & O_EXCL) != 0) {
        must(error == EEXIST);
        return;
    }
    must(error == 0);
    opened(o, at(p) != NULL ? at(p) : file_new(p, (flags & O_EXCL) != 0),
           flags);
}

static struct open_file *some_open(bool writes)
{
    const size_t from = fuzz_byte(&in);
    for (size_t i = 0; i < OPEN_MAX_; i++) {
        struct open_file *o = &opens[(from + i) % OPEN_MAX_];
        if (o->file != NULL && (o->writes || !writes)) {
            return o;
        }
    }
    return NULL;
}

static void flush_file(void)
{
    const struct open_file *o = some_open(false);
    if (o != NULL) {
        const struct fuse_flush_in body = {.fh = o->handle->handle};
        const struct kernel_request q = {
            .opcode = FUSE_FLUSH, .node = o->handle->node, .handle = o->handle};
        must(call(&q, &body, sizeof body, BYTES_NONE) == 0);
        if (o->written) {
            publish((struct open_file *)(uintptr_t)o);
        }
    }
}

static bool has_news(const struct open_file *o)
{
    return o->written || o->cut || (o->writes && !o->file->committed);
}

static void sync_file(void)
{
    struct open_file *o = some_open(false);
    if (o != NULL) {
        const struct fuse_fsync_in body = {.fh = o->handle->handle};
        const struct kernel_request q = {
            .opcode = FUSE_FSYNC, .node = o->handle->node, .handle = o->handle};
        must(call(&q, &body, sizeof body, BYTES_NONE) == 0);
        if (has_news(o)) {
            publish(o);
        }
    }
}

static void close_file(struct open_file *o)
{
    must(kernel_release(&kernel, o->handle));
    kernel_run(&kernel);
    if (has_news(o)) {
        publish(o);
    }
    o->file = NULL;
}

/* --- contents --- */

static void read_file(void)
{
    struct open_file *o = some_open(false);
    if (o == NULL || (o->handle->flags & O_ACCMODE) == O_WRONLY) {
        return;
    }
    const struct fuse_read_in body = {.fh = o->handle->handle,
                                      .size = 2 * SIZE_MAX_};
    const struct kernel_request q = {.opcode = FUSE_READ,
                                     .node = o->handle->node,
                                     .handle = o->handle,
                                     .size = body.size};
    must(call(&q, &body, sizeof body, BYTES_NONE) == 0);
    const struct bytes got = kernel.answer.body;
    const struct bytes now = buf_bytes(&o->file->content);
    if (!bytes_equal(got, buf_bytes(&o->view))) {
        /* At the end it may go on to what only adds to it. */
        must(!o->writes && o->file->linked);
        must(bytes_starts_with(now, buf_bytes(&o->view)));
        must(bytes_equal(got, now));
        set(&o->view, now);
    }
}

static void write_file(void)
{
    static uint8_t data[300];
    struct open_file *o = some_open(true);
    const size_t size = 1 + fuzz_byte(&in);
    size_t offset = fuzz_byte(&in) * 8U;
    if (o == NULL) {
        return;
    }
    const uint32_t flags = o->handle->flags;
    offset = (flags & O_APPEND) != 0 ? o->view.size : offset;
    if (offset + size > SIZE_MAX_) {
        return;
    }
    memset(data, 'a' + fuzz_byte(&in) % 26, size);
    const struct fuse_write_in body = {.fh = o->handle->handle,
                                       .offset = offset,
                                       .size = (uint32_t)size,
                                       .flags = flags};
    const struct kernel_request q = {
        .opcode = FUSE_WRITE, .node = o->handle->node, .handle = o->handle};
    must(call(&q, &body, sizeof body, (struct bytes){data, size}) == 0);
    if (offset + size > o->view.size) {
        buf_resize(&o->view, offset + size);
    }
    memcpy(o->view.data + offset, data, size);
    o->written = true;
    if ((flags & O_DSYNC) != 0) {
        publish(o);
    }
}

static int set_size(uint64_t node, struct kernel_handle *h, size_t size)
{
    const struct fuse_setattr_in body = {.valid = FATTR_SIZE |
                                                  (h != NULL ? FATTR_FH : 0),
                                         .fh = h != NULL ? h->handle : 0,
                                         .size = size};
    return call(&(struct kernel_request){.opcode = FUSE_SETATTR,
                                         .node = node,
                                         .handle = h},
                &body, sizeof body, BYTES_NONE);
}

static void truncate_file(void)
{
    const size_t size = fuzz_byte(&in) * 8U;
    if (fuzz_byte(&in) % 2 == 0) {
        struct open_file *o = some_open(true);
        if (o != NULL) {
            must(set_size(o->handle->node, o->handle, size) == 0);
            buf_resize(&o->view, size);
            o->written = true;
        }
        return;
    }
    const struct place p = some_place();
    struct file *f = at(p);
    if (f != NULL && writer_of(f) == NULL) {
        must(set_size(file_node(p), NULL, size) == 0);
        buf_resize(&f->content, size);
    }
}

static void allocate(void)
{
    static const uint32_t modes[] = {
        0, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE};
    struct open_file *o = some_open(true);
    const uint32_t mode = modes[fuzz_byte(&in) % count_of(modes)];
    const size_t offset = fuzz_byte(&in) * 4U;
    const size_t size = 1U + fuzz_byte(&in) * 4U;
    if (o == NULL) {
        return;
    }
    const struct fuse_fallocate_in body = {.fh = o->handle->handle,
                                           .offset = offset,
                                           .length = size,
                                           .mode = mode};
    const struct kernel_request q = {
        .opcode = FUSE_FALLOCATE, .node = o->handle->node, .handle = o->handle};
    must(call(&q, &body, sizeof body, BYTES_NONE) == 0);
    const size_t end = offset + size;
    if ((mode & FALLOC_FL_KEEP_SIZE) == 0 && end > o->view.size) {
        buf_resize(&o->view, end);
        o->written = true;
    }
    if (mode != 0 && offset < o->view.size) {
        const size_t to = end < o->view.size ? end : o->view.size;
        memset(o->view.data + offset, 0, to - offset);
        o->written = true;
    }
}

/* A second without a write publishes what was written. */
static void pass(void)
{
    kernel_pass(&kernel, 1100);
    kernel_run(&kernel);
    for (size_t i = 0; i < OPEN_MAX_; i++) {
        if (opens[i].file != NULL && opens[i].written) {
            publish(&opens[i]);
        }
    }
}

/* --- what is to be seen --- */

static void check_sizes(void)
{
    const struct place p = some_place();
    const struct fuse_getattr_in body = {.getattr_flags = 0};
    const uint64_t node = file_node(p);
    if (node == 0) {
        return;
    }
    const uint32_t pid = kernel.pid;
    kernel.pid += 1000; /* of a process that has nothing open */
    must(call(&(struct kernel_request){.opcode = FUSE_GETATTR, .node = node},
              &body, sizeof body, BYTES_NONE) == 0);
    kernel.pid = pid;
    struct fuse_attr_out out;
    memcpy(&out, kernel.answer.body.data, sizeof out);
    must(out.attr.size == at(p)->content.size);
}

/* Takes the names of one reply out of `left`; returns where to go on. */
static uint64_t take_names(struct bytes body, bool left[NAMES],
                           bool ret_directories[DIRECTORIES])
{
    uint64_t next = 0;
    while (body.size > 0) {
        struct fuse_dirent e;
        memcpy(&e, body.data, FUSE_NAME_OFFSET);
        const char *name = (const char *)body.data + FUSE_NAME_OFFSET;
        next = e.off;
        bool known = name[0] == '.';
        for (size_t i = 0; i < NAMES; i++) {
            if (name[0] == file_names[i][0]) {
                must(left[i] && e.namelen == 1);
                left[i] = false;
                known = true;
            }
        }
        for (size_t i = 1; i < DIRECTORIES; i++) {
            if (name[0] == directory_names[i][0]) {
                must(!ret_directories[i] && e.namelen == 1);
                ret_directories[i] = known = true;
            }
        }
        must(known);
        body =
            bytes_after(body, FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + e.namelen));
    }
    return next;
}

static void check_listing(void)
{
    const size_t d = fuzz_byte(&in) % DIRECTORIES;
    const struct fuse_open_in open_body = {.flags = 0};
    struct kernel_request q = {.opcode = FUSE_OPENDIR,
                               .node = directory_node(d)};
    if (q.node == 0 || (q.handle = kernel_handle_free(&kernel)) == NULL) {
        return;
    }
    must(call(&q, &open_body, sizeof open_body, BYTES_NONE) == 0);
    bool left[NAMES];
    bool directories[DIRECTORIES] = {false};
    for (size_t i = 0; i < NAMES; i++) {
        left[i] = names[d][i] != NULL;
    }
    q = (struct kernel_request){.opcode = FUSE_READDIR,
                                .node = q.node,
                                .handle = kernel.answer.handle,
                                .size = 40U + fuzz_byte(&in)};
    do {
        const struct fuse_read_in body = {
            .fh = q.handle->handle, .offset = q.offset, .size = q.size};
        must(call(&q, &body, sizeof body, BYTES_NONE) == 0);
        q.offset = take_names(kernel.answer.body, left, directories);
    } while (kernel.answer.body.size > 0);
    must(kernel_release(&kernel, q.handle));
    for (size_t i = 0; i < NAMES; i++) {
        must(!left[i]);
    }
    for (size_t i = 1; i < DIRECTORIES; i++) {
        must(directories[i] == (d == 0 && is_there[i]));
    }
}

static void check_store(void)
{
    for (size_t d = 0; d < DIRECTORIES; d++) {
        for (size_t i = 0; i < NAMES; i++) {
            char key[8];
            const struct file *f = names[d][i];
            (void)snprintf(key, sizeof key, "/%s%s%s", directory_names[d],
                           d == 0 ? "" : "/", file_names[i]);
            const struct fake_version *v = fake_get(&kernel.kv, key);
            must((v != NULL) == (f != NULL && f->committed));
            must(v == NULL || bytes_equal(v->value, buf_bytes(&f->content)));
        }
    }
}

static void step(uint8_t what)
{
    static void (*const steps[])(void) = {
        make_directory, remove_directory, remove_file,
        rename_file,    rename_directory, open_file,
        open_file,      create_file,      create_file,
        flush_file,     sync_file,        read_file,
        read_file,      write_file,       write_file,
        truncate_file,  allocate,         pass,
        check_sizes,    check_listing};
    what %= count_of(steps) + 2;
    if (what < count_of(steps)) {
        steps[what]();
        return;
    }
    struct open_file *o = some_open(false);
    if (o != NULL) {
        close_file(o);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    in.left = (struct bytes){data, size};
    files_count = 0;
    memset(names, 0, sizeof names);
    memset(is_there, 0, sizeof is_there);
    is_there[0] = true;
    kernel_begin(&kernel, fuzz_byte(&in) % 2 == 0
                              ? ""
                              : "consistency=serializable,timeout=2s");
    for (int i = 0; in.left.size > 0 && i < STEPS_MAX; i++) {
        step(fuzz_byte(&in));
        kernel_run(&kernel);
        check_store();
    }
    for (size_t i = 0; i < OPEN_MAX_; i++) {
        if (opens[i].file != NULL) {
            close_file(&opens[i]);
            check_store();
        }
        buf_fini(&opens[i].view);
        opens[i].view = (struct buf){0};
    }
    kernel_end(&kernel);
    for (size_t i = 0; i < files_count; i++) {
        buf_fini(&files[i].content);
    }
    return 0;
}

bool fuzz_seed(size_t n, struct buf *to)
{
    static const uint8_t work[] = {
        0,                           /* options */
        7,  0, 2,                    /* create x */
        13, 0, 20, 0,  1,            /* write */
        9,  0,                       /* flush */
        5,  0, 0,                    /* open x to read */
        14, 0, 30, 20, 2,            /* write more */
        20, 0,                       /* close */
        11, 1, 11, 1,  11, 1,        /* read, follow */
        0,  0,                       /* mkdir d */
        3,  0, 4,  0,                /* rename x d/y */
        18, 4, 19, 0,  9,  19, 1, 9, /* sizes, listings */
        6,  4, 5,                    /* open d/y, cut off */
        15, 9, 0,  0,                /* truncate */
        16, 0, 0,  3,  5,            /* allocate */
        17, 4, 0,                    /* time; rename d e */
        2,  7, 1,  1,                /* unlink e/y, rmdir e */
    };
    const size_t cuts[] = {0, 3, 8, 29, 33, 41};
    if (n >= count_of(cuts)) {
        return false;
    }
    buf_append_byte(to, (uint8_t)n);
    buf_append(to,
               (struct bytes){work + 1 + cuts[n], sizeof work - 1 - cuts[n]});
    return true;
}

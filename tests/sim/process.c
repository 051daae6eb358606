/* Processes on the mounts: they read, write, append, create, rename, unlink and
 * list files beside the clients, on the same keys.  What they do and hear goes
 * into the same history; revisions are not theirs to see, so what they wrote is
 * looked up in the final history by its value (check_files.c). */

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/must.h"
#include "tests/sim/internal.h"

#define DIRECTORY  "dir"
#define LOG_MS     4000 /* a log gets appends for so long, then the next */
#define LOCK_MS    400  /* likewise */
#define PIECES_MAX 4    /* replies of one listing */

static void act(struct sim *s, struct event *e);

static struct process *process_of_task(struct task *t)
{
    return container_of(t, struct process, task);
}

static struct process *process_of(struct fuse_asker *a)
{
    return process_of_task(container_of(a, struct task, asker));
}

static struct record *record_of(struct process *p)
{
    return &p->sim->history.records[p->record];
}

#define BYTES_OF(x) ((struct bytes){(const uint8_t *)&(x), sizeof(x)})

static struct bytes text_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text) + 1};
}

static void ask(struct process *p, uint32_t opcode, uint64_t node,
                struct bytes head, struct bytes tail, fuse_reply *then)
{
    task_ask(&p->task, opcode, node, head, tail, then);
}

/* The file is closed, and the process thinks about what next. */
static void leave(struct process *p)
{
    struct sim *s = p->sim;
    if (p->handle != 0) {
        const struct fuse_release_in in = {.fh = p->handle};
        if (p->writes) {
            task_changed(&p->task, p->node, p->directory, p->name);
        }
        mount_tell(p->mount, p->is_directory ? FUSE_RELEASEDIR : FUSE_RELEASE,
                   p->node, BYTES_OF(in));
    }
    task_end(&p->task);
    p->member = NULL;
    sim_at(s, &p->next,
           s->now_ns + (int64_t)prng_below(&s->prng, s->profile.think_ns * 2),
           act);
}

/* The call ended with that errno; 0: it took place. What is promised not to
 * have happened never does. */
static void finish(struct process *p, int error)
{
    struct record *r = record_of(p);
    sim_note(p->sim, "process %u kind %d errno %d", p->number, (int)r->kind,
             error);
    const bool is_read = r->kind == CALL_GET || r->kind == CALL_LIST;
    if (error == 0) {
        r->answered = true;
        r->took_place = !is_read;
        if (r->end_ns == INT64_MAX) {
            r->end_ns = p->sim->now_ns;
        }
    } else if (error == EIO || error == EINVAL || error == ENOSYS ||
               error == EBADF || error == EPERM || error == EACCES) {
        sim_fail(p->sim, "process %u was told %s, kind %d", p->number,
                 strerror(error), (int)r->kind);
    } else if (is_read || !p->may_have_happened) {
        r->never = true;
    } else {
        p->doubts++;
    }
    leave(p);
}

/* --- reading: what was there at open stays, whatever happens --- */

static void read_again(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    struct record *r = record_of(p);
    /* The end of an empty file may be read again: by now there may be more. */
    if (error == 0 && value_number(body) != r->value &&
        r->value != VALUE_EMPTY) {
        sim_fail(p->sim, "process %u read %llu, and then %llu, at one open",
                 p->number, (unsigned long long)r->value,
                 (unsigned long long)value_number(body));
    }
    finish(p, error);
}

static void read_once(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    if (error != 0) {
        finish(p, error);
        return;
    }
    struct record *r = record_of(p);
    r->value = value_number(body);
    if (r->key < KEYS) {
        r->listed[r->key] = r->value;
    }
    const struct fuse_read_in in = {.fh = p->handle, .size = 4096};
    ask(p, FUSE_READ, p->node, BYTES_OF(in), BYTES_NONE, read_again);
}

static void read_opened(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    struct fuse_open_out out;
    if (error != 0) {
        finish(p, error);
        return;
    }
    memcpy(&out, body.data, sizeof out);
    p->handle = out.fh;
    record_of(p)->end_ns = p->sim->now_ns; /* open decides */
    const struct fuse_read_in in = {.fh = p->handle, .size = 4096};
    ask(p, FUSE_READ, p->node, BYTES_OF(in), BYTES_NONE, read_once);
}

/* --- writing: one revision, when the close is answered --- */

static struct renaming renaming_of(struct process *p, char target[8])
{
    (void)snprintf(target, 8, "k-%c", (char)('a' + record_of(p)->key));
    return (struct renaming){.parent = p->directory,
                             .other_parent = p->directory,
                             .name = p->name,
                             .other_name = target};
}

static void renamed(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    char target[8];
    (void)body;
    if (error == 0) {
        const struct renaming r = renaming_of(p, target);
        task_renamed(&p->task, &r);
    }
    finish(p, error);
}

static void rename_now(struct task *t)
{
    struct process *p = process_of_task(t);
    char names[64];
    char target[8];
    const struct renaming r = renaming_of(p, target);
    const size_t first = strlen(r.name) + 1;
    const size_t second = strlen(r.other_name) + 1;
    memcpy(names, r.name, first);
    memcpy(names + first, r.other_name, second);
    const struct fuse_rename2_in in = {.newdir = p->directory};
    ask(p, FUSE_RENAME2, p->directory, BYTES_OF(in),
        (struct bytes){(const uint8_t *)names, first + second}, renamed);
}

static void rename_found(struct task *t, int error, uint64_t node)
{
    struct process *p = process_of_task(t);
    if (error == 0 && node != p->node) {
        task_lock(t, node, true, rename_now); /* what it replaces */
    } else if (error == 0) {
        finish(p, EAGAIN); /* a name of the same file: nothing is done */
    } else if (error == ENOENT) {
        rename_now(t);
    } else {
        finish(p, error);
    }
}

static void rename_source_found(struct task *t, int error, uint64_t node)
{
    struct process *p = process_of_task(t);
    char target[8];
    (void)node;
    if (error != 0) {
        finish(p, error);
        return;
    }
    const struct renaming r = renaming_of(p, target);
    task_look_up(t, p->directory, r.other_name, rename_found);
}

static void rename_locked(struct task *t)
{
    struct process *p = process_of_task(t);
    task_look_up(t, p->directory, p->name, rename_source_found);
}

static void flushed(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    (void)body;
    if (error != 0 || !p->renames) {
        finish(p, error);
        return;
    }
    task_lock(&p->task, p->directory, true, rename_locked);
}

static void write_on(struct process *p);

static void written(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    (void)body;
    task_unlock(&p->task, p->node);
    if (error != 0) {
        finish(p, error);
        return;
    }
    task_changed(&p->task, p->node, p->directory, p->name);
    if (p->unwritten.size > 0) {
        write_on(p);
        return;
    }
    const struct fuse_flush_in in = {.fh = p->handle};
    ask(p, FUSE_FLUSH, p->node, BYTES_OF(in), BYTES_NONE, flushed);
}

/* In one piece or several: the close makes them one value. A line is one. */
static void write_locked(struct task *t)
{
    struct process *p = process_of_task(t);
    const bool appends = record_of(p)->kind == CALL_APPEND;
    struct bytes piece = p->unwritten;
    if (!appends) {
        piece.size = 1 + prng_below(&p->sim->prng, 2 * piece.size);
        piece.size =
            piece.size < p->unwritten.size ? piece.size : p->unwritten.size;
    }
    const struct fuse_write_in in = {
        .fh = p->handle,
        .offset = (uint64_t)(piece.data - p->value),
        .size = (uint32_t)piece.size,
        .flags = O_WRONLY | (appends ? (uint32_t)O_APPEND : 0)};
    p->unwritten = bytes_after(p->unwritten, piece.size);
    ask(p, FUSE_WRITE, p->node, BYTES_OF(in), piece, written);
}

static void write_on(struct process *p)
{
    task_lock(&p->task, p->node, true, write_locked);
}

static void write_opened(struct process *p)
{
    p->unwritten = value_of(record_of(p)->value, p->value);
    p->may_have_happened = p->writes = true;
    write_on(p);
}

static void opened_to_write(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    struct fuse_open_out out;
    if (error != 0) {
        finish(p, error);
        return;
    }
    memcpy(&out, body.data, sizeof out);
    p->handle = out.fh;
    write_opened(p);
}

static void created(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    struct fuse_open_out out;
    if (error != 0) {
        /* O_EXCL is one transaction: without an answer it may have won. */
        p->may_have_happened =
            record_of(p)->kind == CALL_CREATE && error != EEXIST;
        finish(p, error);
        return;
    }
    memcpy(&out, body.data + sizeof(struct fuse_entry_out), sizeof out);
    p->node = task_made(&p->task, p->directory, p->name, body);
    p->handle = out.fh;
    task_unlock(&p->task, p->directory);
    if (record_of(p)->kind == CALL_CREATE) {
        p->writes = true;
        finish(p, 0);
    } else {
        write_opened(p);
    }
}

static void create(struct process *p)
{
    const enum call_kind kind = record_of(p)->kind;
    const uint32_t how = kind == CALL_CREATE ? O_EXCL
                         : kind == CALL_PUT  ? O_TRUNC
                                             : O_APPEND;
    const struct fuse_create_in in = {.flags = O_WRONLY | O_CREAT | how,
                                      .mode = 0644};
    ask(p, FUSE_CREATE, p->directory, BYTES_OF(in), text_of(p->name), created);
}

/* --- unlinking and listing --- */

static void unlinked(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    (void)body;
    p->may_have_happened = error != ENOENT;
    if (error == 0) {
        task_removed(&p->task, p->directory, p->name);
    }
    finish(p, error);
}

static void unlink_now(struct task *t)
{
    struct process *p = process_of_task(t);
    ask(p, FUSE_UNLINK, p->directory, BYTES_NONE, text_of(p->name), unlinked);
}

static void unlink_found(struct task *t, int error, uint64_t node)
{
    if (error != 0) {
        finish(process_of_task(t), error);
    } else {
        task_lock(t, node, true, unlink_now);
    }
}

static void list_on(struct process *p);

static void listed(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    struct record *r = record_of(p);
    task_unlock(&p->task, p->directory);
    if (error != 0) {
        finish(p, error);
        return;
    }
    for (size_t at = 0; at < body.size;) {
        struct fuse_dirent e;
        memcpy(&e, body.data + at, sizeof e);
        const uint8_t *name = body.data + at + FUSE_NAME_OFFSET;
        p->offset = e.off;
        at += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + e.namelen);
        if (e.namelen == 3 && memcmp(name, "k-", 2) == 0) {
            uint64_t *there = &r->listed[name[2] - 'a'];
            if (*there != 0) {
                sim_fail(p->sim, "process %u saw a name twice in one listing",
                         p->number);
            }
            *there = 1;
        }
    }
    if (body.size == 0) {
        finish(p, 0);
    } else {
        list_on(p);
    }
}

static void list_locked(struct task *t)
{
    struct process *p = process_of_task(t);
    /* Small replies: a listing is one moment, however many it takes. */
    const struct fuse_read_in in = {
        .fh = p->handle, .offset = p->offset, .size = 200};
    ask(p, FUSE_READDIR, p->directory, BYTES_OF(in), BYTES_NONE, listed);
}

static void list_on(struct process *p)
{
    task_lock(&p->task, p->directory, false, list_locked);
}

static void directory_opened(struct fuse_asker *a, int error, struct bytes body)
{
    struct process *p = process_of(a);
    struct fuse_open_out out;
    if (error != 0) {
        finish(p, error);
        return;
    }
    memcpy(&out, body.data, sizeof out);
    p->handle = out.fh;
    p->node = p->directory;
    p->is_directory = true;
    record_of(p)->end_ns = p->sim->now_ns;
    list_on(p);
}

/* --- the walk --- */

static void file_found(struct process *p)
{
    const enum call_kind kind = record_of(p)->kind;
    const uint32_t flags = kind == CALL_GET      ? O_RDONLY
                           : kind == CALL_APPEND ? O_WRONLY | O_APPEND
                                                 : O_WRONLY | O_TRUNC;
    const struct fuse_open_in in = {.flags = flags};
    ask(p, FUSE_OPEN, p->node, BYTES_OF(in), BYTES_NONE,
        kind == CALL_GET ? read_opened : opened_to_write);
}

static void file_looked_up(struct task *t, int error, uint64_t node)
{
    struct process *p = process_of_task(t);
    const enum call_kind kind = record_of(p)->kind;
    if (error == ENOENT && kind == CALL_GET) {
        finish(p, 0); /* nothing is there: value 0 */
    } else if (error == ENOENT) {
        create(p);
    } else if (error != 0) {
        finish(p, error);
    } else if (kind == CALL_CREATE) {
        finish(p, EEXIST);
    } else {
        if (kind != CALL_GET) {
            task_unlock(t, p->directory);
        }
        p->node = node;
        file_found(p);
    }
}

/* With O_CREAT the kernel has the directory's lock from here on. */
static void directory_locked(struct task *t)
{
    struct process *p = process_of_task(t);
    task_look_up(t, p->directory, p->name,
                 record_of(p)->kind == CALL_DELETE ? unlink_found
                                                   : file_looked_up);
}

static void directory_found(struct task *t, int error, uint64_t node)
{
    struct process *p = process_of_task(t);
    if (error != 0) {
        /* Without keys there is no directory, and none of its files. */
        const bool is_nothing =
            error == ENOENT && record_of(p)->kind == CALL_GET;
        finish(p, is_nothing ? 0 : error);
        return;
    }
    p->directory = node;
    switch (record_of(p)->kind) {
    case CALL_GET:
        task_look_up(t, node, p->name, file_looked_up);
        break;
    case CALL_LIST: {
        const struct fuse_open_in in = {.flags = O_RDONLY | O_DIRECTORY};
        ask(p, FUSE_OPENDIR, node, BYTES_OF(in), BYTES_NONE, directory_opened);
        break;
    }
    default:
        task_lock(t, node, true, directory_locked);
    }
}

/* --- what to do --- */

static void choose(struct process *p, struct record *r)
{
    static const enum call_kind kinds[] = {
        CALL_GET,    CALL_GET,    CALL_GET,    CALL_PUT,    CALL_PUT, CALL_PUT,
        CALL_APPEND, CALL_APPEND, CALL_CREATE, CALL_DELETE, CALL_LIST};
    struct sim *s = p->sim;
    r->kind = kinds[prng_below(&s->prng, count_of(kinds))];
    r->key = (uint32_t)prng_below(&s->prng, KEYS);
    (void)snprintf(p->name, sizeof p->name, "k-%c", (char)('a' + r->key));
    switch (r->kind) {
    case CALL_PUT:
        r->value = ++s->value_last;
        p->renames = r->renames = prng_chance(&s->prng, 1, 3);
        if (p->renames) {
            (void)snprintf(p->name, sizeof p->name, "new-%u-%u", p->number,
                           p->doubts);
        }
        break;
    case CALL_APPEND:
        r->value = ++s->value_last;
        r->key = KEYS;
        r->asked = s->now_ns / MS / LOG_MS;
        (void)snprintf(p->name, sizeof p->name, "log-%04u", (unsigned)r->asked);
        break;
    case CALL_CREATE:
        r->key = KEYS;
        r->asked = s->now_ns / MS / LOCK_MS;
        (void)snprintf(p->name, sizeof p->name, "lock-%05u",
                       (unsigned)r->asked);
        break;
    default:
        break;
    }
}

static void act(struct sim *s, struct event *e)
{
    struct process *p = container_of(e, struct process, next);
    must(p->member == NULL);
    struct member *m = sim_pick(s, &s->prng);
    if (!m->up || s->healed_for_good) {
        sim_at(s, &p->next, s->now_ns + 10 * MS, act);
        return;
    }
    const size_t other = prng_below(&s->prng, MOUNTS);
    p->mount = m->mounts[m->mounts[other] != NULL ? other : 0];
    p->member = m;
    p->node = p->directory = p->handle = p->offset = 0;
    p->renames = p->may_have_happened = p->is_directory = p->writes = false;
    struct record *r = history_add(&s->history);
    r->begin_ns = s->now_ns;
    r->by_file = true;
    r->at_mount = member_number(m) * MOUNTS + (p->mount == m->mounts[1]);
    p->record = s->history.count - 1;
    choose(p, r);
    task_begin(&p->task, mount_kernel(p->mount));
    task_look_up(&p->task, FUSE_ROOT_ID, DIRECTORY, directory_found);
    member_turn(m);
}

void processes_forget(struct sim *s, const struct member *m)
{
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        struct process *p = &s->processes[i];
        if (p->member != m) {
            continue;
        }
        /* ENOTCONN: whether it happened nobody knows. */
        struct record *r = record_of(p);
        r->never =
            !r->answered && (r->kind == CALL_GET || r->kind == CALL_LIST);
        task_drop(&p->task);
        p->doubts++;
        p->member = NULL;
        sim_at(s, &p->next, s->now_ns + 20 * MS, act);
    }
}

void process_init(struct sim *s, uint32_t number)
{
    struct process *p = &s->processes[number];
    p->sim = s;
    p->number = number;
    p->task.sim = s;
    p->task.asker =
        (struct fuse_asker){.number = number, .pid = 5000000 + number};
    sim_at(s, &p->next, (int64_t)prng_below(&s->prng, 100 * MS), act);
}

/* The simulated disk: struct disk over the medium, and the planned faults. */

#include "tests/lib/disk_sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/disk_medium.h"

#define FAULTS_MAX       8
#define OPS_COUNT        11
#define CAPACITY_DEFAULT ((uint64_t)1 << 40)

struct disk_sim {
    struct medium medium;
    struct prng chance; /* of faults; apart from the medium's */
    uint64_t capacity;
    uint64_t epoch; /* crashes so far: older handles are dead */
    bool cut;       /* power went during an operation */
    bool in_use;    /* a handle of this epoch is open */
    size_t handles; /* all that are not freed yet */
    struct disk_sim_fault faults[FAULTS_MAX];
    size_t faults_count;
    uint64_t struck;
    uint64_t counts[OPS_COUNT];
    bool traces;
    struct buf trace;
};

struct sim_disk {
    struct disk disk;
    struct disk_sim *sim;
    uint64_t epoch;
    size_t files; /* open */
};

struct sim_file {
    struct disk_file file;
    struct medium_file *contents;
    char name[MEDIUM_NAME_MAX + 1];
};

static struct disk_sim *sim_of(struct disk *d)
{
    return container_of(d, struct sim_disk, disk)->sim;
}

static struct sim_file *sim_file_of(struct disk_file *f)
{
    return container_of(f, struct sim_file, file);
}

static void check_name(const char *name)
{
    must(name[0] != '\0' && strlen(name) <= MEDIUM_NAME_MAX);
    must(strchr(name, '/') == NULL);
}

__attribute__((format(printf, 2, 3))) static void
trace_add(struct disk_sim *sim, const char *format, ...)
{
    char line[3 * MEDIUM_NAME_MAX];
    va_list args;
    if (!sim->traces) {
        return;
    }
    va_start(args, format);
    const int size = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    must(size >= 0 && (size_t)size < sizeof line);
    /* With its NUL, which does not count and the next line overwrites. */
    buf_append(&sim->trace, (struct bytes){(uint8_t *)line, (size_t)size + 1});
    sim->trace.size--;
}

static void trace_end(struct disk_sim *sim, enum status st)
{
    if (st == ST_OK) {
        trace_add(sim, "\n");
    } else {
        trace_add(sim, " -> %s\n", status_name(st));
    }
}

/* --- faults --- */

static bool strikes(struct disk_sim *sim, struct disk_sim_fault *f,
                    enum disk_sim_op op)
{
    if ((f->on & (unsigned)op) == 0) {
        return false;
    }
    if (f->per_million > 0) {
        return prng_chance(&sim->chance, f->per_million, 1000000);
    }
    if (f->after > 0) {
        f->after--;
        return false;
    }
    return true;
}

/* The fault that strikes this operation; its `on` is 0 when none does. Every
 * plan counts the operation, also behind one that strikes. */
static struct disk_sim_fault next_fault(struct disk_sim *sim,
                                        enum disk_sim_op op)
{
    struct disk_sim_fault hit = {0};
    size_t left = 0;
    for (size_t i = 0; i < sim->faults_count; i++) {
        struct disk_sim_fault f = sim->faults[i];
        const bool strike = strikes(sim, &f, op) && hit.on == 0;
        if (strike) {
            hit = f;
        }
        if (!strike || f.forever || f.per_million > 0) {
            sim->faults[left++] = f;
        }
    }
    sim->faults_count = left;
    sim->struck += hit.on != 0;
    return hit;
}

/* DEAD: the power is out, nothing happens.  STOP: it fails and nothing
 * happens.  GO_THEN_STOP: it takes place, or part of it, and yet it fails. */
enum outcome { GO, DEAD, STOP, GO_THEN_STOP, LOSE, MISDIRECT };

static bool takes_place(enum outcome o)
{
    return o == GO || o == GO_THEN_STOP;
}

/* What becomes of this operation; *ret_st is set unless it goes well. */
static enum outcome begin(struct disk *d, enum disk_sim_op op,
                          enum status *ret_st, struct fault *reterr)
{
    struct disk_sim *sim = sim_of(d);
    sim->counts[__builtin_ctz((unsigned)op)]++;
    if (container_of(d, struct sim_disk, disk)->epoch != sim->epoch ||
        sim->cut) {
        *ret_st = fault_set(reterr, ST_IO, "the simulated power is out");
        return DEAD;
    }
    const struct disk_sim_fault f = next_fault(sim, op);
    if (f.on == 0) {
        return GO;
    }
    switch (f.what) {
    case DISK_SIM_LOSE:
        must(op == DISK_SIM_WRITE);
        return LOSE;
    case DISK_SIM_MISDIRECT:
        must(op == DISK_SIM_WRITE);
        return MISDIRECT;
    case DISK_SIM_FAIL:
        must(f.st != ST_OK);
        *ret_st =
            fault_set(reterr, f.st, "simulated fault: %s", status_text(f.st));
        if (f.st != ST_IO && op != DISK_SIM_WRITE) {
            return STOP; /* refused: certainly not done */
        }
        break;
    case DISK_SIM_CUT:
        sim->cut = true;
        *ret_st = fault_set(reterr, ST_IO, "the simulated power went out");
        break;
    }
    return prng_chance(&sim->chance, 1, 2) ? GO_THEN_STOP : STOP;
}

/* --- the operations --- */

static enum status sim_open(struct disk *d, const char *name, bool create,
                            struct disk_file **ret, struct fault *reterr)
{
    struct disk_sim *sim = sim_of(d);
    enum status st = ST_OK;
    check_name(name);
    const enum outcome o =
        begin(d, create ? DISK_SIM_CREATE : DISK_SIM_OPEN, &st, reterr);
    struct medium_file *f = medium_find(&sim->medium, name);
    if (st == ST_OK && create && f != NULL) {
        st =
            fault_set(reterr, ST_EXISTS, "cannot create '%s': it exists", name);
    } else if (st == ST_OK && !create && f == NULL) {
        st = fault_set(reterr, ST_NOT_FOUND, "cannot open '%s': not there",
                       name);
    }
    if (create && f == NULL && takes_place(o)) {
        f = medium_create(&sim->medium, name);
    }
    if (create) {
        trace_add(sim, "create %s", name);
        trace_end(sim, st);
    }
    if (st != ST_OK) {
        return st;
    }
    f->opens++;
    container_of(d, struct sim_disk, disk)->files++;
    struct sim_file *file = xmalloc(sizeof *file);
    *file = (struct sim_file){.file = {.disk = d}, .contents = f};
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    *ret = &file->file;
    return ST_OK;
}

static void sim_close(struct disk_file *file)
{
    struct sim_file *f = sim_file_of(file);
    must(f->contents->opens > 0);
    f->contents->opens--;
    container_of(file->disk, struct sim_disk, disk)->files--;
    medium_sweep(&sim_of(file->disk)->medium);
    free(f);
}

static enum status sim_read(struct disk_file *file, uint64_t offset, void *to,
                            size_t size, size_t *ret_size, struct fault *reterr)
{
    enum status st = ST_OK;
    if (begin(file->disk, DISK_SIM_READ, &st, reterr) != GO) {
        return st;
    }
    const struct bytes all = buf_bytes(&sim_file_of(file)->contents->cached);
    size_t n = 0;
    if (offset < all.size) {
        n = all.size - offset < size ? (size_t)(all.size - offset) : size;
        memcpy(to, all.data + offset, n);
    }
    *ret_size = n;
    return ST_OK;
}

/* How much of a write at `offset` the capacity admits. */
static size_t room_for(const struct disk_sim *sim, const struct medium_file *f,
                       uint64_t offset, size_t size)
{
    const uint64_t used = medium_used(&sim->medium);
    const uint64_t room = used < sim->capacity ? sim->capacity - used : 0;
    const uint64_t size_max =
        f->cached.size < UINT64_MAX - room ? f->cached.size + room : UINT64_MAX;
    if (offset + size <= size_max) {
        return size;
    }
    return offset < size_max ? (size_t)(size_max - offset) : 0;
}

/* Another sector of the file than the one that was meant. */
static uint64_t elsewhere(struct disk_sim *sim, const struct medium_file *f,
                          uint64_t offset)
{
    const uint64_t sectors = f->cached.size / MEDIUM_SECTOR_SIZE + 1;
    const uint64_t meant = offset / MEDIUM_SECTOR_SIZE;
    const uint64_t sector = prng_below(&sim->chance, sectors);
    return (sector != meant ? sector : meant + 1) * MEDIUM_SECTOR_SIZE;
}

static enum status sim_write(struct disk_file *file, uint64_t offset,
                             struct bytes data, struct fault *reterr)
{
    struct disk_sim *sim = sim_of(file->disk);
    struct sim_file *f = sim_file_of(file);
    enum status st = ST_OK;
    must(offset <= INT64_MAX && data.size <= INT64_MAX - offset);
    const enum outcome o = begin(file->disk, DISK_SIM_WRITE, &st, reterr);
    trace_add(sim, "write %s %ju+%zu", f->name, (uintmax_t)offset, data.size);
    if (o == GO_THEN_STOP) {
        data.size = prng_below(&sim->chance, data.size + 1);
    }
    const size_t room = room_for(sim, f->contents, offset, data.size);
    if (st == ST_OK && room < data.size) {
        st = fault_set(reterr, ST_NO_SPACE,
                       "cannot write '%s' at offset %ju: the simulated disk "
                       "is full",
                       f->name, (uintmax_t)offset);
    }
    data.size = room;
    if (o == MISDIRECT) {
        medium_write(f->contents, elsewhere(sim, f->contents, offset), data);
    } else if (takes_place(o)) {
        medium_write(f->contents, offset, data);
    }
    trace_end(sim, st);
    return st;
}

static enum status sim_sync(struct disk_file *file, struct fault *reterr)
{
    struct disk_sim *sim = sim_of(file->disk);
    struct sim_file *f = sim_file_of(file);
    enum status st = ST_OK;
    const enum outcome o = begin(file->disk, DISK_SIM_SYNC, &st, reterr);
    if (o == GO || (sim->cut && o == GO_THEN_STOP)) {
        medium_sync(f->contents);
    } else if (o != DEAD && !sim->cut) {
        medium_half_sync(&sim->medium, f->contents);
    }
    trace_add(sim, "sync %s", f->name);
    trace_end(sim, st);
    return st;
}

static enum status sim_size(struct disk_file *file, uint64_t *ret_size,
                            struct fault *reterr)
{
    enum status st = ST_OK;
    if (begin(file->disk, DISK_SIM_SIZE, &st, reterr) != GO) {
        return st;
    }
    *ret_size = sim_file_of(file)->contents->cached.size;
    return ST_OK;
}

static enum status sim_rename(struct disk *d, const char *from, const char *to,
                              struct fault *reterr)
{
    struct disk_sim *sim = sim_of(d);
    enum status st = ST_OK;
    check_name(from);
    check_name(to);
    const enum outcome o = begin(d, DISK_SIM_RENAME, &st, reterr);
    const bool there = medium_find(&sim->medium, from) != NULL;
    if (st == ST_OK && !there) {
        st = fault_set(reterr, ST_NOT_FOUND, "cannot rename '%s': not there",
                       from);
    }
    if (there && takes_place(o)) {
        medium_rename(&sim->medium, from, to);
    }
    trace_add(sim, "rename %s %s", from, to);
    trace_end(sim, st);
    return st;
}

static enum status sim_remove(struct disk *d, const char *name,
                              struct fault *reterr)
{
    struct disk_sim *sim = sim_of(d);
    enum status st = ST_OK;
    check_name(name);
    const enum outcome o = begin(d, DISK_SIM_REMOVE, &st, reterr);
    const bool there = medium_find(&sim->medium, name) != NULL;
    if (st == ST_OK && !there) {
        st = fault_set(reterr, ST_NOT_FOUND, "cannot remove '%s': not there",
                       name);
    }
    if (there && takes_place(o)) {
        medium_remove(&sim->medium, name);
    }
    trace_add(sim, "remove %s", name);
    trace_end(sim, st);
    return st;
}

static enum status sim_sync_names(struct disk *d, struct fault *reterr)
{
    struct disk_sim *sim = sim_of(d);
    enum status st = ST_OK;
    const enum outcome o = begin(d, DISK_SIM_SYNC_NAMES, &st, reterr);
    if (o == GO || (sim->cut && o == GO_THEN_STOP)) {
        medium_sync_names(&sim->medium);
    } else if (o != DEAD && !sim->cut) {
        medium_half_sync_names(&sim->medium);
    }
    trace_add(sim, "sync names");
    trace_end(sim, st);
    return st;
}

static enum status sim_list(struct disk *d,
                            void (*each)(void *arg, const char *name),
                            void *arg, struct fault *reterr)
{
    enum status st = ST_OK;
    if (begin(d, DISK_SIM_LIST, &st, reterr) != GO) {
        return st;
    }
    /* each() may change the directory: it hears the names of now. */
    const struct medium_names *names = &sim_of(d)->medium.cached;
    const size_t count = names->count;
    struct medium_entry *copy = xcalloc(count, sizeof *copy);
    if (count > 0) {
        memcpy(copy, names->entries, count * sizeof *copy);
    }
    for (size_t i = 0; i < count; i++) {
        each(arg, copy[i].name);
    }
    free(copy);
    return ST_OK;
}

static enum status sim_space(struct disk *d, uint64_t *ret_bytes,
                             struct fault *reterr)
{
    enum status st = ST_OK;
    if (begin(d, DISK_SIM_SPACE, &st, reterr) != GO) {
        return st;
    }
    const struct disk_sim *sim = sim_of(d);
    const uint64_t used = medium_used(&sim->medium);
    *ret_bytes = used < sim->capacity ? sim->capacity - used : 0;
    return ST_OK;
}

static void sim_disk_free(struct disk *disk)
{
    struct sim_disk *d = container_of(disk, struct sim_disk, disk);
    must(d->sim->handles > 0);
    must(d->files == 0); /* close before free, as with the real one */
    d->sim->handles--;
    if (d->epoch == d->sim->epoch) {
        d->sim->in_use = false;
    }
    free(d);
}

static const struct disk_ops sim_ops = {
    .open = sim_open,
    .close = sim_close,
    .read = sim_read,
    .write = sim_write,
    .sync = sim_sync,
    .size = sim_size,
    .rename = sim_rename,
    .remove = sim_remove,
    .sync_names = sim_sync_names,
    .list = sim_list,
    .space = sim_space,
    .free = sim_disk_free,
};

/* --- the medium from outside --- */

struct disk_sim *disk_sim_new(uint64_t seed)
{
    struct disk_sim *sim = xcalloc(1, sizeof *sim);
    prng_init(&sim->chance, seed);
    medium_init(&sim->medium, prng_next(&sim->chance));
    sim->capacity = CAPACITY_DEFAULT;
    return sim;
}

void disk_sim_free(struct disk_sim *sim)
{
    if (sim == NULL) {
        return;
    }
    must(sim->handles == 0);
    medium_fini(&sim->medium);
    buf_fini(&sim->trace);
    free(sim);
}

struct disk_sim *disk_sim_clone(const struct disk_sim *sim, uint64_t seed)
{
    struct disk_sim *clone = disk_sim_new(seed);
    medium_copy(&clone->medium, &sim->medium);
    clone->capacity = sim->capacity;
    return clone;
}

enum status disk_sim_open(struct disk_sim *sim, struct disk **ret,
                          struct fault *reterr)
{
    if (sim->in_use) {
        return fault_set(reterr, ST_BUSY,
                         "the simulated disk is in use by somebody else");
    }
    struct sim_disk *d = xmalloc(sizeof *d);
    *d = (struct sim_disk){
        .disk = {.ops = &sim_ops}, .sim = sim, .epoch = sim->epoch};
    sim->in_use = true;
    sim->handles++;
    *ret = &d->disk;
    return ST_OK;
}

void disk_sim_crash(struct disk_sim *sim)
{
    medium_crash(&sim->medium);
    sim->epoch++;
    sim->in_use = false;
    sim->cut = false;
}

void disk_sim_plan(struct disk_sim *sim, struct disk_sim_fault fault)
{
    must(sim->faults_count < FAULTS_MAX);
    must((fault.on & DISK_SIM_ALL) != 0);
    sim->faults[sim->faults_count++] = fault;
}

void disk_sim_unplan_all(struct disk_sim *sim)
{
    sim->faults_count = 0;
}

uint64_t disk_sim_faults_struck(const struct disk_sim *sim)
{
    return sim->struck;
}

void disk_sim_set_capacity(struct disk_sim *sim, uint64_t bytes)
{
    sim->capacity = bytes;
}

uint64_t disk_sim_used(const struct disk_sim *sim)
{
    return medium_used(&sim->medium);
}

struct disk_sim_losses disk_sim_losses(const struct disk_sim *sim)
{
    return (struct disk_sim_losses){.lost = sim->medium.lost,
                                    .torn = sim->medium.torn};
}

struct bytes disk_sim_contents(const struct disk_sim *sim, const char *name)
{
    const struct medium_file *f = medium_find(&sim->medium, name);
    if (f == NULL) {
        return BYTES_NONE;
    }
    return f->cached.size > 0 ? buf_bytes(&f->cached) : bytes_of("");
}

void disk_sim_put(struct disk_sim *sim, const char *name, struct bytes contents)
{
    check_name(name);
    medium_put(&sim->medium, name, contents);
}

void disk_sim_flip(struct disk_sim *sim, const char *name, uint64_t offset,
                   uint8_t mask)
{
    struct medium_file *f = medium_find(&sim->medium, name);
    must(f != NULL);
    medium_flip(f, offset, mask);
}

bool disk_sim_flip_any(struct disk_sim *sim, char *ret_name,
                       uint64_t *ret_offset)
{
    const uint64_t used = medium_used(&sim->medium);
    if (used == 0) {
        return false;
    }
    uint64_t at = prng_below(&sim->chance, used);
    const struct medium_names *names = &sim->medium.cached;
    size_t i = 0;
    while (at >= names->entries[i].file->cached.size) {
        at -= names->entries[i++].file->cached.size;
    }
    medium_flip(names->entries[i].file, at,
                (uint8_t)(1U << prng_below(&sim->chance, 8)));
    (void)snprintf(ret_name, MEDIUM_NAME_MAX + 1, "%s", names->entries[i].name);
    *ret_offset = at;
    return true;
}

void disk_sim_trace_on(struct disk_sim *sim)
{
    sim->traces = true;
}

const char *disk_sim_trace(const struct disk_sim *sim)
{
    return sim->trace.size > 0 ? (const char *)sim->trace.data : "";
}

void disk_sim_trace_clear(struct disk_sim *sim)
{
    buf_clear(&sim->trace);
}

uint64_t disk_sim_count(const struct disk_sim *sim, unsigned ops)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < OPS_COUNT; i++) {
        count += (ops >> i & 1) != 0 ? sim->counts[i] : 0;
    }
    return count;
}

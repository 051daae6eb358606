/* Opening and closing, options, identity and records. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/must.h"
#include "store/alarms.h"
#include "store/flush.h"
#include "store/meta_check.h"

void store_options_default(struct store_options *ret)
{
    *ret = (struct store_options){
        .map_size = UINT64_C(1) << 40,
        .quota_bytes = UINT64_C(2) << 30,
        .memtable_bytes_max = UINT64_C(5) << 20,
        .sweep_rows_max = 8192,
        .watch_changes_max = 512,
        .txn_ops_max = 128,
        .request_bytes_max = UINT64_C(1536) << 10,
    };
}

/* Takes the directory for this process alone; the lock goes with the file
 * descriptor, hence with the process. */
static enum status lock_directory(struct store *s, const char *path,
                                  struct fault *reterr)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return fault_sys(reterr, errno,
                         "cannot make the store's directory '%s'", path);
    }
    char name[4096];
    const int size = snprintf(name, sizeof name, "%s/store.lock", path);
    if (size < 0 || (size_t)size >= sizeof name) {
        return fault_set(reterr, ST_INVALID,
                         "the path of the store's directory is too long");
    }
    s->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0) {
        return fault_sys(reterr, errno, "cannot open '%s'", name);
    }
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return fault_sys(reterr, errno, "cannot lock '%s'", name);
        }
        char holder[16] = "?";
        const ssize_t got = pread(s->lock_fd, holder, sizeof holder - 1, 0);
        holder[got > 0 ? got : 1] = '\0';
        return fault_set(reterr, ST_BUSY,
                         "the store in '%s' is in use by process %s; stop that "
                         "one first, or give this one a directory of its own",
                         path, holder);
    }
    char self[16];
    const int digits = snprintf(self, sizeof self, "%ld", (long)getpid());
    if (ftruncate(s->lock_fd, 0) != 0 ||
        pwrite(s->lock_fd, self, (size_t)digits, 0) != digits) {
        /* Only the message above would miss it. */
    }
    return ST_OK;
}

/* Whether the file is new: no state, and no rows either. */
static enum status is_new(struct store *s, bool *ret, struct fault *reterr)
{
    MDB_txn *txn = NULL;
    const int rc = mdb_txn_begin(s->env.env, NULL, MDB_RDONLY, &txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "begin a transaction in the store");
    }
    bool found = false;
    bool empty = true;
    enum status st = state_exists(&s->env, txn, &found, reterr);
    for (int id = 0; id < TREES_COUNT; id++) {
        MDB_stat stat;
        empty = empty &&
                mdb_stat(txn, s->env.trees[id], &stat) == MDB_SUCCESS &&
                stat.ms_entries == 0;
    }
    mdb_txn_abort(txn);
    if (st == ST_OK && !found && !empty) {
        st = fault_set(reterr, ST_CORRUPT,
                       "the store is damaged: its state is missing; restore "
                       "this member from a peer or a backup");
    }
    *ret = !found;
    return st;
}

static enum status save_state(struct store *s, const struct state *state,
                              struct fault *reterr)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(s->env.env, NULL, 0, &txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "begin a transaction in the store");
    }
    const enum status st = state_save(&s->env, txn, &state->numbers,
                                      &state->local, &state->records, reterr);
    if (st != ST_OK) {
        mdb_txn_abort(txn);
        return st;
    }
    rc = mdb_txn_commit(txn);
    return rc == MDB_SUCCESS ? ST_OK
                             : lmdb_fault(reterr, rc, "commit to the store");
}

/* A new file gets its first state, so that from then on a missing one means
 * damage. */
static enum status first_state(struct store *s, struct fault *reterr)
{
    bool fresh = false;
    const enum status st = is_new(s, &fresh, reterr);
    return st == ST_OK && fresh ? save_state(s, &s->state, reterr) : st;
}

static enum status load(struct store *s, struct fault *reterr)
{
    bool found = false;
    enum status st = view_open(s, reterr);
    if (st == ST_OK) {
        state_fini(&s->state);
        st = state_load(&s->env, s->view.txn, &s->state, &found, reterr);
    }
    if (st == ST_OK && !alarms_are_valid(store_record(s, "alarms"))) {
        st = fault_set(reterr, ST_CORRUPT,
                       "the store is damaged: its alarms cannot be read; "
                       "restore this member from a peer or a backup");
    }
    s->durable = s->state.numbers;
    return st;
}

enum status store_open(const char *path, const struct store_options *options,
                       struct store **ret, struct fault *reterr)
{
    struct store *s = xcalloc(1, sizeof *s);
    s->options = *options;
    struct store_options defaults;
    store_options_default(&defaults);
    if (s->options.quota_bytes == 0) {
        s->options.quota_bytes = defaults.quota_bytes;
    }
    if (s->options.sweep_rows_max == 0) {
        s->options.sweep_rows_max = defaults.sweep_rows_max;
    }
    if (s->options.watch_changes_max == 0) {
        s->options.watch_changes_max = defaults.watch_changes_max;
    }
    s->lock_fd = -1;
    s->path = xmalloc(strlen(path) + 1);
    memcpy(s->path, path, strlen(path) + 1);
    s->active = memtable_new();
    state_init(&s->state);
    enum status st = lock_directory(s, path, reterr);
    if (st == ST_OK) {
        st = lmdb_env_make(path, options->map_size, reterr);
    }
    if (st == ST_OK) {
        st = lmdb_env_open(&s->env, path, options->map_size, reterr);
    }
    if (st == ST_OK) {
        st = first_state(s, reterr);
    }
    if (st == ST_OK) {
        st = meta_check(&s->env, reterr);
    }
    if (st == ST_OK) {
        st = load(s, reterr);
    }
    hub_init(&s->hub, s->state.numbers.revision);
    if (st != ST_OK) {
        store_close(s);
        return st;
    }
    *ret = s;
    return ST_OK;
}

void store_close(struct store *s)
{
    if (s == NULL) {
        return;
    }
    if (s->flush != NULL) {
        state_records_fini(&s->flush->records);
        free(s->flush);
    }
    must(s->kept == NULL);
    hub_fini(&s->hub);
    view_close(s);
    lmdb_env_close(&s->env);
    memtable_free(s->active);
    memtable_free(s->frozen);
    state_fini(&s->state);
    arena_fini(&s->outcome_arena);
    if (s->lock_fd >= 0) {
        (void)close(s->lock_fd); /* nothing was written that matters */
    }
    free(s->path);
    free(s);
}

enum status store_set_identity(struct store *s,
                               const struct store_identity *identity,
                               struct fault *reterr)
{
    /* A commit of its own, on top of what is durable: not what the loop has
     * applied since, which only a flush may write. */
    must(s->flush == NULL);
    struct state state;
    bool found;
    enum status st = state_load(&s->env, s->view.txn, &state, &found, reterr);
    if (st == ST_OK) {
        must(found);
        state.local.identity = *identity;
        st = save_state(s, &state, reterr);
    }
    if (st == ST_OK) {
        s->state.local.identity = *identity;
        st = view_renew(s, reterr);
    }
    state_fini(&state);
    return st;
}

enum status store_keep_record(struct store *s, const char *name,
                              struct bytes value, struct fault *reterr)
{
    must(s->flush == NULL);
    struct state state;
    bool found;
    enum status st = state_load(&s->env, s->view.txn, &state, &found, reterr);
    if (st == ST_OK) {
        must(found);
        st = state_records_set(&state.records, name, value);
        st = st == ST_OK
                 ? save_state(s, &state, reterr)
                 : fault_set(reterr, st, "cannot keep record '%s'", name);
    }
    if (st == ST_OK) {
        st = store_set_record(s, name, value, reterr);
    }
    if (st == ST_OK) {
        st = view_renew(s, reterr);
    }
    state_fini(&state);
    return st;
}

struct store_results *store_results_new(void)
{
    return xcalloc(1, sizeof(struct store_results));
}

void store_results_free(struct store_results *r)
{
    if (r != NULL) {
        arena_fini(&r->arena);
        free(r);
    }
}

void store_results_clear(struct store_results *r)
{
    arena_clear(&r->arena);
}

/* Defragmentation: a copy of the view, the flushes since, the switch. */

#include "store/defragment.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/must.h"
#include "store/import.h"
#include "store/kept.h"
#include "store/meta_check.h"

#define KEPT_BYTES_MAX ((uint64_t)256 << 20)

struct store_defragment {
    struct store *s;
    struct store_export *export; /* while COPYING */
    struct store_import *import;
    atomic_bool stop;
    atomic_uint_least64_t done;
    uint64_t all;

    struct kept_flushes kept; /* the loop's */
    struct list taken;        /* the follower's */

    struct lmdb_env env; /* of the new file, when FOLLOWING */
    struct state_local local;
    bool follows, failed;
    int old_fd; /* after the switch, of the old file; -1: none */
};

enum status store_defragment_begin(struct store *s,
                                   struct store_defragment **ret,
                                   struct fault *reterr)
{
    if (s->flush != NULL || s->kept != NULL) {
        return fault_set(reterr, ST_BUSY, "the store is being written");
    }
    struct store_defragment *d = xcalloc(1, sizeof *d);
    d->s = s;
    d->old_fd = -1;
    list_init(&d->kept.list);
    list_init(&d->taken);
    const enum status st =
        store_export_begin(s, STORE_EXPORT_BLOCK_BYTES, &d->export, reterr);
    if (st != ST_OK) {
        free(d);
        return st;
    }
    struct store_transfer_info info;
    store_export_info(d->export, &info);
    d->all = info.bytes_count;
    s->kept = &d->kept;
    *ret = d;
    return ST_OK;
}

void store_defragment_stop(struct store_defragment *d)
{
    atomic_store(&d->stop, true);
}

bool store_defragment_is_outrun(const struct store_defragment *d)
{
    return d->kept.bytes > KEPT_BYTES_MAX;
}

void store_defragment_progress(const struct store_defragment *d,
                               uint64_t *ret_done, uint64_t *ret_all)
{
    *ret_done = atomic_load(&d->done);
    *ret_all = d->all;
}

/* --- copying --- */

static enum status copy_rows(struct store_defragment *d, struct fault *reterr)
{
    struct buf piece = {0};
    bool over = false;
    enum status st = ST_OK;
    while (st == ST_OK && !over) {
        buf_clear(&piece);
        st = store_export_next(d->export, &piece, &over, reterr);
        if (st == ST_OK) {
            st = store_import_write(d->import, buf_bytes(&piece), reterr);
        }
        if (st == ST_OK && atomic_load(&d->stop)) {
            st = fault_set(reterr, ST_CANCELED, "it is not wanted any more");
        }
        atomic_store(&d->done, store_export_position(d->export));
    }
    buf_fini(&piece);
    return st;
}

static enum status load_local(struct store_defragment *d, struct fault *reterr)
{
    MDB_txn *txn = NULL;
    struct state state;
    bool found = false;
    const int rc = mdb_txn_begin(d->env.env, NULL, MDB_RDONLY, &txn);
    if (rc != MDB_SUCCESS) {
        return lmdb_fault(reterr, rc, "begin a transaction in the new file");
    }
    const enum status st = state_load(&d->env, txn, &state, &found, reterr);
    d->local = state.local;
    state_fini(&state);
    mdb_txn_abort(txn);
    return st == ST_OK && !found
               ? fault_set(reterr, ST_CORRUPT, "the new file has no state")
               : st;
}

enum status store_defragment_copy(struct store_defragment *d,
                                  struct fault *reterr)
{
    struct store *s = d->s;
    enum status st = import_begin_in(s->path, DEFRAGMENT_NAME, &s->options, 0,
                                     &d->import, reterr);
    if (st == ST_OK) {
        st = copy_rows(d, reterr);
    }
    if (st == ST_OK) {
        st = store_import_finish(d->import, &s->state.local.identity, reterr);
    }
    /* The view goes: the old file may use its free pages again. */
    store_export_free(d->export);
    d->export = NULL;
    if (st == ST_OK) {
        st = lmdb_env_open(&d->env, store_import_path(d->import),
                           s->options.map_size, reterr);
    }
    if (st == ST_OK) {
        st = load_local(d, reterr);
    }
    d->follows = st == ST_OK;
    return st;
}

/* --- following --- */

bool store_defragment_take(struct store_defragment *d)
{
    must(list_is_empty(&d->taken));
    list_splice(&d->taken, &d->kept.list);
    d->kept.bytes = 0;
    return !list_is_empty(&d->taken);
}

enum status store_defragment_follow(struct store_defragment *d,
                                    struct fault *reterr)
{
    struct list *link;
    enum status st = ST_OK;
    must(d->follows);
    while (st == ST_OK && (link = list_pop(&d->taken)) != NULL) {
        struct kept_flush *k = container_of(link, struct kept_flush, link);
        struct store_flush f = {.env = &d->env,
                                .frozen = k->frozen,
                                .numbers = k->numbers,
                                .local = d->local,
                                .records = k->records,
                                .garbage_revision = k->garbage_revision,
                                .sweep_rows_max = d->s->options.sweep_rows_max};
        st = store_flush_run(&f, reterr);
        d->local = f.local;
        kept_free(k);
    }
    return st;
}

/* --- the switch --- */

bool store_defragment_is_ready(const struct store_defragment *d)
{
    return d->follows && list_is_empty(&d->kept.list) &&
           list_is_empty(&d->taken) && d->s->flush == NULL &&
           atomic_load(&d->s->views) == 0;
}

/* Whoever drops the last hold on a large file waits until its blocks are free:
 * that shall not be the switch. */
static int open_old(const struct store *s)
{
    mdb_filehandle_t fd;
    return mdb_env_get_fd(s->env.env, &fd) == MDB_SUCCESS
               ? fcntl(fd, F_DUPFD_CLOEXEC, 3)
               : -1;
}

enum status store_defragment_switch(struct store_defragment *d,
                                    struct fault *reterr)
{
    struct store *s = d->s;
    must(store_defragment_is_ready(d));
    lmdb_env_close(&d->env);
    d->follows = false;
    view_close(s);
    d->old_fd = open_old(s); /* -1 is no harm: it is for later */
    lmdb_env_close(&s->env);
    enum status st = import_replace(d->import, reterr);
    if (st == ST_OK) {
        st = lmdb_env_open(&s->env, s->path, s->options.map_size, reterr);
    }
    if (st == ST_OK) {
        st = meta_check(&s->env, reterr);
    }
    if (st == ST_OK) {
        st = view_open(s, reterr);
    }
    if (st == ST_OK) {
        must(s->view.revision == s->durable.revision); /* D1 */
        s->state.local = d->local;
        s->kept = NULL;
    }
    return st;
}

void store_defragment_release(struct store_defragment *d)
{
    if (d->old_fd >= 0) {
        (void)close(d->old_fd); /* only looked at */
        d->old_fd = -1;
    }
}

void store_defragment_free(struct store_defragment *d)
{
    if (d == NULL) {
        return;
    }
    struct list *link;
    list_splice(&d->taken, &d->kept.list);
    while ((link = list_pop(&d->taken)) != NULL) {
        kept_free(container_of(link, struct kept_flush, link));
    }
    store_export_free(d->export);
    lmdb_env_close(&d->env);
    store_import_free(d->import);
    if (d->s->kept == &d->kept) {
        d->s->kept = NULL;
    }
    store_defragment_release(d);
    free(d);
}

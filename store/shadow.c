/* A store that only reads, over a view of its own: what is durable in another
 * one at a moment.  It has all reading functions, on any one thread at a time,
 * and neither memory nor watches. */

#include <stdlib.h>

#include "store/internal.h"

enum status shadow_open(struct store *s, struct store **ret,
                        struct fault *reterr)
{
    struct store *shadow = xcalloc(1, sizeof *shadow);
    bool found = false;
    shadow->original = s;
    atomic_fetch_add(&s->views, 1);
    shadow->options = s->options;
    shadow->lock_fd = -1;
    shadow->env = s->env;
    shadow->active = memtable_new();
    state_init(&shadow->state);
    enum status st = view_open(shadow, reterr);
    if (st == ST_OK) {
        state_fini(&shadow->state);
        st = state_load(&shadow->env, shadow->view.txn, &shadow->state, &found,
                        reterr);
    }
    if (st == ST_OK && shadow->state.numbers.index < s->durable.index) {
        st = fault_set(reterr, ST_CORRUPT,
                       "the store is damaged: its file is older than what was "
                       "written; restore this member from a peer or a backup");
    }
    shadow->durable = shadow->state.numbers;
    if (st != ST_OK) {
        shadow_close(shadow);
        return st;
    }
    *ret = shadow;
    return ST_OK;
}

void shadow_close(struct store *shadow)
{
    if (shadow == NULL) {
        return;
    }
    view_close(shadow);
    memtable_free(shadow->active);
    state_fini(&shadow->state);
    atomic_fetch_sub(&shadow->original->views, 1);
    free(shadow);
}

/* Reading ranges: the two memtables and the trees of the view as one ordered
 * sequence of the keys that are live at a revision.
 *
 * For one key the sources are asked from the newest to the oldest, and the
 * first that has a version at or before the revision decides.  History is
 * looked at only by readers of revisions older than the view: everything in it
 * was superseded at or before the view's own revision.
 */

#include "store/internal.h"
#include "store/record.h"

/* Rows of one key in history that are stepped over before a seek is cheaper. */
#define STEPS_BEFORE_SEEK 4

enum status merge_open(struct merge *m, const struct store *s, int64_t revision,
                       struct arena *keys, struct fault *reterr)
{
    *m = (struct merge){.store = s,
                        .revision = revision,
                        .with_history = revision < s->view.revision,
                        .keys_left = UINT32_MAX,
                        .keys = keys};
    enum status st =
        tree_cursor_open(&m->current, &s->view.trees[TREE_CURRENT], reterr);
    if (st == ST_OK && m->with_history) {
        st =
            tree_cursor_open(&m->history, &s->view.trees[TREE_HISTORY], reterr);
    }
    return st;
}

void merge_close(struct merge *m)
{
    tree_cursor_close(&m->current);
    tree_cursor_close(&m->history);
    buf_fini(&m->history_scratch);
    buf_fini(&m->seek_scratch);
}

/* After each move of the history cursor. */
enum status merge_history_arrived(struct merge *m, int64_t *ret_revision,
                                  struct fault *reterr)
{
    if (m->history.at_end) {
        return ST_OK;
    }
    const struct bytes row_key = m->history.row.key;
    if (!record_read_history_key(row_key, &m->history_scratch, &m->history_key,
                                 ret_revision)) {
        return tree_corrupt(m->history.tree, row_key, "a row cannot be read",
                            reterr);
    }
    return ST_OK;
}

static enum status history_seek(struct merge *m, int64_t *ret_revision,
                                struct fault *reterr)
{
    const enum status st =
        tree_cursor_seek(&m->history, buf_bytes(&m->seek_scratch), reterr);
    return st == ST_OK ? merge_history_arrived(m, ret_revision, reterr) : st;
}

enum status merge_seek(struct merge *m, struct bytes key, struct fault *reterr)
{
    const struct store *s = m->store;
    m->active = memtable_from(s->active, key);
    m->frozen = s->frozen == NULL ? NULL : memtable_from(s->frozen, key);
    enum status st = tree_cursor_seek(&m->current, key, reterr);
    if (st == ST_OK && m->with_history) {
        int64_t revision;
        buf_clear(&m->seek_scratch);
        record_history_from(&m->seek_scratch, key);
        st = history_seek(m, &revision, reterr);
    }
    return st;
}

/* Passes the rows of the key in history; *ret is the newest at or before the
 * revision, if there is one and it is wanted. */
static enum status history_pass(struct merge *m, struct bytes key, bool wanted,
                                bool *ret_found, struct version *ret,
                                struct fault *reterr)
{
    enum status st = ST_OK;
    int64_t revision = 0;
    *ret_found = false;
    st = merge_history_arrived(m, &revision, reterr);
    for (int steps = 0;
         st == ST_OK && !m->history.at_end && bytes_equal(m->history_key, key);
         steps++) {
        if (wanted && revision <= m->revision) {
            st = version_of_row(m->history.tree, &m->history.row, ret, reterr);
            *ret_found = st == ST_OK;
            wanted = false;
        } else if (steps < STEPS_BEFORE_SEEK) {
            st = tree_cursor_next(&m->history, reterr);
            if (st == ST_OK) {
                st = merge_history_arrived(m, &revision, reterr);
            }
        } else {
            buf_clear(&m->seek_scratch);
            if (wanted) {
                record_history_key(&m->seek_scratch, key, m->revision);
            } else {
                record_history_after(&m->seek_scratch, key);
            }
            st = history_seek(m, &revision, reterr);
        }
    }
    return st;
}

/* The smallest key that any source stands on. */
bool merge_least_key(const struct merge *m, struct bytes *ret)
{
    bool any = false;
    struct bytes least = BYTES_NONE;
    if (m->active != NULL) {
        least = m->active->key;
        any = true;
    }
    if (m->frozen != NULL &&
        (!any || bytes_compare(m->frozen->key, least) < 0)) {
        least = m->frozen->key;
        any = true;
    }
    if (!m->current.at_end &&
        (!any || bytes_compare(m->current.row.key, least) < 0)) {
        least = m->current.row.key;
        any = true;
    }
    if (m->with_history && !m->history.at_end &&
        (!any || bytes_compare(m->history_key, least) < 0)) {
        least = m->history_key;
        any = true;
    }
    *ret = least;
    return any;
}

static bool take_memory(const struct mem_key **at, struct bytes key,
                        int64_t revision, struct version *ret)
{
    const struct mem_key *k = *at;
    if (k == NULL || !bytes_equal(k->key, key)) {
        return false;
    }
    *at = mem_key_next(k);
    const struct mem_version *mv = mem_key_at(k, revision);
    if (mv != NULL) {
        *ret = mv->v;
    }
    return mv != NULL;
}

/* Asks all sources that stand on the key, and moves them past it. */
static enum status take(struct merge *m, struct bytes key, bool *ret_found,
                        struct version *ret, struct fault *reterr)
{
    enum status st = ST_OK;
    struct version older;
    bool found = take_memory(&m->active, key, m->revision, ret);
    if (take_memory(&m->frozen, key, m->revision, found ? &older : ret)) {
        found = true;
    }
    if (!m->current.at_end && bytes_equal(m->current.row.key, key)) {
        if (!found) {
            st = version_of_row(m->current.tree, &m->current.row, ret, reterr);
            found = st == ST_OK && ret->mod_revision <= m->revision;
        }
        if (st == ST_OK) {
            st = tree_cursor_next(&m->current, reterr);
        }
    }
    if (st == ST_OK && m->with_history && !m->history.at_end &&
        bytes_equal(m->history_key, key)) {
        bool found_old;
        st = history_pass(m, key, !found, &found_old, found ? &older : ret,
                          reterr);
        found = found || found_old;
    }
    *ret_found = found;
    return st;
}

/* Asked before each key, also those that are not live: behind a range there may
 * be a million that are newer than the revision. */
bool merge_stands_on(const struct merge *m, struct bytes *ret)
{
    return merge_least_key(m, ret) &&
           (m->end.size == 0 || bytes_compare(*ret, m->end) < 0);
}

enum status merge_next(struct merge *m, bool *ret_found, struct bytes *ret_key,
                       struct version *ret, struct fault *reterr)
{
    struct bytes key;
    while (merge_stands_on(m, &key)) {
        if (m->keys_left == 0) {
            m->paused = true;
            break;
        }
        m->keys_left--;
        if (key.data == m->history_scratch.data) {
            key = arena_copy(m->keys, key); /* the next move overwrites it */
        }
        bool found;
        const enum status st = take(m, key, &found, ret, reterr);
        if (st != ST_OK) {
            return st;
        }
        if (found && !ret->tombstone) {
            *ret_found = true;
            *ret_key = key;
            return ST_OK;
        }
    }
    *ret_found = false;
    return ST_OK;
}

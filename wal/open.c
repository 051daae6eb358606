/* Opening: a new log, or the one that is there.
 *
 * Nothing is changed before the log is known to be whole.  Then, in this order:
 * what a power cut left half written behind the end is cleaned away; the
 * unvouched tail is written again and synced; a record of this opening goes
 * behind it, is synced too, and vouches for it; only then are segments that the
 * log no longer needs retired, for the mark that they are not needed may be in
 * that tail. */

#include <stdlib.h>

#include "base/must.h"
#include "wal/directory.h"
#include "wal/internal.h"
#include "wal/replay.h"

static void take_spares(struct wal *w, const struct directory *d,
                        uint32_t above_id)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct found *f = &d->found[i];
        if (f->id >= w->id_next) {
            w->id_next = f->id + 1;
        }
        if (f->kind == FOUND_SPARE && f->id > above_id &&
            f->sectors == w->segment_sectors) {
            wal_add_spare(w, f->id);
        }
    }
}

static bool is_spare(const struct wal *w, uint32_t id)
{
    for (size_t i = 0; i < w->spares_count; i++) {
        if (w->spares[i] == id) {
            return true;
        }
    }
    return false;
}

static enum status clean_spares(struct wal *w, const struct directory *d,
                                struct fault *reterr)
{
    for (size_t i = 0; i < d->count; i++) {
        char name[SEGMENT_NAME_SIZE];
        struct disk_file *f = NULL;
        if (!d->found[i].unclean || !is_spare(w, d->found[i].id)) {
            continue;
        }
        segment_name(d->found[i].id, name);
        enum status st = w->disk->ops->open(w->disk, name, false, &f, reterr);
        if (st != ST_OK) {
            return st;
        }
        st = wal_clean(w, f, d->found[i].id, 0, 1, reterr);
        w->disk->ops->close(f);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

static enum status remove_making(struct wal *w, const struct directory *d,
                                 struct fault *reterr)
{
    struct fault why = {{0}};
    if (!d->making) {
        return ST_OK;
    }
    const enum status st = w->disk->ops->remove(w->disk, MAKING_NAME, &why);
    return st == ST_OK ? ST_OK : wal_fail(w, st, &why, reterr);
}

/* The record that says that this opening was, and thereby vouches for what is
 * before it. */
static enum status write_opening(struct wal *w, struct fault *reterr)
{
    enum status st = wal_append_state(w, reterr);
    return st == ST_OK ? wal_sync(w, reterr) : st;
}

/* --- a log that is there --- */

static bool is_used(const struct wal *w, uint32_t id)
{
    for (size_t i = 0; i < w->live_count; i++) {
        if (w->live[i].id == id) {
            return true;
        }
    }
    return is_spare(w, id);
}

/* What a crash left between a trim's mark and the end of the trim. */
static enum status retire_rest(struct wal *w, const struct directory *d,
                               struct fault *reterr)
{
    struct fault why = {{0}};
    enum status st = ST_OK;
    bool changed = false;
    for (size_t i = 0; i < d->count && st == ST_OK; i++) {
        const struct found *f = &d->found[i];
        if (!is_used(w, f->id)) {
            /* A damaged one is not worth keeping: size 0 fits no spare. */
            const struct segment s = {
                .id = f->id,
                .sectors = f->kind == FOUND_DAMAGED ? 0 : f->sectors};
            st = wal_retire(w, &s, &why);
            changed = true;
        }
    }
    if (st == ST_OK && changed) {
        st = w->disk->ops->sync_names(w->disk, &why);
    }
    return st == ST_OK ? ST_OK : wal_fail(w, st, &why, reterr);
}

static enum status check_identity(const struct wal *w,
                                  const struct record_head *head,
                                  struct fault *reterr)
{
    const struct wal_options *o = &w->options;
    if ((o->cluster_id != 0 && o->cluster_id != head->cluster_id) ||
        (o->member_id != 0 && o->member_id != head->member_id)) {
        return fault_set(reterr, ST_INVALID,
                         "the log belongs to member %jx of cluster %jx, and "
                         "this is member %jx of cluster %jx",
                         (uintmax_t)head->member_id,
                         (uintmax_t)head->cluster_id, (uintmax_t)o->member_id,
                         (uintmax_t)o->cluster_id);
    }
    return ST_OK;
}

static enum status go_on(struct wal *w, const struct directory *d,
                         struct replay *r, struct raft_hard_state hard_state,
                         struct fault *reterr)
{
    char name[SEGMENT_NAME_SIZE];
    w->live = r->run;
    w->live_count = r->count;
    r->run = NULL;
    const uint32_t last_id = w->live[w->live_count - 1].id;
    take_spares(w, d, last_id);
    w->next = r->next;
    w->synced = r->synced;
    w->chain = r->chain;
    must(r->opening_max < UINT32_MAX);
    w->opening = r->opening_max + 1;
    w->hard_state = hard_state;
    w->start_index = r->head.start_index;
    w->start_term = r->head.start_term;
    w->last_index = r->last_index;
    w->last_term = r->last_term;
    segment_name(last_id, name);
    enum status st = remove_making(w, d, reterr);
    if (st == ST_OK) {
        st = clean_spares(w, d, reterr);
    }
    if (st == ST_OK) {
        st = w->disk->ops->open(w->disk, name, false, &w->file, reterr);
    }
    if (st == ST_OK && r->unclean_end > 0) {
        st = wal_clean(w, w->file, last_id, w->next, r->unclean_end, reterr);
    }
    if (st == ST_OK) {
        st = wal_rewrite_tail(w, reterr);
    }
    if (st == ST_OK) {
        st = wal_sync(w, reterr);
    }
    if (st == ST_OK) {
        st = write_opening(w, reterr);
    }
    return st == ST_OK ? retire_rest(w, d, reterr) : st;
}

static enum status
open_old(struct wal *w, const struct directory *d, const struct found *last,
         void (*entry)(void *arg, const struct raft_entry *e), void *arg,
         struct wal_recovery *ret_recovery, struct fault *reterr)
{
    enum status st = check_identity(w, &last->head, reterr);
    if (st != ST_OK) {
        return st;
    }
    w->cluster_id = last->head.cluster_id;
    w->member_id = last->head.member_id;
    struct replay r = {0};
    st = replay_log(w->disk, d, last, entry, arg, ret_recovery, &r, reterr);
    if (st == ST_OK && r.opening_max == UINT32_MAX) {
        st = replay_corrupt(reterr, last->id, 0,
                            "it counts more openings than there can be");
    }
    if (st == ST_OK) {
        st = go_on(w, d, &r, ret_recovery->hard_state, reterr);
    }
    replay_fini(&r);
    return st;
}

/* --- a new one --- */

/* Begins the log that *w describes in a segment above all that are there; what
 * is there goes. */
static enum status begin(struct wal *w, const struct directory *d,
                         uint32_t flags, struct fault *reterr)
{
    uint32_t above_id = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (d->found[i].kind != FOUND_SPARE) {
            above_id = d->found[i].id;
        }
    }
    w->opening = 1;
    take_spares(w, d, above_id);
    enum status st = remove_making(w, d, reterr);
    if (st == ST_OK) {
        st = clean_spares(w, d, reterr);
    }
    if (st == ST_OK) {
        st = wal_make_spares(w, 1, reterr);
    }
    if (st == ST_OK) {
        st = wal_roll(w, flags, reterr);
    }
    if (st == ST_OK) {
        st = write_opening(w, reterr);
    }
    return st == ST_OK ? retire_rest(w, d, reterr) : st;
}

static enum status open_new(struct wal *w, const struct directory *d,
                            struct wal_recovery *ret_recovery,
                            struct fault *reterr)
{
    w->cluster_id = w->options.cluster_id;
    w->member_id = w->options.member_id;
    const enum status st = begin(w, d, 0, reterr);
    ret_recovery->cluster_id = w->cluster_id;
    ret_recovery->member_id = w->member_id;
    return st;
}

static enum status
open_what_is_there(struct wal *w, const struct directory *d,
                   void (*entry)(void *arg, const struct raft_entry *e),
                   void *arg, struct wal_recovery *ret_recovery,
                   struct fault *reterr)
{
    const struct found *last = NULL;
    const struct found *damaged = NULL;
    for (size_t i = 0; i < d->count; i++) {
        const struct found *f = &d->found[i];
        last = f->kind == FOUND_LIVE ? f : last;
        damaged = f->kind == FOUND_DAMAGED ? f : damaged;
    }
    /* It may be newer than all that can be read. */
    if (damaged != NULL && (last == NULL || damaged->id > last->id)) {
        return replay_corrupt(reterr, damaged->id, 0, damaged->why);
    }
    if (last == NULL) {
        return open_new(w, d, ret_recovery, reterr);
    }
    return open_old(w, d, last, entry, arg, ret_recovery, reterr);
}

/* Hands the log over, or closes it. */
static enum status finish(struct wal *w, enum status st, struct wal **ret,
                          struct fault *reterr)
{
    if (st == ST_OK) { /* a full disk fails nothing yet */
        st = wal_make_spares(w, 1, reterr);
        st = st == ST_NO_SPACE ? ST_OK : st;
    }
    if (st != ST_OK) {
        wal_close(w);
        return st;
    }
    wal_publish_room(w);
    *ret = w;
    return ST_OK;
}

enum status wal_open(struct disk *disk, const struct wal_options *options,
                     void (*entry)(void *arg, const struct raft_entry *e),
                     void *arg, struct wal_recovery *ret_recovery,
                     struct wal **ret, struct fault *reterr)
{
    struct wal *w = wal_new(disk, options);
    struct directory d = {0};
    *ret = NULL;
    *ret_recovery = (struct wal_recovery){0};
    enum status st = directory_read(disk, &d, reterr);
    if (st == ST_OK) {
        st = open_what_is_there(w, &d, entry, arg, ret_recovery, reterr);
        directory_fini(&d);
    }
    return finish(w, st, ret, reterr);
}

enum status wal_mend(struct disk *disk, const struct wal_options *options,
                     const struct wal_recovery *found, uint64_t index,
                     uint64_t term, struct wal **ret, struct fault *reterr)
{
    must(found->end_is_known && found->damaged_text[0] != '\0');
    struct wal *w = wal_new(disk, options);
    struct directory d = {0};
    *ret = NULL;
    w->cluster_id = found->cluster_id;
    w->member_id = found->member_id;
    w->hard_state = found->hard_state;
    w->hard_state.commit = index;
    w->start_index = w->last_index = index;
    w->start_term = w->last_term = term;
    enum status st = directory_read(disk, &d, reterr);
    if (st == ST_OK) {
        st = begin(w, &d, RECORD_RESET, reterr);
        directory_fini(&d);
    }
    return finish(w, st, ret, reterr);
}

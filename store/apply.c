/* Applying log entries: the store's only writer. */

#include "store/apply.h"

#include "base/must.h"
#include "store/alarms.h"
#include "store/lease.h"

static enum status apply_txn(struct store *s, const struct command *c,
                             struct arena *scratch, struct store_outcome *ret,
                             struct fault *reterr)
{
    ret->status = check_txn(&c->txn);
    if (ret->status != ST_OK) {
        return ST_OK;
    }
    struct path path = {0};
    enum status st = txn_decide(s, &c->txn, scratch, &path, reterr);
    if (st != ST_OK) {
        return st;
    }
    bool broken = false;
    st = txn_validate(s, &path, &broken, reterr);
    if (broken) {
        return st;
    }
    ret->status = st;
    if (st != ST_OK) {
        return ST_OK;
    }
    struct apply a = {.s = s,
                      .arena = &s->outcome_arena,
                      .time_ns = c->stamp.time_ns,
                      .revision = s->state.numbers.revision + 1,
                      .reterr = reterr};
    st = txn_run(&a, &path, &s->outcome_txn);
    if (st != ST_OK) {
        return st;
    }
    if (a.sub > 0) {
        s->state.numbers.revision = a.revision;
    }
    ret->txn = &s->outcome_txn;
    return ST_OK;
}

/* Compaction takes effect at once for every reader; what it made garbage goes
 * with the flushes (sweep.c). */
static enum status apply_compact(struct store *s, int64_t revision)
{
    struct state_numbers *n = &s->state.numbers;
    if (revision <= n->compact_revision) {
        return ST_COMPACTED;
    }
    if (revision > n->revision) {
        return ST_FUTURE_REVISION;
    }
    n->compact_revision = revision;
    return ST_OK;
}

static enum status apply_alarm(struct store *s,
                               const struct store_alarm_change *change,
                               struct admin_alarm_member *ret)
{
    struct fault fault;
    bool any = false;
    const enum status st = alarms_apply(s, change, &any, &fault);
    if (st == ST_OK && any) {
        *ret = change->alarm;
    }
    return st;
}

enum status store_apply(struct store *s, uint64_t index, uint64_t term,
                        struct bytes command, struct store_outcome *ret,
                        struct fault *reterr)
{
    struct state_numbers *n = &s->state.numbers;
    must(index == n->index + 1);
    must(term >= n->term);
    arena_clear(&s->outcome_arena);
    *ret = (struct store_outcome){0};

    if (command.size > 0) {
        struct command c;
        enum status st = command_decode(command, &s->outcome_arena, &c);
        if (st != ST_OK) {
            return fault_set(reterr, st,
                             "cannot apply entry %llu: it is not a command "
                             "that this program knows",
                             (unsigned long long)index);
        }
        ret->stamp = c.stamp;
        switch (c.type) {
        case COMMAND_TXN:
            st = apply_txn(s, &c, &s->outcome_arena, ret, reterr);
            break;
        case COMMAND_COMPACT:
            ret->status = apply_compact(s, c.compact_revision);
            break;
        case COMMAND_ALARM:
            ret->status = apply_alarm(s, &c.alarm, &ret->alarm);
            break;
        case COMMAND_LEASE_GRANT:
            st = lease_apply_grant(s, &c, ret, reterr);
            break;
        case COMMAND_LEASE_REVOKE:
            st = lease_apply_revoke(s, &c, term, ret, reterr);
            break;
        case COMMAND_LEASE_CHECKPOINT:
            st = lease_apply_checkpoint(s, &c, term, ret, reterr);
            break;
        }
        if (st != ST_OK) {
            return st;
        }
    }
    n->index = index;
    n->term = term;
    s->dirty = true;
    ret->header.revision = n->revision;
    return ST_OK;
}

enum status store_read_txn(struct store *s, const struct kv_txn_spec *txn,
                           struct store_results *r, struct kv_txn_result *ret,
                           struct fault *reterr)
{
    must(store_txn_is_read(txn));
    struct path path = {0};
    bool broken = false;
    enum status st = check_txn(txn);
    if (st == ST_OK) {
        st = txn_decide(s, txn, &r->arena, &path, reterr);
    }
    if (st == ST_OK) {
        st = txn_validate(s, &path, &broken, reterr);
    }
    if (st != ST_OK) {
        return st;
    }
    struct apply a = {.s = s,
                      .arena = &r->arena,
                      .revision = s->state.numbers.revision + 1,
                      .reads_only = true,
                      .reterr = reterr};
    st = txn_run(&a, &path, ret);
    must(a.sub == 0);
    return st;
}

enum status store_range(struct store *s, const struct kv_range_spec *spec,
                        struct store_results *r, struct kv_range_result *ret,
                        struct fault *reterr)
{
    const struct kv_op op = {.type = KV_OP_RANGE, .range = *spec};
    const struct kv_txn_spec txn = {.success = &op, .success_count = 1};
    enum status st = check_txn(&txn);
    if (st == ST_OK) {
        st = range_check_revision(s, spec);
    }
    if (st != ST_OK) {
        return st;
    }
    return range_run(s, spec, s->state.numbers.revision, &r->arena, false, ret,
                     reterr);
}

/* A store under test: commands by the line, answers as text.
 *
 * rig_do() takes a small language, so that a test reads as a trace:
 *
 *   put K V [opts]       opts: lease=N prev iv il keep attrs=X
 *   del K [END] [prev]   END may be "+" for "all that begin with K"
 *   get K [END] [opts]   rev=N limit=N keys count group=N sort=…
 *   move A B [prefix|keep|exchange]
 *   compact N
 *   grant ID TTL         leases; ids in decimal
 *   revoke ID [term=N]   with a term: as the leader of that term
 *   checkpoint CLOCK [ID=DEADLINE ...] [term=N]   by the leader; the rig's
 *                        entries are all of term 1, and so is this by default
 *   lease ID             "ttl 10 deadline 0 keys a b", "no lease"
 *   leases               "1 2 9 clock 500 count 3"
 *
 * and applies or reads it; rig_text() of the answer is compared.
 */
#ifndef TESTS_STORE_RIG_H
#define TESTS_STORE_RIG_H

#include "store/store.h"
#include "tests/lib/test.h"

struct rig {
    char path[512];
    struct store_options options;
    struct store *store;
    struct store_results *results;
    uint64_t index;  /* of the next entry */
    int64_t time_ns; /* of the next command's stamp; grows by 1000 */
    struct buf log;  /* all commands, sized: for replays */
    struct fault fault;
    struct store_outcome outcome; /* of the latest command */
};

void rig_begin(struct rig *r);
void rig_end(struct rig *r);
/* Closes, and opens again as after a crash: the log above what was durable is
 * replayed. */
void rig_restart(struct rig *r);
/* A whole flush. */
void rig_flush(struct rig *r);
/* Flushes until there is nothing left to do. */
void rig_settle(struct rig *r);

/* Applies a transaction; the outcome's status. */
enum status rig_txn(struct rig *r, const struct kv_txn_spec *txn);
enum status rig_op(struct rig *r, const struct kv_op *op);
enum status rig_compact(struct rig *r, int64_t revision);
enum status rig_grant(struct rig *r, int64_t id, int64_t ttl_s);
enum status rig_revoke(struct rig *r, int64_t id, uint64_t term);
enum status rig_checkpoint(struct rig *r, uint64_t term, int64_t clock_ms,
                           const struct store_lease *list, size_t count);

/* One line of the language above; the answer as text, valid until the next
 * call. */
const char *rig_do(struct rig *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "key=value c1 m2 v3 l4" and what else is not zero. */
void rig_item(struct buf *to, const struct kv_item *item);
/* Ends the text and returns it. */
const char *rig_text(struct buf *b);
uint32_t rig_hash(struct rig *r);

/* Words of a line; "''" is an empty one. */
size_t rig_words(char *line, char **words, size_t max);

/* A watch that writes down what it is told, one event in a line:
 * "5 put a=1", "6 del a", "end COMPACTED 4"; revisions of one call are
 * separated by nothing, calls by "--". */
struct rig_watch {
    struct kv_watch watch;
    struct buf text;
    bool ended;
};
void rig_watch(struct rig *r, struct rig_watch *w, const char *key,
               const char *end, int64_t start, bool prev_kv);
void rig_unwatch(struct rig *r, struct rig_watch *w);
/* Delivers all there is. */
void rig_deliver(struct rig *r);
/* What was heard since the last call. */
const char *rig_heard(struct rig_watch *w);

#endif

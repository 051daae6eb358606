/* A small keystore in memory that implements kv.h for tests: all revisions are
 * kept, answers come when the test says so, and every failure can be asked for.
 */
#ifndef TESTS_FS_FAKE_KV_H
#define TESTS_FS_FAKE_KV_H

#include "base/buf.h"
#include "base/list.h"
#include "kv/kv.h"

struct fake_version {
    struct bytes value; /* owned */
    int64_t create_revision, mod_revision, version, lease;
    uint64_t ino;
    int64_t mtime_ns;
    bool deleted;
};

struct fake_key {
    struct bytes key; /* owned */
    struct fake_version *versions;
    size_t count, capacity;
};

#define FAKE_LEASES 8

struct fake_lease {
    int64_t id; /* 0: a free place */
    int64_t ttl_s, left_s;
};

struct fake_event {
    struct bytes key, moved_from, moved_to; /* owned */
    int64_t revision;
    enum kv_event_type type;
    struct fake_version version;
    uint32_t groups_changed;
    bool attrs_only;
};

struct fake_kv {
    struct kv kv;
    struct kv_status status; /* what kv_status() says; revision is kept */

    /* How it answers. */
    bool hold;               /* nothing is answered */
    bool hold_events;        /* watches are told nothing */
    bool without_extensions; /* inos and mtimes are 0, moves unsupported */
    enum status fail;        /* of everything, without doing it; ST_OK: no */
    enum status lie;         /* of writes, after doing them */
    size_t lies;             /* how many more times */
    bool presumes;           /* where it may, as a leader does */

    /* What was asked. */
    size_t asked, linearizable, writes, cancelled;

    struct fake_lease leases[FAKE_LEASES];
    size_t renewals;

    /* Before a transaction runs: somebody else is faster. Called once. */
    void (*before_txn)(struct fake_kv *f);

    /* private */
    struct fake_key **keys; /* sorted */
    size_t keys_count, keys_capacity;
    struct fake_event *events;
    size_t events_count, events_capacity;
    struct list requests; /* kv_call.link, in order */
    struct list watches;
    uint64_t ino_next;
    void **arena;
    size_t arena_count, arena_capacity;
    int64_t writing; /* the revision being made; 0: none yet */
};

void fake_kv_init(struct fake_kv *f);
void fake_kv_fini(struct fake_kv *f);

/* Answers what is not held back, then delivers events; true when there was
 * anything. */
bool fake_kv_pump(struct fake_kv *f);
/* Answers the oldest request, held or not; false: there is none. */
bool fake_kv_answer_one(struct fake_kv *f);
size_t fake_kv_waiting(const struct fake_kv *f);

/* Changes from elsewhere. Text keys; return the revision. */
int64_t fake_put(struct fake_kv *f, const char *key, const char *value);
int64_t fake_put_bytes(struct fake_kv *f, struct bytes key, struct bytes value);
int64_t fake_put_lease(struct fake_kv *f, const char *key, const char *value,
                       int64_t lease);
int64_t fake_delete(struct fake_kv *f, const char *key);
/* A lease that was granted elsewhere; and one that ends, with its keys. */
void fake_grant(struct fake_kv *f, int64_t id, int64_t ttl_s);
enum status fake_revoke(struct fake_kv *f, int64_t id);
int64_t fake_move(struct fake_kv *f, const char *from, const char *to,
                  bool prefix, bool keep_target);
int64_t fake_exchange(struct fake_kv *f, const char *a, const char *b);
/* A compaction: what the watches have not been told they never are. */
void fake_miss(struct fake_kv *f);

/* The newest live version; NULL: none. */
const struct fake_version *fake_get(const struct fake_kv *f, const char *key);
const struct fake_version *fake_get_bytes(const struct fake_kv *f,
                                          struct bytes key);

#endif

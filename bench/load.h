/* What the files of the load generator share: bench/load.c drives, load_work.c
 * knows the kinds of work, load_wire.c the few messages they need. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "base/prng.h"
#include "bench/samples.h"
#include "net/grpc_dial.h"

enum work {
    WORK_PUT,
    WORK_GET,
    WORK_GET_SERIALIZABLE,
    WORK_TXN,
    WORK_MIXED,
    WORK_KEEPALIVE,
    WORK_WATCH, /* one writer; a sample lasts until the last watcher knows */
    WORK_FILL   /* every key once, 100 puts in a transaction */
};

#define LOAD_SERVERS_MAX 16

struct load_options {
    enum work work;
    const char *endpoints[LOAD_SERVERS_MAX];
    size_t endpoints_count;
    int pids[LOAD_SERVERS_MAX];
    size_t pids_count;
    unsigned clients, conns, watchers;
    double seconds, warm_seconds;
    uint64_t count; /* 0: by time */
    size_t value_size;
    uint64_t keys;
    bool filled; /* the keys are there already */
};

struct load;

/* One loop of request, answer, request. */
struct load_client {
    struct grpc_client_call call;
    struct load *load;
    struct grpc_client *conn;
    struct prng chance;
    int64_t begun_ns;
    int64_t lease;
    uint64_t key;  /* the next to fill */
    bool reads;    /* this time, of WORK_MIXED */
    bool answered; /* with what was asked for */
};

struct load_watcher {
    struct grpc_client_call call;
    struct load *load;
    bool created;
};

enum load_phase {
    PHASE_CONNECTING,
    PHASE_FILLING,
    PHASE_PREPARING, /* leases granted, watches created */
    PHASE_WARMING,
    PHASE_MEASURING,
    PHASE_ENDING
};

struct load {
    struct load_options options;
    struct loop *loop;
    struct grpc_dialer *dialer;
    struct loop_timer *timer;
    struct grpc_conn **conns;
    struct load_client *clients;
    struct load_watcher *watchers;
    enum load_phase phase;
    size_t conns_up;
    size_t running;    /* clients with a call under way */
    size_t preparing;  /* leases and watches that are not there yet */
    size_t told;       /* watchers that know the present change */
    int64_t change_ns; /* when it was asked for */
    bool changing;     /* asked for; the answer or watchers are still to come */
    struct samples samples;
    uint64_t errors, started;
    char first_error[256];
    uint8_t *value;
};

/* --- load.c --- */
/* One operation is over. */
void load_sample(struct load *l, int64_t begun_ns);
void load_error(struct load *l, const struct grpc_outcome *how);
bool load_goes_on(struct load *l); /* may another operation begin? */
/* A client has nothing under way any more. */
void load_client_ended(struct load *l);
void load_prepared(struct load *l); /* one of l->preparing is there */

/* --- load_work.c --- */
void load_begin_fill(struct load *l);
/* Grants leases and creates watches: counts l->preparing down. */
void load_prepare(struct load *l);
void load_begin(struct load_client *c);

/* --- load_wire.c --- */
#define LOAD_KEY_SIZE 12
struct load_put {
    uint64_t key;
    struct bytes value;
    int64_t lease;
};
void load_write_put(struct buf *to, const struct load_put *put);
void load_write_range(struct buf *to, uint64_t key, bool serializable);
/* Puts when the key's version is not negative, which is always. */
void load_write_txn(struct buf *to, const struct load_put *put);
void load_write_fill(struct buf *to, uint64_t first, size_t count,
                     struct bytes value);
void load_write_watch(struct buf *to, uint64_t key);
void load_write_number(struct buf *to, unsigned field, uint64_t value);
/* The last varint of that field on the top level; 0 when it is not there, or
 * not well formed. */
uint64_t load_number(struct bytes message, unsigned field);
bool load_has_field(struct bytes message, unsigned field);

#endif

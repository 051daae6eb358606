/* What the files of the simulator share. */
#ifndef TESTS_SIM_INTERNAL_H
#define TESTS_SIM_INTERNAL_H

#include "base/heap.h"
#include "base/list.h"
#include "base/prng.h"
#include "node/replica.h"
#include "store/transfer.h"
#include "tests/lib/disk_sim.h"
#include "tests/sim/event.h"
#include "tests/sim/history.h"
#include "tests/sim/kernel.h"
#include "tests/sim/mount.h"
#include "tests/sim/sim.h"

#define MOUNTS         2  /* of a member */
#define MEMBERS_MAX    12 /* that there ever are in a run */
#define CLIENTS_MAX    16
#define PROCESSES_MAX  4
#define LESSEES_MAX    8
#define WATCHERS_MAX   6
#define GAPS_MAX       8
#define LOCKERS_MAX    4
#define LOCKS          2
#define LOCK_KEY       (KEYS + 1)         /* key numbers, of the locks ... */
#define GUARDED_KEY    (LOCK_KEY + LOCKS) /* ... and what they guard */
#define TOKENS_MAX     64
#define VALUE_SIZE_MAX 56
#define TICK_NS        INT64_C(100000000)
#define ELECTION_TICKS 10
#define MS             INT64_C(1000000)

struct sim;

struct member {
    struct sim *sim;
    uint64_t id;              /* 0: not told yet */
    char name[16];            /* also in its URLs */
    struct membership *first; /* whom it knows at first; NULL: sim.first */
    char directory[300];
    struct disk_sim *disk_sim;
    uint64_t lost_index, lost_term; /* as node/data_dir.h keeps them */
    bool up, paused;
    bool gone;      /* for good: removed and has said so, or its data is lost */
    bool joins;     /* later: no configuration of its own, and its id is told */
    bool returns;   /* as who it was, with its data lost */
    bool was_alone; /* when it last ran */
    bool muted;     /* nothing that it sent arrives; until it crashes */
    bool broken;    /* its disk failed: it does nothing more, and stops */
    bool disk_full;
    uint64_t life, ticks;
    int64_t up_since_ns;
    int64_t clock_offset_ns;
    int64_t clock_drift_ppm;

    struct store *store;
    struct wal *wal;
    struct replica *replica;
    struct raft_message saving[64];
    size_t saving_count;
    bool trims; /* after the save, the log up to: */
    uint64_t trim_index, trim_term;
    struct store_flush *flushing;
    uint64_t flushes;              /* done */
    struct store_import *incoming; /* a state on its way (install.c), ... */
    struct store *fresh;           /* ... it, ... */
    struct store_comparison *comparison;
    struct raft_message offered;  /* ... and what raft is to hear of it */
    struct member *offered_by;    /* NULL: it was told what became of it */
    struct mount *mounts[MOUNTS]; /* NULL: not this one */
    struct kv_watch watch; /* of everything; of who joins, since its state */
    bool watches;
    int64_t seen;       /* the last revision its watch told */
    size_t seen_events; /* and what it has told of sim.all */
    struct changes due; /* instead of all up to due_at, since a state came */
    size_t due_next;
    int64_t due_at;

    struct event tick, saved, flushed, comparing, restart, doom, join;
    struct event stop, room;
    uint64_t struck;           /* faults of its disk before it started */
    enum sim_fault disk_fault; /* what is planned */
    struct disk_sim_losses losses;
    int64_t died_ns;
    uint64_t doom_above; /* it dies when it applies more; 0: it does not */
};

struct client {
    struct sim *sim;
    uint32_t number;
    struct event next;
    struct member *member; /* of the call under way */
    struct kv_txn txn;
    struct kv_range range;
    struct kv_compact compact;
    struct kv_op ops[2];
    struct kv_compare compare;
    uint8_t key[8], value[VALUE_SIZE_MAX];
    uint8_t next_key[8], next_value[VALUE_SIZE_MAX];
    size_t record;
    bool busy;
    int64_t known_revision[KEYS]; /* for CALL_SWAP, ... */
    uint64_t known_value[KEYS];   /* ... and what it was then */
};

/* A process with one call under way at a time, on a member's mount. */
struct process {
    struct sim *sim;
    uint32_t number;
    struct event next;
    struct task task;
    struct member *member; /* of the call under way; NULL: none is */
    struct mount *mount;
    size_t record;
    char name[16];
    uint32_t
        doubts; /* renames that may still happen: with names of their own */
    uint64_t node, directory, handle, offset;
    bool renames, is_directory, writes;
    bool may_have_happened; /* if no answer comes */
    uint8_t value[VALUE_SIZE_MAX];
    struct bytes unwritten; /* what is left of it */
};

/* A watch that begins anywhere in history, at any member, and lives a while. */
struct watcher {
    struct sim *sim;
    uint32_t number;
    struct event next;     /* begins or ends then */
    struct member *member; /* NULL: none */
    struct kv_watch watch;
    uint32_t key;        /* KEYS: all */
    int64_t start, past; /* wants from start; has all below past */
    struct {
        int64_t from, at;
    } gaps[GAPS_MAX]; /* where it was told what differs instead of history */
    size_t gaps_count;
    uint8_t name[8];
    struct changes seen;
};

/* Holds one lease at a time. */
struct lessee {
    struct sim *sim;
    uint32_t number;
    struct prng prng; /* its own: runs without lessees stay what they are */
    struct event next;
    struct kv_lease call;
    bool busy;
    bool silent;         /* renews no more, ... */
    bool on_edge;        /* ... or at the very end */
    int64_t id;          /* 0: none */
    int64_t asked_id;    /* what the call under way is about */
    int64_t asked_ns;    /* when it began */
    int64_t promised_ns; /* until then it must be there */
    int64_t edge_ns;     /* about then it ends */
    int64_t renewed_ns;  /* the last time that was answered */
    struct sighting {
        int64_t id;                /* looked for ... */
        uint64_t applied, flushes; /* ... in this state; nothing else can
                                      change what is found there */
        bool seen;                 /* it was there once */
    } in[MEMBERS_MAX];             /* that member's state */
};

/* Takes locks, and writes what they guard (locker.c). */
struct locker {
    struct sim *sim;
    uint32_t number;
    struct prng prng; /* its own */
    struct event next;
    struct kv_lease lease;
    struct kv_txn txn;
    struct kv_op op;
    struct kv_compare compare;
    uint8_t lock_name[8], data_name[8], value[VALUE_SIZE_MAX];
    bool busy;
    bool holds;          /* as it believes, by: */
    bool silent;         /* does not renew any more */
    int64_t token;       /* the create revision */
    int64_t id;          /* of its lease; 0: none */
    int64_t asked_ns;    /* when it asked for, or renewed, its lease */
    int64_t promised_ns; /* until then the lease lives */
    uint32_t lock;
    uint64_t count, number_put;
    struct token {
        int64_t revision;
        uint64_t value;
    } tokens[TOKENS_MAX]; /* won */
    size_t tokens_count;
};

struct profile {
    uint64_t calm_ns;  /* at most, between two troubles */
    bool slow_disk;    /* saves take up to a second */
    bool slow_network; /* messages come seconds late */
    bool lossy_network;
    uint64_t think_ns; /* of a client between two calls, at most */
    bool strict;       /* no change of members may cost the quorum */
    bool leaders_die;  /* soon after they were elected */
    bool old_leaders;  /* ... and come back when the next one dies */
    bool answers_kill; /* leaders die when a renewal was answered */
    bool tellers_die;  /* when they told another that it was removed */
    bool slow_flush;   /* stores take up to three seconds */
    bool bad_disks;    /* that fail and are full */
    bool forgets;      /* compacts beyond what members that are behind have */
    uint64_t message_bytes_max;
    uint64_t lasts_ns; /* at most, a crash or a pause */
};

struct sim {
    struct sim_options options;
    struct profile profile;
    struct sim_report *report;
    struct prng prng;
    char directory[256];
    int64_t now_ns;
    struct heap events;
    struct list landed; /* flights that may be used again */
    bool healed;
    bool healed_for_good; /* nobody begins anything any more */
    uint64_t value_last;

    struct member members[MEMBERS_MAX];
    uint32_t members_count;
    struct membership *first; /* the first members */
    struct steward *steward;
    bool cut[MEMBERS_MAX][MEMBERS_MAX];          /* [from][to] */
    int64_t linked_ns[MEMBERS_MAX][MEMBERS_MAX]; /* not cut since */
    int64_t arrived[MEMBERS_MAX][MEMBERS_MAX];   /* the last in order */
    struct changes all; /* the history, as the members' own watches tell it */
    struct client clients[CLIENTS_MAX];
    struct process processes[PROCESSES_MAX];
    struct watcher watchers[WATCHERS_MAX];
    struct lessee lessees[LESSEES_MAX];
    struct locker lockers[LOCKERS_MAX];
    struct history history;
    int64_t compact_asked; /* the highest revision */
    struct event fault;
    uint64_t fates;       /* aim.c */
    struct prng aim_prng; /* its own */
    struct event disk_trouble;
    struct prng disk_prng; /* its own */
    struct safety *safety;
};

void sim_at(struct sim *s, struct event *e, int64_t at_ns,
            void (*run)(struct sim *s, struct event *e));
void sim_note(struct sim *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* An event of its `restart`: back from a crash. */
void sim_restart(struct sim *s, struct event *e);
/* The first failure stays. */
void sim_fail(struct sim *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static inline bool sim_failed(const struct sim *s)
{
    return s->report->failure[0] != '\0';
}

/* Members are named by their places: 1 is the first. */
static inline uint32_t member_number(const struct member *m)
{
    return (uint32_t)(m - m->sim->members) + 1;
}
/* Any that is not gone for good. */
struct member *sim_pick(struct sim *s, struct prng *prng);
/* The first that is up; there is one. */
struct member *sim_any_up(struct sim *s);

static inline void sim_count(struct sim *s, enum sim_fault what)
{
    s->report->faults[what]++;
}

/* member.c */
void member_init(struct sim *s, uint32_t number);
void member_start(struct member *m);
void member_crash(struct member *m); /* power cut */
void member_stop(struct member *m);  /* the process alone ends */
void member_end(struct member *m);   /* in good order, and for good */
void member_lose_data(struct member *m);
void member_fini(struct member *m);
struct change change_of(const struct kv_event *e, bool is_last);
/* Does whatever there is to do after something happened to it. */
void member_turn(struct member *m);
/* The same after a request of a mount: most ask nothing of the store. */
void member_serve(struct member *m);
/* state: what came with a snapshot message; then network_report() may come
 * later. */
void member_receive(struct member *m, struct member *from,
                    struct raft_message *take, struct bytes state,
                    bool *ret_waits);
/* All that differed was told, perhaps. */
void member_note_due(struct member *m);

/* install.c: false when it cannot be taken now. */
bool install_offer(struct member *m, struct member *from,
                   struct raft_message *take, struct bytes state);
void install_forget(struct member *m);
/* After a turn: what raft did not need goes. */
void install_turn(struct member *m);
/* For a save that carries a snapshot: when that is true, this. */
bool install_is_ready(struct member *m);
enum status install_carry_out(struct member *m, const struct raft_message *x,
                              struct fault *reterr) MUST_USE;
/* What a watch that wants all from `start` on, and has been told all up to
 * `from`, has to be told instead of what happened up to `at`. */
void changes_between(const struct changes *all, int64_t from, int64_t at,
                     int64_t start, struct changes *to);
/* Whether this is what is due next. */
bool changes_take(struct changes *due, size_t *next, const struct change *c);
/* Reads the durable state into *to and makes the message speak of it; false
 * when that cannot be done now. */
bool member_export(struct member *m, struct raft_message *message,
                   struct buf *to);

struct wal_options member_wal_options(const struct member *m);
struct store_options member_store_options(const struct sim *s);

/* aim.c: faults that aim at a moment. */
void aim_draw_profile(struct sim *s);
/* Somebody was elected; */
void aim_at_leader(struct member *m);
/* it had a turn; */
void aim_at_turn(struct member *m);
/* a renewal was answered, the first for so long. True: the leader dies. */
bool aim_at_renewal(struct sim *s, int64_t idle_ns);
/* It told another that it was removed. */
void aim_at_teller(struct member *m);
/* How much longer a flush of its store takes. */
int64_t aim_at_flush(struct member *m);

/* disk.c */
void disk_init(struct sim *s);
void disk_fini(struct sim *s);
/* What it has lost and torn since the last time. */
void disk_count_losses(struct member *m);
/* rot.c: a copy of its store, in which a bit turns over, shows nothing wrong.
 */
void rot_check(struct member *m);
/* No fault is planned any more, and there is room. */
void disk_calm(struct member *m);
void disk_before_start(struct member *m);
/* It stops, if a planned fault or a full disk explains that; else the run has
 * failed. */
void disk_failed(struct member *m, enum status st, const char *doing,
                 const struct fault *fault);
/* True: explained, and it will be tried again. */
bool disk_start_failed(struct member *m, enum status st);
/* Makes the next segment of the log. */
void disk_tend(struct member *m);

/* files.c */
void files_remove(const char *directory); /* with all in it; or there is none */
bool files_copy(const char *from, const char *to);

/* damage.c: a bit of a log flips while its member is down, or not. */
void member_damage(struct member *m);
enum status member_mend(struct member *m, struct wal_recovery *recovery,
                        struct fault *reterr) MUST_USE;
void member_note_regained(struct member *m);

/* A frame about leases. */
void member_receive_lease(struct member *m, uint64_t from, struct bytes frame);

/* lessee.c */
void lessee_init(struct sim *s, uint32_t number);
/* What the member's state says of their leases. */
void lessees_check(struct member *m);
/* Its state is another: what was seen there counts no more. */
void lessees_forget(struct member *m);
void lessees_check_end(struct sim *s);

/* locker.c */
void lockers_init(struct sim *s);
void lockers_fini(struct sim *s);
/* KEYS: neither a lock nor what one guards. */
uint32_t locker_key(struct bytes key);
void lockers_check(struct sim *s);

/* network.c */
void network_init(struct sim *s);
void network_fini(struct sim *s); /* nothing is in flight any more */
struct member *network_member(struct sim *s, uint64_t id);
/* What became of a state that it sent. */
void network_report(struct member *from, uint64_t to, bool ok);
bool network_is_cut(const struct sim *s, const struct member *from,
                    const struct member *to);
bool network_is_whole(const struct sim *s);
/* Of struct replica_options. */
bool network_tell(void *member, uint64_t to, struct buf *take);
int64_t network_connected_ms(void *member, uint64_t to);
void network_free(struct event *e); /* one that never arrived */
void network_send_lease(struct sim *s, uint64_t from, uint64_t to,
                        struct buf *take);
void network_send(struct sim *s, uint64_t from, struct raft_message *take);
void network_heal(struct sim *s);
void network_partition(struct sim *s);

/* client.c */
void client_init(struct sim *s, uint32_t number);
void key_name(uint32_t key, uint8_t ret[8]);
uint32_t key_number(struct bytes key);
/* A value is its number, over and over, as often as the number says: of two
 * values no mixture is a third. */
struct bytes value_of(uint64_t number, uint8_t ret[VALUE_SIZE_MAX]);
/* A torn value has a number that nobody wrote. */
uint64_t value_number(struct bytes value);

/* process.c */
void process_init(struct sim *s, uint32_t number);
/* The member goes, and its mounts with it. */
void processes_forget(struct sim *s, const struct member *m);

/* told.c: what watchers on the mounts were told must be so. */
void told_check(struct sim *s);

/* watcher.c */
void watcher_init(struct sim *s, uint32_t number);
void watcher_fini(struct watcher *w);
/* The member goes: the watches at it end. */
/* Another state comes in the member's one's place. */
void watchers_expect(struct member *m, int64_t from, int64_t at);
void watchers_forget(struct sim *s, const struct member *m);
/* Every one that still lives must have seen all there is. */
void watchers_check(struct sim *s);

/* safety.c: what must hold of logs and leaders at any moment. */
struct safety *safety_new(void);
void safety_free(struct safety *x);
void safety_check(struct member *m);
/* What it promised is durable from now on. */
void safety_saved(struct member *m, const struct raft_message *saved);
/* Likewise what it found when it started: more than was synced, perhaps. */
void safety_started(struct member *m);
/* The highest index that anybody applied; that is durable at a member. */
uint64_t safety_applied(const struct sim *s);
uint64_t safety_durable(const struct member *m);

/* membership.c: members that come and go. */
void membership_init(struct sim *s); /* the first ones */
void membership_begin(struct sim *s);
void membership_fini(struct sim *s);
void membership_tick(struct member *m);
/* `by` knows that m was removed, and answers it no more. */
void membership_refuse(struct member *by, struct member *m);
/* It lost its data, was let in again, and has found out that it was there. */
bool membership_turned_away(struct member *m, enum status st);
/* A member may lose the end of its log now: two others have what it had. */
bool membership_can_spare(const struct sim *s, const struct member *m);
void membership_check_end(struct sim *s);
/* Into the trace: where each member stands. */
void membership_describe(struct sim *s);

/* check_files.c */
/* since: the highest revision that was acknowledged before the call began;
 * until: the lowest that a call answered which began after it had ended. Fills
 * in the revision where the call says one. */
void check_file_call(struct sim *s, struct record *r, int64_t since,
                     int64_t until);
void check_appends(struct sim *s);
void check_creations(struct sim *s);

/* check.c: all that must hold at the end of a run. */
void sim_check(struct sim *s);

#endif

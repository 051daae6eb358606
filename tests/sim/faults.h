/* What goes wrong in a run, and how often it did. A new kind is one row here
 * and one sim_count() (internal.h) where it happens. */
#ifndef TESTS_SIM_FAULTS_H
#define TESTS_SIM_FAULTS_H

#include <stdint.h>
#include <stdio.h>

#define SIM_FAULT_TABLE(ROW)                                                   \
    ROW(CRASH, "crash that loses or tears unsynced writes")                    \
    ROW(LEADER_DIES, "crash within 6 ms of an election")                       \
    ROW(LEADER_UNHEARD,                                                        \
        "crash of a leader whom nobody heard after its election")              \
    ROW(LEADER_COMMITS, "crash of a leader at its first commitment")           \
    ROW(LEADER_RENEWS, "crash of a leader at the answer to a renewal")         \
    ROW(TELLER_DIES,                                                           \
        "crash of one who has just told another that it was removed")          \
    ROW(PAUSE, "pause")                                                        \
    ROW(PARTITION_SIDES, "partition in two")                                   \
    ROW(PARTITION_ALONE, "one member cut off")                                 \
    ROW(PARTITION_ONE_WAY, "one member heard by nobody")                       \
    ROW(PARTITION_BRIDGE, "two sides with one member between them")            \
    ROW(DROP, "message lost")                                                  \
    ROW(DUPLICATE, "message doubled")                                          \
    ROW(REORDER, "message overtaken by later ones")                            \
    ROW(DELAY, "message late by seconds")                                      \
    ROW(CLOCK_WRONG, "start with a wrong clock")                               \
    ROW(CLOCK_DRIFT, "start with a drifting clock")                            \
    ROW(CLOCK_JUMP, "clock jump of up to 10 s")                                \
    ROW(SYNC_FAILS, "sync that fails: the member stops")                       \
    ROW(WRITE_FAILS, "write that fails, likewise")                             \
    ROW(READ_FAILS, "read that fails at a start")                              \
    ROW(DISK_FULL, "full disk, for up to 4 s")                                 \
    ROW(SLOW_DISK, "save that takes up to 1.5 s")                              \
    ROW(SLOW_FLUSH, "flush of a store that takes up to 3 s")                   \
    ROW(WRITES_UNSYNCED, "unsynced write of which a crash leaves nothing")     \
    ROW(SECTORS_TORN, "sector torn by a crash")                                \
    ROW(WRITE_LOST, "write in a log that was lost, though synced")             \
    ROW(WRITE_MISDIRECTED, "write in a log that went elsewhere")               \
    ROW(STORE_ROTS, "bit rot in a copy of a store, which must be seen")        \
    ROW(LOG_DAMAGED, "bit rot in a log")                                       \
    ROW(STATE_SENT, "whole state sent to a member")                            \
    ROW(DIFFERENCE, "of these, without the history that watches needed")       \
    ROW(COMPACTION, "compaction")                                              \
    ROW(MEMBER_ADDED, "voter added")                                           \
    ROW(LEARNER_ADDED, "learner added")                                        \
    ROW(LEARNER_PROMOTED, "learner promoted")                                  \
    ROW(MEMBER_REMOVED, "member removed")                                      \
    ROW(LEADER_REMOVED, "of these, the leader")                                \
    ROW(JOINT_CHANGE, "several changes at once, by a joint configuration")     \
    ROW(CHANGE_IN_PARTITION, "change of members during a partition")           \
    ROW(DATA_LOST, "all data of a member lost")                                \
    ROW(RETURN_REFUSED, "return without data refused")                         \
    ROW(LEADER_MOVED, "leadership handed over")                                \
    ROW(LEASE_EDGE, "renewal within milliseconds of the end of a lease")       \
    ROW(LOCK_FENCED, "write of a holder whose lock had gone, refused")         \
    ROW(LESSEE_SILENT, "lease left to end by its holder")

enum sim_fault {
#define ONE(name, text) SIM_FAULT_##name,
    SIM_FAULT_TABLE(ONE)
#undef ONE
        SIM_FAULTS
};

/* faults.c: a table, one row a kind. */
void sim_faults_print(const uint64_t counts[SIM_FAULTS], FILE *to);

#endif

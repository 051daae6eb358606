/* Who is wrong when members' hashes of the same state differ. */
#ifndef NODE_VERDICT_H
#define NODE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct verdict_vote {
    uint64_t member;
    bool answered;
    uint32_t hash;
    bool wrong; /* told */
};

enum verdict {
    VERDICT_EQUAL,    /* all who answered agree */
    VERDICT_WRONG,    /* those marked differ from a majority of all members */
    VERDICT_NOBODY,   /* all answered, and no majority agrees: all are marked,
                         since none is to be believed */
    VERDICT_UNDECIDED /* they differ, and who is right depends on those who did
                         not answer */
};

/* votes: one of each member there is. */
enum verdict verdict_of(struct verdict_vote *votes, size_t count);

#endif

/* "Did you mean …?" */
#ifndef CMD_NEAREST_H
#define CMD_NEAREST_H

#include <stddef.h>

/* How many letters must be put in, taken out, replaced or swapped with their
 * neighbour to make b of a.  Words longer than 63 bytes count as unlike
 * anything: SIZE_MAX. */
size_t nearest_distance(const char *a, const char *b);

/* The greatest distance at which `word` still looks like a slip of the pen. */
size_t nearest_distance_max(const char *word);

#endif

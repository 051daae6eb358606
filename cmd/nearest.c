/* Edit distance with swaps of neighbours (optimal string alignment). */

#include "cmd/nearest.h"

#include <stdint.h>
#include <string.h>

#define WORD_MAX 63

static size_t least(size_t a, size_t b, size_t c)
{
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

size_t nearest_distance(const char *a, const char *b)
{
    const size_t a_size = strlen(a);
    const size_t b_size = strlen(b);
    if (a_size > WORD_MAX || b_size > WORD_MAX) {
        return SIZE_MAX;
    }
    size_t cost[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= a_size; i++) {
        cost[i][0] = i;
    }
    for (size_t j = 0; j <= b_size; j++) {
        cost[0][j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        for (size_t j = 1; j <= b_size; j++) {
            const size_t other = a[i - 1] != b[j - 1];
            cost[i][j] = least(cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                               cost[i - 1][j - 1] + other);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1] && cost[i - 2][j - 2] + 1 < cost[i][j]) {
                cost[i][j] = cost[i - 2][j - 2] + 1;
            }
        }
    }
    return cost[a_size][b_size];
}

size_t nearest_distance_max(const char *word)
{
    const size_t third = strlen(word) / 3;
    return third > 1 ? third : 1;
}

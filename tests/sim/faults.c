/* The table of what went wrong. */

#include "tests/sim/faults.h"

void sim_faults_print(const uint64_t counts[SIM_FAULTS], FILE *to)
{
    static const char *const texts[] = {
#define ONE(name, text) text,
        SIM_FAULT_TABLE(ONE)
#undef ONE
    };
    for (int i = 0; i < SIM_FAULTS; i++) {
        (void)fprintf(to, "%12llu  %s\n", (unsigned long long)counts[i],
                      texts[i]);
    }
}

/* What the system says of this process; zeros where it does not. */
#ifndef API_PROCESS_H
#define API_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_facts {
    double cpu_s;   /* used */
    double start_s; /* since 1970 */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t open_fds, max_fds;
};
void process_facts(struct process_facts *ret);

#endif

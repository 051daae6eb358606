/* What a FUSE device is between the kernel and the daemon: packets, whole and
 * in order.  In memory: a system call for each costs more than all that is in
 * it.
 */
#ifndef TESTS_SIM_WIRE_H
#define TESTS_SIM_WIRE_H

#include <sys/types.h>

#include "base/bytes.h"

struct fs;
struct wire;

struct wire *wire_new(void);
void wire_free(struct wire *w);
/* The daemon's end; before its first packet. */
void wire_attach(struct wire *w, struct fs *fs);
void wire_send(struct wire *w, struct bytes head, struct bytes more,
               struct bytes most);
/* The next reply; 0: none.  One that is larger than the room ends the run. */
size_t wire_receive(struct wire *w, void *to, size_t room);

#endif

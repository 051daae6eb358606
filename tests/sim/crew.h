/* The helpers of a simulated mount: what the kernel sends to the filesystem
 * when one of its threads performs an order (fs/helper.c has the system calls),
 * in virtual time. */
#ifndef TESTS_SIM_CREW_H
#define TESTS_SIM_CREW_H

struct crew;
struct fs;
struct kernel;
struct sim;

/* Begins to replay. */
struct crew *crew_new(struct sim *s, struct kernel *k, struct fs *fs);
/* After the filesystem, which tells it no more. */
void crew_free(struct crew *c);

#endif

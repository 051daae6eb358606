/* `keelfs snapshot save|status|restore`. */
#ifndef CMD_SNAPSHOT_H
#define CMD_SNAPSHOT_H

#include <stdint.h>

#include "base/fault.h"

/* The words behind "snapshot"; the exit status. */
int snapshot_main(int argc, char *const *argv);

/* --- between snapshot.c and snapshot_save.c --- */

/* Asks one of the endpoints ("host:port,…") for a snapshot and stores it under
 * that name, which must be free: verified, synced, and only then with its name.
 *   ST_EXISTS    there is something of that name
 *   ST_NO_LEADER no endpoint could be reached
 *   ST_CORRUPT   what came is not what was sent
 *   ST_IO and the like                                                       */
enum status snapshot_save(const char *path, const char *endpoints,
                          struct fault *reterr) MUST_USE;

/* How far something is, on a terminal behind standard error; arg: what is being
 * done ("restoring").  `all` may be 0: not known. */
void snapshot_show_progress(void *arg, uint64_t done, uint64_t all);
void snapshot_end_progress(void);

#endif

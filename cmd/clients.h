/* The ports of a server where clients of the etcd API connect. */
#ifndef CMD_CLIENTS_H
#define CMD_CLIENTS_H

#include "cmd/server_options.h"
#include "kv/admin.h"

struct clients;

/* Listens at every URL of the options.  A default that somebody else listens at
 * is no failure when there are mounts to serve: a warning says so.  The status
 * and text are api_listen()'s. */
enum status clients_open(struct loop *loop, struct kv *kv, struct admin *admin,
                         const struct server_options *options,
                         struct clients **ret, struct fault *reterr) MUST_USE;

/* A line on standard output for each place. */
void clients_announce(const struct clients *c);

/* The end, in order (api/api.h); kv and admin end between close and free. NULL
 * is fine. */
void clients_drain(struct clients *c);
bool clients_idle(const struct clients *c); /* nobody waits for an answer */
void clients_close(struct clients *c);
void clients_free(struct clients *c);

#endif

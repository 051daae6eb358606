/* Stock etcd, one member or several, on loopback; or the keelfs that $KEELFS
 * names, with the same flags. */
#ifndef TESTS_CLIENT_ETCD_H
#define TESTS_CLIENT_ETCD_H

#include <stdbool.h>
#include <sys/types.h>

#define ETCD_MEMBERS_MAX 3

struct etcd {
    char directory[300];
    unsigned count;
    unsigned client_ports[ETCD_MEMBERS_MAX], peer_ports[ETCD_MEMBERS_MAX];
    char endpoints[ETCD_MEMBERS_MAX][32];
    const char *list[ETCD_MEMBERS_MAX];
    pid_t pids[ETCD_MEMBERS_MAX]; /* 0: not running */
};

bool etcd_is_installed(void);
void etcd_begin(struct etcd *e, unsigned count);
void etcd_end(struct etcd *e);
void etcd_start(struct etcd *e, unsigned which);
void etcd_kill(struct etcd *e, unsigned which, int signal);
/* Which member listens there. */
unsigned etcd_find(const struct etcd *e, const char *endpoint);

#endif

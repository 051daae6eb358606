/* See etcd.h. */

#include "etcd.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "tests/lib/test.h"

static bool is_ours(void)
{
    return getenv("KEELFS") != NULL;
}

static const char *program(void)
{
    return is_ours() ? getenv("KEELFS") : "etcd";
}

bool etcd_is_installed(void)
{
    return is_ours() || system("command -v etcd >/dev/null") == 0;
}

/* Below the range from which the kernel takes those of outgoing connections:
 * one of theirs could have it when the server comes back. */
static unsigned free_port(void)
{
    for (;;) {
        uint16_t random;
        must(getrandom(&random, sizeof random, 0) == sizeof random);
        const uint16_t port = (uint16_t)(10240 + random % (32000 - 10240));
        const struct sockaddr_in at = {.sin_family = AF_INET,
                                       .sin_addr.s_addr =
                                           htonl(INADDR_LOOPBACK),
                                       .sin_port = htons(port)};
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(fd >= 0);
        const bool free =
            bind(fd, (const struct sockaddr *)&at, sizeof at) == 0;
        (void)close(fd);
        if (free) {
            return port;
        }
    }
}

void etcd_start(struct etcd *e, unsigned which)
{
    char name[16], data[32], client[64], peer[64], all[256] = "";
    must(e->pids[which] == 0);
    for (unsigned i = 0; i < e->count; i++) {
        const size_t used = strlen(all);
        (void)snprintf(all + used, sizeof all - used,
                       "%se%u=http://127.0.0.1:%u", i > 0 ? "," : "", i,
                       e->peer_ports[i]);
    }
    (void)snprintf(name, sizeof name, "e%u", which);
    (void)snprintf(data, sizeof data, "data%u", which);
    (void)snprintf(client, sizeof client, "http://127.0.0.1:%u",
                   e->client_ports[which]);
    (void)snprintf(peer, sizeof peer, "http://127.0.0.1:%u",
                   e->peer_ports[which]);
    (void)fflush(NULL);
    const pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failing test leaves */
        if (chdir(e->directory) != 0) {
            _exit(1);
        }
        const int log = open("etcd.log", O_RDWR | O_CREAT | O_APPEND, 0600);
        (void)dup2(log, 1);
        (void)dup2(log, 2);
        const char *const flags[] = {"--name",
                                     name,
                                     "--data-dir",
                                     data,
                                     "--listen-client-urls",
                                     client,
                                     "--advertise-client-urls",
                                     client,
                                     "--listen-peer-urls",
                                     peer,
                                     "--initial-advertise-peer-urls",
                                     peer,
                                     "--initial-cluster",
                                     all,
                                     "--heartbeat-interval",
                                     "50",
                                     "--election-timeout",
                                     "500"};
        char *words[count_of(flags) + 3] = {(char *)(uintptr_t)program()};
        size_t count = 1;
        if (is_ours()) {
            words[count++] = (char *)(uintptr_t) "server";
        }
        for (size_t i = 0; i < count_of(flags); i++) {
            words[count++] = (char *)(uintptr_t)flags[i];
        }
        (void)execvp(words[0], words);
        _exit(1);
    }
    e->pids[which] = pid;
}

void etcd_begin(struct etcd *e, unsigned count)
{
    *e = (struct etcd){.count = count};
    (void)snprintf(e->directory, sizeof e->directory, "%s", test_directory());
    for (unsigned i = 0; i < count; i++) {
        e->client_ports[i] = free_port();
        e->peer_ports[i] = free_port();
        (void)snprintf(e->endpoints[i], sizeof e->endpoints[i], "127.0.0.1:%u",
                       e->client_ports[i]);
        e->list[i] = e->endpoints[i];
    }
    for (unsigned i = 0; i < count; i++) {
        etcd_start(e, i);
    }
}

void etcd_kill(struct etcd *e, unsigned which, int signal)
{
    must(e->pids[which] != 0);
    must(kill(e->pids[which], signal) == 0);
    if (signal == SIGKILL || signal == SIGTERM) {
        must(waitpid(e->pids[which], NULL, 0) == e->pids[which]);
        e->pids[which] = 0;
    }
}

void etcd_end(struct etcd *e)
{
    for (unsigned i = 0; i < e->count; i++) {
        if (e->pids[i] != 0) {
            etcd_kill(e, i, SIGKILL);
        }
    }
}

unsigned etcd_find(const struct etcd *e, const char *endpoint)
{
    unsigned which = 0;
    while (strcmp(e->endpoints[which], endpoint) != 0) {
        which++;
        must(which < e->count);
    }
    return which;
}

/* Bit rot in a store.  A member that finds some stops, and is replaced
 * (membership.c loses all of one's data); what must never be is that it serves
 * what has changed.  So when a member is down, a byte changes in a copy of what
 * it has on its disk, and everything in there is read: it is as it was, or the
 * reader is told, or its process ends (store/README.md, S10).
 *
 * The reader is a process of its own: LMDB believes its pages. */

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "tests/sim/internal.h"

#define TIMES 16 /* bytes changed, one after the other, each in a new copy */

enum verdict { SAME, REFUSED, WRONG };

struct rot {
    char from[320], directory[320], to[340];
    struct store_options options;
    uint64_t seeds[TIMES];
    struct prng prng;
    uint32_t right;            /* hash of the state */
    struct progress *progress; /* which the reader's death does not take */
};

struct progress {
    int done; /* bytes, also of whoever died of the last one */
    enum verdict last;
};

static bool copy(const struct rot *r)
{
    files_remove(r->directory);
    return mkdir(r->directory, 0700) == 0 && files_copy(r->from, r->to);
}

static bool hash(const struct rot *r, uint32_t *ret)
{
    struct store *s = NULL;
    struct fault fault = {{0}};
    const bool ok =
        store_open(r->directory, &r->options, &s, &fault) == ST_OK &&
        store_hash(s, ret, &fault) == ST_OK;
    store_close(s);
    return ok;
}

static bool turn_over(struct rot *r)
{
    struct stat there;
    uint8_t byte;
    const int fd = open(r->to, O_RDWR | O_CLOEXEC);
    must(fd >= 0 && fstat(fd, &there) == 0);
    /* The file has holes, and old pages full of nothing. */
    off_t at = 0;
    bool done = false;
    for (int tries = 0; tries < 100000 && !done; tries++) {
        at = (off_t)prng_below(&r->prng, (uint64_t)there.st_size);
        must(pread(fd, &byte, 1, at) == 1);
        done = byte != 0;
    }
    byte ^= (uint8_t)(1u << prng_below(&r->prng, 8));
    must(pwrite(fd, &byte, 1, at) == 1);
    (void)close(fd);
    return done;
}

static enum verdict examine(struct rot *r)
{
    uint32_t got;
    must(copy(r));
    if (!turn_over(r) || !hash(r, &got)) {
        return REFUSED;
    }
    return got == r->right ? SAME : WRONG;
}

/* The reader: one byte after the other, until one is its end. */
__attribute__((noreturn)) static void examine_all(struct rot *r)
{
    const struct rlimit none = {0, 0};
    static const int deaths[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    for (unsigned i = 0; i < count_of(deaths); i++) {
        (void)signal(deaths[i], SIG_DFL);
    }
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
    while (r->progress->done < TIMES && r->progress->last != WRONG) {
        (void)alarm(20);
        prng_init(&r->prng, r->seeds[r->progress->done++]);
        r->progress->last = REFUSED;
        r->progress->last = examine(r);
    }
    _exit(0);
}

/* Whoever dies of a byte is followed by one that goes on behind it. */
static void look(struct member *m, struct rot *r)
{
    (void)fflush(NULL);
    const pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        examine_all(r);
    }
    int how;
    must(waitpid(pid, &how, 0) == pid);
    if (r->progress->last == WRONG) {
        sim_fail(m->sim, "member %u serves what has changed on its disk",
                 member_number(m));
    }
}

void rot_check(struct member *m)
{
    struct sim *s = m->sim;
    if (!s->profile.bad_disks || !prng_chance(&s->disk_prng, 1, 8)) {
        return;
    }
    struct rot r = {.options = member_store_options(s)};
    (void)snprintf(r.from, sizeof r.from, "%s/data.mdb", m->directory);
    (void)snprintf(r.directory, sizeof r.directory, "%s/rot", s->directory);
    (void)snprintf(r.to, sizeof r.to, "%s/data.mdb", r.directory);
    if (!copy(&r) || !hash(&r, &r.right)) {
        sim_fail(s, "member %u's store cannot be read from a copy",
                 member_number(m));
        return;
    }
    for (int i = 0; i < TIMES; i++) {
        r.seeds[i] = prng_next(&s->disk_prng);
    }
    r.progress = mmap(NULL, sizeof *r.progress, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(r.progress != MAP_FAILED);
    while (r.progress->done < TIMES && !sim_failed(s)) {
        look(m, &r);
    }
    s->report->faults[SIM_FAULT_STORE_ROTS] += (uint64_t)r.progress->done;
    (void)munmap(r.progress, sizeof *r.progress);
}

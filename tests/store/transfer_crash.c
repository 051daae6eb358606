/* A transfer that is killed at every system call, and one whose disk is full
 * at every page. */

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/must.h"
#include "transfer_rig.h"

#define OLD_MEMBER 2

/* The sender's whole stream, and what its state answers. */
static uint32_t new_state(struct buf *stream)
{
    struct rig from;
    struct prng chance;
    prng_init(&chance, test_seed());
    rig_begin(&from);
    transfer_fill(&from, &chance, 60);
    transfer_settle(&from, 1);
    transfer_send(&from, 4096, stream);
    const uint32_t digest = transfer_digest(&from);
    rig_end(&from);
    return digest;
}

static uint32_t old_state(struct rig *to)
{
    transfer_open(to);
    (void)rig_do(to, "put old state");
    transfer_settle(to, OLD_MEMBER);
    const uint32_t digest = transfer_digest(to);
    store_close(to->store);
    to->store = NULL;
    return digest;
}

/* As a member starts: removes leftovers, opens. */
static uint32_t start(struct rig *to)
{
    EXPECT_INT(store_import_discard(to->path, NULL), ST_OK);
    EXPECT(!transfer_exists(to->path, "incoming"));
    transfer_open(to);
    struct store_identity identity;
    store_identity(to->store, &identity);
    EXPECT_INT(identity.cluster_id, CLUSTER_ID);
    EXPECT_INT(identity.member_id, OLD_MEMBER);
    const uint32_t digest = transfer_digest(to);
    store_close(to->store);
    to->store = NULL;
    return digest;
}

/* --- killed --- */

static pid_t begin_child(struct rig *to, const struct buf *stream)
{
    const pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
            _exit(77);
        }
        (void)raise(SIGSTOP);
        const enum status st =
            transfer_receive(to, buf_bytes(stream), 5000, OLD_MEMBER);
        _exit(st == ST_OK ? 0 : 1);
    }
    return pid;
}

/* Notes what matters for the order: (W)rites, (S)yncs, (R)enames, and where a
 * rename (r)eturns. */
static void note(pid_t pid, struct buf *trace)
{
    struct __ptrace_syscall_info info;
    must(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0);
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && trace->size > 0 &&
        trace->data[trace->size - 1] == 'R') {
        buf_append_byte(trace, 'r');
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) {
        return;
    }
    switch (info.entry.nr) {
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_ftruncate:
        buf_append_byte(trace, 'W');
        break;
    case SYS_fsync:
    case SYS_fdatasync:
        buf_append_byte(trace, 'S');
        break;
    case SYS_renameat:
    case SYS_renameat2:
        buf_append_byte(trace, 'R');
        break;
    default:
        break;
    }
}

enum outcome { KILLED, COMPLETE, UNABLE };

/* Lets it run to its n-th stop at a system call, entry or exit, and no
 * further. */
static enum outcome run_child(struct rig *to, const struct buf *stream,
                              unsigned stops, struct buf *trace)
{
    const pid_t pid = begin_child(to, stream);
    int status;
    must(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status)) {
        return UNABLE;
    }
    must(ptrace(PTRACE_SETOPTIONS, pid, NULL,
                (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) == 0);
    buf_clear(trace);
    for (unsigned n = 0; n < stops; n++) {
        must(ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0);
        must(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status)) {
            EXPECT_INT(WEXITSTATUS(status), 0);
            return COMPLETE;
        }
        EXPECT(WIFSTOPPED(status));
        EXPECT_INT(WSTOPSIG(status), SIGTRAP | 0x80);
        note(pid, trace);
    }
    must(kill(pid, SIGKILL) == 0);
    must(waitpid(pid, &status, 0) == pid);
    EXPECT(WIFSIGNALED(status));
    return KILLED;
}

/* The last rename is that of the state. */
static unsigned count_of_mark(const struct buf *trace, char mark)
{
    unsigned count = 0;
    for (size_t i = 0; i < trace->size; i++) {
        count += trace->data[i] == mark;
    }
    return count;
}

/* Danger: a crash in the middle leaves a member with half a state, or none. */
TEST(transfer_crash, killed_anywhere_it_has_the_old_state_or_the_new_one)
{
    struct rig to;
    struct buf stream = {0}, trace = {0};
    const uint32_t fresh = new_state(&stream);
    transfer_rig_begin(&to);
    uint32_t old = old_state(&to);
    EXPECT(old != fresh);
    unsigned olds = 0, news = 0;
    for (unsigned stops = 0;; stops++) {
        const enum outcome outcome = run_child(&to, &stream, stops, &trace);
        if (outcome == UNABLE) {
            SKIP("ptrace is not allowed here");
        }
        const uint32_t digest = start(&to);
        if (digest == old) {
            EXPECT_INT(outcome, KILLED);
            EXPECT(count_of_mark(&trace, 'r') < 2);
            olds++;
        } else if (digest == fresh) {
            EXPECT(count_of_mark(&trace, 'R') == 2);
            news++;
            rig_end(&to);
            transfer_rig_begin(&to);
            old = old_state(&to);
        } else {
            fail_msg("stop %u: neither the old state nor the new one", stops);
        }
        if (outcome == COMPLETE) {
            break;
        }
    }
    print_message("# killed %u times before and %u times after\n", olds, news);
    EXPECT(olds > 50);
    EXPECT(news > 2);
    rig_end(&to);
    buf_fini(&stream);
    buf_fini(&trace);
}

/* Danger: the new name is durable before what it names, and a power cut leaves
 * a file of zeros; or the name is not, and acknowledged state goes away. */
TEST(transfer_crash, all_is_synced_before_the_rename_and_the_name_after_it)
{
    struct rig to;
    struct buf stream = {0}, trace = {0};
    (void)new_state(&stream);
    transfer_rig_begin(&to);
    (void)old_state(&to);
    if (run_child(&to, &stream, UINT32_MAX, &trace) == UNABLE) {
        SKIP("ptrace is not allowed here");
    }
    const char *text = rig_text(&trace);
    const char *renamed = strchr(text, 'R');
    EXPECT(renamed != NULL);
    EXPECT(renamed > text);
    EXPECT(renamed[-1] == 'S');
    EXPECT(strchr(text, 'W') != NULL);
    EXPECT(strchr(renamed, 'W') == NULL);
    EXPECT_INT(strrchr(text, 'S') > strrchr(text, 'R'), true);
    rig_end(&to);
    buf_fini(&stream);
    buf_fini(&trace);
}

/* --- full --- */

/* Fills the file system but for so many pages. False when it cannot. */
static bool fill_but(const char *path, unsigned pages)
{
    static const char zeros[4096];
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t size = 0;
    must(fd >= 0);
    while (write(fd, zeros, sizeof zeros) == (ssize_t)sizeof zeros) {
        size += (off_t)sizeof zeros;
    }
    const bool full = errno == ENOSPC;
    const off_t rest = size - (off_t)(pages * sizeof zeros);
    const bool cut = full && rest >= 0 && ftruncate(fd, rest) == 0;
    must(close(fd) == 0);
    return cut;
}

static enum status receive_with(struct rig *to, const struct buf *stream,
                                const char *filler, unsigned pages)
{
    EXPECT(fill_but(filler, pages));
    const enum status st =
        transfer_receive(to, buf_bytes(stream), 5000, OLD_MEMBER);
    must(unlink(filler) == 0);
    return st;
}

static void fill_disks(const char *directory, const struct buf *stream,
                       uint32_t fresh)
{
    struct rig to;
    char filler[600];
    transfer_rig_begin(&to);
    (void)snprintf(to.path, sizeof to.path, "%s/store", directory);
    (void)snprintf(filler, sizeof filler, "%s/filler", directory);
    const uint32_t old = old_state(&to);
    unsigned pages = 0;
    for (;; pages++) {
        const enum status st = receive_with(&to, stream, filler, pages);
        EXPECT(!transfer_exists(to.path, "incoming"));
        if (st == ST_OK) {
            break;
        }
        if (st != ST_NO_SPACE) {
            fail_msg("%u pages: %s: %s", pages, status_name(st), to.fault.text);
        }
        EXPECT_INT(start(&to), old);
    }
    print_message("# needs %u pages for a stream of %zu bytes\n", pages,
                  stream->size);
    EXPECT(pages > 20);
    EXPECT_INT(start(&to), fresh);
    rig_end(&to);
}

/* Danger: a full disk ends the process, or costs the state that was there. */
TEST(transfer_crash, a_full_disk_is_an_answer_and_leaves_the_old_state)
{
    struct buf stream = {0};
    const uint32_t fresh = new_state(&stream);
    const char *directory = test_directory();
    const pid_t pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) != 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("full", directory, "tmpfs", 0, "size=8m") != 0) {
            _exit(77);
        }
        fill_disks(directory, &stream, fresh);
        _exit(0);
    }
    int status;
    must(waitpid(pid, &status, 0) == pid);
    buf_fini(&stream);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        SKIP("mounting is not allowed here");
    }
    EXPECT(WIFEXITED(status));
    EXPECT_INT(WEXITSTATUS(status), 0);
}

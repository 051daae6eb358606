/* One server: flags, then the node, then its mounts, until a signal or a
 * failure ends it.
 *
 *   starting --node is ready--> mounting --all mounted--> serving
 *      any of them --signal, failure--> stopping --> exit
 *
 * Everything happens on the loop's thread.  Callbacks only note what happened;
 * the steps are taken in the hook at the end of the turn, outside of the node's
 * and the filesystem's own calls.
 */

#include "cmd/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/clients.h"
#include "cmd/help.h"
#include "cmd/mounts.h"
#include "cmd/paths.h"
#include "cmd/server_flags.h"
#include "cmd/server_options.h"

struct server {
    const struct server_options *options;
    struct fs_options fs_options;
    struct loop *loop;
    struct node *node;
    struct clients *clients;
    struct mounts *mounts;
    struct loop_hook hook;
    struct loop_timer *patience; /* with calls in progress when stopping */
    bool ready;                  /* the node is; its mounts may be made */
    bool stopping;               /* nothing new is begun */
    int exit_status;
};

/* --- what to do about a failure --- */

static const char *advice(enum status why)
{
    if (why == ST_NO_SPACE) {
        return "; make room on that file system and start again: what was "
               "acknowledged is kept";
    }
    if (why == ST_IO) {
        return "; look at the disk (dmesg), then start again: what was "
               "acknowledged is kept";
    }
    if (why == ST_CORRUPT) {
        return "; do not delete anything: copy the data directory, then "
               "restore it from a backup";
    }
    if (why == ST_DENIED) {
        return "; run as the owner of the directory, or change its mode";
    }
    return "";
}

static void stop(struct server *s, int exit_status)
{
    s->stopping = true;
    if (exit_status > s->exit_status) {
        s->exit_status = exit_status;
    }
    loop_stop(s->loop);
}

static void patience_is_over(void *arg)
{
    struct server *s = arg;
    loop_stop(s->loop);
}

/* Clients are told to go elsewhere, and those that wait for an answer get it,
 * as long as that takes no longer than this. */
#define PATIENCE_NS (INT64_C(1000) * 1000000)

static void stop_gently(struct server *s)
{
    s->stopping = true;
    clients_drain(s->clients);
    s->patience = loop_timer_new(s->loop, patience_is_over, s);
    loop_timer_at(s->patience, loop_now_ns() + PATIENCE_NS);
}

/* --- callbacks: they note, and leave the rest to the hook --- */

static void node_is_ready(void *arg)
{
    struct server *s = arg;
    s->ready = true;
}

static void node_has_failed(void *arg, enum status why,
                            const struct fault *fault)
{
    struct server *s = arg;
    log_error("the node has stopped: %s%s", fault->text, advice(why));
    stop(s, 1);
}

static void signalled(void *arg, int signal)
{
    log_info("%s: unmounting and stopping (once more: at once)",
             signal == SIGINT ? "SIGINT" : "SIGTERM");
    stop_gently(arg);
}

static void announce(const struct server *s)
{
    const struct server_options *o = s->options;
    for (size_t i = 0; i < o->mounts_count; i++) {
        (void)printf("keelfs: mounted at %s\n", o->mounts[i]);
    }
    clients_announce(s->clients);
    (void)printf("keelfs: ready to serve client requests\n");
    (void)fflush(stdout); /* nobody may be reading */
}

static bool turn_over(void *arg)
{
    struct server *s = arg;
    if (s->stopping && s->patience != NULL && clients_idle(s->clients)) {
        loop_stop(s->loop);
    }
    if (!s->ready || s->stopping) {
        return false;
    }
    s->ready = false;
    struct fault fault;
    const enum status st = mounts_open(
        s->loop, node_kv(s->node), s->options->mounts, s->options->mounts_count,
        &s->fs_options, &s->mounts, &fault);
    if (st != ST_OK) {
        log_error("%s", fault.text);
        stop(s, 1);
        return false;
    }
    announce(s);
    return false;
}

/* --- start and end --- */

static enum status start_node(struct server *s, struct fault *reterr)
{
    struct node_options options;
    node_options_default(&options);
    server_options_to_node(s->options, &options);
    struct fault why;
    enum status st = paths_make_parents(options.data_dir, &why);
    if (st == ST_OK) {
        st = node_start(s->loop, &options, node_is_ready, node_has_failed, s,
                        &s->node, &why);
    }
    if (st != ST_OK) {
        s->node = NULL;
        return fault_set(reterr, st,
                         "cannot start a node with its data in '%s': %s%s",
                         options.data_dir, why.text, advice(st));
    }
    st = clients_open(s->loop, node_kv(s->node), node_admin(s->node),
                      s->options, &s->clients, reterr);
    if (st != ST_OK) {
        return st;
    }
    log_info("member '%s' runs with its data in '%s'; waiting for a leader",
             options.name, options.data_dir);
    return ST_OK;
}

static void finish(struct server *s)
{
    clients_close(s->clients);
    mounts_free(s->mounts);
    node_stop(s->node);
    clients_free(s->clients);
    loop_timer_free(s->patience);
    loop_hook_remove(&s->hook);
    loop_free(s->loop);
}

static int serve(const struct server_options *o,
                 const struct fs_options *fs_options)
{
    struct server s = {.options = o, .fs_options = *fs_options};
    struct fault fault;
    const struct loop_options loop_options = {.spin_us = o->spin_us};
    if (loop_new(&loop_options, &s.loop, &fault) != ST_OK) {
        log_error("cannot start: %s", fault.text);
        return 1;
    }
    s.hook = (struct loop_hook){.run = turn_over, .arg = &s};
    loop_hook_add(s.loop, &s.hook);
    enum status st = start_node(&s, &fault);
    if (st == ST_OK) {
        /* Not before: until the loop runs, a signal simply ends the process,
         * which harms nothing. */
        st = loop_on_signals(s.loop, signalled, &s, &fault);
    }
    if (st != ST_OK) {
        log_error("%s", fault.text);
        s.exit_status = 1;
    } else {
        loop_run(s.loop);
    }
    finish(&s);
    if (st == ST_OK) {
        log_info("stopped");
    }
    return s.exit_status;
}

/* --- before the start --- */

static void warn_line(void *arg, const char *line)
{
    (void)arg;
    log_warn("%s", line);
}

static void warn_unknown(void *arg, const char *name)
{
    (void)arg;
    log_warn("%s: no flag has this variable; it is ignored", name);
}

static enum status check_places(const struct server_options *o,
                                struct fault *reterr)
{
    const bool log_is_file = strcmp(o->log_output, "stderr") != 0 &&
                             strcmp(o->log_output, "stdout") != 0;
    const struct paths paths = {.data_dir = o->data_dir,
                                .log = log_is_file ? o->log_output : NULL,
                                .mounts = o->mounts,
                                .mounts_count = o->mounts_count};
    enum status st = paths_check(&paths, reterr);
    for (size_t i = 0; st == ST_OK && i < o->mounts_count; i++) {
        st = fs_mount_check(o->mounts[i], reterr);
    }
    return st;
}

/* The log goes to standard error; another place takes standard error's. */
static enum status open_log(const struct server_options *o,
                            struct fault *reterr)
{
    if (strcmp(o->log_output, "stderr") == 0) {
        return ST_OK;
    }
    const bool to_stdout = strcmp(o->log_output, "stdout") == 0;
    const int fd = to_stdout
                       ? dup(STDOUT_FILENO)
                       : open(o->log_output,
                              O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) {
        return fault_sys(reterr, errno, "cannot write the log to '%s'",
                         o->log_output);
    }
    (void)close(fd); /* nothing was written through it */
    return ST_OK;
}

static void warn_about_places(const struct server_options *o)
{
    if (o->mounts_count == 0 && o->listen_client_urls[0] == '\0') {
        log_warn("neither --mount nor --listen-client-urls names a place "
                 "where the keystore is served");
    }
    for (size_t i = 0; i < o->mounts_count; i++) {
        if (paths_hides_files(o->mounts[i])) {
            log_warn("'%s' is not empty: its files are hidden while it is "
                     "mounted",
                     o->mounts[i]);
        }
    }
    if (o->quota_bytes > (UINT64_C(8) << 30) && o->quota_bytes != UINT64_MAX) {
        log_warn("--quota-backend-bytes is more than the 8 GiB that etcd "
                 "recommends at most");
    }
}

/* 2 for flags that are wrong, 1 for places that are. */
static int run(const struct flags *f, const struct server_options *o,
               char *const *environment)
{
    struct fault fault;
    struct fs_options fs_options;
    fs_options_default(&fs_options);
    enum status st = fs_options_parse(o->mount_options, &fs_options, &fault);
    if (st != ST_OK) {
        (void)fprintf(stderr, "keelfs server: --mount-options: %s\n",
                      fault.text);
        return 2;
    }
    log_set_level(o->log_level);
    st = check_places(o, &fault);
    if (st == ST_OK) {
        st = open_log(o, &fault);
    }
    if (st != ST_OK) {
        log_error("%s", fault.text);
        return 1;
    }
    /* It passed before the log was open; now the warnings go there. */
    must(flags_review(f, warn_line, NULL, NULL) == ST_OK);
    flags_each_unknown_variable(f, environment, warn_unknown, NULL);
    warn_about_places(o);
    return serve(o, &fs_options);
}

static void no_line(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

static int refuse(const struct fault *fault)
{
    (void)fprintf(stderr, "keelfs server: %s\nSee 'keelfs server --help'.\n",
                  fault->text);
    return 2;
}

int server_main(int argc, char *const *argv, char *const *environment)
{
    struct flags f;
    struct fault fault;
    struct server_options o = {0};
    int exit_status = 0;
    flags_init(&f, server_flags, server_flags_count);
    enum status st = flags_read_line(&f, argc, argv, &fault);
    if (st == ST_OK && f.help) {
        help_server(server_flags, server_flags_count);
        goto out;
    }
    if (st == ST_OK && f.version) {
        help_version();
        goto out;
    }
    if (st == ST_OK) {
        st = flags_read_environment(&f, environment, &fault);
    }
    if (st == ST_OK) {
        st = flags_review(&f, no_line, NULL, &fault);
    }
    if (st == ST_OK) {
        st = server_options_from(&f, &o, &fault);
    }
    (void)signal(SIGPIPE, SIG_IGN); /* the log's reader may go away */
    exit_status = st == ST_OK ? run(&f, &o, environment) : refuse(&fault);
out:
    server_options_fini(&o);
    flags_fini(&f);
    return exit_status;
}

/* The one binary: picks the command. */

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/help.h"
#include "cmd/member.h"
#include "cmd/nearest.h"
#include "cmd/server.h"
#include "cmd/snapshot.h"

static int run_server(int argc, char **argv)
{
    return server_main(argc, argv, environ);
}

static int run_snapshot(int argc, char **argv)
{
    return snapshot_main(argc, argv);
}

static int run_member(int argc, char **argv)
{
    return member_main(argc, argv);
}

static int run_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    help_version();
    return 0;
}

static int run_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    help_program();
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv); /* the words behind the name */
} commands[] = {
    {"server", run_server},     {"snapshot", run_snapshot},
    {"member", run_member},     {"version", run_version},
    {"--version", run_version}, {"help", run_help},
    {"--help", run_help},       {"-h", run_help},
};

/* A descriptor below 3 that is closed would be given to the first file that is
 * opened, and messages would be written into the data. */
static bool standard_descriptors_open(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    return fd >= 0 && close(fd) == 0;
}

static int unknown_command(const char *word)
{
    (void)fprintf(stderr, "keelfs: unknown command '%s'", word);
    for (size_t i = 0; i < count_of(commands); i++) {
        if (nearest_distance(word, commands[i].name) <=
            nearest_distance_max(word)) {
            (void)fprintf(stderr, ": did you mean '%s'?", commands[i].name);
            break;
        }
    }
    (void)fputs("\nSee 'keelfs --help'.\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    if (!standard_descriptors_open()) {
        return 1; /* and there is no way to say so */
    }
    if (argc < 2) {
        (void)fputs("keelfs: a command is missing\nSee 'keelfs --help'.\n",
                    stderr);
        return 2;
    }
    for (size_t i = 0; i < count_of(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            const int status = commands[i].run(argc - 2, argv + 2);
            /* A full disk behind standard output must not pass for success. */
            return fflush(stdout) == 0 ? status : 1;
        }
    }
    return unknown_command(argv[1]);
}

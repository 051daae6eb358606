/* The one binary: picks the command. */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/help.h"
#include "cmd/nearest.h"
#include "cmd/server.h"

static int run_server(int argc, char **argv)
{
    return server_main(argc, argv, environ);
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
    {"server", run_server},     {"version", run_version},
    {"--version", run_version}, {"help", run_help},
    {"--help", run_help},       {"-h", run_help},
};

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

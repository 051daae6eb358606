/* Help and version texts. */

#include "cmd/help.h"

#include <stdio.h>
#include <string.h>

#include "cmd/version.h"

void help_program(void)
{
    (void)fputs("keelfs: a consistent keystore, mounted as a directory tree\n"
                "\n"
                "Usage:\n"
                "  keelfs server --data-dir DIR --mount DIR [flags]\n"
                "                     run a node and mount its keystore\n"
                "  keelfs snapshot save|status|restore FILE [flags]\n"
                "                     the whole state as a file\n"
                "  keelfs member change [flags]\n"
                "                     several members at once\n"
                "  keelfs version     print versions\n"
                "  keelfs help        print this\n"
                "\n"
                "'keelfs server --help' lists the flags.\n",
                stdout);
}

void help_version(void)
{
    (void)printf("keelfs Version: %s\n"
                 "etcd Version: %s\n",
                 KEELFS_VERSION, ETCD_VERSION);
}

static const char *value_name(const struct flag *row)
{
    switch (row->kind) {
    case FLAG_TEXT:
        return " TEXT";
    case FLAG_BOOL:
        return "";
    case FLAG_INT:
    case FLAG_COUNT:
        return " N";
    case FLAG_DURATION:
        return " TIME";
    case FLAG_URLS:
        return " URLS";
    case FLAG_CHOICE:
        return " WORD";
    case FLAG_LIST:
        return " DIR";
    }
    unreachable("kind of flag");
}

static void help_flag(const struct flag *row)
{
    (void)printf("  --%s%s\n      %s", row->name, value_name(row), row->help);
    if (row->choices[0] != '\0') {
        (void)printf(" (%s)", row->choices);
    }
    if (row->normal[0] != '\0') {
        (void)printf("; default %s", row->normal);
    }
    if (row->fate != FLAG_USED) {
        (void)printf("\n      [%s]", row->note);
    }
    (void)putchar('\n');
}

void help_server(const struct flag *table, size_t count)
{
    (void)fputs(
        "Usage: keelfs server --data-dir DIR --mount DIR [--mount DIR ...] "
        "[flags]\n"
        "\n"
        "Runs a node with its data in one directory and mounts the keystore at "
        "the others.\n"
        "SIGINT or SIGTERM unmounts and stops; a second one ends the process "
        "at once.\n"
        "\n"
        "Flags are written --flag=value or --flag value. Each can be given as "
        "a variable\n"
        "too: --data-dir is ETCD_DATA_DIR, --mount is KEELFS_MOUNT (several: "
        "with ':').\n"
        "A flag wins over its variable.\n",
        stdout);
    const char *group = "";
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].group, group) != 0) {
            group = table[i].group;
            (void)printf("\n%s:\n", group);
        }
        help_flag(&table[i]);
    }
}

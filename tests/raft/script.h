/* Data-driven test files: blocks of a command with arguments, perhaps input
 * lines, "----", and the expected output up to a blank line; two "----" in a
 * row mean that the output may hold blank lines and ends with two again. */
#ifndef TESTS_RAFT_SCRIPT_H
#define TESTS_RAFT_SCRIPT_H

#include "base/buf.h"
#include "base/must.h"
#include "base/status.h"

#define SCRIPT_ARGS_MAX   32
#define SCRIPT_VALUES_MAX 32

/* key, key=value or key=(value, …) */
struct script_arg {
    char key[512];
    char values[SCRIPT_VALUES_MAX][64];
    size_t values_count;
};

struct script_block {
    int line; /* of the command, from 1 */
    char name[64];
    struct script_arg args[SCRIPT_ARGS_MAX];
    size_t args_count;
    struct buf input;  /* lines, each with its end */
    struct buf wanted; /* the same */
};

struct script_score {
    size_t files_passed, files;
    size_t blocks_passed, blocks;
    size_t lines_passed, lines; /* compared ones */
};

/* Carries out one block; what it prints is compared.  Nothing: "ok". */
typedef void script_run(void *context, const struct script_block *block,
                        struct buf *output);

/* Runs all blocks of a file and adds to *score.  The first differing block of
 * the file is printed.  False: the file cannot be read or a block differs. */
bool script_file(const char *path, script_run *run, void *context,
                 struct script_score *score);

/* The number in text; stops the test at anything else. */
uint64_t script_number(const char *text);
/* As Go's strconv.ParseBool; false: it is none. */
MUST_USE bool script_read_bool(const char *text, bool *ret_value);
/* Stops the test where that fails. */
bool script_bool(const char *text);

#endif

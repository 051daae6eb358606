/* A directory for targets whose code under test has files: in memory where the
 * machine has that, one for the process, empty when it is asked for. */
#ifndef TESTS_FUZZ_DIRECTORY_H
#define TESTS_FUZZ_DIRECTORY_H

/* Empties it. Removed when the process ends. */
const char *fuzz_directory(void);

#endif

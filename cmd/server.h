/* `keelfs server`. */
#ifndef CMD_SERVER_H
#define CMD_SERVER_H

/* The words behind "server"; the exit status: 0 after SIGINT or SIGTERM, 1 when
 * the server could not start or had to stop, 2 for a wrong command line. */
int server_main(int argc, char *const *argv, char *const *environment);

#endif

/* `keelfs member change`: several changes of the members at once. */
#ifndef CMD_MEMBER_H
#define CMD_MEMBER_H

/* The words behind "member"; the exit status. */
int member_main(int argc, char *const *argv);

#endif

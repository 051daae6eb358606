/* The control directory on a real mount: with the tools that people use, in the
 * state in which they use it. */

#include <stdio.h>
#include <stdlib.h>

#include "tests/fs/live.h"

static struct live l;

/* The kernel reads files without a size to their end, and nothing waits for
 * the store, which answers nothing here. */
TEST(mount, the_control_directory_works_without_a_quorum)
{
    static const struct kv_member members[] = {
        {.id = 0xa1, .name = "north", .is_self = true}};
    static const char *const succeed[] = {
        "test \"$(cat .keelfs/leader)\" = none",
        "grep -q '^quorum: no$' .keelfs/status",
        "test \"$(ls .keelfs | wc -w)\" = 6", /* and the leases' directory */
        "read line < .keelfs/members && test \"$line\" = 'a1 north self'",
        "for f in status leader members revision health; do "
        "cp .keelfs/$f $HERE/$f && cmp .keelfs/$f $HERE/$f || exit 1; done",
        "! echo x 2> $HERE/why > .keelfs/status && "
        "grep -q 'Read-only file system' $HERE/why",
        "! touch .keelfs/new 2> $HERE/why && "
        "grep -q 'Read-only file system' $HERE/why",
    };
    live_begin(&l, 1, "");
    live_lock(&l);
    l.kv.hold = true;
    l.kv.status.leader = 0;
    l.kv.status.writable = false;
    l.kv.status.members = members;
    l.kv.status.members_count = 1;
    live_unlock(&l);
    for (size_t i = 0; i < count_of(succeed); i++) {
        char command[2048];
        (void)snprintf(command, sizeof command, "HERE=%s; cd %s && { %s; }",
                       test_directory(), l.path[0], succeed[i]);
        if (system(command) != 0) {
            fail_msg("failed: %s", succeed[i]);
        }
    }
    live_lock(&l);
    l.kv.hold = false;
    live_unlock(&l);
    live_end(&l);
}

#!/bin/sh
# usage: mount.sh FILE COMMAND...
# Stands for election; COMMAND runs while this machine leads. `cat FILE` tells who
# leads, `inotifywait FILE` when that ends. A leader is who holds a lock for long.
exec "$(dirname "$0")/../lock/mount.sh" "$@"

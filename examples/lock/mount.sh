#!/bin/sh
# usage: mount.sh FILE COMMAND...
# Runs COMMAND on one machine at a time. FILE, on the mount, is the lock: whoever
# renames his own file to it, replacing nothing, holds it. The file has a lease,
# so it goes when its holder dies. TTL=10 sets how many seconds that takes.
set -eu
lock=$1
shift
ttl=${TTL:-10}
me="$(hostname) $$"
mine=$lock.$(hostname).$$

is_ours() {
    [ "$(cat "$lock" 2>/dev/null)" = "$me" ]
}

# The lease is there before the file can become the lock: nobody can die between.
echo "$me" > "$mine"
setfattr -n user.keelfs.ttl -v "$ttl" "$mine"
trap 'rm -f "$mine"' EXIT
trap exit INT TERM HUP

until mv -n "$mine" "$lock" && is_ours; do
    inotifywait -qq -t "$((ttl / 3 + 1))" -e delete -e moved_from "$(dirname "$lock")" || true
    touch -c "$mine" # renews our own lease while we wait
    [ -e "$mine" ] || exit 1 # we slept longer than it lives
done

"$@" &
job=$!
trap 'kill $job 2>/dev/null || true' INT TERM HUP
while kill -0 $job 2>/dev/null; do
    # Renewed while it is ours; whoever lost it must stop what it guards.
    if is_ours; then touch -c "$lock"; else kill $job; fi
    sleep "$((ttl / 4)).3"
done >/dev/null &
keeper=$!
status=0
wait $job || status=$?
wait $job 2>/dev/null || true # a signal ends the first wait before the job has ended
kill $keeper 2>/dev/null || true
if is_ours; then rm "$lock"; fi
exit $status

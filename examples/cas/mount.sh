#!/bin/sh
# usage: mount.sh DIRECTORY
# Compare-and-swap with files: a counter that many increment; prints the new
# number. Each version is a file, and the newest counts: whoever read version 7
# may write version 8, and a rename that replaces nothing lets one of them. Old
# versions stay: were 8 removed, a sleeper who read 7 could write it again.
set -eu
mine=$1/.$(hostname).$$
trap 'rm -f "$mine"' EXIT
while true; do
    version=$(ls "$1" | sort -n | tail -n 1)
    number=$(($(cat "$1/$version" 2>/dev/null || echo 0) + 1))
    echo "$number" > "$mine"
    mv -n "$mine" "$1/$((${version:-0} + 1))"
    if [ ! -e "$mine" ]; then
        echo "$number"
        break
    fi
done

#!/bin/sh
# usage: mount.sh FILE
# Prints FILE, and again whenever it was changed: on this machine or another, with
# an editor, by a rename, or through the API.
set -eu
directory=$(dirname "$1")
inotifywait -m -e close_write -e moved_to --format %f "$directory" 2>&1 |
    while read -r line; do
        case $line in
        # The first reading comes when the watch stands: no change is missed.
        "Watches established." | "$(basename "$1")") echo "loaded $(cat "$1")" ;;
        esac
    done

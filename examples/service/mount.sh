#!/bin/sh
# usage: mount.sh register DIRECTORY NAME ADDRESS   until it is ended: then NAME goes
#        mount.sh watch DIRECTORY                   who is there, and who comes and goes
# Service registration and discovery with a file each, on the mount.
set -eu
dir=$2

register() {
    ttl=${TTL:-10}
    while true; do
        # Under another name until it has its lease; then it appears at once, whole.
        echo "$2" > "$dir/.$1"
        setfattr -n user.keelfs.ttl -v "$ttl" "$dir/.$1"
        mv "$dir/.$1" "$dir/$1"
        # touch renews the lease; -c: a file that is gone is not made again by it.
        while [ -e "$dir/$1" ]; do
            sleep "$((ttl / 4)).3"
            touch -c "$dir/$1"
        done
    done
}

watch() {
    # What is there is read once the watch stands: nothing is missed between.
    inotifywait -m -e close_write -e moved_to -e delete --format '%e %f' "$dir" 2>&1 |
        while read -r event name; do
            case $event in
            Watches) for f in "$dir"/*; do [ -e "$f" ] && echo "up ${f##*/} $(cat "$f")"; done ;;
            DELETE) case $name in .*) ;; *) echo "down $name" ;; esac ;;
            CLOSE_WRITE* | MOVED_TO*) case $name in .*) ;; *) echo "up $name $(cat "$dir/$name")" ;; esac ;;
            esac
        done
}

case $1 in
register) register "$3" "$4" ;;
watch) watch ;;
esac

#!/usr/bin/env bash
# A cluster's life in two minutes, with stock etcdctl: it grows from one member to
# three to five, its first member is replaced, a member that lost its disk comes
# back as a new one, one moves to another address; compaction, defragmentation,
# snapshots, and a store that is full.  Somebody writes all the time, and in the
# end every acknowledged write is looked for on every member.
#
#   examples/members.sh [DIRECTORY]       (./dev demo --members)
#
# KEELFS names the program; PORT is the first of 40 ports on loopback.
set -euo pipefail
keelfs=$(realpath "${KEELFS:-build/cmd/keelfs}")
port=${PORT:-23790}
dir=${1:-$(mktemp -d)}
mkdir -p "$dir"
cd "$dir"
export ETCDCTL_API=3

# --- what a transcript is made of ---

say() {
    printf '\n# %s\n' "$*"
}

show() {
    local words="$*"
    printf '$ %s\n' "${words//$keelfs/keelfs}"
}

# run COMMAND...: shows it, and what it prints.
run() {
    show "$@"
    "$@"
}

# fails COMMAND...: likewise, of one that is refused.
fails() {
    show "$@"
    if "$@"; then
        printf 'that should have failed\n'
        exit 1
    fi
}

# soon COMMAND...: until it succeeds, for at most 20 s.  Members that have just
# connected do not count for 5 s (etcd's strict reconfiguration check).
soon() {
    show "$@"
    local try
    for try in $(seq 40); do
        if "$@" >soon.out 2>&1; then
            cat soon.out
            return
        fi
        sleep 0.5
    done
    cat soon.out
    exit 1
}

# --- members ---

declare -A pids numbers
count=0

peer() {
    printf 'http://127.0.0.1:%d' $((port + 4 * numbers[$1]))
}

client() {
    printf 'http://127.0.0.1:%d' $((port + 4 * numbers[$1] + 1))
}

number() {
    count=$((count + 1))
    numbers[$1]=$count
}

# start NAME STATE CLUSTER [FLAG...]
start() {
    local name=$1 state=$2 cluster=$3
    shift 3
    mkdir -p "$name" 2>/dev/null || true
    rm -f "$name.log"
    show keelfs server --name "$name" --data-dir "$name.data" --mount "$name" --initial-cluster "$cluster" \
        --initial-cluster-state "$state" ... "$@" '&'
    setsid "$keelfs" server --name "$name" --data-dir "$name.data" --mount "$name" --initial-cluster "$cluster" \
        --initial-cluster-state "$state" --initial-cluster-token members \
        --listen-peer-urls "$(peer "$name")" --initial-advertise-peer-urls "$(peer "$name")" \
        --listen-client-urls "$(client "$name")" --advertise-client-urls "$(client "$name")" "$@" \
        >"$name.log" 2>&1 &
    pids[$name]=$!
}

ready() {
    local try
    for try in $(seq 300); do
        if grep -qs "ready to serve" "$1.log"; then
            return
        fi
        kill -0 "${pids[$1]}" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 3 "$1.log"
    exit 1
}

# ended NAME: waits for its end, and shows its last words.
ended() {
    wait "${pids[$1]}" || true
    unset "pids[$1]"
    printf '(%s) ' "$1"
    grep -E ' (error|warn) .*(member|this)' "$1.log" | tail -n 1 | cut -d' ' -f2-
}

# use NAME...: whom etcdctl asks, and where the writer writes.
use() {
    local name endpoints=
    for name in "$@"; do
        endpoints+=,$(client "$name")
    done
    export ETCDCTL_ENDPOINTS=${endpoints#,}
    printf '%s\n' "$@" >"members.new"
    mv members.new members.now
}

id_of() {
    etcdctl member list | awk -F', ' -v name="$1" '$3 == name {print $1}'
}

# add NAME [FLAG...]: added, and started with what etcdctl says it needs.
add() {
    local name=$1
    shift
    number "$name"
    soon etcdctl member add "$name" --peer-urls="$(peer "$name")" "$@"
    start "$name" existing "$(sed -n 's/^ETCD_INITIAL_CLUSTER="\(.*\)"/\1/p' soon.out)"
    ready "$name"
    named "$name"
}

# named NAME: until the others have its name, which it says when it serves.
named() {
    local try
    for try in $(seq 200); do
        if [[ -n $(id_of "$1") ]]; then
            return
        fi
        sleep 0.1
    done
    echo "$1 does not say its name"
    exit 1
}

# --- somebody who writes, and remembers what was acknowledged ---

# Through the mount of whichever member takes it.  dd tells errors of close,
# which is where a write is acknowledged.
write_always() {
    local n=1 name
    while [[ -e writing ]]; do
        for name in $(cat members.now); do
            if printf 'value %d\n' $n | timeout 5 dd of="$name/load/$n" status=none 2>/dev/null; then
                echo $n >>acknowledged
                n=$((n + 1))
                break
            fi
        done
    done
}

expect_all() {
    local name lost n
    for name in $(cat members.now); do
        lost=0
        while read -r n; do
            [[ $(cat "$name/load/$n" 2>/dev/null) == "value $n" ]] || lost=$((lost + 1))
        done <acknowledged
        printf '%s: %d writes acknowledged, %d lost\n' "$name" "$(wc -l <acknowledged)" $lost
        [[ $lost -eq 0 ]] || exit 1
    done
}

finish() {
    rm -f writing
    local name
    for name in "${!pids[@]}"; do
        kill -TERM "${pids[$name]}" 2>/dev/null || true
    done
    wait || true
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

# --- the story ---

say "one member, and a writer that never stops"
number n1
start n1 new "n1=$(peer n1)"
ready n1
use n1
run etcdctl put /greeting hello
mkdir n1/load
: >acknowledged
: >writing
write_always &

say "to three: the second as a learner, which is promoted when it is in sync"
add n2 --learner
run etcdctl member list -w table
run cat n2/greeting
echo
soon etcdctl member promote "$(id_of n2)"
use n1 n2
add n3
use n1 n2 n3
run etcdctl endpoint status -w table

say "to five"
add n4
add n5
use n1 n2 n3 n4 n5
run etcdctl member list -w table

say "the first member, which leads, is replaced"
use n2 n3 n4 n5
soon etcdctl member remove "$(id_of n1)"
ended n1
add n6
use n2 n3 n4 n5 n6
run etcdctl endpoint status -w table

say "n3 loses its disk: it cannot come back as if nothing had happened"
use n2 n4 n5 n6
run kill -9 "${pids[n3]}"
wait "${pids[n3]}" 2>/dev/null || true
fusermount3 -uz n3 2>/dev/null || umount -l n3 || true
run rm -r n3.data
start n3 existing "n2=$(peer n2),n3=$(peer n3),n4=$(peer n4),n5=$(peer n5),n6=$(peer n6)"
ended n3

say "but as a new member"
soon etcdctl member remove "$(id_of n3)"
add n3
use n2 n3 n4 n5 n6
run cat n3/greeting
echo

say "n5 moves to another address"
id=$(id_of n5)
number n5
soon etcdctl member update "$id" --peer-urls="$(peer n5)"
use n2 n3 n4 n6
kill -TERM "${pids[n5]}"
wait "${pids[n5]}" 2>/dev/null || true
start n5 existing "n2=$(peer n2),n3=$(peer n3),n4=$(peer n4),n5=$(peer n5),n6=$(peer n6)"
ready n5
use n2 n3 n4 n5 n6
run etcdctl member list -w table

say "history goes, and the space it had"
revision=$(etcdctl get /greeting -w json | sed 's/.*"revision":\([0-9]*\).*/\1/')
run etcdctl compaction --physical "$revision"
fails etcdctl get /greeting --rev=1 2>&1 | sed 's/^{.*"error":"/{..."error":"/'
run etcdctl defrag
run etcdctl endpoint hashkv --rev "$revision" -w table
run etcdctl alarm list

say "a backup of one moment, while writes go on; and a new cluster out of it"
run "$keelfs" snapshot save backup --endpoints "$(client n2)"
run "$keelfs" snapshot status backup -w table
number new
run "$keelfs" snapshot restore backup --name new --data-dir new.data --initial-cluster "new=$(peer new)" \
    --initial-advertise-peer-urls "$(peer new)" --initial-cluster-token members
start new new "new=$(peer new)" --quota-backend-bytes 16000000
ready new
everybody=$ETCDCTL_ENDPOINTS
export ETCDCTL_ENDPOINTS=$(client new)
run etcdctl get /greeting

say "the new one has a small quota: it fills up, and gets room again"
printf '$ while etcdctl put /big/$n <1 MB; do n=$((n + 1)); done\n'
n=0
while head -c 1000000 /dev/zero | tr '\0' x | etcdctl put /big/$n >put.out 2>&1; do
    n=$((n + 1))
done
grep -o 'Error:.*' put.out
run etcdctl alarm list
run etcdctl del --prefix /big/
run etcdctl compaction --physical "$(etcdctl get /greeting -w json | sed 's/.*"revision":\([0-9]*\).*/\1/')"
sleep 1
run etcdctl alarm list
run etcdctl put /greeting "there is room again"
kill -TERM "${pids[new]}"
wait "${pids[new]}" || true
unset 'pids[new]'

say "what was acknowledged is there, on every member"
export ETCDCTL_ENDPOINTS=$everybody
rm writing
sleep 1
expect_all

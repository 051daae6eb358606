#!/bin/sh
# usage: api.sh NAME COMMAND...
# Runs COMMAND on one machine at a time: etcdctl takes the lock, keeps its lease
# alive while COMMAND runs, and gives the lock back. $ETCDCTL_ENDPOINTS: where.
exec etcdctl lock -- "$@"

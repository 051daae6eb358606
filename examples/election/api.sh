#!/bin/sh
# usage: api.sh ELECTION NAME
# Stands for ELECTION; prints its key and NAME when elected, and leads until it is
# ended. `etcdctl elect -l ELECTION` tells who leads.
exec etcdctl elect "$1" "$2"

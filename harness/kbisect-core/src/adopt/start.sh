#!/bin/sh
# Starts a self-test of the kernel where it lies: start FOLDER SCRIPT [ARGUMENT...]
# Results come on both outputs, and their order tells which is about what.
cd "$1/${2%/*}" || exit 4
script=${2##*/}
shift 2
PATH=$PWD:$PATH
export PATH
exec "./$script" "$@" </dev/null 2>&1

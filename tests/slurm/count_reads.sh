#!/bin/bash
# count_reads.sh - runs a program and appends to FILE: host, and the bytes that it fetched from storage.
#   count_reads.sh FILE PROGRAM [ARGUMENT...]
# Linux adds what a waited-for child has read to its parent; pages that a mapped file brings in count, cached ones do not.
file=$1
shift
"$@"
code=$?
echo "$(hostname) $(sed -n 's/^read_bytes: //p' /proc/$$/io)" >>"$file"
exit $code

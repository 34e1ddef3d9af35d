#!/bin/sh
# Start to first plan: `retain plan` over the demo's tree, its plugins compiled and kept.
# Prints microseconds of 21 runs, ascending; the eleventh is the median.
set -eu
retain=$(realpath "${1:-target/release/retain}")
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
"$retain" demo >/dev/null
cd retain-demo
for _ in $(seq 21); do
    begun=$(date +%s%N)
    "$retain" plan >/dev/null 2>&1
    echo $((($(date +%s%N) - begun) / 1000))
done | sort -n | tr '\n' ' '
echo

#!/usr/bin/env bash
# Instructions a plan takes, as callgrind counts them, on trees that are always the same:
# a regression shows whatever else the machine is doing. Nothing is asserted; compare with
# what the same build profile printed before.
#
#   benches/counts.sh target/debug/retain
set -euo pipefail
retain=$(realpath "$1")
if ! command -v valgrind >/dev/null; then
    echo "no valgrind here: no instructions are counted"
    exit 0
fi
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

# Files in directories of 40, alternately old and new.
grow() {
    local files=$1 tree=$2 n
    for ((n = 0; n < files; n += 40)); do
        mkdir -p "$tree/S${n}_1h"
        touch -d '30 days ago' "$tree/S${n}_1h"/chart-{00..19}.png
        touch -d '1 hour ago' "$tree/S${n}_1h"/chart-{20..39}.png
    done
}

# On one core, so that how threads take turns plays no part.
count() {
    local what=$1 files=$2 statements=$3 place=$room/$1-$2
    mkdir -p "$place/tree"
    grow "$files" "$place/tree"
    printf '[stores.files]\npath = "tree"\npolicy = "p.retain"\n[state]\npath = "state"\n' >"$place/retain.toml"
    printf 'edition 2026\ncollection all at "{symbol}_{interval}/*.png" {\nage is measured from last modified\n%s\n}\nstop never because "a count"\n' \
        "$statements" >"$place/p.retain"
    # The first run makes the store's mark and the journal.
    (cd "$place" && "$retain" plan >"$place/said")
    grep -q "would remove $((files / 2)) files" "$place/said" || {
        echo "$what did something else:" >&2
        cat "$place/said" >&2
        exit 1
    }
    (cd "$place" && taskset -c 0 valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$retain" plan 2>&1 >/dev/null) | sed -n 's/.*Collected *: *\([0-9]*\).*/\1/p'
}

compare() {
    local what=$1 few many
    few=$(count "$what" 400 "$2")
    many=$(count "$what" 2000 "$2")
    printf '%-8s %12d instructions to begin, %8d a file\n' "$what" \
        $((few - (many - few) / 4)) $(((many - few) / 1600))
}

compare age 'delete when older than 7 days'
compare budget 'limit count to 20 per {symbol}, evicting oldest first'

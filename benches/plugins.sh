#!/bin/sh
# The plugin rows of BENCHMARKS.md: archivers beside the tools people use, on one file of
# text in a directory on disk, alternating, medians of five. Needs `zstd`.
# usage: benches/plugins.sh path/to/retain [directory [bytes]]
set -eu
retain=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
place=$(mktemp -d "${2:-/tmp}/retain-bench.XXXXXX")
trap 'rm -rf "$place"' EXIT
cd "$place"

# As many bytes of text as the third argument says, 256 MiB without.
sh "$here/text.sh" "${3:-268435456}" > input
size=$(stat -c %s input)
cat input > /dev/null

now() { date +%s%N; }
median() { sort -n | sed -n 3p; }
row() { awk -v what="$1" -v ns="$2" -v size="$size" 'BEGIN { printf "%-44s %7.3f s %8.0f MB/s\n", what, ns/1e9, size/ns*1e3 }'; }

# What a call takes by itself, loading apart: `bench` measures inside.
plugin() { "$retain" plugin bench "$1" --input input --rounds 1 --settings "$2" --memory '256 MiB' --format json |
    sed -n 's/.*"seconds":\([0-9.]*\),"what":"one file.*/\1/p' | awk '{ printf "%.0f\n", $1 * 1e9 }'; }
cp_() { a=$(now); cp input out; sync out; b=$(now); rm out; echo $((b - a)); }
zstd_() { a=$(now); zstd -q -T1 "-$1" input -o out.zst; sync out.zst; b=$(now); rm out.zst; echo $((b - a)); }
zstd_and_test() { a=$(now); zstd -q -T1 "-$1" input -o out.zst; zstd -q -dc out.zst | cmp - input; b=$(now); rm out.zst; echo $((b - a)); }

for round in 1 2 3 4 5; do
    cp_ >> cp
    plugin builtin:backup '{}' >> backup
    plugin builtin:dedup-backup '{}' >> dedup
    for level in 1 3 9; do
        zstd_ $level >> zstd-$level
        zstd_and_test $level >> both-$level
        plugin builtin:compress "{\"level\":$level}" >> compress-$level
    done
done
row "cp, synced" "$(median < cp)"
row "backup, proved" "$(median < backup)"
row "dedup-backup, proved" "$(median < dedup)"
for level in 1 3 9; do
    row "zstd -$level" "$(median < zstd-$level)"
    row "zstd -$level, then zstd -d and cmp" "$(median < both-$level)"
    row "compress level $level, proved" "$(median < compress-$level)"
done
# What they add to a run is `benches/reviewers.py`.
"$retain" plugin bench builtin:legal-hold --settings '{"paths":["held/**"]}' --rounds 5
"$retain" plugin bench builtin:keep-linked --rounds 5

#!/usr/bin/env bash
# What people clean directories with, side by side on one tree, alternating.
#
#   benches/compare.sh [--plan N] [--remove N] [--rounds N] [--ext4] [--xfs] [--btrfs] [PLACE...]
#
#   --plan N    files to plan over, default 200000; up to ten million
#   --remove N  files of which half are removed, default 100000; 0 leaves a part out
#   --rounds N  how often everybody has a turn, default 3
#   --ext4, --xfs, --btrfs
#               also in such a new file system in a file of the current directory, mounted
#               for this; as root, with Debian's `xfsprogs` and `btrfs-progs`
#   PLACE       directories, default /dev/shm
#   RETAIN=FILE BASELINE=FILE   binaries built elsewhere; otherwise a release build is made
#
# Every place gets its own trees, in a directory that is made for them and removed. Half
# of the files are old. Whoever ends with another tree than the rest is an error. What is
# not installed is left out and said: Debian has `find`, `fd-find`, `systemd`, `tmpreaper`.
# Prints medians, ratios to find, and peak memory as tables. Seconds are of the wall; CPU
# seconds are of all threads, and the ones to read on a machine that is busy. A peak of 13 MB
# or less is that of the program that measures.
set -euo pipefail
cd "$(dirname "$0")/.."
PLAN=200000 REMOVE=100000 ROUNDS=3 DAYS=7 kinds=() places=()
export LC_ALL=C NO_COLOR=1
while [ $# -gt 0 ]; do
    case $1 in
    --plan) PLAN=$2 && shift ;;
    --remove) REMOVE=$2 && shift ;;
    --rounds) ROUNDS=$2 && shift ;;
    --ext4 | --xfs | --btrfs) kinds+=("${1#--}") ;;
    -*) sed -n '2,22s/^# \{0,1\}//p' "$0" && exit 2 ;;
    *) places+=("$(realpath "$1")") ;;
    esac
    shift
done
[ ${#places[@]} -gt 0 ] || places=(/dev/shm)
[ -n "${RETAIN:-}" ] && [ -n "${BASELINE:-}" ] ||
    cargo build --release --locked --quiet --bin retain --example baseline
retain=$(realpath "${RETAIN:-target/release/retain}")
baseline=$(realpath "${BASELINE:-target/release/examples/baseline}")
fd=$(command -v fdfind || command -v fd || true)
for tool in systemd-tmpfiles tmpreaper; do
    command -v $tool >/dev/null || echo "left out, not installed: $tool"
done
[ -n "$fd" ] || echo "left out, not installed: fd"

# A tree of so many files in directories of 40, half of them 30 days old.
grow() {
    mkdir -p "$1"
    python3 - "$1" "$2" <<'PY'
import os, sys, time
root, count = sys.argv[1], int(sys.argv[2])
now = time.time()
kinds = ["1m", "5m", "1h", "1d"]
for n in range(count):
    directory = f"{root}/S{n // 160:05d}_{kinds[n // 40 % 4]}"
    if n % 40 == 0:
        os.mkdir(directory)
    path = f"{directory}/{n:07d}.png"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    # Of one directory alternately old and new, so that none goes as a whole.
    age = 30 * 86400 if n % 2 else 60
    os.utime(path, (now - age - n % 1000, now - age - n % 1000))
PY
}

configure() {
    mkdir -p "$room/etc"
    cat >"$room/etc/retain.toml" <<TOML
[stores.files]
path = "$1"
policy = "p.retain"
exclusive = $2
[state]
path = "$room/state"
TOML
    cat >"$room/etc/p.retain" <<'POLICY'
edition 2026
collection all at "{symbol}_{interval}/*.png" {
    age is measured from last modified
    delete when older than 7 days
    keep for 400 days where {symbol} is "S99999"
}
stop never because "a benchmark"
POLICY
}

# Runs a contestant once: seconds and peak memory go to its file.
measure() {
    local name=$1
    shift
    /usr/bin/env python3 - "$room/times.$name" "$room/out" "$@" <<'PY'
import os, resource, subprocess, sys, time
times, out, *command = sys.argv[1:]
with open(out, "wb") as stdout:
    begun = time.monotonic()
    code = subprocess.call(command, stdout=stdout, stderr=subprocess.STDOUT)
    took = time.monotonic() - begun
used = resource.getrusage(resource.RUSAGE_CHILDREN)
if code != 0:
    sys.exit(f"{command}: exit {code}\n" + open(out).read()[-2000:])
open(times, "a").write(f"{took:.4f} {used.ru_utime + used.ru_stime:.4f} {used.ru_maxrss}\n")
PY
}

table() {
    python3 - "$room" "$1" <<'PY'
import glob, os, statistics, sys
room, title = sys.argv[1:]
rows = []
for path in glob.glob(f"{room}/times.*"):
    lines = [[float(n) for n in line.split()] for line in open(path)]
    wall, cpu = (statistics.median(column) for column in list(zip(*lines))[:2])
    rows.append((wall, cpu, max(line[2] for line in lines), os.path.basename(path)[6:]))
    os.remove(path)
find = next(row for row in rows if row[3].startswith("find"))
print(f"\n| {title} | seconds | of find | CPU s | of find | peak MB |\n|---|--:|--:|--:|--:|--:|")
for wall, cpu, peak, name in sorted(rows):
    print(f"| {name.replace('_', ' ')} | {wall:.2f} | {wall / find[0]:.2f} | {cpu:.2f} | {cpu / find[1]:.2f} | {peak / 1024:.0f} |")
PY
}

remains() { find "$1" -name .retain -prune -o -type f -print | sort | sed "s|^$1||" | md5sum; }

plans() {
    [ "$PLAN" -gt 0 ] || return 0
    local tree=$room/plan
    grow "$tree" "$PLAN"
    configure "$tree" true
    local old=$((PLAN / 2)) round
    for round in $(seq "$ROUNDS"); do
        measure find find "$tree" -type f -mtime +6 -printf x
        [ "$(wc -c <"$room/out")" = $old ] || { echo "find counted otherwise"; exit 1; }
        if [ -n "$fd" ]; then
            measure fd "$fd" --changed-before 7d -t f -uu . "$tree"
            [ "$(wc -l <"$room/out")" = $old ] || { echo "fd counted otherwise"; exit 1; }
        fi
        for threads in 1 2; do
            measure bare_loop,_$threads "$baseline" plan "$tree" $DAYS $threads
            [ "$(cat "$room/out")" = $old ] || { echo "the loop counted otherwise"; exit 1; }
        done
        measure retain_plan "$retain" -c "$room/etc/retain.toml" plan
        grep -q "would remove $(printf "%'d" $old) files\|would remove $old files" "$room/out" ||
            { echo "retain counted otherwise"; head -5 "$room/out"; exit 1; }
    done
    table "$PLAN files, which are older than 7 days, $1"
    rm -rf "$tree" "$room/state"
}

removals() {
    [ "$REMOVE" -gt 0 ] || return 0
    local tree=$room/remove round name threads wanted=
    contest() {
        name=$1
        shift
        rm -rf "$tree" "$room/state"
        grow "$tree" "$REMOVE"
        case $name in
        retain_apply,_exclusive*) configure "$tree" true ;;
        retain*) configure "$tree" false ;;
        esac
        sync -f "$tree"
        measure "$name" "$@"
        local left
        left=$(remains "$tree")
        [ "${wanted:=$left}" = "$left" ] || { echo "$name left other files"; exit 1; }
    }
    for round in $(seq "$ROUNDS"); do
        contest find_-delete find "$tree" -type f -mtime +6 -delete
        contest bare_loop,_1_thread "$baseline" remove "$tree" $DAYS
        for threads in 1 2; do
            contest bare_loop,_verified,_$threads "$baseline" verify "$tree" $DAYS $threads
        done
        [ -z "$fd" ] || contest fd_-X_rm "$fd" --changed-before 7d -t f -uu . "$tree" -X rm
        # By mtime alone: a new tree has no old change times.
        if command -v systemd-tmpfiles >/dev/null; then
            echo "d $tree - - - m:7d" >"$room/tmpfiles.conf"
            contest systemd-tmpfiles systemd-tmpfiles --clean "$room/tmpfiles.conf"
        fi
        ! command -v tmpreaper >/dev/null || contest tmpreaper tmpreaper --runtime=0 -m 7d "$tree"
        contest retain_apply,_exclusive "$retain" -c "$room/etc/retain.toml" apply --yes
        contest retain_apply,_verified "$retain" -c "$room/etc/retain.toml" apply --yes
    done
    table "$((REMOVE / 2)) of $REMOVE files removed, $1"
}

# Cleans up after whatever ended it, the mounts first.
room= disk=
tidy() {
    [ -z "$room" ] || rm -rf "$room"
    [ -n "$disk" ] || return 0
    local kind
    for kind in "${kinds[@]}"; do
        # What is still mounted must not be removed.
        if mountpoint -q "$disk/$kind"; then umount "$disk/$kind" || return 0; fi
    done
    rm -rf "$disk"
}
trap tidy EXIT
[ ${#kinds[@]} -eq 0 ] || disk=$(mktemp -d "$PWD/target/compare.XXXXXX")
for kind in "${kinds[@]}"; do
    mkdir "$disk/$kind"
    most=$((PLAN > REMOVE ? PLAN : REMOVE))
    # Files without a byte: an inode each, and the names.
    truncate -s $((most * 1100 + (1 << 30))) "$disk/$kind.image"
    case $kind in
    ext4) mkfs.ext4 -q -N $((most * 11 / 10 + 10000)) "$disk/$kind.image" ;;
    xfs) mkfs.xfs -q "$disk/$kind.image" ;;
    btrfs) mkfs.btrfs -q "$disk/$kind.image" 2>/dev/null ;;
    esac
    mount -o loop "$disk/$kind.image" "$disk/$kind"
    places+=("$disk/$kind")
done
for place in "${places[@]}"; do
    room=$(mktemp -d "$place/retain-compare.XXXXXX")
    kind=$(stat -f -c %T "$room")
    echo "load $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores, $kind"
    plans "$kind"
    removals "$kind"
    rm -rf "$room"
done

#!/bin/sh
# The same compression as the plugin `compress`, as a plugin of Extism, and natively:
#
#     benches/extism/run.sh RETAIN [DIRECTORY [BYTES]]
#
# RETAIN is a release build; DIRECTORY, on disk, /tmp unless said, is where the input and
# what is stored lie; 64 MiB unless BYTES says otherwise. Needs the target wasm32-wasip1, clang and,
# for Extism's wasmtime, a compiler from 1.96 on: nightly is taken where it is installed.
#
# Everybody reads the same text, compresses it at the same level, writes and syncs that, and
# then restores it; Extism in a fresh instance, as `retain`. The encoder and its build are
# those of `plugins/build.sh`. Medians of five rounds, contestants alternating.
#
# What is not the same: Extism takes input and output whole, so it copies both into and out
# of a plugin's memory and compares at the end; it neither hashes the input nor publishes
# anything. `retain` streams, hashes with BLAKE3 on the way in and out and writes a
# checked object, and its figure is known only with the proof.
set -eu
retain=$(realpath "${1:?usage: benches/extism/run.sh RETAIN [DIRECTORY [BYTES]]}")
here=$(realpath "$(dirname "$0")")
bytes=${3:-67108864}

cd "$here"
export CARGO_TARGET_DIR="$here/target"
toolchain=
if rustup run nightly rustc --version >/dev/null 2>&1; then
    toolchain=+nightly
fi
cargo $toolchain build --quiet --locked --profile host -p retain-bench-host
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
cargo build --quiet --locked --release -p retain-bench-codec
export CC_wasm32_wasip1=clang AR_wasm32_wasip1=ar CC_SHELL_ESCAPED_FLAGS=1
export CFLAGS_wasm32_wasip1="-msimd128 -nostdlibinc -include '$here/../../plugins/compress/prefetch.h'"
RUSTFLAGS=-Ctarget-feature=+simd128 \
    cargo build --quiet --locked --release --target wasm32-wasip1 -p retain-bench-guest
native=$here/target/release/native
host=$here/target/host/extism-host
guest=$here/target/wasm32-wasip1/release/guest.wasm

place=$(mktemp -d "${2:-/tmp}/retain-bench.XXXXXX")
trap 'rm -rf "$place"' EXIT
cd "$place"
export TMPDIR="$place"
sh "$here/../text.sh" "$bytes" > input
size=$(stat -c %s input)

# `bench` measures inside, as the others do: loading and compiling are apart.
retain_() {
    "$retain" plugin bench builtin:compress --input input --rounds 1 \
        --settings "{\"level\":$1}" --memory '256 MiB' --format json |
        sed -n 's/.*"seconds":\([0-9.]*\),"what":"one file.*/\1/p' | awk '{ printf "- %.0f\n", $1 * 1e9 }'
}

for round in 1 2 3 4 5; do
    for level in 1 3 9; do
        "$native" input stored $level >> "$level native"
        retain_ $level >> "$level retain"
        for limit in bare timeout fuel; do
            "$host" "$guest" input stored $level $limit >> "$level extism, $limit"
        done
    done
done

median() { cut -d ' ' -f "$2" "$1" | sort -n | sed -n 3p; }
echo "$size bytes; seconds to store, and to store and restore; the latter of native"
for level in 1 3 9; do
    native=$(median "$level native" 2)
    for who in native retain 'extism, bare' 'extism, timeout' 'extism, fuel'; do
        awk -v what="level $level, $who" -v stored="$(median "$level $who" 1)" \
            -v both="$(median "$level $who" 2)" -v native="$native" 'BEGIN {
            printf "%-26s %8s %8.3f s %6.2f\n", what,
                stored == "-" ? "" : sprintf("%.3f s", stored / 1e9), both / 1e9, both / native }'
    done
done

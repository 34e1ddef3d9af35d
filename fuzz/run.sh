#!/bin/sh
# Runs fuzz targets for so many seconds each: fuzz/run.sh SECONDS [TARGET…]
#
# Seeds are the policies and the mistakes of the repository as they are. What is found
# on the way is kept in fuzz/corpus, what breaks a target in fuzz/artifacts.
set -eu

cd "$(dirname "$0")"
seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET…]}
shift
[ $# -gt 0 ] || set -- load fmt recover template

command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz

# Sanitizers and coverage are unstable; a stable compiler can do without the former.
if rustup run nightly rustc --version >/dev/null 2>&1; then
    toolchain=+nightly sanitizer=address
else
    toolchain='' sanitizer=none
    export RUSTC_BOOTSTRAP=1
fi

# Words of the grammar, so that mutations need not guess them letter by letter.
mkdir -p target
grep -o '"[a-z]\{2,\}"' ../grammar/retain.pest | sort -u >target/words.dict

for name in "$@"; do
    echo "fuzz: $name for $seconds s"
    mkdir -p "corpus/$name"
    cargo $toolchain fuzz run --fuzz-dir . --sanitizer "$sanitizer" "$name" \
        "corpus/$name" ../policies ../examples ../tests/mistakes/policy \
        -- -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=8192 \
        -dict=target/words.dict -print_final_stats=1 -verbosity=0
done

#!/bin/sh
# Builds the plugins that are part of retain into `prebuilt/`, with their digests.
# `--check` builds them elsewhere and compares instead.
set -eu
cd "$(dirname "$0")"
plugins="backup compress dedup-backup legal-hold"
mode=${1:-write}

# A wrapper or flags meant for the host must not change a guest; paths of this
# machine must not get into it, or no two machines would build the same bytes.
unset RUSTFLAGS RUSTC_WRAPPER CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
CARGO_ENCODED_RUSTFLAGS=$(printf '%s\037%s\037%s' \
    "--remap-path-prefix=$PWD=/plugins" \
    "--remap-path-prefix=$cargo_home=/cargo" \
    "--remap-path-prefix=$sysroot=/rust")
export CARGO_ENCODED_RUSTFLAGS

out=prebuilt
target=${RETAIN_PLUGIN_TARGET:-target}
if [ "$mode" = --check ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"
remapped=$CARGO_ENCODED_RUSTFLAGS
for plugin in $plugins; do
    # Its encoder and decoder have kernels of their own for it, chosen when it is built.
    case $plugin in
    compress) CARGO_ENCODED_RUSTFLAGS=$(printf '%s\037%s' "$remapped" -Ctarget-feature=+simd128) ;;
    *) CARGO_ENCODED_RUSTFLAGS=$remapped ;;
    esac
    # One at a time: together they would share the SDK's features.
    cargo build --quiet --locked --release --target wasm32-wasip2 --target-dir "$target" -p "$plugin"
    cp "$target/wasm32-wasip2/release/$(echo "$plugin" | tr - _).wasm" "$out/$plugin.wasm"
done
if [ "$mode" = --check ]; then
    for plugin in $plugins; do
        cmp "$out/$plugin.wasm" "prebuilt/$plugin.wasm" || {
            echo "prebuilt/$plugin.wasm is not what its source gives; run plugins/build.sh" >&2
            exit 1
        }
    done
    (cd prebuilt && sha256sum --quiet -c DIGESTS)
else
    # The one in C: clang makes the module, retain itself the component of it. Another clang
    # gives other bytes, so the committed ones are Debian 12's.
    retain=${RETAIN:-../target/debug/retain}
    if [ -x "$retain" ] && clang --version 2>/dev/null | grep -q 'version 14\.'; then
        "$retain" plugin build keep-linked
        mv keep-linked/keep-linked.wasm "$out/"
    else
        echo "keep-linked stays as it is: that takes retain (RETAIN=…) and clang 14" >&2
    fi
    (cd "$out" && sha256sum *.wasm > DIGESTS)
    cat prebuilt/DIGESTS
fi

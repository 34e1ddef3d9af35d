#!/bin/sh
# Builds the plugins that are part of retain into `prebuilt/`, with their digests.
# `--check` builds them elsewhere and compares instead.
set -eu
cd "$(dirname "$0")"
plugins="backup compress dedup-backup legal-hold"
mode=${1:-write}

# Another clang gives other bytes, so what is in C, the library of `compress` and `keep-linked`,
# is compiled by Debian 12's.
if ! clang --version 2>/dev/null | grep -q 'version 14\.'; then
    echo "compress stays as it is: its library in C takes clang 14" >&2
    plugins="backup dedup-backup legal-hold"
fi

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

# No header of this machine: the crate brings the few that zstd asks for.
unset CC TARGET_CC CFLAGS TARGET_CFLAGS AR TARGET_AR ARFLAGS ZSTD_SYS_USE_PKG_CONFIG
export CC_wasm32_wasip2=clang AR_wasm32_wasip2=ar
export CFLAGS_wasm32_wasip2="-msimd128 -nostdlibinc -include '$PWD/compress/prefetch.h'" CC_SHELL_ESCAPED_FLAGS=1

out=prebuilt
target=${RETAIN_PLUGIN_TARGET:-target}
if [ "$mode" = --check ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"
remapped=$CARGO_ENCODED_RUSTFLAGS
for plugin in $plugins; do
    # What copies and compares bytes uses it; the library in C is built with it as well.
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
    # The one in C alone: clang makes the module, retain itself the component of it.
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

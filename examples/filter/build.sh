#!/bin/sh
# Builds `minigzip.wasm`: zlib's own command, as it is, for WASI. Needs zig in `ZIG`
# (`python3 -m ziglang` from PyPI will do).
# usage: examples/filter/build.sh zlib_1.2.13.dfsg.orig.tar.bz2   (Debian's source package)
set -eu
tar=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
zig=${ZIG:-zig}
echo "71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1  $tar" | sha256sum --quiet -c
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
tar xf "$tar" --strip-components 1
$zig cc -target wasm32-wasi -O2 -w -DHAVE_UNISTD_H -D_LARGEFILE64_SOURCE=1 -I. \
    -o "$here/minigzip.wasm" \
    adler32.c crc32.c deflate.c gzclose.c gzlib.c gzread.c gzwrite.c inffast.c inflate.c \
    inftrees.c trees.c zutil.c test/minigzip.c -Wl,--strip-all
chmod 644 "$here/minigzip.wasm"
sha256sum "$here/minigzip.wasm"

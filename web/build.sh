#!/usr/bin/env bash
# Builds the page that plays .spic files into web/dist, a folder that any web server can serve as it is:
#
#     web/build.sh && python3 -m http.server --directory web/dist
#
# Needed: rustup, which fetches the target wasm32-unknown-unknown, and Clang for Zstandard, which is in C.
set -euo pipefail
cd "$(dirname "$0")"
target=wasm32-unknown-unknown
if ! rustup target list --installed | grep -qx "$target"; then
    rustup target add "$target"
fi

find_first() {
    for name in "$@"; do
        if command -v "$name" > /dev/null; then
            echo "$name"
            return
        fi
    done
    echo "none of $* was found" >&2
    return 1
}
# Versions in the names of Debian's packages, newest first.
clang=${CLANG:-$(find_first clang clang-21 clang-19 clang-16 clang-14)}
archiver=${LLVM_AR:-$(find_first llvm-ar llvm-ar-21 llvm-ar-19 llvm-ar-16 llvm-ar-14)}

export CC_wasm32_unknown_unknown=$clang AR_wasm32_unknown_unknown=$archiver
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='-C target-feature=+simd128'
cargo build --manifest-path wasm/Cargo.toml --target "$target" --release --locked

folder=$(cargo metadata --manifest-path wasm/Cargo.toml --format-version 1 --no-deps --locked |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
mkdir -p dist
cp page/* dist/
cp "$folder/$target/release/spiccato_wasm.wasm" dist/spiccato.wasm
cp ../models/default.safetensors dist/model.safetensors
cp ../testdata/piano/prelude.flac dist/example.flac
ls -l dist

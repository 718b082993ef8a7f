#!/usr/bin/env bash
# Packages every crate and type-checks the packages with nothing but the files in them, as crates.io would get them.
#
# `cargo package --workspace` verifies more by building each of them alone, with all dependencies and only the features that it asks
# for; the workflows do that. This script takes a fraction of the time, because the dependencies' type information is that of
# `cargo clippy`.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
rm -rf "$target"/package/*.crate "$target/package/unpacked"

cargo package --workspace --locked --no-verify --allow-dirty

large=$(find "$target"/package/*.crate -size +9500k)
if [ -n "$large" ]; then
    echo "over 9.5 MB: $large" >&2
    exit 1
fi

mkdir "$target/package/unpacked"
cd "$target/package/unpacked"
for crate in ../*.crate; do
    tar -xzf "$crate"
done
cp "$root/Cargo.lock" .
{
    printf '[workspace]\nresolver = "3"\nmembers = ["*"]\n\n[patch.crates-io]\n'
    for folder in */; do
        printf '%s = { path = "%s" }\n' "$(sed -n 's/^name = "\(.*\)"/\1/p' "$folder/Cargo.toml" | head -1)" "$folder"
    done
    # The same profiles, so that what is compiled already can be used.
    sed -n '/^\[profile/,$p' "$root/Cargo.toml"
} > Cargo.toml
cargo check --workspace --locked --target-dir "$target"

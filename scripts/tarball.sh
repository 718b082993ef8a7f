#!/usr/bin/env bash
# Makes the program for Linux as one statically linked file, with its manual pages and completions: a tarball in the
# form that `cargo binstall` looks for, and a Debian package where cargo-deb is installed.
#
#     scripts/tarball.sh [RELEASE OR DEV]     # the profile; release by default
#
# Needed: the static form of the GNU C library (Debian: libc6-dev has it).
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-release}
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
folder=$profile
[ "$profile" = dev ] && folder=debug

# Only the last step, linking, differs from the ordinary build.
cargo rustc --profile "$profile" --locked --package spiccato-cli --bin spiccato -- -C target-feature=+crt-static
program="$target/$folder/spiccato"
if ldd "$program" 2> /dev/null | grep -q '=>'; then
    echo "$program is linked with shared libraries" >&2
    exit 1
fi

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
name="spiccato-$version-$(rustc -vV | sed -n 's/^host: //p')"
# The manifest names this place for the Debian package.
dist="$PWD/target/dist"
rm -rf "$dist"
mkdir -p "$dist/$name/man" "$dist/$name/completions"
cp "$program" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE models/default.md "$dist/$name/"
strip "$dist/$name/spiccato"
"$program" man --output "$dist/$name/man"
for shell in bash zsh fish; do
    "$program" completions "$shell" > "$dist/$name/completions/spiccato.$shell"
done
gzip -9 --no-name --keep "$dist/$name"/man/*.1
mv "$dist/$name" "$dist/package"
tar -C "$dist" --transform "s|^package|$name|" --exclude '*.1.gz' --sort=name --owner=0 --group=0 --numeric-owner \
    --mtime="@$(git log -1 --format=%ct)" -cf - package | gzip -9 --no-name > "$dist/$name.tar.gz"
ls -l "$dist/$name.tar.gz"

if cargo deb --version > /dev/null 2>&1; then
    cargo deb --no-build --no-strip --package spiccato-cli --output "$dist"
    ls -l "$dist"/*.deb
else
    echo "no Debian package: cargo-deb is not installed"
fi

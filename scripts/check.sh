#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, tests, doc tests, examples, documentation, packages, and
# the Python package where there is Python.
set -euo pipefail
cd "$(dirname "$0")/.."
# Candle's own threads wait for each other by spinning; the tests have threads of their own.
export CANDLE_NUM_THREADS=1
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"

cargo fmt --all --check
rustfmt --check scripts/architecture.rs
rustc --edition 2024 -o "$target/architecture" scripts/architecture.rs
"$target/architecture"

cargo clippy --workspace --all-targets --locked -- -D warnings
cargo clippy -p spiccato --no-default-features --all-targets --locked -- -D warnings
cargo clippy -p spiccato-cli --no-default-features --locked -- -D warnings

cargo test --workspace --locked
cargo test -p spiccato --no-default-features --locked
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

./scripts/package.sh
./scripts/check_python.sh

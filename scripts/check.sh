#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, tests, doc tests, examples, documentation.
set -euo pipefail
cd "$(dirname "$0")/.."
# Candle's own threads wait for each other by spinning; the tests have threads of their own.
export CANDLE_NUM_THREADS=1
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- -D warnings
cargo test --workspace --locked
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

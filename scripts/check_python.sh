#!/usr/bin/env bash
# Builds the wheel of the Python package, installs it in an environment of its own, and runs its tests and mypy. Left
# out, with a word, where there is no Python from 3.9 on with venv, or its packages or crates can't be had.
#
# The build has the development profile of the main workspace, so that what it shares with that is not compiled again.
set -euo pipefail
cd "$(dirname "$0")/.."
export CANDLE_NUM_THREADS=1

leave_out() {
    echo "skipped the Python package: $1"
    exit 0
}
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
environment="$target/python"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2> /dev/null || leave_out "no Python from 3.9 on"
if ! [ -x "$environment/bin/pytest" ]; then
    python3 -m venv "$environment" 2> /dev/null || leave_out "python3 has no venv"
    "$environment/bin/pip" install --quiet --no-compile 'maturin>=1.9,<2' numpy scipy pytest mypy ||
        leave_out "maturin, numpy, scipy, pytest and mypy can't be installed"
fi
cargo fetch --quiet --manifest-path python/Cargo.toml --locked || leave_out "its crates can't be fetched"

cargo fmt --manifest-path python/Cargo.toml --check
sed -n '/^\[profile\.dev/,/^\[profile\.release/{/^\[profile\.release/!p}' Cargo.toml > "$target/profile.toml"
wheels="$target/wheels"
rm -rf "$wheels"
(
    cd python
    "$environment/bin/maturin" build --quiet --profile dev --locked --interpreter "$environment/bin/python" \
        --config "$target/profile.toml" --target-dir "$target" --out "$wheels"
)
"$environment/bin/pip" install --quiet --no-deps --force-reinstall "$wheels"/*.whl

# The program that the other tests have built.
if [ -x "$target/debug/spiccato" ]; then
    export SPICCATO_PROGRAM="$target/debug/spiccato"
fi
"$environment/bin/pytest" -q -p no:cacheprovider python/tests
cd python
"$environment/bin/mypy" --cache-dir "$target/mypy" spiccato tests/typed.py

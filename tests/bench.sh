#!/usr/bin/env bash
# Measures the sidecar, built as it ships, beside a bare proxy.
#   tests/bench.sh [--quick] [--strict] [--rows TEXT]
set -euo pipefail
cd "$(dirname "$0")/.."
host="$(rustc -vV | sed -n 's/^host: //p')"
# The same packages, target and flags as the images: what is built for one is not built again for the other.
export RUSTFLAGS="-C target-feature=+crt-static"
cargo build --locked --release --target "$host" -p spillway-operator -p spillway-sidecar
cargo build --locked --release --target "$host" -p spillway-tests --bin bench
target="$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')"
exec "$target/$host/release/bench" run "$@"

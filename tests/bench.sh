#!/usr/bin/env bash
# Builds the sidecar and the bench as they ship, then measures one beside a bare proxy.
#   tests/bench.sh [--quick] [--strict]
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release -p spillway-sidecar --bin spillway-sidecar -p spillway-tests --bin bench
target="$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')"
exec "$target/release/bench" run "$@"

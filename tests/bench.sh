#!/usr/bin/env bash
# Measures the sidecar, built as it ships, beside a bare proxy.
#   tests/bench.sh [--quick] [--strict] [--rows TEXT]
source "$(dirname "$0")/../e2e/lib.sh"
cd "$ROOT"
host="$(rustc -vV | sed -n 's/^host: //p')"
# The same packages, target, flags and folder as the images: what is built for one is not built again for the other.
export CARGO_TARGET_DIR=$RELEASE_TARGET RUSTFLAGS=$RELEASE_RUSTFLAGS
cargo build --locked --release --target "$host" -p spillway-operator -p spillway-sidecar
cargo build --locked --release --target "$host" -p spillway-tests --bin bench
case " $* " in
*" --rows "*) ;; # somebody is after one row of the table
*)
  # What the engines and the translations cost alone, without a socket.
  cargo bench --locked --target "$host" -p spillway-policy -p spillway-providers --bench hot_path --bench translate -- --quick
  cargo bench --locked --target "$host" -p spillway-providers --bench tokens
  ;;
esac
"$CARGO_TARGET_DIR/$host/release/bench" run "$@"
case " $* " in
*" --rows "*) ;;
*)
  # What is accepted under ten times the load beside half of it: p99 is to be at most one and a half times as long.
  CARGO_BUILD_TARGET="$host" cargo test --locked --release -p spillway-tests --test overload -- \
    --ignored --exact what_is_accepted_under_overload_takes_no_longer --nocapture
  ;;
esac

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
  # One selection of packages and tests for all of them, because features are of all that is built together: so nothing is
  # compiled twice. Each of them runs in its own program, and none in the others.
  measured() {
    CARGO_BUILD_TARGET="$host" cargo test --locked --release -p spillway-operator -p spillway-sidecar -p spillway-tests \
      --lib --test overload --test hostile --test windows -- --nocapture --exact "$@"
  }
  # One leader of ten thousand sidecars: less than half a core, and less than 300 MB.
  measured --ignored quota::tests::bench::one_leader_of_ten_thousand_sidecars
  # What is accepted under ten times the load beside half of it: p99 is to be at most one and a half times as long.
  measured --ignored what_is_accepted_under_overload_takes_no_longer
  # Small requests beside a megabyte each second that is made to be hard to count: p99 is to be at most twice as long.
  measured --ignored a_hostile_prompt_each_second_leaves_small_requests_alone
  # A prompt of 1.13 million tokens, refused and answered: time, CPU, and memory before, at most and after.
  measured the_prompt_it_all_began_with_is_answered_by_whoever_takes_it_and_refused_in_numbers_elsewhere
  # Whatever is left of a hundred thousand conversations fits, in each of three APIs' words.
  SPILLWAY_CONVERSATIONS=100000 measured pipeline::conversation::tests::whatever_is_left_of_a_conversation_fits_and_is_one_in_the_words_of_its_api
  ;;
esac

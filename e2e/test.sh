#!/usr/bin/env bash
# All tests there are, from a clean clone: what needs no cluster first, because it fails faster. Prints what each phase took.
source "$(dirname "$0")/lib.sh"
cd "$ROOT"
phases=()

phase() { # NAME COMMAND…
  local name=$1 began
  shift
  began=$(date +%s)
  printf '\n%s[%s] == %s%s\n' "$BOLD" "$(elapsed)" "$name" "$PLAIN"
  if ! "$@"; then
    printf '\nFAILED: %s, after %s\n' "$name" "$(elapsed)"
    exit 1
  fi
  phases+=("$(printf '%-12s %4d s' "$name" $(($(date +%s) - began)))")
}

phase format cargo fmt --all --check
phase lints cargo clippy --locked --workspace --all-targets -- -D warnings
phase unit cargo test --locked --workspace --exclude spillway-e2e
phase clients tests/clients.sh
phase set-up e2e/setup.sh
phase chart e2e/chart.sh
phase e2e e2e/run.sh

printf '\n'
printf '  %s\n' "${phases[@]}"
printf 'PASSED: all tests, in %s\n' "$(elapsed)"

#!/usr/bin/env bash
# The end-to-end tests on a cluster that is set up. One after the other: some take the operator or a model server away.
#   run.sh [NAME…]    only tests whose name contains one of the words
source "$(dirname "$0")/lib.sh"

kubectl --request-timeout=5s get --raw /readyz >/dev/null 2>&1 || die "no cluster answers (KUBECONFIG=$KUBECONFIG): make setup"
SPILLWAY_DEMO_APP=$(cat "$CACHE/$CLUSTER.demo-app")
export SPILLWAY_DEMO_APP
cd "$ROOT"
export RUST_BACKTRACE=0 # an error names the object and the command; where in the test it was says the claim above it
cargo test --locked --no-fail-fast -p spillway-e2e --tests -- --test-threads=1 "$@"

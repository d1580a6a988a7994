#!/usr/bin/env bash
# Fifty sidecars and three operators as processes against a real API server, killed all the time (root, for a `hosts` file
# of their own).
#   tests/fleet.sh budget|rate [FLAGS]   all flags: tests/fleet.sh budget --help
# A cluster of its own: an operator that runs in it already would mind the same resources. KUBECONFIG_E2E=FILE names another.
export SPILLWAY_CLUSTER=${SPILLWAY_CLUSTER:-fleet}
source "$(dirname "$0")/../e2e/lib.sh"
cd "$ROOT"
case " $* " in *" --help "*) ;; *) e2e/kind/up.sh ;; esac
host="$(rustc -vV | sed -n 's/^host: //p')"
export CARGO_TARGET_DIR=$RELEASE_TARGET RUSTFLAGS=$RELEASE_RUSTFLAGS CARGO_BUILD_TARGET="$host"
cargo build --locked --release -p spillway-operator -p spillway-sidecar
cargo build --locked --release -p spillway-tests --bin fleet
names=$(mktemp)
trap 'rm -f "$names"' EXIT
cp /etc/hosts "$names"
for replica in 1 2 3; do echo "127.0.0.$replica spillway.fleet-system.svc" >>"$names"; done
# shellcheck disable=SC2016 # the inner shell expands them
unshare --mount sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$names" \
  "$CARGO_TARGET_DIR/$host/release/fleet" "$@"

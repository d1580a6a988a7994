#!/usr/bin/env bash
# The demo's story without a cluster and without root: two LLM servers on loopback, and `spillway dev`, which is the
# operator reading examples/, a sidecar, and the application with its environment set.
source "$(dirname "$0")/lib.sh"
cd "$ROOT"
venv=$CACHE/try-venv
key=demo-key-that-opens-nothing-else # as examples/20-providers.yaml says
run=$(mktemp -d)
servers=()
cleanup() {
  for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$run"
}
trap cleanup EXIT

# --- what it needs ------------------------------------------------------------------------------------------------------
python_side() {
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet -r e2e/llm/requirements.txt -r e2e/app/requirements.txt
  touch "$venv/ready"
}
python3 -c 'import ensurepip, venv' 2>/dev/null || die "Python's venv module is missing: install the package python3-venv"
[ "$venv/ready" -nt e2e/llm/requirements.txt ] && [ "$venv/ready" -nt e2e/app/requirements.txt ] || work "Python packages" python_side
[ -s "$CACHE/tiny.gguf" ] || work "the tiny model" tiny_model
work "spillway and spillway-sidecar (cargo build)" cargo build --locked -p spillway-operator -p spillway-sidecar

# --- two LLM servers ----------------------------------------------------------------------------------------------------
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
serve() { # ALIAS CONTEXT PORT
  LLM_API_KEY=$key "$venv/bin/python" e2e/llm/serve.py "$CACHE/tiny.gguf" --alias "$1" --context "$2" --port "$3" >"$CACHE/log/llm-$1.log" 2>&1 &
  servers+=($!)
}
healthy() { python3 -c 'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=1)' "http://127.0.0.1:$1/health" 2>/dev/null; }
small=$(free_port) large=$(free_port)
serve small 512 "$small"
serve large 8192 "$large"
for port in "$small" "$large"; do
  for _ in $(seq 100); do
    healthy "$port" && continue 2
    sleep 0.1
  done
  cat "$CACHE"/log/llm-*.log >&2
  die "the LLM server on port $port did not start"
done
say "two LLM servers: small (window 512) on port $small, large (window 8192) on port $large"

# --- the application ----------------------------------------------------------------------------------------------------
dev=(target/debug/spillway dev examples/ --namespace shop
  --endpoint "ai-platform/small=http://127.0.0.1:$small/v1" --endpoint "ai-platform/large=http://127.0.0.1:$large/v1")
app() { # the application as one would start it, under `spillway dev`
  printf '%s$ spillway dev examples/ --endpoint … -- python app.py %s%s\n' "$BOLD" "$*" "$PLAIN"
  "${dev[@]}" -- "$venv/bin/python" examples/app.py "$@" </dev/null
}

printf '\n%s[%s] 1. An answer, a streamed answer, and a prompt that is too long for the small model%s\n' "$BOLD" "$(elapsed)" "$PLAIN"
app
printf '\n%s[%s] 2. The small server is gone%s\n' "$BOLD" "$(elapsed)" "$PLAIN"
kill "${servers[0]}"
wait "${servers[0]}" 2>/dev/null || true
app ask "Where is my order?"
printf '\n%s[%s] 3. The same without a FallbackPolicy: the error says what would help%s\n' "$BOLD" "$(elapsed)" "$PLAIN"
cp -r examples "$run/" && rm "$run/examples/40-fallback.yaml"
dev[2]=$run/examples/
app ask "Where is my order?" || true

printf '\n%s[%s] Done.%s Change a file in examples/ and run it again; make demo tells the same story on a cluster.\n' "$BOLD" "$(elapsed)" "$PLAIN"

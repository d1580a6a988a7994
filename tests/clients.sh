#!/usr/bin/env bash
# Real clients, unmodified, through `spillway dev`: the SDKs of OpenAI (Python, Node) and Anthropic, LangChain, Vercel's AI
# SDK. First against every provider that aimock plays, then against a real llama.cpp, then OpenAI's own tests of its SDK.
# And OpenAI's own tokenizer in Python beside ours.
#   tests/clients.sh [families] [llama] [openai-tests] [tiktoken]
source "$(dirname "$0")/../e2e/lib.sh"
cd "$ROOT/tests/clients"
home=$CACHE/clients
venv=$home/venv
js=$home/js
openai=$home/openai-tests
mkdir -p "$home"
run=$(mktemp -d)
servers=()
cleanup() {
  for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$run"
}
trap cleanup EXIT

# --- what it needs ------------------------------------------------------------------------------------------------------
python_side() {
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet -r requirements.txt -r "$ROOT/e2e/llm/requirements.txt"
  # The SDK's own tests come with its sources, of the very version that is installed.
  rm -rf "$openai" && mkdir -p "$openai"
  "$venv/bin/pip" download --quiet --no-deps --no-binary openai --dest "$openai" "$(grep '^openai==' requirements.txt)"
  tar -xzf "$openai"/openai-*.tar.gz -C "$openai" --strip-components 1 --wildcards '*/tests' '*/pyproject.toml'
  cp requirements.txt "$home/"
}
node_side() {
  rm -rf "$js" && mkdir -p "$js"
  cp package.json package-lock.json "$js/"
  (cd "$js" && "$NODE" "$NPM" ci --no-audit --no-fund --ignore-scripts)
}
# As `make unit` builds them, so that what they share with the tests is not compiled again.
build() { (cd "$ROOT" && cargo test --locked --no-run --workspace --exclude spillway-e2e --test process --test cli); }

python_tools
cmp -s requirements.txt "$home/requirements.txt" || work "Python clients" python_side
[ -s "$CACHE/tiny.gguf" ] || work "the tiny model" tiny_model
[ -x "$NODE" ] || work "Node" node_tools
cmp -s package-lock.json "$js/package-lock.json" || work "Node clients" node_side
work "spillway and spillway-sidecar (cargo)" build
cp ./*.mjs cases.json "$js/" # modules look for others beside themselves

# --- what all of it shares ----------------------------------------------------------------------------------------------
# serve NAME COMMAND…: a server that prints its port as its first line, or an address; the port is in PORT.
serve() {
  local name=$1
  shift
  "$@" >"$run/$name.out" 2>"$CACHE/log/clients-$name.log" </dev/null &
  servers+=($!)
  for _ in $(seq 100); do
    PORT=$(head -1 "$run/$name.out")
    [ -n "$PORT" ] && return
    sleep 0.1
  done
  cat "$CACHE/log/clients-$name.log" >&2
  die "$name did not start"
}
get() { python3 -c 'import sys, urllib.request as u; sys.stdout.buffer.write(u.urlopen(sys.argv[1]).read())' "$1"; }
# dev FOLDER COMMAND…: the command as an application of the routes in the folder.
dev() {
  local folder=$1
  shift
  "$ROOT/target/debug/spillway" dev "$folder" --namespace clients -- "$@" </dev/null
}
# ask ROWS MODEL…: every client asks every model, all clients at once.
cat >"$run/ask" <<END
set -uo pipefail
rows=\$1; shift; export PYTHONWARNINGS=ignore PYTHONPATH=$PWD LANGSMITH_TRACING=false
for program in ask_openai ask_anthropic ask_langchain; do "$venv/bin/python" "$PWD/\$program.py" "\$@" >"\$rows.\$program" & done
for program in ask_openai ask_ai_sdk; do "$NODE" "$js/\$program.mjs" "\$@" >"\$rows.node_\$program" & done
wait
cat "\$rows".*
END

# --- the suites ---------------------------------------------------------------------------------------------------------
families() {
  local models own
  serve aimock "$NODE" "$js/upstream.mjs"
  mkdir "$run/families"
  sed "s/AIMOCK/127.0.0.1:$PORT/g" families.yaml >"$run/families/families.yaml"
  models=$(sed -n 's/^metadata: {name: \(.*\), namespace.*/\1/p' families.yaml | uniq)
  # shellcheck disable=SC2086 # a word for each model
  dev "$run/families" bash "$run/ask" "$run/rows" $models >"$CACHE/log/clients-families.rows"
  get "http://127.0.0.1:$PORT/seen" >"$CACHE/log/clients-families.seen"
  # What goes wrong without Spillway as well: LangChain at the mock itself, as OpenAI and as OpenRouter.
  for own in openai=/v1 openrouter=/api/v1; do
    OPENAI_BASE_URL=http://127.0.0.1:$PORT${own#*=} OPENAI_API_KEY=none LANGSMITH_TRACING=false PYTHONWARNINGS=ignore \
      "$venv/bin/python" ask_langchain.py "${own%=*}"
  done >"$run/direct.rows"
  "$venv/bin/python" judge.py "$CACHE"/log/clients-families.{rows,seen} "$run/direct.rows" "http://127.0.0.1:$PORT"
}

# A random model repeats itself, and is told to call a tool in vain: the server has no grammar for calls by this model's
# template, and says what comes to its mind. So there is text here, and objects, to which its grammar holds it.
llama() {
  local url
  PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  url=http://127.0.0.1:$PORT
  serve llama "$venv/bin/python" "$ROOT/e2e/llm/serve.py" "$CACHE/tiny.gguf" --alias tiny --context 8192 --port "$PORT"
  for _ in $(seq 100); do
    get "$url/health" >/dev/null 2>&1 && break
    sleep 0.1
  done
  mkdir "$run/llama"
  sed "s#http://LLAMA#$url#" llama.yaml >"$run/llama/llama.yaml"
  ASK_A_REAL_MODEL=1 dev "$run/llama" bash "$run/ask" "$run/llama.rows" llama >"$CACHE/log/clients-llama.rows"
  "$venv/bin/python" judge.py "$CACHE/log/clients-llama.rows"
}

TESTS=(tests/api_resources/chat/test_completions.py tests/api_resources/test_{completions,embeddings,models,responses}.py)
openai_tests() {
  local folder=$PWD/openai_tests way
  for way in direct through; do
    serve "mock-$way" "$venv/bin/python" "$folder/mock.py"
    mkdir -p "$run/$way"
    sed "s/MOCK/127.0.0.1:$PORT/g" "$folder/resources.yaml" >"$run/$way/resources.yaml"
    cat >"$run/$way.sh" <<END
cd "$openai" && MOCK=http://127.0.0.1:$PORT OUTCOMES=$run/$way/outcomes.json PYTHONPATH=$folder \
  exec "$venv/bin/python" -m pytest -q -o addopts= -p no:cacheprovider -p plugin --tb=line "\$@"
END
    if [ "$way" = direct ]; then
      TEST_API_BASE_URL=http://127.0.0.1:$PORT/v1 bash "$run/$way.sh" "${TESTS[@]}" >"$run/$way.log" 2>&1 || true
    else
      dev "$run/$way" bash -c "TEST_API_BASE_URL=\$OPENAI_BASE_URL exec bash $run/$way.sh ${TESTS[*]}" >"$run/$way.log" || true
    fi
    get "http://127.0.0.1:$PORT/-/seen" >"$run/$way/seen.json"
  done
  "$venv/bin/python" "$folder/compare.py" "$run/direct" "$run/through"
}

tiktoken() { "$venv/bin/python" "$ROOT/sidecar/providers/tests/tokens/against_tiktoken.py"; }

failed=0
suite() {
  printf '\n%s[%s] %s%s\n' "$BOLD" "$(elapsed)" "$1" "$PLAIN"
  "$2" || failed=1
}
for suite in "${@:-families llama openai-tests tiktoken}"; do
  case " $suite " in *" families "*) suite "every client, every family of providers" families ;; esac
  case " $suite " in *" llama "*) suite "every client, a real llama.cpp" llama ;; esac
  case " $suite " in *" openai-tests "*) suite "OpenAI's own tests, directly and through Spillway" openai_tests ;; esac
  case " $suite " in *" tiktoken "*) suite "tokens of random texts, counted by tiktoken and by us" tiktoken ;; esac
done
[ "$failed" = 0 ] || die "real clients do not get what they would get directly"
say "real clients get what they would get directly"

#!/usr/bin/env bash
# The demo: an application with the OpenAI SDK as it comes, on a real cluster with real LLM servers. It goes step by step,
# shows the commands it runs, and leaves everything up for a look around.
source "$(dirname "$0")/lib.sh"

printf '%s\n' "${BOLD}Spillway: the demo$PLAIN" \
  "It sets up a kind cluster of its own and changes nothing outside of it but Debian packages and $CACHE."
"$ROOT/e2e/setup.sh"

step() { printf '\n%s[%s] %s%s\n' "$BOLD" "$(elapsed)" "$*" "$PLAIN"; }
look() { printf '%s  ▸ %s%s\n' "$DIM" "$*" "$PLAIN"; }
run() { # shows a command as one would type it, and runs it
  local word line=
  for word in "$@"; do
    case $word in *[!a-zA-Z0-9_./:=@%+,-]*) line+=" '$word'" ;; *) line+=" $word" ;; esac
  done
  printf '%s$%s%s\n' "$BOLD" "$line" "$PLAIN"
  "$@" </dev/null
}
in_force() { # WHAT: waits until the route says so of its policies and all its sidecars run that
  kubectl -n shop wait --timeout=30s modelroute/chat \
    --for="jsonpath={.status.conditions[?(@.type==\"Accepted\")].message}=serves chat$1" >/dev/null
  kubectl -n shop wait --timeout=30s modelroute/chat --for=condition=Programmed >/dev/null
}
app() { run kubectl -n shop exec deploy/checkout -c app -- python3 app.py "$@"; }

step "1. The resources"
look "two accounts with a key, a route with two models, what happens when one does not do, and an ordinary Deployment"
kubectl -n llm scale deployment/small --replicas=1 >/dev/null # an earlier run may have stopped half way
sed "s,localhost/spillway-app:[0-9.]*$,$(cat "$CACHE/$CLUSTER.demo-app")," "$ROOT/examples/60-app.yaml" >"$CACHE/app.yaml"
run kubectl apply -f examples/10-namespaces.yaml -f examples/20-providers.yaml -f examples/30-route.yaml \
  -f examples/40-fallback.yaml -f examples/50-budget.yaml
run kubectl -n shop wait --for=condition=Accepted --timeout=30s modelroute/chat
run kubectl apply -f "$CACHE/app.yaml"
run kubectl -n shop rollout status deployment/checkout --timeout=120s
run kubectl -n shop wait --for=condition=Programmed --timeout=30s modelroute/chat
look "2/2: the application and its sidecar, which the Deployment does not mention"
run kubectl -n shop get pods
kubectl -n llm rollout status deployment/small --timeout=120s >/dev/null

step "2. An answer"
look "the SDK found its address and a placeholder key in the environment; the model writes nonsense, the path is real"
app ask "Where is my order?"

step "3. A streamed answer"
look "the pieces come as the model makes them"
app ask --stream "Where is my order?"

step "4. A prompt that is too long for the small model"
look "x-spillway-backend: large, and x-spillway-fallback-reason says why; the small model was not even asked"
app ask --words 900

step "5. The small model's server is gone"
run kubectl -n llm scale deployment/small --replicas=0
kubectl -n llm wait --for=delete pod -l app=small --timeout=60s >/dev/null
look "there is an answer all the same, and x-spillway-attempts and x-spillway-fallback-reason tell the story"
app ask "Where is my order?"

step "6. The same without a FallbackPolicy"
run kubectl -n shop delete fallbackpolicy chat
in_force ""
look "an error that says which provider failed, how, and what would help"
app ask "Where is my order?" || true
kubectl apply -f "$ROOT/examples/40-fallback.yaml" >/dev/null
kubectl -n llm scale deployment/small --replicas=1 >/dev/null
in_force " with FallbackPolicy chat"

step "7. What the resources say"
look "accepted, resolved, programmed in 1 of 1 sidecars, and what it has cost"
run kubectl -n ai-platform get modelproviders
run kubectl -n shop get modelroutes,fallbackpolicies,modelbudgets
run kubectl -n shop get modelroute chat -o 'jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}'

step "8. The bill, by workload"
run kubectl -n shop get modelbudget shop-month -o 'jsonpath={range .status.topWorkloads[*]}{.workload}: ${.spent}{"\n"}{end}'

step "Done in $(elapsed). The cluster stays."
cat <<TEXT
  Look around:  export KUBECONFIG=$KUBECONFIG PATH=$CACHE/bin:\$PATH
                kubectl get mp,mr,fp,mb -A
                kubectl -n shop describe modelroute chat
                kubectl -n shop exec deploy/checkout -c app -- python3 app.py
                kubectl -n shop logs deploy/checkout -c spillway-sidecar
                kubectl -n spillway-system logs deploy/spillway
  Change it:    edit a file in examples/ and apply it; it is in the sidecars within a second
  Remove it:    make clean            the cluster
                rm -rf $CACHE         all that was downloaded and built for it
TEXT

#!/usr/bin/env bash
# Everything the demo and the tests stand on: a cluster, two LLM servers in it, and Spillway by its charts. Run again, it
# does only what is missing or has changed.
#
#   KUBECONFIG_E2E=FILE        use this cluster instead of a kind cluster of our own
#   SPILLWAY_REGISTRY=PREFIX   with it: push the images there, for the cluster to pull
source "$(dirname "$0")/lib.sh"

# Namespaces whose Secrets the operator may read: the examples', and the end-to-end tests'.
KEY_NAMESPACES=(ai-platform e2e-ai)
# Of kind.yaml. Another cluster may have others: SPILLWAY_RANGES=10.0.0.0/8,…
RANGES=${SPILLWAY_RANGES:-10.96.0.0/16,10.244.0.0/16}

# The cluster and the images need nothing of each other: side by side, one computes while the other downloads.
"$ROOT/e2e/kind/docker.sh" >"$CACHE/log/docker.log" 2>&1 || { cat "$CACHE/log/docker.log" >&2; exit 1; }
setsid "$ROOT/e2e/images.sh" & # in a group of its own, to be ended with all that it started
images=$!
trap 'kill -- "-$images" 2>/dev/null || true' EXIT
"$ROOT/e2e/kind/up.sh"
wait "$images"
trap - EXIT
# shellcheck disable=SC1090 # operator, sidecar, llm, app
source <(cat "$CACHE/$CLUSTER".{spillway,app}-images)
named_app=localhost/spillway-app:$VERSION # as examples/60-app.yaml names it

# --- images to the cluster ----------------------------------------------------------------------------------------------
push() { # NAME: gives an image a name in the registry, and makes that its name
  local there=$SPILLWAY_REGISTRY/${!1#localhost/}
  docker tag "${!1}" "$there"
  work "push $there" docker push --quiet "$there"
  printf -v "$1" %s "$there"
}
if [ -n "${KUBECONFIG_E2E:-}" ]; then
  if [ -n "${SPILLWAY_REGISTRY:-}" ]; then for name in operator sidecar llm app; do push "$name"; done; fi
else
  # kind compares image ids, and copies only what the node has not got.
  work "images into the cluster" kind load docker-image --name "$CLUSTER" "$operator" "$sidecar" "$llm" "$app" "$named_app"
fi
echo "$app" >"$CACHE/$CLUSTER.demo-app"

# --- the LLM servers ----------------------------------------------------------------------------------------------------
llm_servers() {
  sed "s,LLM_IMAGE,$llm," "$ROOT/e2e/llm/llm.yaml" | kubectl apply -f -
  kubectl -n llm rollout status deployment/small --timeout=120s
  kubectl -n llm rollout status deployment/large --timeout=120s
}

# --- Spillway -----------------------------------------------------------------------------------------------------------
namespaces() { # with the strictest Pod Security level where the operator runs
  local name
  for name in "$NAMESPACE" "${KEY_NAMESPACES[@]}"; do kubectl get namespace "$name" || kubectl create namespace "$name"; done
  kubectl label --overwrite namespace "$NAMESPACE" pod-security.kubernetes.io/enforce=restricted
}
spillway() {
  local wanted
  wanted=$(IFS=,; echo "${KEY_NAMESPACES[*]}")
  helm upgrade --install spillway-crds "$ROOT/charts/spillway-crds" --namespace "$NAMESPACE"
  helm upgrade --install spillway "$ROOT/charts/spillway" --namespace "$NAMESPACE" --wait --timeout 180s \
    --set "image.repository=${operator%:*},image.tag=${operator##*:}" \
    --set "sidecar.image.repository=${sidecar%:*},sidecar.image.tag=${sidecar##*:}" \
    --set "secrets.namespaces={$wanted}" --set "egress.allowedPrivateRanges={$RANGES}"
  # The operator has put its certificate authority where the API server looks for it.
  kubectl wait --for='jsonpath={.webhooks[0].clientConfig.caBundle}' --timeout=60s \
    mutatingwebhookconfiguration/spillway-inject validatingwebhookconfiguration/spillway-validate
}
work "two LLM servers" llm_servers
work "namespaces" namespaces
work "Spillway (helm)" spillway
say "set up. To use this cluster in a shell: export KUBECONFIG=$KUBECONFIG PATH=$CACHE/bin:\$PATH"

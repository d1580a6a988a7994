#!/usr/bin/env bash
# A running kind cluster, from a bare Debian 12 with root and Go: Docker daemon, node image, kind, cluster, kubectl, helm.
# Run again it finds what is there: 2 s when the cluster is up. KUBECONFIG_E2E=FILE uses another cluster instead.
source "$(dirname "$0")/../lib.sh"
here=$ROOT/e2e/kind

program() { # NAME MODULE: a Go program in the cache
  [ -x "$CACHE/bin/$1" ] || GOBIN=$CACHE/bin CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "$2"
}

tools_from_node() { # kubectl of the node's own version; in a node built here that is kubebox, which is helm as well
  local image=kindest/node:$KUBERNETES_VERSION container
  [ -x "$CACHE/bin/kubectl" ] && return
  container=$(docker create "$image")
  if docker cp "$container:/usr/bin/kubebox" "$CACHE/bin/kubebox" 2>/dev/null; then
    ln -sf kubebox "$CACHE/bin/kubectl"
    [ -x "$CACHE/bin/helm" ] || ln -sf kubebox "$CACHE/bin/helm"
  else
    docker cp -L "$container:/usr/bin/kubectl" "$CACHE/bin/kubectl"
  fi
  docker rm "$container" >/dev/null
}

answers() { kubectl --request-timeout=5s get --raw /readyz >/dev/null 2>&1; }

create() {
  # A cluster whose Docker daemon was killed under it does not always come back; a new one takes half a minute.
  kind delete cluster --name "$CLUSTER"
  kind create cluster --name "$CLUSTER" --image "kindest/node:$KUBERNETES_VERSION" --config "$here/kind.yaml" --wait 180s
}

command -v go >/dev/null || die "Go is missing: kind and helm are built with it"
if [ -n "${KUBECONFIG_E2E:-}" ]; then
  command -v kubectl >/dev/null || die "KUBECONFIG_E2E is set, but there is no kubectl"
  work "helm" program helm "helm.sh/helm/v4/cmd/helm@$HELM_VERSION"
  answers || die "the cluster of KUBECONFIG_E2E=$KUBECONFIG_E2E does not answer"
  exit
fi
"$here/docker.sh" >"$CACHE/log/docker.log" 2>&1 || { cat "$CACHE/log/docker.log" >&2; exit 1; }
"$here/node-image.sh"
[ -x "$CACHE/bin/kind" ] || work "kind" program kind "sigs.k8s.io/kind@$KIND_VERSION"
tools_from_node
[ -x "$CACHE/bin/helm" ] || work "helm" program helm "helm.sh/helm/v4/cmd/helm@$HELM_VERSION"
if answers; then say "cluster $CLUSTER: already up"; else work "cluster $CLUSTER" create; fi

#!/usr/bin/env bash
# The charts, without a cluster: lint, and what certain values must and must not render.
source "$(dirname "$0")/lib.sh"
cd "$ROOT/charts"
[ -x "$CACHE/bin/helm" ] || work "helm" env GOBIN="$CACHE/bin" CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "helm.sh/helm/v4/cmd/helm@$HELM_VERSION"

helm lint --strict spillway spillway-crds

render() { helm template spillway spillway --namespace "$NAMESPACE" "$@"; }
must() { # WHAT PATTERN RENDERED
  grep -qE -- "$2" <<<"$3" || die "chart: $1 (nothing matches $2)"
  say "chart: $1"
}
must_not() {
  if grep -qE -- "$2" <<<"$3"; then die "chart: not so: $1 ($2 matches)"; fi
  say "chart: $1"
}

plain=$(render)
cluster_role() { awk '/^kind: ClusterRole$/,/^---/' <<<"$1"; }
must_not "by default the ClusterRole reads no Secrets" 'secrets' "$(cluster_role "$plain")"
must "secrets.clusterWide says so in the ClusterRole" 'secrets' "$(cluster_role "$(render --set secrets.clusterWide=true)")"
must "a namespace with keys gets a Role of its own" 'namespace: ai-platform' "$(render --set 'secrets.namespaces={ai-platform}')"
must "a namespace with keys is told to the operator" '--secret-namespace=ai-platform' "$(render --set 'secrets.namespaces={ai-platform}')"
must_not "no PodMonitor unless asked for" 'PodMonitor' "$plain"
must "a PodMonitor where asked for" 'kind: PodMonitor' "$(render --set podMonitor.enabled=true)"
must "two replicas survive a drain" 'kind: PodDisruptionBudget' "$plain"
must_not "one replica may be drained" 'kind: PodDisruptionBudget' "$(render --set replicas=1)"
for bad in replicas=-1 'secrets.namespaces={Not_A_Name}' 'egress.allowedPrivateRanges={ten}' repicas=2; do
  if render --set "$bad" >/dev/null 2>&1; then die "chart: the schema lets $bad pass"; fi
  say "chart: the schema refuses $bad"
done

#!/usr/bin/env bash
# A Docker daemon that answers: installs one if there is none, starts it if it does not run.
source "$(dirname "$0")/../lib.sh"

docker version >/dev/null 2>&1 && exit
[ "$(id -u)" = 0 ] || die "no Docker daemon answers, and only root can start one"
packages docker.io containerd runc iptables iproute2 ca-certificates
docker version >/dev/null 2>&1 && exit # where there is an init system, the package has started it

# In the cache, because running nodes outlive the clone that started them.
install -m 755 "$ROOT/e2e/kind/runc-no-sys-resource" "$CACHE/bin/"
runtime=()
if ! capsh --has-p=cap_sys_resource 2>/dev/null; then # no capsh counts as "lacks it": the runtime then has nothing to strike
  runtime=(--add-runtime "no-sys-resource=$CACHE/bin/runc-no-sys-resource" --default-runtime no-sys-resource)
fi
# A daemon that was killed leaves its pid file, and the number may belong to somebody else by now.
for file in /var/run/docker.pid /var/run/docker/containerd/containerd.pid; do
  [ ! -s "$file" ] || grep -qE '^(dockerd|containerd)$' "/proc/$(<"$file")/comm" 2>/dev/null || rm -f "$file"
done
setsid dockerd "${runtime[@]}" >"$CACHE/log/dockerd.log" 2>&1 </dev/null &
for _ in $(seq 120); do
  docker version >/dev/null 2>&1 && exit
  sleep 0.25
done
tail -20 "$CACHE/log/dockerd.log" >&2
die "dockerd did not answer within 30 s"

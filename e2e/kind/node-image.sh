#!/usr/bin/env bash
# The image that kind makes its nodes of: the standard one where it can be pulled, else one built here from Debian
# packages and Go modules (README.md says how that works). What it builds stays in the cache, step by step.
source "$(dirname "$0")/../lib.sh"
cd "$ROOT/e2e/kind"
IMAGE=${NODE_IMAGE:-kindest/node:$KUBERNETES_VERSION}
WORK=$CACHE/kind-$(digest kubebox/*) # what was built of other sources is of no use
GOFILES=$WORK/programs
TREE=$WORK/rootfs

# --- the standard image -------------------------------------------------------------------------------------------------
# Ten seconds decide whether a registry is there at all; the pull itself may then take as long as it needs.
standard_image() {
  [ "${NODE_IMAGE_FROM:-}" != source ] && timeout 10 docker manifest inspect "$IMAGE" >/dev/null 2>&1 && docker pull "$IMAGE"
}

# --- its parts ----------------------------------------------------------------------------------------------------------
node_packages=systemd,systemd-sysv,containerd,runc,containernetworking-plugins,iptables,nftables,iproute2,conntrack,ethtool,socat,util-linux,mount,kmod,e2fsprogs,ca-certificates,curl,jq,procps

node_tree() {
  [ -f "$WORK/rootfs.done" ] && return
  debian_tree "$TREE" minbase "$node_packages"
  touch "$WORK/rootfs.done"
}

programs() { # static, because they also run in images that hold nothing else
  export CGO_ENABLED=0
  mkdir -p "$GOFILES"
  if [ ! -x "$GOFILES/kubebox" ]; then
    # Without a version kubeadm takes itself for v0.0.0, and helm takes every cluster for v1.20, and both refuse to work.
    local minor=${KUBERNETES_VERSION#v1.} flags='-s -w' package
    minor=${minor%%.*}
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
      flags+=" -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
    done
    for package in pkg/chart/common pkg/chart/v2/lint/rules internal/chart/v3/lint/rules; do
      flags+=" -X helm.sh/helm/v4/$package.k8sVersionMajor=1 -X helm.sh/helm/v4/$package.k8sVersionMinor=$minor"
    done
    flags+=" -X helm.sh/helm/v4/internal/version.version=$HELM_VERSION"
    # Without what a debugger needs, which is stripped in the end, and without inlining, compiling takes 0.6 of the time; the
    # clusters of tests are not what its absence slows down.
    (cd kubebox && go build -trimpath -gcflags='all=-dwarf=false -l' -ldflags "$flags" -o "$GOFILES/kubebox.new" .)
    mv "$GOFILES/kubebox.new" "$GOFILES/kubebox"
  fi
  [ -x "$GOFILES/pause" ] ||
    gcc -Os -s -static -o "$GOFILES/pause" "$(cd kubebox && go list -m -f '{{.Dir}}' k8s.io/kubernetes)/build/pause/linux/pause.c"
}

programs_and_tree() { # one keeps the processors busy, the other the network
  local tree
  node_tree >"$CACHE/log/node-tree.log" 2>&1 &
  tree=$!
  programs
  wait "$tree" || { cat "$CACHE/log/node-tree.log"; return 1; }
}

# kind's own module carries the files of its base image: entry point, units, containerd settings.
kind_files() { go mod download -json "sigs.k8s.io/kind@$KIND_VERSION" | jq -r '.Dir + "/images/base/files"'; }

# import NAME CHANGE: a folder under $WORK as an image; works with every Docker, with or without a builder.
import() { tar -C "$WORK/$1.dir" --numeric-owner -c . | docker import -c "$2" - "localhost/$1:$KUBERNETES_VERSION" >/dev/null; }

# Kubernetes' images, etcd, coredns and pause in one archive. All but pause are one layer under many names: kubeadm's
# pods start programs by name, and every program's name is a link to kubebox.
pod_images() {
  [ -f "$WORK/preload.tar" ] && return
  local kube=$WORK/kube.dir name from names=("localhost/kube:$KUBERNETES_VERSION")
  debian_tree "$kube" extract iptables
  install -D "$GOFILES/kubebox" "$kube/usr/local/bin/kubebox"
  for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy etcd coredns kindnet; do ln -s kubebox "$kube/usr/local/bin/$name"; done
  for name in {iptables,ip6tables}{,-save,-restore}; do ln -s xtables-nft-multi "$kube/usr/sbin/$name"; done
  rm -rf "$WORK/pause.dir"
  install -D "$GOFILES/pause" "$WORK/pause.dir/pause"
  import kube 'ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  # Of coredns' pod only the arguments are given.
  printf '%s\n' "FROM localhost/kube:$KUBERNETES_VERSION" 'ENTRYPOINT ["/usr/local/bin/coredns"]' |
    docker build --quiet -t "localhost/coredns:$KUBERNETES_VERSION" - >/dev/null
  import pause 'ENTRYPOINT ["/pause"]'
  ln -sf kubebox "$GOFILES/kubeadm"
  for name in $("$GOFILES/kubeadm" config images list --kubernetes-version "$KUBERNETES_VERSION") \
    $(sed -n 's/.*sandbox_image = "\(.*\)"/\1/p' "$(kind_files)/etc/containerd/config.toml"); do
    case $name in */coredns:*) from=coredns ;; */pause:*) from=pause ;; *) from=kube ;; esac
    docker tag "localhost/$from:$KUBERNETES_VERSION" "$name"
    names+=("$name")
  done
  docker save "${names[@]}" -o "$WORK/preload.tar.new"
  mv "$WORK/preload.tar.new" "$WORK/preload.tar"
  docker rmi "${names[@]}" "localhost/coredns:$KUBERNETES_VERSION" "localhost/pause:$KUBERNETES_VERSION" >/dev/null
}

# --- the node's file system ---------------------------------------------------------------------------------------------
furnish() {
  local files name
  files=$(kind_files)
  cp -r --no-preserve=mode "$files/." "$TREE/"
  chmod 755 "$TREE"/usr/local/bin/* "$TREE"/kind/bin/*
  # A container has no disks to mount, no devices to wait for and no kernel log of its own.
  rm -f "$TREE"/lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* "$TREE"/etc/systemd/system/*.wants/* \
    "$TREE"/lib/systemd/system/sockets.target.wants/{*udev*,*initctl*} "$TREE"/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
  mkdir -p "$TREE"/etc/systemd/journald.conf.d "$TREE"/opt/cni "$TREE"/etc/cni/net.d "$TREE"/etc/kubernetes/manifests "$TREE"/kind/manifests
  printf '[Journal]\nReadKMsg=no\n' >"$TREE/etc/systemd/journald.conf.d/kind.conf"
  for name in containerd containerd-shim-runc-v2 ctr; do ln -sf "/usr/bin/$name" "$TREE/usr/local/bin/$name"; done # where kind's unit looks
  ln -sfn /usr/lib/cni "$TREE/opt/cni/bin"
  install "$GOFILES/kubebox" "$TREE/usr/bin/kubebox"
  for name in kubelet kubeadm kubectl crictl; do ln -sf kubebox "$TREE/usr/bin/$name"; done
  chroot "$TREE" systemctl --quiet enable kubelet.service containerd.service undo-mount-hacks.service
  chroot "$TREE" systemctl --quiet mask systemd-binfmt.service
  chroot "$TREE" ctr oci spec | jq '.hooks.createContainer += [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
    >"$TREE/etc/containerd/cri-base.json"
  # Lowering an oom_score_adj takes CAP_SYS_RESOURCE, which this machine's root may lack.
  sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$TREE/etc/containerd/config.toml"
  printf %s "$KUBERNETES_VERSION" >"$TREE/kind/version"
  sed "s,NODE_PROGRAMS_IMAGE,localhost/kube:$KUBERNETES_VERSION," manifests/default-cni.yaml >"$TREE/kind/manifests/default-cni.yaml"
  cp manifests/default-storage.yaml "$TREE/kind/manifests/"
}

# The pods' images go into the node's containerd store now, by a containerd of this machine that keeps its data there:
# a node then starts without asking anyone for anything.
preload() {
  local run=$WORK/containerd socket=$WORK/containerd/socket pid
  rm -rf "$TREE/var/lib/containerd" "$run"
  mkdir -p "$run"
  printf '%s\n' 'version = 2' "root = \"$TREE/var/lib/containerd\"" "state = \"$run/state\"" \
    'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]' '[grpc]' "address = \"$socket\"" >"$run/config.toml"
  containerd -c "$run/config.toml" >"$run/log" 2>&1 &
  pid=$!
  # shellcheck disable=SC2064 # this pid, now
  trap "kill $pid" EXIT
  for _ in $(seq 100); do
    [ -S "$socket" ] && break
    sleep 0.1
  done
  ctr -a "$socket" -n k8s.io images import --no-unpack --all-platforms --digests "$WORK/preload.tar" >/dev/null
  trap - EXIT
  kill "$pid"
  wait "$pid" || true
}

node_image() {
  tar -C "$TREE" --numeric-owner -c . | docker import - localhost/spillway-node-files >/dev/null
  docker build --quiet -t "$IMAGE" - <node.Dockerfile >/dev/null
  docker rmi --no-prune localhost/spillway-node-files >/dev/null
}

docker image inspect "$IMAGE" >/dev/null 2>&1 && exit
standard_image && exit
say "no registry answers: building $IMAGE from Debian packages and Go modules (about 10 minutes, once)"
packages docker.io containerd runc iptables iproute2 mmdebstrap gcc libc6-dev jq ca-certificates
mkdir -p "$WORK"
work "Kubernetes' programs and the node's file system" programs_and_tree
work "the control plane's images" pod_images
work "the node's settings" furnish
work "the control plane's images into the node" preload
work "the node image" node_image

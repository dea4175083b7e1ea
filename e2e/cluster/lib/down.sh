# shellcheck shell=bash disable=SC2154  # cluster.sh sets what is used here.
# The full cluster: ending it without a trace, also after its processes were killed.

# shim_ids: the pids of the shims that belong to our containerd, told by its socket.
shim_ids() {
  local pid command_line
  for pid in $(pgrep --exact containerd-shim || true); do
    command_line=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || continue
    if [[ $command_line == *" -address $containerd_socket "* ]]; then echo "$pid"; fi
  done
}

# Network namespaces of our pods, from the bundles that containerd keeps while they run.
pod_network_namespaces() {
  local bundle
  for bundle in "$state_dir"/containerd/state/io.containerd.runtime.v2.task/k8s.io/*/config.json; do
    [[ -f $bundle ]] || continue
    jq --raw-output '.linux.namespaces[]? | select(.type == "network") | .path // empty' "$bundle"
  done | sort -u
}

# Ends all containers through containerd, which then also ends their shims and cleans up after
# them. No grace: whoever says `down` has no pods left to care for.
remove_containers() {
  local id
  for id in $(cluster_ctr tasks list --quiet); do
    timeout 20 ctr --address "$containerd_socket" --namespace k8s.io tasks delete --force "$id" || true
  done
  for id in $(cluster_ctr containers list --quiet); do
    timeout 20 ctr --address "$containerd_socket" --namespace k8s.io containers delete "$id" || true
  done
} >/dev/null 2>&1

# What is left when containerd was killed and cannot answer for its shims.
sweep_shims() {
  local pid child
  for pid in $(shim_ids); do
    for child in $(pgrep --parent "$pid" || true); do kill -KILL "$child" 2>/dev/null || true; done
    kill -KILL "$pid" 2>/dev/null || true
  done
  wait_until 5 no_shims || say "warning: shims that do not end: $(shim_ids | xargs)"
}

no_shims() { [[ -z $(shim_ids) ]]; }

# unmount_below <dir>: newest first.
unmount_below() {
  local mount_point
  awk -v prefix="$1/" 'index($5, prefix) == 1 {print $5}' /proc/self/mountinfo | tac |
    while read -r mount_point; do
      umount "$mount_point" 2>/dev/null || umount --lazy "$mount_point" 2>/dev/null || true
    done
}

remove_network() {
  local namespace link
  for namespace in "$@"; do
    [[ $namespace == /*/netns/* ]] || continue
    # The pod's end of the pair dies with its namespace, and takes our end along.
    umount "$namespace" 2>/dev/null || umount --lazy "$namespace" 2>/dev/null || true
    rm -f "$namespace"
  done
  for link in $(ip -json link show type veth 2>/dev/null | jq --raw-output '.[].ifname'); do
    # Left only if something still holds the namespace; ours are the ones with a route to a pod.
    if ip route show dev "$link" | grep -q '^10\.244\.'; then
      ip link delete "$link" 2>/dev/null || true
    fi
  done
  ip link delete "$node_bridge" 2>/dev/null || true
  nft delete table ip kube-proxy 2>/dev/null || true
  nft delete table ip6 kube-proxy 2>/dev/null || true
  rm -rf /var/lib/cni/results/"$cni_network"-*
}

remove_cgroups() {
  local root
  for root in /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods; do
    if [[ -d $root ]]; then find "$root" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
  done
}

# Files in places that containerd, the kubelet and CNI do not let us choose. They do not say whose
# they are, so they are left alone while anybody else on this machine may be using them.
remove_shared_files() {
  local name
  for name in containerd containerd-shim dockerd kubelet k3s-server; do
    # Zombies do not count: they hold no file.
    if pgrep --exact --runstates DRST "$name" >/dev/null; then return 0; fi
  done
  rm -f /run/containerd/s/* /var/lib/cni/results/cni-loopback-* \
    /var/lib/kubelet/device-plugins/{kubelet.sock,kubelet_internal_checkpoint}
  rmdir /run/netns /run/containerd/runc/k8s.io /run/containerd/runc /run/containerd/s \
    /run/containerd /var/lib/cni/results /var/lib/cni /var/log/containers \
    /var/lib/kubelet/device-plugins /var/lib/kubelet \
    /usr/libexec/kubernetes/kubelet-plugins/volume/exec /usr/libexec/kubernetes/kubelet-plugins/volume \
    /usr/libexec/kubernetes/kubelet-plugins /usr/libexec/kubernetes 2>/dev/null || true
}

remove_log_links() {
  local link
  # The kubelet's links to the logs of pods.
  for link in /var/log/containers/*; do
    if [[ -L $link && $(readlink "$link") == "$state_dir"/* ]]; then rm -f "$link"; fi
  done
}

cluster_down() {
  local purge=${1:-} namespaces shim_sockets
  [[ -z $purge || $purge == --purge ]] || die "usage: cluster.sh down [--purge]"
  # The kubelet first: it would start again what we end.
  stop_process "$state_dir" kubelet
  stop_process "$state_dir" kube-proxy
  stop_process "$state_dir" dns.py
  stop_process "$state_dir" kube-scheduler
  stop_process "$state_dir" kube-controller-manager
  mapfile -t namespaces < <(pod_network_namespaces)
  mapfile -t shim_sockets < <(cat \
    "$state_dir"/containerd/state/io.containerd.runtime.v2.task/k8s.io/*/address 2>/dev/null |
    xargs -r -n1)
  if [[ -d $state_dir/containerd/root ]]; then
    # Also after a crash: only a running containerd can end its containers properly.
    start_containerd
    remove_containers
  fi
  stop_process "$state_dir" containerd
  sweep_shims
  rm -f "${shim_sockets[@]#unix://}"
  stop_process "$state_dir" kube-apiserver 60
  stop_process "$state_dir" etcd
  unmount_below "$state_dir"
  unmount_below "$cache_dir/buildah"
  remove_network "${namespaces[@]}"
  remove_cgroups
  remove_log_links
  remove_shared_files
  restore_sysctls
  rm -rf "$state_dir"/{etcd,pki,ports,kubelet,pod-logs,containerd/state,containerd/cni} \
    "$containerd_socket"* \
    "$state_dir"/run/pod-addresses "$state_dir"/*kubeconfig "$state_dir"/{kubelet,kube-proxy,operator}.yaml
  if [[ $purge == --purge ]]; then rm -rf "$state_dir"/{containerd,images,log}; fi
  say "cluster is down"
}

# shellcheck shell=bash disable=SC2154  # cluster.sh sets what is used here.
# The one node: its address, containerd, kubelet, kube-proxy.

node_bridge=lke2e-node
containerd_socket=$state_dir/containerd/containerd.sock
cni_network=lanekeeper-e2e-pods

# ctr of our own containerd, in the namespace that the kubelet uses.
cluster_ctr() { ctr --address "$containerd_socket" --namespace k8s.io "$@"; }

admin_kubectl() { kubectl --kubeconfig "$state_dir/kubeconfig" "$@"; }

# --- Kernel settings: changed by us or by the kubelet, put back by `down`.

changed_sysctls=(net/ipv4/ip_forward vm/overcommit_memory kernel/panic kernel/panic_on_oops)

change_sysctls() {
  local name saved=$state_dir/sysctl
  mkdir -p "$saved"
  for name in "${changed_sysctls[@]}"; do
    [[ -f $saved/${name//\//.} ]] || cat "/proc/sys/$name" >"$saved/${name//\//.}"
  done
  # Pods talk to each other and to Services through this machine's routing.
  echo 1 >/proc/sys/net/ipv4/ip_forward
}

restore_sysctls() {
  local name saved=$state_dir/sysctl
  for name in "${changed_sysctls[@]}"; do
    if [[ -f $saved/${name//\//.} ]]; then cat "$saved/${name//\//.}" >"/proc/sys/$name" || true; fi
  done
  rm -rf "$saved"
}

# --- The node's address.

# A bridge without ports, because the kubelet refuses a loopback address and not every kernel has
# the dummy device. It never leaves this machine.
create_node_address() {
  if ! ip link show "$node_bridge" >/dev/null 2>&1; then ip link add "$node_bridge" type bridge; fi
  ip link set "$node_bridge" up
  ip address replace "$node_address/32" dev "$node_bridge"
  # Lets this machine reach Services too when it has no default route.
  ip route replace "$service_cidr" dev "$node_bridge"
}

# --- containerd: our own, with its own folders and socket; a containerd of the system's is not touched.

# Overlay does not stack on overlay, which is what /var/lib is inside most CI containers.
snapshotter() {
  if [[ $(stat --file-system --format %T "$state_dir") == overlayfs ]]; then
    echo native
  else
    echo overlayfs
  fi
}

write_containerd_config() {
  local dir=$state_dir/containerd cni_bin_dir=/usr/lib/cni
  mkdir -p "$dir/cni"
  cat >"$dir/config.toml" <<EOF
version = 2
root = "$dir/root"
state = "$dir/state"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "$containerd_socket"
[plugins."io.containerd.grpc.v1.cri"]
  # There is no registry: the pause image is built and imported like every other.
  sandbox_image = "$pause_image"
  # Without CAP_SYS_RESOURCE (a container, some small virtual machines) runc may not lower
  # oom_score_adj, and fails with "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$(snapshotter)"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "$dir/cni"
    bin_dir = "$cni_bin_dir"
EOF
  # Point-to-point, not a bridge for the pods: every packet then passes this machine's routing, so
  # that a Service in front of a pod works without br_netfilter, and nothing is left when pods go.
  cat >"$dir/cni/10-pods.conflist" <<EOF
{
  "cniVersion": "0.4.0",
  "name": "$cni_network",
  "plugins": [{
    "type": "ptp",
    "ipam": {
      "type": "host-local",
      "dataDir": "$state_dir/run/pod-addresses",
      "ranges": [[{"subnet": "$pod_cidr"}]],
      "routes": [{"dst": "0.0.0.0/0"}]
    }
  }]
}
EOF
}

start_containerd() {
  require_programs containerd ctr runc
  # A unix socket's path is at most 107 bytes.
  ((${#containerd_socket} < 100)) || die "LANEKEEPER_E2E_DIR is too long a path: $state_dir"
  if process_runs "$state_dir" containerd; then return 0; fi
  write_containerd_config
  start_process "$state_dir" containerd "$(command -v containerd)" \
    --config "$state_dir/containerd/config.toml" --log-level warn
  require_process "$state_dir" containerd 30 cluster_ctr version
}

# --- kubelet and kube-proxy.

write_kubelet_config() {
  local pki=$state_dir/pki
  cat >"$state_dir/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $node_address
healthzPort: 0
readOnlyPort: 0
tlsCertFile: $pki/node.crt
tlsPrivateKeyFile: $pki/node.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://$containerd_socket
podLogsDir: $state_dir/pod-logs
volumePluginDir: $state_dir/kubelet/volume-plugins
# dns.py: names of Services and no others.
clusterDNS: [$node_address]
resolvConf: ""
clusterDomain: cluster.local
# Works with cgroup v1 and v2, with and without systemd.
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
enforceNodeAllocatable: []
# kube-proxy works with nftables; iptables stays as it was.
makeIPTablesUtilChains: false
maxPods: 250
# An image that is collected cannot be pulled again: there is no registry.
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}
# Changed Secrets reach the pods that mount them in so many seconds; a minute is the default.
syncFrequency: 10s
# A GPU that a test advertises becomes allocatable with the next report of the node.
nodeStatusUpdateFrequency: 4s
kubeAPIQPS: 200
kubeAPIBurst: 300
eventRecordQPS: 0
EOF
}

start_kubelet() {
  local pki=$state_dir/pki
  require_programs kubelet
  make_certificate "$pki" node "/O=system:nodes/CN=system:node:$node_name" "DNS:$node_name,IP:$node_address"
  write_kubeconfig "$state_dir/kubelet.kubeconfig" "https://$node_address:$api_port" "$pki" node
  write_kubelet_config
  start_process "$state_dir" kubelet "$bin_dir/kubelet" --config "$state_dir/kubelet.yaml" \
    --kubeconfig "$state_dir/kubelet.kubeconfig" --root-dir "$state_dir/kubelet" \
    --cert-dir "$state_dir/kubelet/pki" --hostname-override "$node_name" --node-ip "$node_address" --v=1
}

# Names of Services: charts and people use them.
start_dns() {
  require_programs python3
  start_process "$state_dir" dns.py python3 "$cluster_dir/dns.py" "$state_dir/pki" "$node_address" \
    "https://$node_address:$api_port"
}

start_kube_proxy() {
  local pki=$state_dir/pki
  require_programs kube-proxy nft conntrack
  make_certificate "$pki" kube-proxy "/CN=system:kube-proxy"
  write_kubeconfig "$state_dir/kube-proxy.kubeconfig" "https://$node_address:$api_port" "$pki" kube-proxy
  # Zero leaves the kernel's conntrack settings as they are.
  cat >"$state_dir/kube-proxy.yaml" <<EOF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: $pod_cidr
hostnameOverride: $node_name
healthzBindAddress: $node_address:10256
metricsBindAddress: $node_address:10249
clientConnection: {kubeconfig: $state_dir/kube-proxy.kubeconfig}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {syncPeriod: 30s, minSyncPeriod: 100ms}
EOF
  start_process "$state_dir" kube-proxy "$bin_dir/kube-proxy" --config "$state_dir/kube-proxy.yaml" --v=1
}

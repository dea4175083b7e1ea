# shellcheck shell=bash disable=SC2154  # cluster.sh sets what is used here.
# The full cluster: bringing it up, whatever state it was left in, and telling how it is.

node_ready() {
  [[ $(admin_kubectl get node "$node_name" --request-timeout 5s \
    -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}

# The Ready of a node may be remembered from a kubelet that was killed; this answer cannot be.
kubelet_healthy() {
  curl --silent --fail --max-time 2 --cacert "$state_dir/pki/ca.crt" \
    --cert "$state_dir/pki/admin.crt" --key "$state_dir/pki/admin.key" \
    "https://$node_address:10250/healthz"
}

default_service_account_exists() { admin_kubectl get serviceaccount default --request-timeout 5s; }

cluster_healthy() {
  local name
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy \
    dns.py; do
    process_runs "$state_dir" "$name" || return 1
  done
  apiserver_ready "$state_dir" "$api_port" && kubelet_healthy && node_ready
} >/dev/null 2>&1

cluster_up() {
  require_programs etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy \
    kubectl containerd buildah nft openssl jq
  if cluster_healthy; then
    say "cluster is up already: KUBECONFIG=$state_dir/kubeconfig"
    return 0
  fi
  mkdir -p "$state_dir" "$state_dir/run" "$state_dir/log"
  change_sysctls
  create_node_address
  say "starting etcd, kube-apiserver and containerd"
  start_control_plane "$state_dir"
  start_containerd
  import_base_images
  require_process "$state_dir" kube-apiserver 90 apiserver_ready "$state_dir" "$api_port"
  say "API server ready; starting controllers, kubelet and kube-proxy"
  start_controllers "$state_dir"
  start_kubelet
  start_kube_proxy
  start_dns
  require_process "$state_dir" kubelet 60 kubelet_healthy
  require_process "$state_dir" kubelet 90 node_ready
  require_process "$state_dir" kube-controller-manager 60 default_service_account_exists
  process_runs "$state_dir" kube-scheduler ||
    die_with_log "$state_dir/log/kube-scheduler.log" "kube-scheduler ended"
  process_runs "$state_dir" kube-proxy ||
    die_with_log "$state_dir/log/kube-proxy.log" "kube-proxy ended"
  process_runs "$state_dir" dns.py || die_with_log "$state_dir/log/dns.py.log" "dns.py ended"
  say "cluster is up: KUBECONFIG=$state_dir/kubeconfig"
}

cluster_status() {
  local name pid
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet \
    kube-proxy dns.py nats-server; do
    if pid=$(process_id "$state_dir" "$name"); then
      printf '%-24s running (pid %s)\n' "$name" "$pid"
    else
      printf '%-24s not running\n' "$name"
    fi
  done
  if [[ -n ${E2E_KUBECONFIG:-} ]]; then
    kubectl --kubeconfig "$E2E_KUBECONFIG" --request-timeout 5s get nodes -o wide
  elif process_runs "$state_dir" kube-apiserver; then
    admin_kubectl --request-timeout 5s get nodes -o wide
    echo "KUBECONFIG=$state_dir/kubeconfig"
  fi
}

# shellcheck shell=bash disable=SC2154  # cluster.sh sets what is used here.
# etcd and kube-apiserver, alone (`api-up`) or as part of the full cluster, and the two controllers
# that only the full cluster runs.

service_cidr=10.96.0.0/16
service_address=10.96.0.1

# remember_port <dir> <name> [port]: the port that this folder uses for <name>, chosen once, so that
# a kubeconfig stays good over restarts.
remember_port() {
  local file=$1/ports/$2 wanted=${3:-}
  mkdir -p "$1/ports"
  if [[ -n $wanted ]]; then echo "$wanted" >"$file"; elif [[ ! -f $file ]]; then free_port >"$file"; fi
  cat "$file"
}

start_etcd() {
  local dir=$1 client_port peer_port
  client_port=$(remember_port "$dir" etcd)
  peer_port=$(remember_port "$dir" etcd-peer)
  # The data is worth nothing after a crash of the machine, so nobody waits for the disk.
  start_process "$dir" etcd "$bin_dir/etcd" --name lanekeeper-e2e --data-dir "$dir/etcd" \
    --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$client_port" \
    --advertise-client-urls "http://127.0.0.1:$client_port" \
    --listen-peer-urls "http://127.0.0.1:$peer_port" \
    --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
    --initial-cluster "lanekeeper-e2e=http://127.0.0.1:$peer_port"
}

# start_apiserver <dir> <port> <extra flags…>. etcd may still be starting: the API server retries.
start_apiserver() {
  local dir=$1 port=$2 pki=$1/pki
  shift 2
  start_process "$dir" kube-apiserver "$bin_dir/kube-apiserver" \
    --etcd-servers "http://127.0.0.1:$(remember_port "$dir" etcd)" \
    --secure-port "$port" \
    --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
    --client-ca-file "$pki/ca.crt" --token-auth-file "$pki/tokens.csv" \
    --service-account-issuer https://kubernetes.default.svc \
    --service-account-key-file "$pki/service-account.pub" \
    --service-account-signing-key-file "$pki/service-account.key" \
    --service-cluster-ip-range "$service_cidr" \
    --allow-privileged=true --profiling=false --v=1 "$@"
}

apiserver_ready() {
  curl --silent --fail --max-time 2 --cacert "$1/pki/ca.crt" --cert "$1/pki/admin.crt" \
    --key "$1/pki/admin.key" "https://127.0.0.1:$2/readyz"
}

# make_control_plane_pki <dir> <subjectAltName of the API server>
make_control_plane_pki() {
  local pki=$1/pki
  make_ca "$pki"
  make_certificate "$pki" apiserver "/CN=kube-apiserver" "$2"
  make_certificate "$pki" admin "/O=system:masters/CN=lanekeeper-admin"
  make_service_account_keys "$pki"
  make_admin_token "$pki"
}

# write_admin_kubeconfigs <dir> <server url>
write_admin_kubeconfigs() {
  write_kubeconfig "$1/kubeconfig" "$2" "$1/pki" admin
  write_kubeconfig "$1/token-kubeconfig" "$2" "$1/pki" token
}

# --- api-up, api-down: an API server and nothing else. Any number of them, each in its own folder.

api_up() {
  local dir=$1 port
  require_programs etcd kube-apiserver
  mkdir -p "$dir"
  port=$(remember_port "$dir" apiserver)
  make_control_plane_pki "$dir" "DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:$service_address"
  write_admin_kubeconfigs "$dir" "https://127.0.0.1:$port"
  start_etcd "$dir"
  # Nobody runs the controllers here: without a default ServiceAccount in each namespace, the
  # admission plugin of that name would refuse every pod, and endpoints of the API server itself
  # cannot be a loopback address.
  start_apiserver "$dir" "$port" --bind-address 127.0.0.1 --advertise-address 127.0.0.1 \
    --endpoint-reconciler-type none --disable-admission-plugins ServiceAccount \
    --authorization-mode RBAC
  require_process "$dir" kube-apiserver 60 apiserver_ready "$dir" "$port"
  say "API server ready on https://127.0.0.1:$port"
  echo "$dir/kubeconfig"
}

api_down() {
  local dir=$1
  stop_process "$dir" kube-apiserver
  stop_process "$dir" etcd
  # Only what was put there: the folder itself may be the caller's.
  rm -rf "$dir/etcd" "$dir/pki" "$dir/ports" "$dir/run" "$dir/kubeconfig" "$dir/token-kubeconfig"
  say "API server in $dir stopped"
}

# --- The full cluster's control plane.

start_control_plane() {
  local dir=$1 pki=$1/pki port=$api_port name names=DNS:localhost
  names+=,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
  make_control_plane_pki "$dir" "$names,IP:127.0.0.1,IP:$service_address,IP:$node_address"
  make_certificate "$pki" kube-controller-manager "/CN=system:kube-controller-manager"
  make_certificate "$pki" kube-scheduler "/CN=system:kube-scheduler"
  make_certificate "$pki" apiserver-kubelet-client "/O=system:masters/CN=apiserver-kubelet-client"
  make_certificate "$pki" front-proxy-client "/CN=front-proxy-client"
  # The node address, not loopback: the same file then works from inside a pod.
  write_admin_kubeconfigs "$dir" "https://$node_address:$port"
  for name in kube-controller-manager kube-scheduler; do
    write_kubeconfig "$dir/$name.kubeconfig" "https://$node_address:$port" "$pki" "$name"
  done
  start_etcd "$dir"
  require_free_address kube-apiserver "$port"
  # Of this cluster, not of the one before.
  if ! process_runs "$dir" kube-apiserver; then rm -f "$dir"/log/audit*.jsonl; fi
  start_apiserver "$dir" "$port" --bind-address 0.0.0.0 --advertise-address "$node_address" \
    --authorization-mode Node,RBAC \
    --enable-admission-plugins NodeRestriction,OwnerReferencesPermissionEnforcement \
    --audit-policy-file "$cluster_dir/audit-policy.yaml" --audit-log-path "$dir/log/audit.jsonl" \
    --audit-log-maxsize 64 --audit-log-maxbackup 3 \
    --kubelet-preferred-address-types InternalIP \
    --kubelet-certificate-authority "$pki/ca.crt" \
    --kubelet-client-certificate "$pki/apiserver-kubelet-client.crt" \
    --kubelet-client-key "$pki/apiserver-kubelet-client.key" \
    --requestheader-client-ca-file "$pki/ca.crt" \
    --requestheader-allowed-names front-proxy-client \
    --requestheader-username-headers X-Remote-User --requestheader-group-headers X-Remote-Group \
    --requestheader-extra-headers-prefix X-Remote-Extra- \
    --proxy-client-cert-file "$pki/front-proxy-client.crt" \
    --proxy-client-key-file "$pki/front-proxy-client.key"
}

# There is one of each, so nobody votes; the ports they would serve metrics on are closed, so that
# a second cluster on this machine is not disturbed.
start_controllers() {
  local dir=$1 pki=$1/pki
  start_process "$dir" kube-controller-manager "$bin_dir/kube-controller-manager" \
    --kubeconfig "$dir/kube-controller-manager.kubeconfig" --leader-elect=false --secure-port 0 \
    --use-service-account-credentials=true \
    --service-account-private-key-file "$pki/service-account.key" --root-ca-file "$pki/ca.crt" \
    --cluster-cidr "$pod_cidr" --allocate-node-cidrs=false \
    --kube-api-qps 200 --kube-api-burst 300 --terminated-pod-gc-threshold 50 --v=1
  start_process "$dir" kube-scheduler "$bin_dir/kube-scheduler" \
    --kubeconfig "$dir/kube-scheduler.kubeconfig" --leader-elect=false --secure-port 0 \
    --kube-api-qps 200 --kube-api-burst 300 --v=1
}

# require_free_address <name> <port>: a clear word instead of a bind error in some log.
require_free_address() {
  local holder
  if process_runs "$state_dir" "$1"; then return 0; fi
  holder=$(ss --no-header --listening --numeric --tcp --processes "sport = :$2")
  [[ -z $holder ]] || die "port $2, wanted for $1, is taken: $holder"
}

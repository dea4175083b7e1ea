# shellcheck shell=bash disable=SC2154  # cluster.sh sets what is used here.
# The CRD, the operator and the gateway, into the cluster of this machine or the one that E2E_KUBECONFIG names.

operator_image=${LANEKEEPER_E2E_OPERATOR_IMAGE:-lanekeeper/operator:e2e}
gateway_image=${LANEKEEPER_E2E_GATEWAY_IMAGE:-lanekeeper/gateway:e2e}

target_kubectl() {
  kubectl --kubeconfig "${E2E_KUBECONFIG:-$state_dir/kubeconfig}" --request-timeout 30s "$@"
}

# program_build <image>: changes whenever the program in it has to be restarted. For somebody else's
# cluster that cannot be known, so every deploy there restarts it.
program_build() {
  local image=$1 digest
  if [[ -n ${E2E_KUBECONFIG:-} ]]; then
    date +%s
  elif [[ $image == lanekeeper/*:e2e ]]; then
    digest=$(image_digest "docker.io/$image")
    [[ -n $digest ]] || die "$image is not in the cluster; run: cluster.sh images BUILD_DIR"
    echo "$digest"
  else
    echo "$image"
  fi
}

render_manifests() {
  local operator_build=$1 gateway_build=$2 file
  for file in "$cluster_dir"/manifests/*.yaml; do
    echo "---"
    sed -e "s|\"lanekeeper/operator:e2e\"|\"$operator_image\"|" \
      -e "s|\"lanekeeper/gateway:e2e\"|\"$gateway_image\"|" \
      -e "s|\"nats://10.200.0.1:4222\"|\"$(cluster_nats_url)\"|" \
      -e "s|e2e-build: unknown|e2e-build: \"$operator_build\"|" \
      -e "s|e2e-gateway-build: unknown|e2e-gateway-build: \"$gateway_build\"|" "$file"
  done
}

# Pools first, while there is an operator that takes its finalizer off; the CRD stays.
undeploy() {
  local log=$state_dir/log/undeploy.log
  require_programs kubectl
  mkdir -p "$state_dir/log"
  if workerpools_served >/dev/null 2>&1; then
    quietly "$log" kubectl --kubeconfig "${E2E_KUBECONFIG:-$state_dir/kubeconfig}" delete workerpools \
      --all --all-namespaces --timeout 120s
  fi
  quietly "$log" target_kubectl delete --ignore-not-found -f "$cluster_dir/manifests/lanekeeper.yaml"
  say "operator and gateway removed, and with them every pool"
}

# `kubectl wait` fails on a CRD that is so new that it has no conditions yet.
workerpools_served() { target_kubectl get workerpools.lanekeeper.dev --all-namespaces; }

# show_program <name>: why its pod does not come up.
show_program() {
  {
    echo "--- the $1's pods"
    target_kubectl --namespace lanekeeper-system describe pods \
      --selector "app.kubernetes.io/name=lanekeeper,app.kubernetes.io/component=$1" | tail -n 40
    echo "--- the $1's log"
    target_kubectl --namespace lanekeeper-system logs "deployment/lanekeeper-$1" --tail 25
  } >&2 || true
}

# await_program <name> <log>. rollout status watches, and would be cut off by --request-timeout.
await_program() {
  say "waiting for the $1 to become available"
  if ! kubectl --kubeconfig "${E2E_KUBECONFIG:-$state_dir/kubeconfig}" --namespace lanekeeper-system \
    rollout status "deployment/lanekeeper-$1" --timeout 90s >"$2" 2>&1; then
    show_program "$1"
    die_with_log "$2" "the $1 did not become available within 90 s"
  fi
}

deploy() {
  local operator_build gateway_build log=$state_dir/log/deploy.log
  require_programs kubectl
  mkdir -p "$state_dir/log"
  if [[ -z ${E2E_KUBECONFIG:-} ]]; then
    cluster_healthy || die "the cluster is not up; run: cluster.sh up"
  fi
  operator_build=$(program_build "$operator_image")
  gateway_build=$(program_build "$gateway_image")
  quietly "$log" target_kubectl apply --server-side --force-conflicts -f "$project_dir/crds/workerpools.yaml"
  wait_until 30 workerpools_served || die "the API server does not serve workerpools.lanekeeper.dev"
  render_manifests "$operator_build" "$gateway_build" >"$state_dir/operator.yaml"
  quietly "$log" target_kubectl apply -f "$state_dir/operator.yaml"
  await_program operator "$log"
  await_program gateway "$log"
  say "operator and gateway deployed ($operator_image, $gateway_image, NATS at $(cluster_nats_url))"
}

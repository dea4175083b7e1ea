# shellcheck shell=bash disable=SC2154  # cluster.sh sets what is used here.
# The CRD and the operator, into the cluster of this machine or the one that E2E_KUBECONFIG names.

operator_image=${LANEKEEPER_E2E_OPERATOR_IMAGE:-lanekeeper/operator:e2e}

target_kubectl() {
  kubectl --kubeconfig "${E2E_KUBECONFIG:-$state_dir/kubeconfig}" --request-timeout 30s "$@"
}

# operator_build: changes whenever the operator has to be restarted. For somebody else's cluster
# that cannot be known, so every deploy there restarts it.
operator_build() {
  local digest
  if [[ -n ${E2E_KUBECONFIG:-} ]]; then
    date +%s
  elif [[ $operator_image == lanekeeper/operator:e2e ]]; then
    digest=$(image_digest "docker.io/$operator_image")
    [[ -n $digest ]] || die "$operator_image is not in the cluster; run: cluster.sh images BUILD_DIR"
    echo "$digest"
  else
    echo "$operator_image"
  fi
}

render_manifests() {
  local build=$1 file
  for file in "$cluster_dir"/manifests/*.yaml; do
    echo "---"
    sed -e "s|image: lanekeeper/operator:e2e|image: $operator_image|" \
      -e "s|\"nats://10.200.0.1:4222\"|\"$(cluster_nats_url)\"|" \
      -e "s|e2e-build: unknown|e2e-build: \"$build\"|" "$file"
  done
}

# `kubectl wait` fails on a CRD that is so new that it has no conditions yet.
workerpools_served() { target_kubectl get workerpools.lanekeeper.dev --all-namespaces; }

show_operator() {
  {
    echo "--- the operator's pods"
    target_kubectl --namespace lanekeeper-system describe pods | tail -n 40
    echo "--- the operator's log"
    target_kubectl --namespace lanekeeper-system logs deployment/lanekeeper-operator --tail 25
  } >&2 || true
}

deploy() {
  local build log=$state_dir/log/deploy.log
  require_programs kubectl
  mkdir -p "$state_dir/log"
  if [[ -z ${E2E_KUBECONFIG:-} ]]; then
    cluster_healthy || die "the cluster is not up; run: cluster.sh up"
  fi
  build=$(operator_build)
  quietly "$log" target_kubectl apply --server-side --force-conflicts -f "$project_dir/crds/workerpools.yaml"
  wait_until 30 workerpools_served || die "the API server does not serve workerpools.lanekeeper.dev"
  render_manifests "$build" >"$state_dir/operator.yaml"
  quietly "$log" target_kubectl apply -f "$state_dir/operator.yaml"
  say "waiting for the operator to become available"
  # rollout status watches, and would be cut off by --request-timeout.
  if ! kubectl --kubeconfig "${E2E_KUBECONFIG:-$state_dir/kubeconfig}" --namespace lanekeeper-system \
    rollout status deployment/lanekeeper-operator --timeout 90s >"$log" 2>&1; then
    show_operator
    die_with_log "$log" "the operator did not become available within 90 s"
  fi
  say "operator deployed ($operator_image, NATS at $(cluster_nats_url))"
}

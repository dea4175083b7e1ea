#!/usr/bin/env bash
# `make run-cluster`: the example pool on a real one-node Kubernetes with a producer, and what
# `kubectl get workerpools -w` shows. Ctrl-C ends it; the cluster stays up (`make e2e-down`).
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}

e2e/cluster/cluster.sh up
e2e/cluster/cluster.sh nats-up
e2e/cluster/cluster.sh images "$build"
e2e/cluster/cluster.sh deploy
eval "$(e2e/cluster/cluster.sh env)"

kubectl apply -f e2e/examples/mixed.yaml
kubectl wait --for=condition=Ready workerpool/media -n studio --timeout=60s

"$build/bin/lanekeeper-example-producer" --nats "$LANEKEEPER_E2E_NATS_URL" --namespace studio --pool media &
producer=$!
trap 'kill "$producer" 2>/dev/null || true; wait "$producer" 2>/dev/null || true' EXIT

cat <<EOF

Jobs are flowing: short ones all the time with a burst now and then, long ones, some that fail once, a poison job,
then half a minute of rest, and again.
In another terminal:
  export KUBECONFIG=$KUBECONFIG
  kubectl get deployments,pods -n studio
  kubectl describe workerpool media -n studio     # conditions, decisions, events
Ctrl-C stops the producer and this view. The cluster stays; 'make e2e-down' removes it.

EOF
# LANEKEEPER_RUN_SECONDS ends the view by itself: for scripts.
if [ -n "${LANEKEEPER_RUN_SECONDS:-}" ]; then
  timeout "$LANEKEEPER_RUN_SECONDS" kubectl get workerpools -n studio --watch || [ $? -eq 124 ]
else
  kubectl get workerpools -n studio --watch
fi

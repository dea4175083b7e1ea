# shellcheck shell=bash disable=SC2154  # cluster.sh sets what is used here.
# One nats-server with JetStream, as a process of this machine and not a pod: a test can end and
# start it in a second, and tests that need no cluster use the same one.

# From inside the cluster; tests on this machine use nats://127.0.0.1:PORT.
cluster_nats_url() { echo "${LANEKEEPER_E2E_NATS_URL:-nats://$node_address:$nats_port}"; }

nats_ready() {
  curl --silent --fail --max-time 2 "http://127.0.0.1:$nats_monitor_port/healthz?js-enabled-only=true"
}

nats_start() {
  require_programs nats-server curl
  require_free_address nats-server "$nats_port"
  require_free_address nats-server "$nats_monitor_port"
  mkdir -p "$state_dir"
  cat >"$state_dir/nats.conf" <<EOF
server_name: lanekeeper-e2e
# Every address: pods come in over the node's, tests over loopback.
listen: "0.0.0.0:$nats_port"
http: "127.0.0.1:$nats_monitor_port"
jetstream { store_dir: "$state_dir/nats" }
EOF
  start_process "$state_dir" nats-server "$(command -v nats-server)" --config "$state_dir/nats.conf"
  require_process "$state_dir" nats-server 30 nats_ready
  say "NATS ready on nats://127.0.0.1:$nats_port"
}

nats_stop() {
  stop_process "$state_dir" nats-server
  say "NATS stopped, data kept in $state_dir/nats"
}

nats_down() {
  stop_process "$state_dir" nats-server
  rm -rf "$state_dir/nats" "$state_dir/nats.conf"
  say "NATS stopped, data removed"
}

#!/usr/bin/env bash
# A real Kubernetes on this machine, for tests. See README.md beside this file.
#
#   cluster.sh api-up [DIR]      etcd and kube-apiserver alone, on loopback; prints the kubeconfig's path
#   cluster.sh api-down [DIR]    ends them and removes their state
#
#   cluster.sh up                the full one-node cluster (as root)
#   cluster.sh down [--purge]    ends it; images are kept, unless --purge
#   cluster.sh status            what runs
#
#   cluster.sh nats-up           nats-server with JetStream, as a process of this machine
#   cluster.sh nats-stop         ends it, keeps its data
#   cluster.sh nats-start        the same server and data again
#   cluster.sh nats-down         ends it and removes its data
#
#   cluster.sh base-image        debian:bookworm-slim and the pause image, once per machine
#   cluster.sh images BUILD_DIR  builds the operator, gateway and worker images, loads them into the cluster
#   cluster.sh example-images BUILD_DIR  the images of worker-runtime/examples, on top of these
#   cluster.sh deploy            installs the CRD, operator and gateway, waits until they are available
#   cluster.sh undeploy          removes them and every WorkerPool
#   cluster.sh audit             prints the paths of the API server's audit logs, for charts/privileges.py
#   cluster.sh env               export lines for a shell: eval "$(cluster.sh env)"
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

cluster_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project_dir=$(cd "$cluster_dir/../.." && pwd)
cache_dir=${LANEKEEPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lanekeeper}
bin_dir=$cache_dir/bin
# Containers take root; NATS, the API server alone and somebody else's cluster do not.
if ((EUID == 0)); then default_state_dir=/var/lib/lanekeeper-e2e; else default_state_dir=$cache_dir/e2e; fi
state_dir=$(realpath -m "${LANEKEEPER_E2E_DIR:-$default_state_dir}")

node_name=lanekeeper-e2e
node_address=10.200.0.1
pod_cidr=10.244.0.0/16
api_port=${LANEKEEPER_E2E_API_PORT:-6443}
nats_port=${LANEKEEPER_E2E_NATS_PORT:-4222}
nats_monitor_port=${LANEKEEPER_E2E_NATS_MONITOR_PORT:-8222}

PATH=$bin_dir:$PATH:/usr/sbin:/sbin

# shellcheck source=lib/process.sh
source "$cluster_dir/lib/process.sh"
# shellcheck source=lib/pki.sh
source "$cluster_dir/lib/pki.sh"
# shellcheck source=lib/control_plane.sh
source "$cluster_dir/lib/control_plane.sh"
# shellcheck source=lib/node.sh
source "$cluster_dir/lib/node.sh"
# shellcheck source=lib/up.sh
source "$cluster_dir/lib/up.sh"
# shellcheck source=lib/down.sh
source "$cluster_dir/lib/down.sh"
# shellcheck source=lib/images.sh
source "$cluster_dir/lib/images.sh"
# shellcheck source=lib/nats.sh
source "$cluster_dir/lib/nats.sh"
# shellcheck source=lib/deploy.sh
source "$cluster_dir/lib/deploy.sh"

usage() { sed -n '2,/^# shellcheck/{/^# shellcheck/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }

require_programs() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null ||
      die "$program is missing; run $(realpath --relative-to . "$project_dir/e2e/tools/install.sh") all"
  done
}

require_root() { ((EUID == 0)) || die "$1 has to run as root: it starts containers"; }

# brings_own_cluster <command>: the user has a cluster; there is nothing for us to start, fill or end.
brings_own_cluster() {
  [[ -n ${E2E_KUBECONFIG:-} ]] || return 1
  say "$1: left to you, E2E_KUBECONFIG names a cluster of yours ($E2E_KUBECONFIG)"
}

print_env() {
  local kubeconfig=${E2E_KUBECONFIG:-$state_dir/kubeconfig}
  printf 'export KUBECONFIG=%q\n' "$kubeconfig"
  # As the operator and the workers see it, from inside the cluster.
  printf 'export LANEKEEPER_E2E_NATS_URL=%q\n' "$(cluster_nats_url)"
  printf 'export LANEKEEPER_E2E_WORKER_IMAGE=%q\n' "${LANEKEEPER_E2E_WORKER_IMAGE:-lanekeeper/worker:e2e}"
  # shellcheck disable=SC2016  # The PATH of the shell that evaluates this, not ours.
  printf 'export PATH=%q:"$PATH"\n' "$bin_dir"
}

main() {
  local command=${1:-help}
  if (($#)); then shift; fi
  case $command in
    api-up | api-down)
      local api_dir
      api_dir=$(realpath -m "${1:-${TMPDIR:-/tmp}/lanekeeper-api}")
      with_lock "$api_dir" "${command/-/_}" "$api_dir"
      ;;
    up)
      if brings_own_cluster up; then return 0; fi
      require_root up
      with_lock "$state_dir" cluster_up
      ;;
    down)
      if brings_own_cluster down; then return 0; fi
      require_root down
      with_lock "$state_dir" cluster_down "${1:-}"
      ;;
    status) cluster_status ;;
    nats-up | nats-start) with_lock "$state_dir" nats_start ;;
    nats-stop) with_lock "$state_dir" nats_stop ;;
    nats-down) with_lock "$state_dir" nats_down ;;
    base-image)
      require_root base-image
      with_lock "$state_dir" base_image
      ;;
    images)
      (($# == 1)) || die "usage: cluster.sh images BUILD_DIR"
      if brings_own_cluster images; then return 0; fi
      require_root images
      with_lock "$state_dir" build_images "$1"
      ;;
    example-images)
      (($# == 1)) || die "usage: cluster.sh example-images BUILD_DIR"
      if brings_own_cluster example-images; then return 0; fi
      require_root example-images
      with_lock "$state_dir" build_example_images "$1"
      ;;
    deploy | undeploy) with_lock "$state_dir" "$command" ;;
    audit) printf '%s\n' "$state_dir"/log/audit*.jsonl ;;
    env) print_env ;;
    help | -h | --help) usage ;;
    *) usage >&2 && die "unknown command '$command'" ;;
  esac
}

main "$@"

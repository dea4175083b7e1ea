#!/usr/bin/env bash
# Installs what building and testing Lanekeeper takes, on Debian 12 (bookworm).
#
#   install.sh [build|packages|nats|cluster|helm|rivals|schemathesis|all]     default: all
#
#   build      compilers and libraries to build the C++ code (apt)
#   packages   these, and what checks it: clang, its formatter and linter, shells (apt)
#   nats       nats-server and the nats CLI, built from the pins in nats/go.mod
#   cluster    what e2e/cluster needs: containerd and friends (apt), Kubernetes and etcd, built from
#              the pins in kubernetes/go.mod and etcd/go.mod
#   helm       helm for the tests of the chart, built from the pins in helm/go.mod
#   rivals     what `make bench-rivals` compares with: Redis and PostgreSQL (apt), and the programs in
#              rivals/ that drain them with asynq and River. Only on demand, not part of all; on a
#              machine with systemd Debian starts both databases, and the benchmark uses neither
#   schemathesis  what `make fuzz-http` runs, in a virtual environment of its own (pip). Only on
#              demand, not part of all
#
# Programs go to $LANEKEEPER_CACHE/bin (default ~/.cache/lanekeeper/bin), outside the tree, so that
# every checkout shares them. A target whose pins did not change is left alone: a second call takes
# well under a second. Two calls at once are safe, the second waits for the first.
#
# They are built from source because Go's module proxy and Debian are the only places this needs to
# reach: no release page, no container registry, and every byte is checked against a go.sum.
set -euo pipefail

tools_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache_dir=${LANEKEEPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lanekeeper}
bin_dir=$cache_dir/bin
state_dir=$cache_dir/install  # Stamps, locks and logs.

build_packages=(
  g++ cmake ninja-build ccache pkg-config
  libcpprest-dev libyaml-cpp-dev prometheus-cpp-dev libnats-dev libgtest-dev libgmock-dev
  libspdlog-dev libfmt-dev libcli11-dev libexpected-dev nlohmann-json3-dev libbenchmark-dev libssl-dev
  curl jq python3 python3-yaml procps
)
# The shells: their completions are run.
check_packages=(clang-format-14 clang-tidy-14 clang-14 libclang-rt-14-dev fish zsh)
cluster_packages=(
  containerd runc containernetworking-plugins buildah debootstrap
  nftables iptables iproute2 conntrack ethtool socat
  curl jq openssl gcc libc6-dev procps
)
rivals_packages=(redis-server redis-tools postgresql util-linux)

say() { printf '[install %3ds] %s\n' "$SECONDS" "$*"; }
die() { printf '[install] error: %s\n' "$*" >&2; exit 1; }

# run_logged <what> <log> <command…>: runs the command with its output in <log>, tells every 30 s
# that it is still at it, and shows the end of the log when it fails.
run_logged() {
  local what=$1 log=$2 started=$SECONDS pid
  local next_sign_of_life=$((SECONDS + 30))
  shift 2
  say "$what ..."
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS >= next_sign_of_life)); then
      say "$what: still running after $((SECONDS - started)) s (log: $log)"
      next_sign_of_life=$((SECONDS + 30))
    fi
  done
  if ! wait "$pid"; then
    tail -n 25 "$log" >&2
    die "$what failed after $((SECONDS - started)) s; full log: $log"
  fi
  say "$what: done in $((SECONDS - started)) s"
}

# with_lock <name> <command…>: one at a time per name over all running copies of this script.
with_lock() {
  local name=$1 lock
  shift
  exec {lock}>"$state_dir/$name.lock"
  if ! flock --nonblock "$lock"; then
    say "$name: waiting for another install.sh"
    flock --timeout 1800 "$lock" || die "$name: another install.sh held the lock for 30 minutes"
  fi
  "$@"
  exec {lock}>&-
}

missing_packages() {
  local package
  for package in "$@"; do
    [[ $installed_packages == *"|$package|"* ]] || printf '%s\n' "$package"
  done
}

read_installed_packages() {
  # One query for all: asking dpkg once per package would cost a second.
  installed_packages="|$(dpkg-query -W -f '${db:Status-Abbrev}${binary:Package}|' 2>/dev/null |
    sed -E 's/:[a-z0-9]+\|/|/g; s/ii ([^|]*)\|/\1|/g')"
}

# install_packages <log name> <package…>
install_packages() {
  local name=$1 missing as_root=()
  shift
  command -v dpkg-query >/dev/null ||
    die "this is not Debian; install by other means: $*"
  read_installed_packages
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then as_root=(sudo); fi
  run_logged "apt-get update" "$state_dir/apt-update.log" \
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update
  run_logged "apt-get install ${missing[*]}" "$state_dir/apt-$name.log" \
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends "${missing[@]}"
}

# pinned_version <module dir> <module path>: the version that go.mod requires.
pinned_version() {
  awk -v module="$2" '$1 == "require" {sub(/^require /, "")} $1 == module {print $2; exit}' \
    "$tools_dir/$1/go.mod"
}

require_go() {
  command -v go >/dev/null ||
    die "Go is needed to build the test programs: install Go 1.26 or newer (https://go.dev/dl)"
}

# build_module <dir> <ldflags> <package>…: builds the pinned commands of tools/<dir> into the bin
# folder, unless the stamp says that exactly these are there.
build_module() {
  local module=$1 ldflags=$2 stamp package program programs=() complete=yes
  local stamp_file=$state_dir/$1.stamp staging=$cache_dir/.staging-$1
  shift 2
  for package in "$@"; do programs+=("$(program_name "$package")"); done
  for program in "${programs[@]}"; do [[ -x $bin_dir/$program ]] || complete=no; done
  # The last files: sources of our own, which only some modules have.
  stamp=$({ go version; echo "$ldflags $*"; cat "$tools_dir/$module/go.mod" "$tools_dir/$module/go.sum"
    find "$tools_dir/$module" -mindepth 2 -name '*.go' -print0 | sort -z | xargs -0r cat; } |
    sha256sum | cut -d' ' -f1)
  if [[ $complete == yes && -f $stamp_file && $(<"$stamp_file") == "$stamp" ]]; then return 0; fi
  rm -rf "$staging" && mkdir -p "$staging"
  run_logged "building $module (${programs[*]})" "$state_dir/$module.log" \
    env -C "$tools_dir/$module" GOFLAGS=-mod=readonly CGO_ENABLED=0 GOWORK=off \
    go build -trimpath -buildvcs=false -ldflags "-s -w $ldflags" -o "$staging/" "$@"
  # etcd's command is the root of its module: go names the program after the folder, `server`.
  if [[ -f $staging/server ]]; then mv "$staging/server" "$staging/etcd"; fi
  # A rename replaces a program that is running; writing over it would fail with "text file busy".
  for program in "${programs[@]}"; do mv -f "$staging/$program" "$bin_dir/"; done
  rmdir "$staging"
  echo "$stamp" >"$stamp_file"
}

# program_name <package>: what a package's program is called in the bin folder.
program_name() {
  case $1 in
    */etcd/server/v3) echo etcd ;;
    */nats-server/v2) echo nats-server ;;
    *) echo "${1##*/}" ;;
  esac
}

install_nats() {
  local cli_version
  require_go
  cli_version=$(pinned_version nats github.com/nats-io/natscli)
  with_lock nats build_module nats "-X main.version=${cli_version#v}" \
    github.com/nats-io/nats-server/v2 github.com/nats-io/natscli/nats
}

install_helm() {
  local version kubernetes minor
  require_go
  version=$(pinned_version helm helm.sh/helm/v3)
  # Without a Kubernetes version of its own, helm lints and renders for 1.20.
  kubernetes=$(pinned_version helm k8s.io/client-go)
  IFS=. read -r _ minor _ <<<"${kubernetes#v}"
  with_lock helm build_module helm "-X helm.sh/helm/v3/internal/version.version=$version \
-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$minor \
-X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=$minor" \
    helm.sh/helm/v3/cmd/helm
}

install_rivals() {
  require_go
  with_lock apt install_packages rivals "${rivals_packages[@]}"
  with_lock rivals build_module rivals "" ./rival-asynq ./rival-river
}

install_schemathesis() {
  with_lock apt install_packages schemathesis python3 python3-venv
  with_lock schemathesis build_virtualenv schemathesis
}

# build_virtualenv <dir>: the packages pinned by tools/<dir>/requirements.txt, in a virtual
# environment of their own in the cache, unless the stamp says that exactly these are there.
build_virtualenv() {
  local folder=$cache_dir/$1 pins=$tools_dir/$1/requirements.txt stamp stamp_file=$state_dir/$1.stamp
  stamp=$({ python3 --version; cat "$pins"; } | sha256sum | cut -d' ' -f1)
  if [[ -x $folder/bin/python && -f $stamp_file && $(<"$stamp_file") == "$stamp" ]]; then return 0; fi
  rm -rf "$folder" "$stamp_file"
  run_logged "making a virtual environment" "$state_dir/$1.log" python3 -m venv "$folder"
  run_logged "pip install of $1" "$state_dir/$1.log" \
    "$folder/bin/pip" install --disable-pip-version-check --no-input -r "$pins"
  echo "$stamp" >"$stamp_file"
}

install_etcd() {
  require_go
  with_lock etcd build_module etcd "" go.etcd.io/etcd/server/v3
}

install_kubernetes() {
  local version major minor set_version=-X=k8s.io/component-base/version
  require_go
  version=$(pinned_version kubernetes k8s.io/kubernetes)
  IFS=. read -r major minor _ <<<"${version#v}"
  # Without a version of its own, the API server answers v0.0.0 and clients refuse to work with it.
  with_lock kubernetes build_module kubernetes \
    "$set_version.gitVersion=$version $set_version.gitMajor=$major $set_version.gitMinor=$minor" \
    k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager \
    k8s.io/kubernetes/cmd/kube-scheduler k8s.io/kubernetes/cmd/kubelet \
    k8s.io/kubernetes/cmd/kube-proxy k8s.io/kubernetes/cmd/kubectl
}

install_cluster() {
  local kubernetes_pid
  # Kubernetes takes minutes, so it compiles while everything else is fetched.
  install_kubernetes &
  kubernetes_pid=$!
  with_lock apt install_packages cluster "${cluster_packages[@]}"
  if [[ ${1:-} == with-everything ]]; then
    install_nats
    with_lock apt install_packages build "${build_packages[@]}" "${check_packages[@]}"
  fi
  install_etcd
  wait "$kubernetes_pid" || exit 1
}

main() {
  local target=${1:-all}
  if (($# > 1)); then die "usage: install.sh [build|packages|nats|cluster|helm|rivals|schemathesis|all]"; fi
  mkdir -p "$bin_dir" "$state_dir"
  case $target in
    build) with_lock apt install_packages build "${build_packages[@]}" ;;
    packages) with_lock apt install_packages build "${build_packages[@]}" "${check_packages[@]}" ;;
    nats) install_nats ;;
    cluster) install_cluster ;;
    helm) install_helm ;;
    rivals) install_rivals ;;
    schemathesis) install_schemathesis ;;
    all) install_cluster with-everything ;;
    -h | --help | help) sed -n '2,/^set -euo/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; return 0 ;;
    *) die "unknown target '$target'; usage: install.sh [build|packages|nats|cluster|helm|rivals|schemathesis|all]" ;;
  esac
  say "$target: ready (programs in $bin_dir)"
}

main "$@"

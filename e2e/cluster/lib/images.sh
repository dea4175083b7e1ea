# shellcheck shell=bash disable=SC2154  # cluster.sh sets what is used here.
# Container images without a registry: the base is bootstrapped from Debian's packages, ordinary
# Dockerfiles are built on it by buildah, and containerd imports the result.

base_image_name=docker.io/library/debian:bookworm-slim
pause_image=docker.io/lanekeeper/pause:e2e
image_cache_dir=$cache_dir/images  # base images as archives, shared by every cluster of this user
debian_mirror=${LANEKEEPER_DEBIAN_MIRROR:-http://deb.debian.org}

# buildah with a store of its own: the user's is not touched, and the apt layers live in the cache.
cluster_buildah() {
  buildah --root "$cache_dir/buildah/root" --runroot /run/lanekeeper-e2e-buildah "$@"
}

# archive_image <image> <file>: in Docker's format, which is not compressed; an OCI archive would
# take four times as long, for a file that is read again a second later on this machine.
archive_image() {
  rm -f "$2.new"
  cluster_buildah push --quiet "$1" "docker-archive:$2.new:$1"
  mv -f "$2.new" "$2"
}

# commit_tree <image> <folder> <buildah config flags…>: an image of one layer, the folder its root.
commit_tree() {
  local image=$1 folder=$2 container
  shift 2
  container=$(cluster_buildah from scratch)
  cluster_buildah add --quiet "$container" "$folder" /
  cluster_buildah config "$@" "$container"
  cluster_buildah commit --quiet --rm "$container" "$image"
}

build_pause_image() {
  local work=$image_cache_dir/pause-root
  rm -rf "$work" && mkdir -p "$work"
  gcc -Os -static -s -o "$work/pause" "$cluster_dir/pause.c"
  commit_tree "$pause_image" "$work" --entrypoint '["/pause"]' --user 65535:65535
  archive_image "$pause_image" "$image_cache_dir/pause.tar"
  rm -rf "$work"
}

bootstrap_debian() {
  local root=$1
  debootstrap --variant=minbase bookworm "$root" "$debian_mirror/debian"
  cat >"$root/etc/apt/sources.list" <<EOF
deb $debian_mirror/debian bookworm main
deb $debian_mirror/debian bookworm-updates main
deb $debian_mirror/debian-security bookworm-security main
EOF
  # As in the official image's slim variant: no manuals, no translations.
  cat >"$root/etc/dpkg/dpkg.cfg.d/docker" <<'EOF'
force-unsafe-io
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
EOF
  # A build has no services to start.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
  find "$root/usr/share/doc" -depth -type f ! -name copyright -delete
  rm -rf "$root"/usr/share/{man,info,locale}/* "$root"/var/cache/apt/*.bin \
    "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/bootstrap.log
  rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
}

build_base_image() {
  local root=$image_cache_dir/debian-root
  unmount_below "$root"
  rm -rf "$root"
  mkdir -p "$root"
  bootstrap_debian "$root"
  unmount_below "$root"
  commit_tree "$base_image_name" "$root" --cmd /bin/bash \
    --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  archive_image "$base_image_name" "$image_cache_dir/debian.tar"
  rm -rf "$root"
}

ensure_pause_image() {
  if [[ -f $image_cache_dir/pause.tar ]]; then return 0; fi
  require_programs gcc buildah
  mkdir -p "$image_cache_dir" "$state_dir/log"
  say "building the pause image"
  quietly "$state_dir/log/pause-image.log" build_pause_image
}

ensure_base_image() {
  if [[ -f $image_cache_dir/debian.tar ]] &&
    cluster_buildah inspect --type image "$base_image_name" >/dev/null 2>&1; then
    return 0
  fi
  require_programs debootstrap buildah
  mkdir -p "$image_cache_dir" "$state_dir/log"
  if [[ -f $image_cache_dir/debian.tar ]]; then
    say "loading $base_image_name from the cache"
    quietly "$state_dir/log/base-image.log" \
      cluster_buildah pull --quiet "docker-archive:$image_cache_dir/debian.tar"
  else
    say "bootstrapping $base_image_name, once per machine (about 40 s)"
    quietly "$state_dir/log/base-image.log" build_base_image
    say "$base_image_name built"
  fi
}

containerd_runs() { process_runs "$state_dir" containerd; }

image_loaded() { [[ -n $(cluster_ctr images list --quiet "name==$1") ]]; }

# image_inputs <image>: the fingerprint that label_image left on the cluster's copy.
image_inputs() {
  cluster_ctr images list "name==$1" | sed -n 's/.*lanekeeper\.dev\/inputs=\([0-9a-f]*\).*/\1/p'
}

image_digest() { cluster_ctr images list "name==$1" | awk 'NR > 1 {print $3}'; }

load_archive() {
  quietly "$state_dir/log/image-import.log" \
    cluster_ctr images import --snapshotter "$(snapshotter)" "$1"
}

# Part of `up`: pause always, the Debian base if this machine has built it.
import_base_images() {
  ensure_pause_image
  image_loaded "$pause_image" || load_archive "$image_cache_dir/pause.tar"
  if [[ -f $image_cache_dir/debian.tar ]]; then
    image_loaded "$base_image_name" || load_archive "$image_cache_dir/debian.tar"
  fi
}

base_image() {
  ensure_pause_image
  ensure_base_image
  if containerd_runs; then import_base_images; fi
  say "base images ready in $image_cache_dir"
}

# Of the images that ship; archives are not compressed, so their size is what a node has to keep.
image_bytes_max=120000000
check_image_size() {
  local bytes
  case $1 in operator | gateway | worker) ;; *) return 0 ;; esac
  bytes=$(stat --format %s "$2")
  say "lanekeeper/$1:e2e has $((bytes / 100000 / 10)).$((bytes / 100000 % 10)) MB"
  ((bytes <= image_bytes_max)) || die "lanekeeper/$1:e2e has $bytes bytes; at most $image_bytes_max are allowed"
}

# build_image <component> <dockerfile> <context> <inputs> <flags of buildah…>: builds
# lanekeeper/<component>:e2e and loads it, unless the cluster has one that was made from these inputs.
build_image() {
  local component=$1 dockerfile=$2 context=$3 inputs=$4 image=docker.io/lanekeeper/$1:e2e
  local archive=$state_dir/images/$component.tar log=$state_dir/log/image-$component.log
  shift 4
  if containerd_runs && [[ $(image_inputs "$image") == "$inputs" ]]; then
    say "lanekeeper/$component:e2e is up to date"
    return 0
  fi
  say "building lanekeeper/$component:e2e"
  quietly "$log" cluster_buildah build --isolation chroot --layers --pull-never \
    --file "$dockerfile" "$@" --tag "$image" "$context"
  if ! containerd_runs; then
    say "the cluster is not up: lanekeeper/$component:e2e is built, not loaded"
    return 0
  fi
  mkdir -p "$state_dir/images"
  quietly "$log" archive_image "$image" "$archive"
  check_image_size "$component" "$archive"
  load_archive "$archive"
  cluster_ctr images label "$image" "lanekeeper.dev/inputs=$inputs" >/dev/null
  rm -f "$archive"
}

fingerprint() { sha256sum | cut -c1-32; }

# program_image <component> <dockerfile> <build dir> <program…>: an image of prebuilt programs.
program_image() {
  local component=$1 dockerfile=$2 build_dir=$3
  local context=$project_dir context_build_dir inputs program
  shift 3
  for program in "$@"; do
    [[ -x $build_dir/bin/$program ]] || die "$build_dir/bin/$program is missing; build the project first"
  done
  inputs=$({ cat "$dockerfile" "$image_cache_dir/debian.tar"; cd "$build_dir/bin" && cat "$@"; } | fingerprint)
  # The repository is the context; a build folder elsewhere is its own.
  if [[ $build_dir == "$project_dir"/* ]]; then
    context_build_dir=${build_dir#"$project_dir/"}
  else
    context=$build_dir context_build_dir=.
  fi
  build_image "$component" "$dockerfile" "$context" "$inputs" \
    --build-arg "BUILD_DIR=$context_build_dir" \
    --build-arg WORKER_IMAGE=docker.io/lanekeeper/worker:e2e
}

# example_image <component> <folder>: an example whose Dockerfile has all it needs beside it.
example_image() {
  local folder=$project_dir/worker-runtime/examples/$2
  build_image "$1" "$folder/Dockerfile" "$folder" \
    "$(cat "$folder"/* "$state_dir/worker-inputs" | fingerprint)" \
    --build-arg WORKER_IMAGE=docker.io/lanekeeper/worker:e2e
}

# nats-server in a pod: for the chart's natsServer alone, all else uses the one of nats-up.
nats_image() {
  require_programs nats-server
  build_image nats "$cluster_dir/nats.Dockerfile" "$bin_dir" \
    "$(cat "$cluster_dir/nats.Dockerfile" "$bin_dir/nats-server" | fingerprint)"
}

# The images that HANDLERS.md tells people to build, on top of the worker's.
build_example_images() {
  local build_dir
  build_dir=$(realpath -e "$1") || die "no folder $1"
  image_loaded docker.io/lanekeeper/worker:e2e || die "the worker's image is missing; run: cluster.sh images $1"
  image_inputs docker.io/lanekeeper/worker:e2e >"$state_dir/worker-inputs"
  example_image pages-worker python_exec
  example_image model-worker python_serve
  example_image hash-sidecar python_http
  program_image thumbnail-worker "$project_dir/worker-runtime/examples/thumbnail/Dockerfile" \
    "$build_dir" lanekeeper-thumbnail-worker
  unmount_below "$cache_dir/buildah"
  say "example images ready"
}

build_images() {
  local build_dir
  build_dir=$(realpath -e "$1") || die "no folder $1"
  require_programs buildah
  ensure_pause_image
  ensure_base_image
  program_image operator "$project_dir/operator/Dockerfile" "$build_dir" lanekeeper-operator
  program_image gateway "$project_dir/worker-runtime/gateway/Dockerfile" "$build_dir" lanekeeper-gateway
  program_image worker "$project_dir/worker-runtime/Dockerfile" "$build_dir" \
    lanekeeper-worker lanekeeper-example-worker
  nats_image
  # Layers of the builds before this one; the apt layers have a child and stay.
  cluster_buildah rmi --prune >/dev/null 2>&1 || true
  unmount_below "$cache_dir/buildah"
  say "images ready"
}

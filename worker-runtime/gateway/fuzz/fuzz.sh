#!/usr/bin/env bash
# `make fuzz`: builds the fuzz targets with clang, libFuzzer and sanitizers, and runs each for a while.
#
#   fuzz.sh [SECONDS]     of each target; default 60
#
# What libFuzzer learns stays in build/fuzz/learned/<target> and is where the next run begins. An input that fails is
# written to build/fuzz/found/<target>; put it into corpus/<target>, where every build runs it as a unit test.
set -euo pipefail

seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "usage: fuzz.sh [SECONDS]" >&2; exit 2; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
build=$root/build/fuzz

cmake -G Ninja -S "$root" -B "$build" -DCMAKE_C_COMPILER=clang-14 -DCMAKE_CXX_COMPILER=clang++-14 \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS="-fsanitize=fuzzer-no-link -Wno-unknown-warning-option" \
  -DLANEKEEPER_SANITIZE=address,undefined -DLANEKEEPER_FUZZ=ON --log-level=WARNING >/dev/null
cmake --build "$build" -j "$(nproc)" --target fuzz

failed=0
for seeds in "$here"/corpus/*; do
  target=$(basename "$seeds")
  mkdir -p "$build/learned/$target" "$build/found/$target"
  log=$build/found/$target/log
  if "$build/bin/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$build/found/$target/" "$build/learned/$target" "$seeds" >"$log" 2>&1; then
    holds=true
  else
    holds=false
    failed=1
    tail -n 40 "$log" >&2
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '{"name": "fuzz %s", "value": %s, "unit": "inputs", "bar": null, "holds": %s, "how": "%s s, address and undefined sanitizers; %s"}\n' \
    "$target" "${runs:-0}" "$holds" "$seconds" "$log"
done
exit "$failed"

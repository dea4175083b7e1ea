#!/usr/bin/env bash
# `make run`: `lanekeeper up` on the example pool, and a producer that hands in jobs at its gateway.
#
#   e2e/run.sh [BUILD]      default: build/release
#
# Ctrl-C lets running jobs finish, the second one ends them at once; what is not done waits in
# .lanekeeper for the next time. LANEKEEPER_RUN_SECONDS ends it by itself: for scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
state=.lanekeeper
mkdir -p "$state"

cat <<EOF

One minute of this shows lanes that scale from zero and back, long jobs in nobody's way, a lane that may
have two workers and no more, jobs that are retried (PARKED), and one that never works (DEAD).
Then it rests for half a minute, and begins again. Ctrl-C ends it. In another terminal:
  $build/bin/lanekeeper lanes
  $build/bin/lanekeeper explain media/short
  $build/bin/lanekeeper dead

EOF
"$build/bin/lanekeeper-example-producer" --state "$state" 2>"$state/producer.log" &
producer=$!
trap 'kill "$producer" 2>/dev/null || true; wait "$producer" 2>/dev/null || true' EXIT

up=("$build/bin/lanekeeper" up e2e/examples/mixed.yaml --state "$state")
if [ -n "${LANEKEEPER_RUN_SECONDS:-}" ]; then
  # 124: timeout has ended it, and it has ended well.
  timeout --foreground --signal=INT "$LANEKEEPER_RUN_SECONDS" "${up[@]}" || [ $? -eq 124 ]
else
  "${up[@]}"
fi

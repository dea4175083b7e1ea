# shellcheck shell=bash disable=SC2154  # cluster.sh sets what is used here.
# Processes, waiting and messages. Knows nothing of Kubernetes.

# Messages go to standard error: standard output is for answers (a kubeconfig's path, `env`).
say() { printf '[cluster %3ds] %s\n' "$SECONDS" "$*" >&2; }
die() { printf '[cluster] error: %s\n' "$*" >&2; exit 1; }

# die_with_log <log> <message>: the end of the log of whoever is responsible, then the message.
die_with_log() {
  local log=$1
  shift
  printf '%s\n' "--- end of $log" >&2
  tail -n 25 "$log" >&2 || true
  die "$*; full log: $log"
}

# wait_until <seconds> <command…>: runs the command until it succeeds. Bounded.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then return 1; fi
    sleep 0.1
  done
}

# quietly <log> <command…>: the command's output goes to the log, and is shown if it fails.
quietly() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 </dev/null || die_with_log "$log" "failed: $*"
}

# Every process belongs to one folder: DIR/run/NAME.pid and DIR/log/NAME.log. Its command line
# names that folder, and this is how a recycled pid is told from ours: nothing else is ever killed.

# process_id <dir> <name>: prints the pid if the process we started is alive.
process_id() {
  local dir=$1 name=$2 pid command_line
  pid=$(cat "$dir/run/$name.pid" 2>/dev/null) || return 1
  # Empty for a zombie, which has ended too.
  command_line=$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline") || return 1
  [[ $command_line == *"/$name "* && $command_line == *"$dir/"* ]] || return 1
  echo "$pid"
}

process_runs() { process_id "$@" >/dev/null; }

# start_process <dir> <name> <command…>: the command's program must be called <name>, and its
# arguments must mention <dir>. Does nothing if it runs already.
start_process() {
  local dir=$1 name=$2 log=$1/log/$2.log
  shift 2
  if process_runs "$dir" "$name"; then return 0; fi
  mkdir -p "$dir/run" "$dir/log"
  if [[ -f $log ]]; then mv -f "$log" "$log.previous"; fi
  # A session of its own: it outlives this script and the terminal. Without our lock: otherwise the
  # next cluster.sh would wait for as long as the process lives.
  setsid "$@" >"$log" 2>&1 </dev/null {lock_fd}>&- &
  echo $! >"$dir/run/$name.pid"
  # Until the exec has happened, /proc shows this script's command line.
  wait_until 5 process_runs "$dir" "$name" || die_with_log "$log" "$name did not start"
}

# require_process <dir> <name> <seconds> <command…>: waits until the command succeeds, which says
# that the process serves; gives up at once when the process has ended.
require_process() {
  local dir=$1 name=$2 deadline=$((SECONDS + $3)) log=$1/log/$2.log
  shift 3
  until "$@" >/dev/null 2>&1; do
    process_runs "$dir" "$name" || die_with_log "$log" "$name ended while starting"
    if ((SECONDS >= deadline)); then die_with_log "$log" "$name does not answer ($*)"; fi
    sleep 0.1
  done
}

# stop_process <dir> <name> [seconds]: TERM, wait, KILL. Does nothing if it is not running.
stop_process() {
  local dir=$1 name=$2 seconds=${3:-20} pid
  if pid=$(process_id "$dir" "$name"); then
    kill -TERM "$pid" 2>/dev/null || true
    if ! wait_until "$seconds" process_ended "$dir" "$name"; then
      say "$name (pid $pid) ignored TERM for $seconds s, killing it"
      kill -KILL "$pid" 2>/dev/null || true
      wait_until 5 process_ended "$dir" "$name" || die "$name (pid $pid) cannot be killed"
    fi
  fi
  rm -f "$dir/run/$name.pid"
}

process_ended() { ! process_runs "$@"; }

# free_port: a TCP port nobody listens on, from below the kernel's ephemeral range so that no
# outgoing connection takes it first, and below the NodePort range.
free_port() {
  local port
  for _ in {1..50}; do
    port=$((15000 + RANDOM % 14000))
    if [[ -z $(ss --no-header --listening --numeric --tcp "sport = :$port") ]]; then
      echo "$port"
      return 0
    fi
  done
  die "found no free port between 15000 and 29000"
}

# with_lock <dir> <command…>: one cluster.sh at a time per folder.
with_lock() {
  local dir=$1
  shift
  mkdir -p "$(dirname "$dir")"
  exec {lock_fd}>"$dir.lock"
  if ! flock --nonblock "$lock_fd"; then
    say "waiting for another cluster.sh that works on $dir"
    flock --timeout 600 "$lock_fd" || die "another cluster.sh held $dir.lock for 10 minutes"
  fi
  "$@"
  exec {lock_fd}>&-
}

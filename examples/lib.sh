# What the examples' bin/start share; they source it. "$here" is the example's
# folder. Ports and addresses come from the environment, see the README.md's.

root=$(cd "$here/../.." && pwd)
tenapp=$here/tenapp
python=$root/.venv/bin/python
stock_replica=r4067604db72 # every account's, by LiveKit's Tavus plugin

say() { printf 'tavus: %s\n' "$*"; }
reason=
fail() { # says why when all has ended: it is to be the last thing that is said
  reason=$*
  exit 1
}

free_port() {
  "$python" -c 'import socket
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    print(s.getsockname()[1])'
}

check_port() { # name, value
  case $2 in
    '' | *[!0-9]*) fail "$1: '$2' is no port; write a number up to 65535" ;;
  esac
  [ "$2" -le 65535 ] || fail "$1: '$2' is no port; write a number up to 65535"
}

# Whether something listens there.
listens() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# Whether the API answers.
healthy() {
  (
    exec 3<>"/dev/tcp/$1/$2"
    printf 'GET /health HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' \
      "$1" >&3
    IFS= read -r -t 5 status <&3
    case $status in *' 200 '*) ;; *) exit 1 ;; esac
  ) 2>/dev/null
}

# What runs, each "process id, tenths of a second that it may take to stop", and
# what it is. The app comes after what it needs, and is ended before it.
started=()
names=()
guard=
alive() { kill -0 "$1" 2>/dev/null; }

# Ends a process: asks once (a second signal makes TEN exit at once), waits,
# then insists, and with it ends what it has started itself.
end() { # process, tenths of a second
  local tenths=$2
  alive "$1" || return 0
  kill -TERM "$1" 2>/dev/null || true
  while alive "$1" && [ "$tenths" -gt 0 ]; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
  kill -KILL -- "-$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

end_all() {
  local i
  for ((i = ${#started[@]} - 1; i >= 0; i--)); do
    end "${started[i]% *}" "${started[i]#* }"
  done
}

# Who kills this script outright leaves what it has started. The guard ends
# that: it reads it from a pipe, which nobody but this script keeps open.
start_guard() {
  local folder
  folder=$(mktemp -d)
  mkfifo "$folder/pipe"
  be_guard <"$folder/pipe" &
  guard=$!
  exec 8>"$folder/pipe"
  rm -r "$folder"
}
be_guard() {
  local line
  trap '' INT TERM HUP
  while IFS= read -r line; do started+=("$line"); done
  end_all
}

# Starts a process that ends with this script, and is "$process" then. It tells
# the guard of itself, so that the guard knows of all at any moment.
start() { # what it is, tenths of a second that it may take to stop, command
  local name=$1 tenths=$2
  shift 2
  # shellcheck disable=SC2016 # sh is to expand them
  sh -c 'echo "$$ $0" >&8; exec "$@" 8>&-' "$tenths" "$@" </dev/null &
  process=$!
  started+=("$process $tenths")
  names+=("$name")
}

# Waits until what was started last can be used.
until_up() { # a command that says whether it can
  local tenths=600 status=0 name=${names[${#names[@]} - 1]}
  until "$@"; do
    if ! alive "$process"; then
      wait "$process" || status=$?
      # Who gives up has said why; that stays the last thing on the screen.
      { [ "$status" -eq 0 ] || [ "$status" -gt 128 ]; } || exit 1
      fail "$name did not start (status $status), see above"
    fi
    tenths=$((tenths - 1))
    [ "$tenths" -gt 0 ] || fail "$name does not answer after 60 s, see above"
    sleep 0.1
  done
}

# Waits until something that was started ends: "$ended", with "$status".
until_one_ends() {
  local i process
  while sleep 0.2; do
    for ((i = 0; i < ${#started[@]}; i++)); do
      process=${started[i]% *}
      if ! alive "$process"; then
        status=0
        wait "$process" || status=$?
        ended=${names[i]}
        return
      fi
    done
  done
}

# Ends all since one has ended that should not have.
give_up() {
  [ "$status" -ne 78 ] || exit 1 # a property cannot be used, as it has said
  say "$ended has ended; stopping ..."
  fail "$ended has ended by itself (status $status)"
}

clean_up() {
  local status=$?
  trap '' INT TERM HUP
  trap - EXIT
  end_all
  if [ -n "$guard" ]; then
    exec 8>&-
    wait "$guard" || true
  fi
  [ -z "$reason" ] || say "$reason" >&2
  exit "$status"
}
trap clean_up EXIT
trap 'say "stopping ..."; exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Makes what is missing, before anything is started.
prepare() {
  "$root/bin/setup"
  # From here on own process groups, so that Ctrl-C reaches the script alone.
  set -m
  start_guard
}

# Whether a folder of the app can be written: it may be somebody else's.
own_folder() { mkdir -p "$tenapp/$1" 2>/dev/null && [ -w "$tenapp/$1" ]; }

# Where the app listens, and where Tavus can tell it what happens.
choose_addresses() {
  local public authority origin
  host=${TAVUS_HTTP_HOST:-127.0.0.1}
  port=${TAVUS_HTTP_PORT:-8080}
  sim_port=${TAVUS_SIM_PORT:-8900}
  check_port TAVUS_HTTP_PORT "$port"
  check_port TAVUS_SIM_PORT "$sim_port"
  [ "$port" -ne 0 ] || port=$(free_port)
  [ "$sim_port" -ne 0 ] || sim_port=$(free_port)
  case $host in
    0.0.0.0 | ::) at=127.0.0.1 ;;
    *) at=$host ;;
  esac
  case $at in
    *:*) url="http://[$at]:$port" ;;
    *) url=http://$at:$port ;;
  esac
  if listens "$at" "$port"; then
    fail "port $port is in use; choose another: TAVUS_HTTP_PORT=8081 $0"
  fi
  public=${TAVUS_PUBLIC_URL:-}
  public_url=${public%/}
  case $public_url in
    '' | http://?* | https://?*) ;;
    *) fail "TAVUS_PUBLIC_URL: '$public' is no URL; write https://$public" ;;
  esac
  if [ -n "$public_url" ]; then
    authority=${public_url#*://}
    origin=${public_url%%://*}://${authority%%/*}
    TAVUS_HTTP_ORIGINS=${TAVUS_HTTP_ORIGINS:+$TAVUS_HTTP_ORIGINS,}$origin
    export TAVUS_HTTP_ORIGINS
  fi
}

# A simulated Tavus where there is no key, with these arguments of its own.
start_simulator() {
  local frames=${TAVUS_HTTP_FRAME_ORIGINS:-}
  if listens 127.0.0.1 "$sim_port"; then
    fail "port $sim_port is in use; choose another: TAVUS_SIM_PORT=8901 $0"
  fi
  say 'TAVUS_API_KEY is not set: a simulated Tavus is used (no bill).'
  start 'the simulated Tavus' 50 env "PYTHONPATH=$root/devkit" \
    "$python" -m tavus_sim --port "$sim_port" "$@"
  export TAVUS_API_KEY=simulated-key-not-a-secret
  export TAVUS_HTTP_SIMULATED=true
  export TAVUS_BASE_URL=http://127.0.0.1:$sim_port/v2
  export TAVUS_REPLICA_ID=${TAVUS_REPLICA_ID:-${TAVUS_FACE_ID:-$stock_replica}}
  unset TAVUS_FACE_ID
  public_url=$url
  export TAVUS_HTTP_FRAME_ORIGINS=${frames:+$frames,}http://127.0.0.1:$sim_port
  until_up listens 127.0.0.1 "$sim_port"
}

# Tavus's stock replica where nobody chose one.
choose_replica() {
  if [ -z "${TAVUS_PERSONA_ID:-}${TAVUS_PAL_ID:-}" ] &&
    [ -z "${TAVUS_REPLICA_ID:-}${TAVUS_FACE_ID:-}" ]; then
    export TAVUS_REPLICA_ID=$stock_replica
    say "no persona or replica is set: Tavus's stock replica $stock_replica."
    say 'TAVUS_PERSONA_ID (or TAVUS_PAL_ID) and TAVUS_REPLICA_ID (or' \
      'TAVUS_FACE_ID) choose others; your portal at Tavus shows the ids.'
  fi
}

# Where it is noted what is open at Tavus: in the app, unless that is somebody
# else's; then where the extension has it of itself.
choose_journal() {
  case ${TAVUS_JOURNAL_DIR:-} in
    '') ! own_folder .journal || export TAVUS_JOURNAL_DIR=$tenapp/.journal ;;
    /*) ;;
    *) TAVUS_JOURNAL_DIR=$PWD/$TAVUS_JOURNAL_DIR ;;
  esac
}

# Starts the app, unless TEN would not. Arguments go to it.
start_app() {
  (
    cd "$tenapp"
    export PYTHONPATH=$root/devkit:$root
    "$python" "$root/examples/check_app.py" "$@"
  )
  start 'the app' 30 "$tenapp/bin/start" "$@"
}

# Runs the app until it ends, or we are told to. Arguments go to it.
run_app() {
  local callback
  export TAVUS_WEBHOOK_SECRET=${TAVUS_WEBHOOK_SECRET:-$("$python" -c \
    'import secrets; print(secrets.token_urlsafe(32))')}
  export TAVUS_HTTP_PAGE_DIR=${TAVUS_HTTP_PAGE_DIR:-$root/web/dist}
  if [ -n "$public_url" ]; then
    callback=$public_url/api/tavus/webhook/$TAVUS_WEBHOOK_SECRET
    export TAVUS_CALLBACK_URL=${TAVUS_CALLBACK_URL:-$callback}
  fi
  export TAVUS_HTTP_HOST=$host
  export TAVUS_HTTP_PORT=$port
  choose_journal
  start_app "$@"
  until_up healthy "$at" "$port"

  say 'Ctrl-C ends it.'
  say "ready: open $url"
  until_one_ends
  give_up
}

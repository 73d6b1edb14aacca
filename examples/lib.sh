# What the examples' bin/start share; they source it. "$here" is the example's
# folder. Ports and addresses come from the environment, see the README.md's.

root=$(cd "$here/../.." && pwd)
tenapp=$here/tenapp
python=$root/.venv/bin/python
stock_replica=r4067604db72 # every account's, by LiveKit's Tavus plugin

say() { printf 'tavus: %s\n' "$*"; }
fail() {
  say "$*" >&2
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

app=
helpers=() # what the app needs: ended after it, the last one first
alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# Ends a process: asks, waits so many tenths of a second, then insists.
end() {
  local tenths=$2
  alive "$1" || return 0
  kill -TERM "$1" 2>/dev/null || true
  while alive "$1" && [ "$tenths" -gt 0 ]; do
    sleep 0.1
    tenths=$((tenths - 1))
  done
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

clean_up() {
  local status=$? i
  trap '' INT TERM HUP
  trap - EXIT
  # The app first: it ends its conversations at Tavus.
  end "$app" 30
  for ((i = ${#helpers[@]} - 1; i >= 0; i--)); do
    end "${helpers[i]}" 50
  done
  exit "$status"
}
trap clean_up EXIT
trap 'say "stopping ..."; exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Makes what is missing, and puts extensions into the app: folders below the
# root of the repository, "." for the root itself.
prepare() {
  local folder name
  "$root/bin/setup"
  mkdir -p "$tenapp/ten_packages/extension"
  for folder; do
    name=${folder##*/}
    [ "$folder" != . ] || name=tavus_python
    ln -sfn "../../../../../$folder" "$tenapp/ten_packages/extension/$name"
  done
  # From here on own process groups, so that Ctrl-C reaches the script alone:
  # the app must not be told twice (a second signal makes TEN exit at once).
  set -m
}

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
  if [ -n "$public_url" ]; then
    authority=${public_url#*://}
    origin=${public_url%%://*}://${authority%%/*}
    TAVUS_HTTP_ORIGINS=${TAVUS_HTTP_ORIGINS:+$TAVUS_HTTP_ORIGINS,}$origin
    export TAVUS_HTTP_ORIGINS
  fi
}

# A simulated Tavus where there is no key, with these arguments of its own.
start_simulator() {
  local frames=${TAVUS_HTTP_FRAME_ORIGINS:-} sim
  if listens 127.0.0.1 "$sim_port"; then
    fail "port $sim_port is in use; choose another: TAVUS_SIM_PORT=8901 $0"
  fi
  say 'TAVUS_API_KEY is not set: a simulated Tavus is used (no bill).'
  PYTHONPATH=$root/devkit "$python" -m tavus_sim --port "$sim_port" "$@" \
    </dev/null &
  sim=$!
  helpers+=("$sim")
  export TAVUS_API_KEY=simulated-key-not-a-secret
  export TAVUS_BASE_URL=http://127.0.0.1:$sim_port/v2
  export TAVUS_REPLICA_ID=${TAVUS_REPLICA_ID:-${TAVUS_FACE_ID:-$stock_replica}}
  unset TAVUS_FACE_ID
  public_url=$url
  export TAVUS_HTTP_FRAME_ORIGINS=${frames:+$frames,}http://127.0.0.1:$sim_port
  until listens 127.0.0.1 "$sim_port"; do
    alive "$sim" || fail 'the simulated Tavus did not start, see above'
    sleep 0.05
  done
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

# Runs the app until it ends, or we are told to. Arguments go to it.
run_app() {
  local callback status=0
  export TAVUS_WEBHOOK_SECRET=${TAVUS_WEBHOOK_SECRET:-$("$python" -c \
    'import secrets; print(secrets.token_urlsafe(32))')}
  export TAVUS_HTTP_PAGE_DIR=${TAVUS_HTTP_PAGE_DIR:-$root/web/dist}
  if [ -n "$public_url" ]; then
    callback=$public_url/api/tavus/webhook/$TAVUS_WEBHOOK_SECRET
    export TAVUS_CALLBACK_URL=${TAVUS_CALLBACK_URL:-$callback}
  fi
  export TAVUS_HTTP_HOST=$host
  export TAVUS_HTTP_PORT=$port
  export TAVUS_JOURNAL_DIR=${TAVUS_JOURNAL_DIR:-$tenapp/.journal}
  "$tenapp/bin/start" "$@" </dev/null &
  app=$!
  until healthy "$at" "$port"; do
    alive "$app" || fail 'the app did not start, see above'
    sleep 0.05
  done

  say 'Ctrl-C ends it.'
  say "ready: open $url"

  wait "$app" || status=$?
  fail "the app has ended by itself (status $status); stopping"
}

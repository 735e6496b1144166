#!/usr/bin/env bash
# Measures what a second worker gives, and how much processor time the broker needs for a publication.
#
#   benches/scaling.sh [PATH/TO/tagcast]
#
# Each worker is pinned to a core of its own (taskset), as far as there are cores; the broker, the
# supervisor and the load generator may use all of them. The processor time of each process comes from
# /proc/PID/task/*/schedstat around the run. Run it on a machine that does nothing else.
# ROUNDS=3, SECONDS_EACH=2 and CLIENTS=1000 can be set. Needs: jq, taskset.
set -euo pipefail

tagcast=${1:-target/dist/tagcast}
rounds=${ROUNDS:-3}
seconds=${SECONDS_EACH:-2}
clients=${CLIENTS:-1000}
cores=$(nproc)

for program in jq taskset; do
  command -v "$program" >/dev/null || { echo "scaling.sh: needs $program" >&2; exit 69; }
done
[ -x "$tagcast" ] || { echo "scaling.sh: $tagcast is not a program; build it: cargo build --profile dist" >&2; exit 69; }

folder=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  server=
}
trap 'stop; rm -rf "$folder"' EXIT

# Starts a server with this number of workers and pins them.
start() {
  local workers=$1 port
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  printf '[websocketserver]\naddress = ws://127.0.0.1:%s\nworkers = %s\nconsole = on\nlogLevel = warn\nmaxClients = 1000000\nmaxPerIP = 20000\n' \
    "$port" "$workers" >"$folder/websock.ini"
  "$tagcast" serve -i "$folder/websock.ini" >/dev/null 2>&1 &
  server=$!
  url=ws://127.0.0.1:$port/
  until status=$("$tagcast" status -i "$folder/websock.ini" --json 2>/dev/null) &&
    [ "$(jq -r .stage <<<"$status")" = serving ]; do
    kill -0 "$server" || { echo "scaling.sh: the server did not start" >&2; exit 69; }
    sleep 0.05
  done
  broker=$(jq -r '.processes[] | select(.role == "broker").pid' <<<"$status")
  mapfile -t worker_pids < <(jq -r '.processes[] | select(.role | startswith("worker")).pid' <<<"$status")
  for at in "${!worker_pids[@]}"; do
    taskset -a -c -p $((at % cores)) "${worker_pids[at]}" >/dev/null
  done
}

# Nanoseconds of processor time of a process.
cpu() { cat /proc/"$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }

# Runs one scenario: a line with its name, the number of workers, units a second of wall time, the
# nanoseconds of the broker for each publication or opening, those of the busiest worker for each unit,
# and the part of the busiest worker in the time of all workers.
run() {
  local name=$1 workers=$2 unit=$3
  shift 3
  start "$workers"
  local before=() after=() broker_before broker_after report busiest=0 all=0
  for pid in "${worker_pids[@]}"; do before+=("$(cpu "$pid")"); done
  broker_before=$(cpu "$broker")
  report=$("$tagcast" bench "$@" --url "$url" --pid "$server" --json 2>/dev/null)
  for pid in "${worker_pids[@]}"; do after+=("$(cpu "$pid")"); done
  broker_after=$(cpu "$broker")
  stop
  for at in "${!before[@]}"; do
    local used=$((after[at] - before[at]))
    all=$((all + used))
    if [ "$used" -gt "$busiest" ]; then busiest=$used; fi
  done
  jq -r --arg name "$name" --argjson workers "$workers" --argjson busiest "$busiest" --argjson all "$all" \
    --argjson broker $((broker_after - broker_before)) --arg unit "$unit" '
    (if $unit == "opening" then {units: .clients, jobs: .clients, rate: (.clients / .seconds)}
     else {units: .deliveries_in_all, jobs: (.publications * .deliveries_in_all / .deliveries),
           rate: .deliveries_per_second} end) as $r
    | [$name, $workers, ($r.rate | round), ($broker / $r.jobs | round), ($busiest / $r.units | round),
       ($busiest / $all * 100 | round)] | @tsv' <<<"$report"
}

# The median of each column of figures, over the rounds of one scenario.
median() {
  local lines=() line
  for ((round = 0; round < rounds; round++)); do
    line=$(run "$@")
    lines+=("$line")
  done
  for column in 3 4 5 6; do
    printf '%s\n' "${lines[@]}" | cut -f "$column" | sort -n | sed -n "$(((rounds + 1) / 2))p"
  done | paste -sd '\t' | sed "s/^/$1\t$2\t/"
}

plan=(--warmup 0.5 --duration "$seconds")
groups() { local each=$1; shift; median "groups of $each" 1 delivery groups --dialect gomoob --clients $((each * 50)) --groups 50 --in-flight 256 "${plan[@]}"; }

{
  printf 'scenario\tworkers\ta second\tbroker ns\tbusiest worker ns\tits share %%\n'
  for workers in 1 2; do
    median "fan-out W=1" "$workers" delivery fanout --clients "$clients" --in-flight 1 "${plan[@]}"
    median "fan-out W=64" "$workers" delivery fanout --clients "$clients" --in-flight 64 "${plan[@]}"
    median "100 groups" "$workers" delivery groups --clients "$clients" --groups 100 --in-flight 64 "${plan[@]}"
    median "feedback W=256" "$workers" delivery feedback --clients 100 --in-flight 256 "${plan[@]}"
    median "openings" "$workers" opening connect --clients 5000 --tags 1
  done
  for recipients in 1 4 16; do groups "$recipients"; done
} | tee "$folder/table.tsv" >&2
awk -F '\t' '
  NR == 1 { next }
  $1 ~ /^groups of/ { sub(/groups of /, "", $1); full[$1] = 1e9 / $4; next }
  $2 == 1 { wall[$1] = $3; busiest[$1] = $5; order[++count] = $1 }
  $2 == 2 { wall2[$1] = $3; busiest2[$1] = $5 }
  END {
    print "| scenario | two workers to one, wall time (measured) | busiest worker, CPU for each unit, one to two workers (computed gain) |"
    print "| --- | ---: | ---: |"
    for (at = 1; at <= count; at++) {
      name = order[at]
      printf "| %s | %.2f | %.2f |\n", name, wall2[name] / wall[name], busiest[name] / busiest2[name]
    }
    print ""
    print "| recipients of a publication | publications a second that fill the core of the broker (computed from its CPU time) |"
    print "| ---: | ---: |"
    for (n = 1; n <= 16; n *= 4) printf "| %d | %.0f |\n", n, full[n]
  }' "$folder/table.tsv"

#!/bin/sh
# ready.sh SERVICE LIMIT RUNTIME VERB ARGS...: repeat a probe beside the service (the directory
# that service.sh was given) until it succeeds. Prints "ready", "ended" (the service did) or
# "timed out", then "pids" of all probes, an empty line and the last probe's outputs. Probes are
# nice: a service that is busy with its start gets most of the processor, and an idle one none of
# their time.
service=$1
limit=$2
shift 2
renice -n 10 -p $$ >/dev/null 2>&1
uptime() { read -r now idle </proc/uptime; now=${now%.*}; }
uptime
deadline=$((now + limit))
number=0
pids=
while :; do
    uptime
    left=$((deadline - now))
    if [ -s "$service/report.new" ]; then verdict=ended; break; fi
    if [ $left -le 0 ]; then verdict="timed out"; break; fi
    number=$((number + 1))
    probe=$service/ready/$number
    sh /etc/container/step.sh "$probe" "$left" 4096 0 "$@" </dev/null >"$service/probe"
    pids="$pids $(sed -n 's/^pid //p;/^$/q' "$service/probe")"
    rm -rf "$probe"
    read -r first <"$service/probe"
    if [ "$first" = "status 0" ]; then verdict=ready; break; fi
    sleep 0.1
done
echo "$verdict"
echo "pids$pids"
echo
[ -e "$service/probe" ] && sed '1,/^$/d' "$service/probe" | head -c 8192

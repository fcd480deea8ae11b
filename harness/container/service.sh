#!/bin/sh
# service.sh DIRECTORY LIMIT KEEP RUNTIME VERB ARGS...: start a container's first process with
# step.sh in the background and wait LIMIT seconds for it to run or to end.
# Prints "running PID", or "ended" and step.sh's report.
directory=$1
limit=$2
keep=$3
shift 3
mkdir -p "$directory"
setsid sh /etc/container/step.sh "$directory" 0 "$keep" 0 "$@" \
    </dev/null >"$directory/report.new" 2>"$directory/step.err" &
step=$!

uptime() { read -r now idle </proc/uptime; now=${now%.*}; }
uptime
deadline=$((now + limit))
while :; do
    if ! kill -0 $step 2>/dev/null || [ -s "$directory/report.new" ]; then
        wait $step
        echo ended
        cat "$directory/report.new"
        exit 0
    fi
    if [ -s "$directory/pid" ]; then
        read -r pid <"$directory/pid"
        # Until its exec the process still has the runtime's own command line.
        case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
            *"--pid-file $directory/pid"* | *runc*init* | '') ;;
            *) echo "running $pid"; exit 0 ;;
        esac
    fi
    uptime
    [ "$now" -gt $deadline ] && { echo "waiting"; exit 0; }
    sleep 0.02
done

#!/bin/sh
# step.sh DIRECTORY LIMIT KEEP BYTES RUNTIME VERB ARGS...: run one command of a container runtime.
# The first BYTES of standard input become DIRECTORY/process.json, the rest the command's standard
# input, as a file. Of each output KEEP bytes are kept and the
# rest is counted, so that nobody who writes ever waits; LIMIT seconds later (0: never) the
# container's process is killed. What came of it goes to standard output: lines "key value", an
# empty line, then standard output, standard error and the runtime's log.
directory=$1
limit=$2
keep=$3
bytes=$4
runtime=$5
verb=$6
shift 6
# A fork costs milliseconds under emulation: builtins wherever they do.
mkdir -p "$directory" && cd "$directory" || exit 1
[ "$bytes" = 0 ] || dd bs="$bytes" count=1 iflag=fullblock of=process.json 2>/dev/null
cat >stdin
mkfifo stdout.pipe stderr.pipe

# Says how many bytes it has read, at the end and whenever it is asked.
count_rest='
    my $count = 0;
    $SIG{USR1} = sub { syswrite STDERR, "$count\n" };
    while (1) {
        my $more = sysread STDIN, my $bytes, 65536;
        next if !defined $more && $! == 4;    # EINTR
        last if !$more;
        $count += $more;
    }
    syswrite STDERR, "$count\n";
'

capture() {
    trap '' USR1
    exec 3<"$1.pipe"
    dd bs=65536 count="$keep" iflag=count_bytes of="$1" <&3 2>/dev/null
    if [ "$(stat -c %s "$1")" -ge "$keep" ]; then
        perl -e "$count_rest" <&3 2>"$1.rest" &
        echo $! >"$1.reader"
        wait
    fi
    : >"$1.end"
}

# Bytes beyond those kept; a reader that still waits for a child in the background is asked.
dropped() {
    count=0
    [ -e "$1.rest" ] || return
    [ -e "$1.end" ] || { kill -USR1 "$(cat "$1.reader")"; sleep 0.1; }
    count=$(tail -n 1 "$1.rest")
}

end_runtime() {
    for stat in /proc/[0-9]*/stat; do
        read -r pid name state parent rest <"$stat" 2>/dev/null || continue
        [ "$parent" = "$1" ] && kill -KILL "$pid"
    done
    kill -KILL "$1" 2>/dev/null
}

# Ends the container's process once the limit is over: at once, or as soon as the runtime has made
# it. A runtime that hangs itself must not hold the step either.
watch() {
    trap 'kill "$nap" 2>/dev/null; exit' TERM
    sleep "$limit" &
    nap=$!
    wait "$nap"
    : >timed_out
    tries=0
    while [ $tries -lt 50 ]; do
        [ -s pid ] && kill -KILL "$(cat pid)" 2>/dev/null
        tries=$((tries + 1))
        sleep 0.2 &
        nap=$!
        wait "$nap"
    done
    end_runtime "$1"
}

# runc executes with pipes of its own and stays while anybody holds them, which no engine's monitor
# does: a child in the background would hold the step. Its exit status goes with it.
outlast() {
    trap 'kill "$nap" 2>/dev/null; exit' TERM
    first=
    left=25
    while [ $left -gt 0 ]; do
        sleep 0.2 &
        nap=$!
        wait "$nap"
        [ -z "$first" ] && [ -s pid ] && first=$(cat pid)
        [ -n "$first" ] && [ ! -d "/proc/$first" ] && left=$((left - 1))
    done
    : >unwaited
    end_runtime "$1"
}

way=rusage
for file in /sys/fs/cgroup/harness/memory.peak /sys/fs/cgroup/memory/harness/memory.max_usage_in_bytes; do
    [ -e "$file" ] || continue
    case $file in *.peak) way=memory.peak ;; *) way=max_usage; echo 0 >"$file" ;; esac
    break
done

# Away from this script's own output, which a reader that stays would keep open.
capture stdout </dev/null >/dev/null 2>&1 &
capture stderr </dev/null >/dev/null 2>&1 &
read -r started idle </proc/uptime
time -o rusage -f %M "$runtime" --log "$directory/log" --log-format json "$verb" \
    --pid-file "$directory/pid" "$@" <stdin >stdout.pipe 2>stderr.pipe &
child=$!
watchers=
if [ "$limit" != 0 ]; then
    watch $child </dev/null >/dev/null 2>&1 &
    watchers=$!
fi
case $runtime:$verb in
    *runc:exec)
        outlast $child </dev/null >/dev/null 2>&1 &
        watchers="$watchers $!"
        ;;
esac
wait $child
status=$?
read -r ended idle </proc/uptime
[ -n "$watchers" ] && kill $watchers 2>/dev/null

# All is in the pipes now; a child in the background may keep them open for ever.
tries=0
while [ ! -e stdout.end ] || [ ! -e stderr.end ]; do
    tries=$((tries + 1))
    [ $tries -gt 25 ] && break
    sleep 0.02
done

if [ $way = rusage ]; then peak=$(($(tail -n 1 rusage) * 1024)); else read -r peak <"$file"; fi
pid=
[ -e pid ] && read -r pid <pid
[ -e timed_out ] && over=1 && status=137 || over=0
[ -e unwaited ] && [ $over = 0 ] && known=0 || known=1
[ -e stdout.end ] && [ -e stderr.end ] && held=0 || held=1
: >>log
set -- $(stat -c %s stdout stderr log)
{
    echo "status $status"
    echo "status_known $known"
    echo "started $started"
    echo "ended $ended"
    echo "pid $pid"
    echo "timed_out $over"
    echo "held $held"
    echo "peak $peak"
    echo "peak_way $way"
    echo "stdout $1"
    dropped stdout
    echo "stdout_dropped ${count:-0}"
    echo "stderr $2"
    dropped stderr
    echo "stderr_dropped ${count:-0}"
    echo "log $3"
    echo
    head -c "$1" stdout
    [ "$2" = 0 ] || head -c "$2" stderr
    [ "$3" = 0 ] || head -c "$3" log
}

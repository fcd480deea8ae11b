# Arms the tracer and becomes its reader; run by the guest's busybox ash, behind lines that set
#   token table enter fcntl exit exit_plain
# Standard output is NAME=VALUE lines of what was done, the last one traced=yes or traced=no, and
# after traced=yes the trace itself. Builtins where they do: a fork costs milliseconds here.
# Everything is probed: nothing below depends on the kernel's version.
read -r t < /run/harness/tracefs || t=
if [ -z "$t" ] || [ ! -e /run/harness/trace.setup ] || [ ! -e "$t/events/raw_syscalls/sys_exit/enable" ]; then
	echo traced=no
	exit 0
fi
cd "$t" || exit 1
echo "directory=$t"

# set FILE TEXT: false when the kernel refuses it, without the shell's complaint
set_() { echo "$2" 2>/dev/null > "$1"; }

set_ tracing_on 0
# The reader of an earlier recording in this guest would take a part of this one's trace.
if read -r reader 2>/dev/null < /run/harness/trace.pid; then
	read -r name 2>/dev/null < "/proc/$reader/comm"
	case $name in sh | dd | perl) kill "$reader" ;; esac
	set_ events/enable 0
	: > trace
fi
while read -r done_; do echo "$done_"; done < /run/harness/trace.setup

# Neither this shell, as which a flood is read, nor the connection's processes above it may make
# events: each of theirs, sent over the connection, would make more of them. Its child, which reads
# until then, makes no call that fails as it reads.
own=
own_tasks=
pid=$$
while [ "$pid" -gt 1 ]; do
	own="$own&&common_pid!=$pid"
	own_tasks="$own_tasks $pid"
	parent=1
	while read -r name value; do
		[ "$name" = PPid: ] && parent=$value && break
	done < "/proc/$pid/status"
	pid=$parent
done

# arm EVENT FILTER: false when the event is not there or the filter is refused
arm() {
	[ -e "events/$1/enable" ] || return 1
	if [ -n "$2" ]; then
		set_ "events/$1/filter" "$2" || return 1
		read -r -n 4 got < "events/$1/filter"
		[ "$got" != none ] || return 1
	fi
	set_ "events/$1/enable" 1
}

# trace_calls: arm the events of system calls, with their filters
trace_calls() {
	if arm raw_syscalls/sys_exit "($exit)$own"; then
		echo exit_filter=errno-range
	elif arm raw_syscalls/sys_exit "($exit_plain)$own"; then
		echo exit_filter=negative
	else
		set_ events/raw_syscalls/sys_exit/filter 0
		set_ events/raw_syscalls/sys_exit/enable 1 && echo exit_filter=none
	fi
	arm raw_syscalls/sys_enter "($enter)$own" && echo enter=yes || echo enter=no
	arm syscalls/sys_enter_fcntl "($fcntl)$own" && echo fcntl=yes || echo fcntl=no
}

# attach: let trace.pl attach its programs; sets bpf to "yes WAY" or why they are not there
attach() {
	read -r waiting bpf 2>/dev/null < /run/harness/bpf || { bpf='no event'; return; }
	[ "$waiting" != 0 ] || return
	[ -d "/proc/$waiting" ] || { bpf='what loaded it is gone'; return; }
	echo "$table $waiting$own_tasks" > /run/harness/bpf.ask
	read -r bpf < /run/harness/bpf.answer
}

# What these programs find they print; filters say as much, and cost more.
attach
if [ "${bpf#yes }" != "$bpf" ] && arm bpf_trace/bpf_trace_printk ''; then
	echo "calls=bpf (${bpf#yes })"
	echo enter=yes
else
	echo "calls=tracefs (bpf: $bpf)"
	trace_calls
fi
if arm task/task_newtask ''; then
	echo forks=task_newtask
elif arm sched/sched_process_fork ''; then
	echo forks=sched_process_fork
else
	echo forks=no
fi
arm sched/sched_process_exec '' && echo execs=yes || echo execs=no
arm sched/sched_process_exit '' && echo ends=yes || echo ends=no
# The default action of CHLD, CONT, URG and WINCH ends nothing.
arm signal/signal_deliver 'sa_handler==0&&sig!=17&&sig!=18&&sig!=23&&sig!=28' &&
	arm signal/signal_generate 'sig!=17&&sig!=18&&sig!=23&&sig!=28' && echo signals=yes || echo signals=no
# It has one reader at a time: an earlier one has yet to end. "exec" that fails would end the shell.
until true 2>/dev/null < trace_pipe; do sleep 0.02; done
exec 3< trace_pipe
set_ tracing_on 1
echo "harness $token start" > trace_marker
trap 'kill $!; wait $!; exit' TERM
echo $$ > /run/harness/trace.pid
echo traced=yes
# What is traced goes first, what reads the trace when there is time: the buffer holds it.
# Not cat: busybox's splices, and what a pipe then holds may have no bytes, on which a server that
# was told that there is something to read waits (7.3). After 128 KiB it is a flood.
dd bs=65536 count=131072 iflag=count_bytes <&3 2>/dev/null &
renice -n 19 -p $! >/dev/null 2>&1
wait $! || exit
read -r on < tracing_on
[ "$on" = 1 ] || exec dd bs=65536 <&3 2>/dev/null
# A program that fails all the time would fill the buffer before a reader that waits has read it,
# and one that each event wakes makes a flood last ten times as long: this one sleeps in between.
exec perl -e '
	fcntl STDIN, 4, 2048;    # F_SETFL, O_NONBLOCK
	my $on = 1;
	while (1) {
		my $count = sysread STDIN, my $text, 65536;
		$count and syswrite STDOUT, $text and next;
		exit if defined $count || !$on;
		open my $file, "<", "tracing_on";
		$on = <$file> > 0 and select undef, undef, undef, 0.02;
	}
' <&3

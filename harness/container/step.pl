# step.pl DIRECTORY LIMIT KEEP BYTES RUNTIME VERB ARGS...: run one command of a container runtime.
# The first BYTES of standard input become DIRECTORY/process.json, the rest the command's standard
# input, as a file. Of each output KEEP bytes are kept and the rest is counted, so that nobody who
# writes ever waits; LIMIT seconds later (0: never) the container's process is killed. What came of it
# goes to standard output: lines "key value", an empty line, then standard output, standard error and
# the runtime's log.
#
# One process does what a shell needs a dozen for, each some 15 ms under emulation.

require '/etc/container/common.pl';
my ($directory, $limit, $keep, $bytes, $runtime, $verb, @arguments) = @ARGV;
my $chunk = 65536;
my $tick = 0.2;     # seconds between two looks at what says nothing by itself
my $grace = 0.5;    # seconds that outputs may stay open after the runtime's end
my $lingers = 5;    # seconds that a runtime may stay after its process' end
my $patience = 10;  # seconds in which only the container's process is killed, not the runtime

make_directory($directory);
chdir $directory or die "$directory: $!\n";
save('process.json', $bytes) if $bytes;
save('stdin', 1 << 62);

my ($peak_way, $peak_file) = ('rusage', '');
for my $each (
    ['memory.peak', '/sys/fs/cgroup/harness/memory.peak'],
    ['max_usage', '/sys/fs/cgroup/memory/harness/memory.max_usage_in_bytes'],
) {
    next if !-e $each->[1];
    ($peak_way, $peak_file) = @$each;
    put($peak_file, "0\n") if $peak_way eq 'max_usage';
    last;
}

my %outputs = map { $_ => output($_) } qw(stdout stderr);
$SIG{CHLD} = sub { };    # ends select
my $started = uptime();
my $child = fork // die "fork: $!\n";
run() if !$child;
close delete $_->{write} for values %outputs;

my ($status, $usage, $ended, $gone, $first, $missing);
my ($over, $unwaited) = (0, 0);
my $began = monotonic();
while (1) {
    my $now = monotonic();
    if (!defined $status) {
        ($status, $usage) = reaped();
        ($ended, $gone) = (uptime(), $now) if defined $status;
    }
    last if defined $status && (!still_open() || $now - $gone > $grace);
    if (!defined $status) {
        $over = 1 if $limit > 0 && $now - $began >= $limit;
        kill_container($now - $began - $limit) if $over;
        outlast($now) if $runtime =~ /runc$/ && $verb eq 'exec';
    }
    take($tick);
}
report();
drain() if still_open();

sub save {
    my ($file, $left) = @_;
    open my $out, '>', $file or die "$file: $!\n";
    while ($left > 0) {
        my $count = sysread(STDIN, my $data, $left < $chunk ? $left : $chunk);
        last if !$count;
        syswrite($out, $data) == $count or die "$file: $!\n";
        $left -= $count;
    }
}

sub output {
    my ($name) = @_;
    pipe(my $read, my $write) or die "pipe: $!\n";
    open my $file, '>', $name or die "$name: $!\n";
    return { read => $read, write => $write, file => $file, kept => 0, dropped => 0 };
}

sub run {
    open STDIN, '<', 'stdin' and open STDOUT, '>&', $outputs{stdout}{write}
        and open STDERR, '>&', $outputs{stderr}{write}
        and exec $runtime, '--log', "$directory/log", '--log-format', 'json', $verb,
        '--pid-file', "$directory/pid", @arguments;
    print STDERR "$runtime: $!\n";
    exit 127;
}

# wait4(2) with WNOHANG: nothing, or the status as a shell has it and the peak of memory in bytes.
sub reaped {
    my ($state, $rusage) = (pack('l', 0), "\0" x 144);
    return if syscall(61, $child, $state, 1, $rusage) != $child;
    my $number = unpack 'l', $state;
    my $signal = $number & 127;
    return ($signal ? 128 + $signal : $number >> 8, 1024 * unpack 'x32 q', $rusage);
}

sub still_open { scalar grep { $_->{read} } values %outputs }

# Reads what the outputs have, for at most so many seconds.
sub take {
    my ($seconds) = @_;
    my $ready = '';
    vec($ready, fileno $_->{read}, 1) = 1 for grep { $_->{read} } values %outputs;
    return if select($ready, undef, undef, $seconds) <= 0;
    for my $each (grep { $_->{read} && vec $ready, fileno $_->{read}, 1 } values %outputs) {
        my $count = sysread($each->{read}, my $data, $chunk);
        next if !defined $count && $! == 4;    # EINTR
        if (!$count) { close delete $each->{read}; next }
        my $room = $keep - $each->{kept};
        my $kept = $room < $count ? $room : $count;
        syswrite $each->{file}, $data, $kept if $kept;
        $each->{kept} += $kept;
        $each->{dropped} += $count - $kept;
    }
}

# Ends the container's process: at once, or as soon as the runtime has made it. A runtime that hangs
# itself must not hold the step either.
sub kill_container {
    my ($late) = @_;
    my $pid = contents('pid');
    kill KILL => $pid if $pid;
    end_runtime() if $late > $patience;
}

# runc executes with pipes of its own and stays while anybody holds them, which no engine's monitor
# does: a child in the background would hold the step. Its exit status goes with it.
sub outlast {
    my ($now) = @_;
    $first ||= contents('pid') or return;
    return if -d "/proc/$first";
    $missing //= $now;
    return if $now - $missing < $lingers;
    $unwaited = 1;
    end_runtime();
}

sub end_runtime {
    opendir my $processes, '/proc' or return;
    for my $pid (grep { /^\d+$/ } readdir $processes) {
        my ($parent) = contents("/proc/$pid/stat") =~ /\) \S (\d+)[^)]*$/ or next;
        kill KILL => $pid if $parent == $child;
    }
    kill KILL => $child;
}

sub report {
    my $log = contents('log');
    my $peak = $peak_file ? contents($peak_file) + 0 : $usage;
    my ($out, $err) = @outputs{qw(stdout stderr)};
    my %said = (
        status => $over ? 137 : $status,
        status_known => $unwaited && !$over ? 0 : 1,
        started => $started,
        ended => $ended,
        pid => contents('pid') + 0 || '',
        timed_out => $over,
        held => still_open() ? 1 : 0,
        peak => $peak,
        peak_way => $peak_way,
        stdout => $out->{kept},
        stdout_dropped => $out->{dropped},
        stderr => $err->{kept},
        stderr_dropped => $err->{dropped},
        log => length $log,
    );
    my @lines = map { "$_ $said{$_}\n" } 'status', sort grep { $_ ne 'status' } keys %said;
    print @lines, "\n", contents('stdout'), contents('stderr'), $log;
    close STDOUT;
    rename 'report.new', 'report';    # service.pl's: there for others once it is whole
}

# Who still writes in the background must not end by it, nor wait.
sub drain {
    exit if fork;
    open $_, '+<', '/dev/null' for *STDIN, *STDERR;
    take(3600) while still_open();
}

# clock_gettime(2) of CLOCK_MONOTONIC, in seconds: the time of day may be set meanwhile.
sub monotonic {
    my $now = "\0" x 16;
    syscall 228, 1, $now;
    my ($seconds, $nanoseconds) = unpack 'q2', $now;
    return $seconds + $nanoseconds / 1e9;
}

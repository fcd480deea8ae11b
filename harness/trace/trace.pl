# Loads the tracer's BPF programs while a guest boots, and waits to attach them for as long as it
# lives: perl's start, and the kernel's checks of the programs, are in a snapshot then. init.sh runs
# this where the kernel has the event for what such programs print, and arm.sh asks for them.
#
# Behind this program there follows a line of words NAME=VALUE: raw_sys_enter, raw_sys_exit,
# event_sys_enter and event_sys_exit, each program's code in hexadecimal digits; size, the bytes of
# the map's value; texts and texts_at, what it always holds, in digits, and where; own and own_limit,
# where in it the tasks of the harness itself belong, and how many have room there.
#
# The file bpf gets "PID ", of the process that waits, or "0 REASON". Of the named pipes, bpf.ask
# takes "TABLE PID...", the value's first bytes in digits and the harness's own tasks, and bpf.answer
# gives "yes WAY" or what went wrong.
#
# No module is loaded: perl is alone in the initramfs.

my $here = '/run/harness';
my %set = map { split /=/, $_, 2 } split ' ', scalar <DATA>;
my ($map, %programs, %tracepoints, @links);
# Since 6.13 a task may be preempted in a program of the system calls' raw tracepoints (they may fault
# since), and the kernel leaves it out for all other tasks of that processor meanwhile. In one of
# their perf events it is not, which costs a little more.
my $raw = !newer(6, 12);
my $way = $raw ? 'raw tracepoints' : 'perf events';

my $waiting = eval { load(); fork // die "fork: $!\n" };
if ($waiting || $@) {
    put("$here/bpf", $waiting ? "$waiting \n" : "0 $@");
    exit;
}
# Without it the programs would be gone, and what they find would be missed in silence.
put('/proc/self/oom_score_adj', -1000);
while (1) {
    open my $ask, '<', "$here/bpf.ask" or die "bpf.ask: $!\n";
    my ($table, @own) = split ' ', <$ask> // next;
    put("$here/bpf.answer", eval { attach($table, @own); "yes $way\n" } // $@);
}

sub load {
    my $tracefs = first("$here/tracefs");
    put('/proc/sys/net/core/bpf_jit_enable', 1);
    # bpf(2): BPF_MAP_CREATE of an array of one element
    $map = bpf('map', 0, pack 'L4', 2, 4, $set{size}, 1);
    for my $name ('sys_enter', 'sys_exit') {
        my $code = pack 'H*', $set{($raw ? 'raw_' : 'event_') . $name};
        for (my $i = 0; $i < length $code; $i += 8) {
            my ($operation, $registers) = unpack 'CC', substr $code, $i, 2;
            next unless $operation == 0x18 && $registers >> 4 == 2;
            substr($code, $i + 4, 4) = pack 'l', $map;
            $i += 8;
        }
        my $license = "GPL\0";
        # BPF_PROG_LOAD of a BPF_PROG_TYPE_TRACEPOINT or _RAW_TRACEPOINT
        $programs{$name} = bpf("program $name", 5,
            pack 'L2 Q2 x88', $raw ? 17 : 5, length($code) / 8, at($code), at($license));
        $tracepoints{$name} = $raw ? "$name\0" : first("$tracefs/events/raw_syscalls/$name/id");
    }
}

sub attach {
    my ($table, @own) = @_;
    @own <= $set{own_limit} or die "too many processes\n";
    syscall 3, $_ for splice @links;    # close(2)
    my $value = "\0" x $set{size};
    $table = pack 'H*', $table;
    my $texts = pack 'H*', $set{texts};
    substr($value, 0, length $table) = $table;
    substr($value, $set{texts_at}, length $texts) = $texts;
    substr($value, $set{own}, 4 * @own) = pack 'L*', @own;
    # BPF_MAP_UPDATE_ELEM
    bpf('value', 2, pack 'L x4 Q3', $map, at(my $zero = pack 'L', 0), at($value), 0);
    push @links, $raw ? raw_tracepoint($_) : event($_) for sort keys %programs;
}

sub raw_tracepoint {
    my ($name) = @_;
    # BPF_RAW_TRACEPOINT_OPEN
    return bpf("tracepoint $name", 17, pack 'Q L x4', at($tracepoints{$name}), $programs{$name});
}

# Returns a perf event, of one processor as it has to be, whose program runs on all.
sub event {
    my ($name) = @_;
    # perf_event_open(2): PERF_TYPE_TRACEPOINT, PERF_ATTR_SIZE_VER0; any task, processor 0
    my $event = called("event $name", 298, pack('L2 Q x48', 2, 64, $tracepoints{$name}), -1, 0, -1, 0);
    # ioctl(2): PERF_EVENT_IOC_SET_BPF
    called("event $name's program", 16, $event, 0x40042408, $programs{$name});
    return $event;
}

sub newer {
    my ($version, $patch) = @_;
    my @found = split /\./, first('/proc/sys/kernel/osrelease');
    return $found[0] > $version || $found[0] == $version && $found[1] > $patch;
}

sub first {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    my $line = <$in>;
    chomp $line;
    return $line;
}

sub put {
    my ($file, $word) = @_;
    open my $out, '>', $file or return;
    print $out $word;
}

sub at { unpack 'Q', pack 'P', $_[0] }

sub bpf {
    my ($what, $command, $attributes) = @_;
    return called($what, 321, $command, $attributes, length $attributes);
}

sub called {
    my ($what, $number, @arguments) = @_;
    my $result = syscall $number, @arguments;
    die "$what: $!\n" if $result < 0;
    return $result;
}

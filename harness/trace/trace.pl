# Loads the tracer's BPF programs while a guest boots, and waits to attach them for as long as it
# lives: perl's start, and the kernel's checks of the programs, are in a snapshot then. init.sh runs
# this where the kernel has the event for what such programs print, and arm.sh asks for them.
#
# Behind this program there follows a line of words NAME=VALUE: sys_enter and sys_exit, each
# program's code in hexadecimal digits; size, the bytes of the map's value; texts and texts_at, what
# it always holds, in digits, and where; own and own_limit, where in it the tasks of the harness
# itself belong, and how many have room there.
#
# The file bpf gets "PID ", of the process that waits, or "0 REASON". Of the named pipes, bpf.ask
# takes "TABLE PID...", the value's first bytes in digits and the harness's own tasks, and bpf.answer
# gives "yes" or what went wrong.
#
# No module is loaded: perl is alone in the initramfs.

my $here = '/run/harness';
my %set = map { split /=/, $_, 2 } split ' ', scalar <DATA>;
my ($map, %programs, @links);

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
    put("$here/bpf.answer", eval { attach($table, @own); "yes\n" } // $@);
}

sub load {
    # Since 6.13 a task may be preempted in a program of these tracepoints (they may fault since),
    # and the kernel leaves it out for all other tasks of that processor meanwhile.
    open my $release, '<', '/proc/sys/kernel/osrelease' or die "osrelease: $!\n";
    my ($version, $patch) = <$release> =~ /^(\d+)\.(\d+)/;
    die "calls would be missed, as on every kernel since 6.13\n"
        if $version > 6 || $version == 6 && $patch > 12;
    put('/proc/sys/net/core/bpf_jit_enable', 1);
    # bpf(2): BPF_MAP_CREATE of an array of one element
    $map = bpf('map', 0, pack 'L4', 2, 4, $set{size}, 1);
    for my $name ('sys_enter', 'sys_exit') {
        my $code = pack 'H*', $set{$name};
        for (my $i = 0; $i < length $code; $i += 8) {
            my ($operation, $registers) = unpack 'CC', substr $code, $i, 2;
            next unless $operation == 0x18 && $registers >> 4 == 2;
            substr($code, $i + 4, 4) = pack 'l', $map;
            $i += 8;
        }
        my $license = "GPL\0";
        # BPF_PROG_LOAD of a BPF_PROG_TYPE_RAW_TRACEPOINT
        $programs{$name} = bpf("program $name", 5,
            pack 'L2 Q2 x88', 17, length($code) / 8, at($code), at($license));
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
    # BPF_MAP_UPDATE_ELEM, BPF_RAW_TRACEPOINT_OPEN
    bpf('value', 2, pack 'L x4 Q3', $map, at(my $zero = pack 'L', 0), at($value), 0);
    for my $name (sort keys %programs) {
        my $tracepoint = "$name\0";
        push @links, bpf("tracepoint $name", 17, pack 'Q L x4', at($tracepoint), $programs{$name});
    }
}

sub put {
    my ($file, $word) = @_;
    open my $out, '>', $file or return;
    print $out $word;
}

sub at { unpack 'Q', pack 'P', $_[0] }

sub bpf {
    my ($what, $command, $attributes) = @_;
    my $descriptor = syscall 321, $command, $attributes, length $attributes;
    die "$what: $!\n" if $descriptor < 0;
    return $descriptor;
}

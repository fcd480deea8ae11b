# Attaches the tracer's BPF programs and becomes the shell that arms the rest, which holds them by
# what it inherits. Behind this program there follow
#
# - a line of words NAME=VALUE: sys_enter and sys_exit, each program's code in hexadecimal digits;
#   size, the bytes of the map's value; value, what it holds, OFFSET:DIGITS,...; own and own_limit,
#   where in it the harness's own tasks belong, and how many have room there;
# - the shell's program, which finds the harness's own tasks in $own_tasks, and in $bpf "yes" or
#   why the programs are not there.
#
# No module is loaded: perl is alone in the initramfs.

my %set = map { split /=/, $_, 2 } split ' ', scalar <DATA>;
my $arm = do { local $/; <DATA> };

# This process, which becomes the trace's reader, and those of the connection above it.
my @own;
for (my $pid = $$; $pid > 1;) {
    push @own, $pid;
    open my $status, '<', "/proc/$pid/status" or last;
    ($pid) = map { /^PPid:\s+(\d+)/ ? $1 : () } <$status>;
}
$ENV{own_tasks} = "@own";
$ENV{bpf} = eval { attach(); 'yes' } || $@ =~ s/\s+$//r;
exec 'sh', '-c', $arm or die "trace: sh: $!\n";

sub attach {
    open my $t, '<', '/run/harness/tracefs' or die "no tracer\n";
    chomp(my $tracer = <$t> // '');
    -e "$tracer/events/bpf_trace/bpf_trace_printk" or die "no event\n";
    @own <= $set{own_limit} or die "too many processes\n";
    # Loading such a program enables the event, and from then on processes' names are noted.
    put("$tracer/options/record-cmd", 0);
    put('/proc/sys/net/core/bpf_jit_enable', 1);

    my $value = "\0" x $set{size};
    for (split /,/, $set{value}) {
        my ($offset, $digits) = split /:/;
        substr($value, $offset, length($digits) / 2) = pack 'H*', $digits;
    }
    substr($value, $set{own}, 4 * @own) = pack 'L*', @own;

    # bpf(2): BPF_MAP_CREATE of an array, BPF_MAP_UPDATE_ELEM of its one element
    my $map = bpf('map', 0, pack 'L4', 2, 4, length $value, 1);
    bpf('value', 2, pack 'L x4 Q3', $map, at(my $zero = pack 'L', 0), at($value), 0);
    my @links;
    for my $name ('sys_enter', 'sys_exit') {
        my $code = pack 'H*', $set{$name};
        for (my $i = 0; $i < length $code; $i += 8) {
            my ($operation, $registers) = unpack 'CC', substr $code, $i, 2;
            next unless $operation == 0x18 && $registers >> 4 == 2;
            substr($code, $i + 4, 4) = pack 'l', $map;
            $i += 8;
        }
        my $license = "GPL\0";
        # BPF_PROG_LOAD of a BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_RAW_TRACEPOINT_OPEN
        my $program = bpf("program $name", 5,
            pack 'L2 Q2 x88', 17, length($code) / 8, at($code), at($license));
        my $tracepoint = "$name\0";
        push @links, bpf("tracepoint $name", 17, pack 'Q L x4', at($tracepoint), $program);
    }
    syscall 72, $_, 2, 0 for @links;    # fcntl(2): F_SETFD, to be inherited
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

# Joins the channel to an SSH server for each host that attaches: relay.pl PORT BEGAN, as long as
# the guest lives. init.sh starts it, and again should it end. With the first server there, it tells
# the console that the guest is ready, and that init began at the uptime BEGAN.
#
# The server is started, and has said its greeting, before a host asks for it, so that a snapshot
# holds all that. What it says waits in its socket until the host has greeted ("harness TIME SEED"):
# in the port it would pile up for hosts that come later and break their handshake.
#
# A port opens once only, and reads end-of-file while no host is attached.
#
# No module is loaded: perl is alone in the initramfs.

my $here = '/run/harness';
my $chunk = 65536;
open my $host, '+<', $ARGV[0] or die "$ARGV[0]: $!\n";
set_nonblocking($host);
$SIG{PIPE} = sub { };    # a handler, unlike SIG_IGN, does not outlive the server's exec

my ($server, $pid) = started();
open my $uptime, '<', '/proc/uptime' or die "uptime: $!\n";
my ($up) = split ' ', <$uptime>;
put('/dev/console', "harness: ready, seconds: kernel $ARGV[1] all $up\n");
while (1) {
    my $early = greeted();
    ($server, $pid) = started() if waitpid($pid, 1);    # WNOHANG; it waits for 300 s only
    my $ended = joined($early);
    lost() if $ended == $server && !hung_up();
    close $server;
    ($server, $pid) = started();
}

# dropbear speaks to a socket only, and asks for the names of both its ends at each command. Of a
# nameless one its C library reads whatever lies on the stack, and now and then dropbear ends for
# that; so both ends have a name.
sub started {
    1 while waitpid(-1, 1) > 0;
    my @names = map { pack 'S a108', 1, $_ } "$here/ssh", "$here/ssh.host";    # sockaddr_un
    unlink "$here/ssh", "$here/ssh.host";
    my ($listener, $ours, $its);
    # AF_UNIX, SOCK_STREAM
    socket($listener, 1, 1, 0) && bind($listener, $names[0]) && listen($listener, 1)
        && socket($ours, 1, 1, 0) && bind($ours, $names[1]) && connect($ours, $names[0])
        && accept($its, $listener) or die "a server's socket: $!\n";
    my $child = fork // die "fork: $!\n";
    if (!$child) {
        open STDIN, '<&', $its and open STDOUT, '>&', $its and open STDERR, '>>', "$here/ssh.log";
        exec 'dropbear', qw(-i -B -E -r /etc/dropbear/key);
    }
    close $its;
    set_nonblocking($ours);
    select(my $ready = bit($ours), undef, undef, 10);
    return ($ours, $child);
}

# Reads until a host has greeted, freshens the guest and returns what came behind the greeting.
sub greeted {
    my $heard = '';
    while (1) {
        if ($heard =~ s/.*\nharness (\d+)\.(\d{6}) ([0-9a-f]+)\n//s) {
            freshen($1, $2, $3);
            return $heard;
        }
        $heard = substr($heard, -4096) if length $heard > $chunk;
        sysread($host, $heard, $chunk, length $heard) or pause(0.02);
    }
}

# Undoes what every guest of one snapshot has in common: time, randomness, identity.
#
# Programs read from a pool or, since 4.8 and on RHEL 7's 3.10, from a generator that takes from the
# pool every five minutes. It does so at once when the pool first holds 128 bits, so the seed is
# credited as entropy (RNDADDENTROPY, 0x40085203; random(4)), and on the ioctl RNDRESEEDCRNG (0x5207,
# Linux 4.17), which RHEL 7 lacks; from 5.18 on for the generation id as well.
sub freshen {
    my ($seconds, $microseconds, $hex) = @_;
    my $seed = pack 'H*', $hex;
    my $now = pack 'q2', $seconds, $microseconds;
    # settimeofday(2)
    put('/dev/console', "harness: the clock cannot be set: $!\n") if syscall 164, $now, 0;
    open my $pool, '>', '/dev/urandom' or return;
    ioctl $pool, 0x40085203, pack 'i2 a*', 8 * length $seed, length $seed, $seed;
    ioctl $pool, 0x5207, 0;
    open my $random, '<', '/proc/sys/kernel/random/uuid' or return;
    put('/etc/machine-id', <$random> =~ tr/-//dr);
}

# Passes on what either end says until one of them ends, which is returned. Both are asked again each
# second: a console has been seen to let its reader sleep on, and in SSH's handshake the host has
# nothing to say that would wake it.
#
# What the host says and that it is there come to the kernel by two queues: its greeting may be read
# while the port still reads end-of-file. So that means nothing until the port was seen open, or for
# five seconds.
sub joined {
    my @flows = (
        { from => $host, to => $server, held => $_[0] },
        { from => $server, to => $host, held => '' },
    );
    my $unopened = 250;
    while (1) {
        for my $flow (@flows) {
            my ($from, $to) = @$flow{qw(from to)};
            if (!length $flow->{held}) {
                my $count = sysread $from, $flow->{held}, $chunk;
                my $waits = !defined $count && $! == 11;    # EAGAIN
                $unopened = 0 if $waits && $from == $host;
                if (!$count && !$waits) {
                    return $from if $from == $server || !$unopened;
                    $unopened--;
                    pause(0.02);
                }
            }
            while (length $flow->{held}) {
                my $count = syswrite $to, $flow->{held};
                last if !defined $count && $! == 11;
                return $to if !defined $count;
                substr $flow->{held}, 0, $count, '';
            }
        }
        my ($read, $write) = ('', '');
        for my $flow (@flows) {
            length $flow->{held} ? ($write |= bit($flow->{to})) : ($read |= bit($flow->{from}));
        }
        select $read, $write, undef, 1;
    }
}

# Tells whether the host has gone. It is asked again and again, since a console has been seen to
# let its reader sleep on.
sub hung_up {
    for (1 .. 40) {
        my $count;
        1 while $count = sysread $host, my $rest, $chunk;
        return 1 if defined $count;
        pause(0.1);
    }
    return 0;
}

# Of a guest whose server ended while its host is attached nothing can be had, and the host would
# wait for answers: the guest ends too, which is noticed at once.
sub lost {
    open my $log, '<', "$here/ssh.log";
    my @said = $log ? <$log> : ();
    put('/dev/console', "harness: lost: the SSH server ended: $said[-1]\n");
    exec 'reboot', '-f';
}

sub bit { my $bits = ''; vec($bits, fileno $_[0], 1) = 1; $bits }

sub pause { select undef, undef, undef, $_[0] }

sub put {
    my ($file, $text) = @_;
    open my $out, '>', $file or return;
    print $out $text;
}

# fcntl(2): F_SETFL, O_NONBLOCK
sub set_nonblocking { fcntl $_[0], 4, 2048 or die "fcntl: $!\n" }

# Calls system-call numbers and says how each was answered; run in a throw-away guest.
#
#   perl census_probe.pl FROM TO SKIP ARGUMENTS
#
# SKIP is N,N,... or -, ARGUMENTS is N:A,A,...;N:... or -; what is not named there gets -1 six
# times, which is no descriptor, no address, no size and no flag. One line a number: "N errno E"
# (0: it succeeded), "N signal S" (0: the process just ended), "N limit" (it did not return in time).
#
# One process makes one call after the other, since a fork costs far more than a call; where a call
# ends it or does not return, another process goes on behind that call.
#
# No module is loaded: the guest's perl runs from a directory that is not its own.

my ($from, $to, $skipped, $given) = @ARGV;
my %skip = map { $_ => 1 } grep { $_ ne '-' } split /,/, $skipped;
my %arguments = map { my ($n, $a) = split /:/; ($n => [split /,/, $a]) } grep { $_ ne '-' } split /;/, $given;
my $limit = 3;

sub calls {
    my ($answers, @numbers) = @_;
    open STDERR, '>', '/dev/null';
    for my $number (@numbers) {
        my @a = map { 0 + $_ } @{ $arguments{$number} || [(-1) x 6] };
        $! = 0;
        my $result = syscall $number, @a;
        my $errno = $result == -1 ? $! + 0 : 0;
        syswrite $answers, "$number errno $errno\n";
    }
    exit 0;
}

$| = 1;
my @numbers = grep { !$skip{$_} } $from .. $to;
while (@numbers) {
    pipe my $answers, my $told or die "pipe: $!";
    my $child = fork;
    die "fork: $!" unless defined $child;
    calls($told, @numbers) if $child == 0;
    close $told;
    my ($said, $late) = ('', 0);
    while (@numbers) {
        my $ready = '';
        vec($ready, fileno $answers, 1) = 1;
        $late = select($ready, undef, undef, $limit) == 0;
        last if $late || !sysread $answers, $said, 4096, length $said;
        while ($said =~ s/^(.*)\n//) { print "$1\n"; shift @numbers }
    }
    kill 'KILL', $child if $late;
    waitpid $child, 0;
    my $how = $late ? 'limit' : 'signal ' . ($? & 127);
    print shift @numbers, " $how\n" if @numbers;
}
print "done\n";

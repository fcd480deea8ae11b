# Calls system-call numbers and says how each was answered; run in a throw-away guest.
#
#   perl census_probe.pl FROM TO SKIP ARGUMENTS
#
# SKIP is N,N,... or -, ARGUMENTS is N:A,A,...;N:... or -; what is not named there gets -1 six
# times, which is no descriptor, no address, no size and no flag. One line a number: "N errno E"
# (0: it succeeded), "N signal S", "N limit" (it did not return in time).
#
# No module is loaded: the guest's perl runs from a directory that is not its own.

my ($from, $to, $skipped, $given) = @ARGV;
my %skip = map { $_ => 1 } grep { $_ ne '-' } split /,/, $skipped;
my %arguments = map { my ($n, $a) = split /:/; ($n => [split /,/, $a]) } grep { $_ ne '-' } split /;/, $given;
my $limit = 3;
my $child;
my $late;

$| = 1;
$SIG{ALRM} = sub { $late = 1; kill 'KILL', $child };
for my $number ($from .. $to) {
    next if $skip{$number};
    my @a = map { 0 + $_ } @{ $arguments{$number} || [(-1) x 6] };
    $late = 0;
    $child = fork;
    die "fork: $!" unless defined $child;
    if ($child == 0) {
        open STDERR, '>', '/dev/null';
        $! = 0;
        my $result = syscall $number, @a;
        my $errno = $result == -1 ? $! + 0 : 0;
        exit($errno < 255 ? $errno : 254);
    }
    alarm $limit;
    while (waitpid($child, 0) == -1 && $! + 0 == 4) { }    # EINTR: the alarm came
    my $status = $?;
    alarm 0;
    if ($late) { print "$number limit\n" }
    elsif ($status & 127) { print "$number signal ", $status & 127, "\n" }
    else { print "$number errno ", $status >> 8, "\n" }
}
print "done\n";

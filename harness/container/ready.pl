# ready.pl SERVICE LIMIT RUNTIME VERB ARGS...: repeat a probe beside the service (the directory that
# service.pl was given) until it succeeds. Prints "ready", "ended" (the service did) or "timed out",
# then "pids" of all probes, an empty line and the last probe's outputs. Probes are nice: a service
# that is busy with its start gets most of the processor, and an idle one none of their time.

require '/etc/container/common.pl';
my ($service, $limit, @command) = @ARGV;
my $shown = 8192;    # bytes of the last probe's outputs

setpriority 0, 0, 10;
my $deadline = uptime() + $limit;
my ($verdict, $head, $said, @pids) = ('', '', '');
for (my $number = 1; !$verdict; $number++) {
    my $left = $deadline - uptime();
    if (-s "$service/report") { $verdict = 'ended'; last }
    if ($left <= 0) { $verdict = 'timed out'; last }
    my $last = probed("$service/ready/$number", $left);
    ($head, $said) = split /\n\n/, $last, 2;
    push @pids, $1 if $head =~ /^pid (\d+)$/m;
    $verdict = 'ready' if $last =~ /\Astatus 0\n/;
    select undef, undef, undef, 0.1 if !$verdict;
}
print "$verdict\n", join(' ', 'pids', @pids), "\n\n", substr $said, 0, $shown;

sub probed {
    my ($directory, $left) = @_;
    my $probe = fork // die "fork: $!\n";
    if (!$probe) {
        open STDIN, '<', '/dev/null' and open STDOUT, '>', "$service/probe"
            and exec 'perl', '/etc/container/step.pl', $directory, $left, 4096, 0, @command;
        exit 127;
    }
    waitpid $probe, 0;
    unlink map { "$directory/$_" } qw(stdin stdout stderr log pid);
    rmdir $directory;
    return contents("$service/probe");
}

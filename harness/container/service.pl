# service.pl DIRECTORY LIMIT KEEP RUNTIME VERB ARGS...: start a container's first process with step.pl
# in the background and wait LIMIT seconds for it to run or to end.
# Prints "running PID", "waiting", or "ended" and step.pl's report, which lies in DIRECTORY/report.

require '/etc/container/common.pl';
my ($directory, $limit, $keep, @command) = @ARGV;

mkdir $directory;
my $step = fork // die "fork: $!\n";
if (!$step) {
    syscall 112;    # setsid(2)
    open STDIN, '<', '/dev/null' and open STDOUT, '>', "$directory/report.new"
        and open STDERR, '>', "$directory/step.err"
        and exec 'perl', '/etc/container/step.pl', $directory, 0, $keep, 0, @command;
    exit 127;
}
my $deadline = uptime() + $limit;
print waited();

sub waited {
    while (uptime() <= $deadline) {
        if (waitpid($step, 1) || -s "$directory/report") {    # WNOHANG
            waitpid $step, 0;
            return "ended\n", contents("$directory/report");
        }
        my $pid = contents("$directory/pid");
        return "running $pid\n" if $pid && !still_the_runtime($pid);
        select undef, undef, undef, 0.02;
    }
    return "waiting\n";
}

# Until its exec the process still has the runtime's own command line.
sub still_the_runtime {
    my ($pid) = @_;
    my $words = contents("/proc/$pid/cmdline") =~ tr/\0/ /r;
    return $words eq '' || index($words, "--pid-file $directory/pid") >= 0 || $words =~ /runc.*init/;
}

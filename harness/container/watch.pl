# watch.pl SERVICE LIMIT: wait LIMIT seconds, or until the service (the directory that service.pl was
# given) has ended.

require '/etc/container/common.pl';
my ($service, $limit) = @ARGV;
my $end = uptime() + $limit;
select undef, undef, undef, 0.2 while !-s "$service/report" && uptime() < $end;

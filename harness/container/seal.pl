# seal.pl PROGRAM: put a container runtime into a sealed memfd and a link to it in the program's place.
#
# A runtime that finds itself in a file copies itself into such a memfd at each start, and starts from
# there (CVE-2019-5736); what an emulator translated of the one before is then lost. One that is in a
# sealed memfd already stays there. Where the kernel has none (before 3.17) the file stays as it is.
#
# No module is loaded: perl is alone in the initramfs.

my $program = $ARGV[0];
open my $file, '<', $program or die "$program: $!\n";
my $name = 'runtime';
my $number = syscall 319, $name, 2;    # memfd_create(2), MFD_ALLOW_SEALING
die "memfd_create: $!\n" if $number < 0;
open my $memory, '+<&=', $number or die "memfd: $!\n";
while (my $count = sysread $file, my $bytes, 1 << 20) {
    syswrite($memory, $bytes) == $count or die "memfd: $!\n";
}
# F_ADD_SEALS: F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE (fcntl(2))
fcntl $memory, 1033, 15 or die "seals: $!\n";
open my $held, '<', "/proc/self/fd/$number" or die "memfd: $!\n";
close $memory;    # what is open for writing is not executed (ETXTBSY)
my $kept = fileno $held;
fcntl $held, 2, 0;    # F_SETFD: not closed by the exec
my $holder = fork // die "fork: $!\n";
exec 'sleep', 2147483647 if !$holder;
my $link = "$program.link";
symlink "/proc/$holder/fd/$kept", $link and rename $link, $program or die "$link: $!\n";

# heads.pl ROOT: of each file that standard input names (a NUL after each), print the first bytes as
# hexadecimal digits; an empty line where there is none.
#
# Names are looked up with ROOT as root: its symbolic links are its own, and may be absolute. No module
# is loaded, so that nothing of ROOT runs.

my $head = 256;          # BINPRM_BUF_SIZE: as much of a #! line as the kernel reads
my $nonblock = 04000;    # O_NONBLOCK: a pipe that takes a file's place meanwhile holds nobody
$/ = "\0";
chomp(my @paths = <STDIN>);
chroot $ARGV[0] and chdir '/' or die "$ARGV[0]: $!\n";
for my $path (@paths) {
    my $bytes = '';
    sysread $in, $bytes, $head if -f $path && sysopen($in, $path, $nonblock) && -f $in;
    print unpack('H*', $bytes), "\n";
}

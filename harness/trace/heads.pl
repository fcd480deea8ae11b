# heads.pl ROOT: of each file that standard input names (a NUL after each), print the first bytes as
# hexadecimal digits; an empty line where there is none.
#
# Names are looked up with ROOT as root: its symbolic links are its own, and may be absolute. No module
# is loaded, so that nothing of ROOT runs.

my $head = 256;    # BINPRM_BUF_SIZE: as much of a #! line as the kernel reads
$/ = "\0";
chomp(my @paths = <STDIN>);
chroot $ARGV[0] and chdir '/' or die "$ARGV[0]: $!\n";
for my $path (@paths) {
    my $bytes = '';
    read $in, $bytes, $head if -f $path && open $in, '<', $path;
    print unpack('H*', $bytes), "\n";
}

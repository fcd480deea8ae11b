# Sets a seccomp filter and becomes PROGRAM, with all that it starts under the filter.
#
#   perl drill.pl FILTER PROGRAM ARGUMENT...
#
# FILTER holds an array of struct sock_filter. Root needs no no_new_privs for it, which would take
# set-user-ID programs from every container; setpriv(1) sets that always. No module is loaded:
# perl is alone in the initramfs.

my ($file, @program) = @ARGV;
open my $in, '<:raw', $file or die "drill: $file: $!\n";
my $filter = do { local $/; <$in> };
close $in;

my ($seccomp, $set_mode_filter, $spec_allow) = (317, 1, 4);    # seccomp(2)
my $fprog = pack 'S x![P] P', length($filter) / 8, $filter;    # struct sock_fprog
syscall($seccomp, $set_mode_filter, $spec_allow, $fprog) == 0 or die "drill: seccomp: $!\n";
exec { $program[0] } @program or die "drill: $program[0]: $!\n";

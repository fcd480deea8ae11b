# prepare.pl DISK: mount an image (or, for "busybox", make a root of the guest's busybox), clear the
# kernel's messages; print the image's passwd and group.

require '/etc/container/common.pl';
my ($disk) = @ARGV;
my $here = '/run/harness/container';
my $root = "$here/rootfs";
my $bind = 4096;        # MS_BIND of mount(2)
my $most = 1048576;     # bytes of a file that are read

-d "$here/steps" or system 'sh', '/etc/container/parents.sh';
if ($disk eq 'busybox') {
    mkdir "$root/$_" for qw(bin proc sys dev etc run);
    put("$root/bin/busybox", contents('/bin/busybox'));
    chmod 0755, "$root/bin/busybox";
} elsif (index(contents('/proc/mounts'), " $root ") < 0) {
    # The image lies in a directory of its disk: what mkfs made beside it is not the image's.
    mkdir "$here/disk";
    mount($disk, "$here/disk", 'ext4', 0, 'noinit_itable');
    mount("$here/disk/rootfs", $root, '', $bind, '');
}
my ($passwd, $group) = map { inside($_) } qw(/etc/passwd /etc/group);
# A link's own target may be absolute, and then means the image's root.
my @loaders = grep { -e "$root$_" || -l "$root$_" }
    qw(/lib/ld-linux.so.2 /usr/lib/ld-linux.so.2 /lib/ld-musl-i386.so.1);
my $sealed = grep { -l $_ } qw(/usr/bin/crun /usr/sbin/runc);
syscall 103, 5, 0, 0;    # syslog(2), SYSLOG_ACTION_CLEAR
print 'passwd ', length $passwd, "\ngroup ", length $group, "\n";
print 'ia32 ', @loaders ? 1 : 0, "\nsealed $sealed\n\n$passwd$group";

sub mount {
    my ($source, $target, $type, $flags, $data) = @_;
    syscall(165, $source, $target, $type, $flags, $data) == 0 or die "$source on $target: $!\n";
}

# An absolute link in the image means the image's own root, not the guest's.
sub inside {
    my ($path) = @_;
    for (1 .. 8) {
        my $target = readlink "$root$path" // last;
        $path = $target =~ m{^/} ? $target : $path =~ s{[^/]*$}{$target}r;
    }
    return '' if !-f "$root$path" || !open my $in, '<', "$root$path";
    read($in, my $data, $most);
    return $data;
}

# arrange.pl: after a bundle's files were put in place, give each its mode (lines "MODE PATH" of
# modes) and make the directories that the image declares (lines of volumes).

require '/etc/container/common.pl';
my $here = '/run/harness/container';
my $root = "$here/rootfs";
for (split /\n/, contents("$here/modes")) {
    my ($mode, $path) = split / /, $_, 2;
    chmod oct $mode, $path or die "$path: $!\n";
}
for my $path (split /\n/, contents("$here/volumes")) {
    # A link in the image may lead out of it: such a volume stays as the image has it.
    make_directory("$root$path");
    real_path("$root$path") =~ m{^\Q$root\E/} or die "the image's $path leads out of it\n";
}

# A path without links; nothing where it cannot be resolved.
sub real_path {
    my ($path) = @_;
    open my $answer, '-|', 'readlink', '-f', $path or die "readlink: $!\n";
    return <$answer> // '';
}

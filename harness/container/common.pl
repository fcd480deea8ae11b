# What the container's programs in a guest have in common; they require it. No module is loaded: perl
# is alone in the initramfs.

sub contents {
    my ($file) = @_;
    open my $in, '<', $file or return '';
    local $/;
    return <$in> // '';
}

sub put {
    my ($file, $text) = @_;
    open my $out, '>', $file or return;
    print $out $text;
}

# Makes a directory and those above it.
sub make_directory {
    my ($path) = @_;
    for (my $at = 1; ($at = index $path, '/', $at) > 0; $at++) {
        mkdir substr $path, 0, $at;
    }
    mkdir $path;
}

# Seconds since the guest's boot.
sub uptime { (split ' ', contents('/proc/uptime'))[0] }

1;

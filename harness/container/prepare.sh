#!/bin/sh
# prepare.sh DISK: mount an image (or, for "busybox", make a root of the guest's busybox), clear the
# kernel's messages; print the image's passwd and group.
here=/run/harness/container
root=$here/rootfs
[ -d $here/steps ] || sh /etc/container/parents.sh

if [ "$1" = busybox ]; then
    mkdir -p $root/bin $root/proc $root/sys $root/dev $root/etc $root/run
    cp /bin/busybox $root/bin/busybox
elif ! grep -q " $root " /proc/mounts; then
    # The image lies in a directory of its disk: what mkfs made beside it is not the image's.
    mkdir -p $here/disk
    mount -t ext4 -o noinit_itable "$1" $here/disk || exit 1
    mount --bind $here/disk/rootfs $root || exit 1
fi

# An absolute link in the image means the image's own root, not the guest's.
inside() {
    path=$1
    hops=0
    while [ -L "$root$path" ] && [ $hops -lt 8 ]; do
        target=$(readlink "$root$path")
        case $target in
            /*) path=$target ;;
            *) path=${path%/*}/$target ;;
        esac
        hops=$((hops + 1))
    done
    [ -f "$root$path" ] && head -c 1048576 "$root$path"
}
inside /etc/passwd >$here/passwd
inside /etc/group >$here/group
set -- $(stat -c %s $here/passwd $here/group)
echo "passwd $1"
echo "group $2"
ia32=0
for loader in $root/lib/ld-linux.so.2 $root/usr/lib/ld-linux.so.2 $root/lib/ld-musl-i386.so.1; do
    # The link's own target may be absolute, and then means the image's root.
    { [ -e "$loader" ] || [ -L "$loader" ]; } && ia32=1
done
dmesg -c >/dev/null
echo "ia32 $ia32"
[ -L /usr/bin/crun ] || [ -L /usr/sbin/runc ] && echo "sealed 1" || echo "sealed 0"
echo
cat $here/passwd $here/group

#!/bin/sh
# install.sh SET PROGRAM GLIBC: make a runtime of the tools disk usable without booting anew; print
# its path. Its libraries go where the loader looks last, so that the guest's own come first, as
# they do when the set is part of the initramfs. The C library's parts must all be of the guest's
# own version, which the set GLIBC has whole.
harness-tools "$1" "$3" || exit 1
links=/run/harness/runtime-libraries
[ -e $links ] && xargs rm -f <$links
: >$links

link() {
    for library in "$@"; do
        name=${library##*/}
        [ -e "$library" ] && [ ! -e "/usr/lib/x86_64-linux-gnu/$name" ] && [ ! -e "/usr/lib/$name" ] || continue
        ln -s "$library" "/usr/lib/$name"
        echo "/usr/lib/$name" >>$links
    done
}
glibc=/tools/$3/usr/lib/x86_64-linux-gnu
link $glibc/libpthread.so.* $glibc/libdl.so.* $glibc/librt.so.* $glibc/libm.so.* \
    $glibc/libresolv.so.* $glibc/libutil.so.*
link "/tools/$1"/usr/lib/x86_64-linux-gnu/*.so.*

for directory in bin sbin; do
    program=/tools/$1/usr/$directory/$2
    [ -x "$program" ] && break
done
echo "$program"

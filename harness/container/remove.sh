#!/bin/sh
# remove.sh RUNTIME: kill and delete the container, unmount its root, forget its files.
here=/run/harness/container
"$1" --log /dev/null kill box KILL 2>/dev/null
"$1" --log /dev/null delete --force box 2>/dev/null
umount $here/rootfs 2>/dev/null || rm -rf $here/rootfs
umount $here/disk 2>/dev/null
rmdir /sys/fs/cgroup/harness /sys/fs/cgroup/memory/harness 2>/dev/null
rm -rf $here/files $here/steps $here/config.json
:

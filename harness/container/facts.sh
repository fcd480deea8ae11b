#!/bin/sh
# What this guest's kernel offers to containers, one "key value" a line.
echo "release $(uname -r)"
echo "cgroup $(cat /run/harness/cgroup 2>/dev/null)"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    echo "controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
else
    echo "controllers $(ls /sys/fs/cgroup | tr '\n' ' ')"
fi
echo "namespaces $(ls /proc/self/ns | tr '\n' ' ')"
echo "filesystems $(sed 's/.*\t//' /proc/filesystems | tr '\n' ' ')"
# Empty where the kernel has no ambient capabilities (before 4.3).
echo "ambient $(sed -n 's/^CapAmb:[[:space:]]*//p' /proc/self/status)"
echo "bounding $(sed -n 's/^CapBnd:[[:space:]]*//p' /proc/self/status)"
for sysctl in net.ipv4.ping_group_range net.ipv4.ip_unprivileged_port_start; do
    [ -e "/proc/sys/$(echo "$sysctl" | tr . /)" ] && echo "sysctl $sysctl"
done
limit=/proc/sys/user/max_user_namespaces
[ -e $limit ] && echo "user_namespaces $(cat $limit)"
echo "nr_open $(cat /proc/sys/fs/nr_open 2>/dev/null || echo 1048576)"

#!/bin/sh
# parents.sh: make the directories of a container and the parent of its cgroup. init.sh runs it, so
# that a snapshot has them; prepare.pl does after another container took them along.
here=/run/harness/container
mkdir -p $here/rootfs $here/files $here/steps
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    parent=/sys/fs/cgroup/harness
    mkdir -p $parent
    for controller in $(cat $parent/cgroup.controllers); do
        echo "+$controller" >$parent/cgroup.subtree_control 2>/dev/null
    done
elif [ -d /sys/fs/cgroup/memory ]; then
    mkdir -p /sys/fs/cgroup/memory/harness
fi

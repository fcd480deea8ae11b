#!/bin/busybox sh
# The guest's init, for busybox ash and any Linux from 3.10 on. First on the initial rootfs,
# then again on a tmpfs: pivot_root, which runtimes need, refuses to leave a rootfs.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root
umask 022

if [ "$1" != stage2 ]; then
    busybox mkdir -p /proc /newroot
    busybox mount -t tmpfs -o mode=0755,size=80% root /newroot
    busybox mount -t proc proc /proc
    read -r began rest </proc/uptime
    busybox umount /proc
    busybox cp -a /bin /etc /init /lib /lib64 /sbin /usr /newroot/
    set -- /init stage2 "$began"
    # A drill's filter is set here, so that every process of the guest is under it.
    [ -e /etc/drill.bpf ] && set -- /usr/bin/perl /etc/drill.pl /etc/drill.bpf "$@"
    exec busybox switch_root /newroot "$@"
fi

began=$2
busybox mkdir -p /dev /etc /mnt /proc /root /run/harness/disk /sys /tmp /var
busybox mount -t devtmpfs devtmpfs /dev || busybox mount -t tmpfs -o mode=0755 dev /dev
exec </dev/console >/dev/console 2>&1
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
# Runtimes start from a memfd: execveat of one needs /dev/fd on some distributions' kernels.
busybox ln -sf /proc/self/fd /dev/fd
busybox ln -sf /proc/self/fd/0 /dev/stdin
busybox ln -sf /proc/self/fd/1 /dev/stdout
busybox ln -sf /proc/self/fd/2 /dev/stderr
busybox mkdir -p /dev/pts /dev/shm
busybox mount -t devpts -o mode=0620,ptmxmode=0666 devpts /dev/pts
busybox mount -t tmpfs -o mode=1777 shm /dev/shm
busybox chmod 1777 /tmp
busybox --install -s /bin
ln -sf /proc/mounts /etc/mtab
echo 'root::0:0:root:/root:/bin/sh' >/etc/passwd
echo 'root:x:0:' >/etc/group
echo /bin/sh >/etc/shells

say() { echo "harness: $*"; }

sysctl() {
    file=/proc/sys/$(echo "$1" | tr . /)
    { echo "$2" >"$file"; } 2>/dev/null || echo "$1" >>/run/harness/sysctl.refused
}

# Groups by session would give what reads a trace as good a claim to the processor as all of a
# container's processes together, whatever its nice value.
[ -e /proc/sys/kernel/sched_autogroup_enabled ] && sysctl kernel.sched_autogroup_enabled 0

modprobe_path=/proc/sys/kernel/modprobe
[ -e $modprobe_path ] && echo /sbin/modprobe >$modprobe_path
ln -sf /bin/busybox /sbin/modprobe
[ -f /etc/modules ] && while read -r module; do
    insmod "$module" 2>/run/harness/insmod || say "cannot load $module: $(cat /run/harness/insmod)"
done </etc/modules

. /etc/harness.conf
hostname "$hostname"

# What the kernel has and this guest is made to do without.
lacks() {
    case " $without " in *" $1 "*) return 0 ;; esac
    return 1
}
lacks kallsyms && : >/run/harness/nothing && mount --bind /run/harness/nothing /proc/kallsyms
ifconfig lo 127.0.0.1 up 2>/dev/null

# Control groups as the host's init would mount them (cgroups(7)).
cgroups_v1() {
    mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup
    while read -r name hierarchy groups enabled; do
        case $name in \#*) continue ;; esac
        [ "$enabled" = 1 ] || continue
        mkdir -p "/sys/fs/cgroup/$name"
        mount -t cgroup -o "$name" "$name" "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
    done </proc/cgroups
    mkdir -p /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd
    # Without it a limit on memory counts only the group itself, as engines' hosts never have it.
    echo 1 2>/dev/null >/sys/fs/cgroup/memory/memory.use_hierarchy
}
cgroups_v2() {
    lacks cgroup2 && return 1
    mount -t cgroup2 cgroup2 "$1" 2>/dev/null || return 1
    for controller in $(cat "$1/cgroup.controllers"); do
        echo "+$controller" >"$1/cgroup.subtree_control" 2>/dev/null
    done
}
case $cgroup in
    v2) cgroups_v2 /sys/fs/cgroup || { cgroups_v1; cgroup=v1; } ;;
    hybrid)
        cgroups_v1
        mkdir -p /sys/fs/cgroup/unified
        cgroups_v2 /sys/fs/cgroup/unified || { rmdir /sys/fs/cgroup/unified; cgroup=v1; }
        ;;
    *) cgroups_v1 ;;
esac
echo "$cgroup" >/run/harness/cgroup
[ -e /etc/container ] && sh /etc/container/parents.sh
for program in /usr/bin/crun /usr/sbin/runc; do
    [ -e $program ] || continue
    perl /etc/container/seal.pl $program 2>/run/harness/seal || say "$program: $(cat /run/harness/seal)"
done

# The tracer: a file system of its own since 4.1, below debugfs before.
tracefs=
if ! lacks tracefs && mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; then
    tracefs=/sys/kernel/tracing
elif ! lacks debugfs && mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null; then
    [ -d /sys/kernel/debug/tracing ] && tracefs=/sys/kernel/debug/tracing
fi
echo "$tracefs" >/run/harness/tracefs
[ -n "$tracefs" ] && [ -e /etc/trace.sh ] && sh /etc/trace.sh "$tracefs" >/run/harness/trace.setup
if [ -e /etc/trace.pl ] && [ -e "$tracefs/events/bpf_trace/bpf_trace_printk" ]; then
    mkfifo /run/harness/bpf.ask /run/harness/bpf.answer
    perl /etc/trace.pl
fi

for serial in /sys/block/vd*/serial; do
    [ -e "$serial" ] || continue
    disk=${serial%/serial}
    ln -s "/dev/${disk##*/}" "/run/harness/disk/$(cat "$serial")"
done

cat >/usr/bin/harness-tools <<'SCRIPT'
#!/bin/sh
# harness-tools SET...: unpack sets of the tools disk (a bare tar), each once.
mkdir -p /tools
for set in "$@"; do
    [ -e "/tools/.$set" ] && continue
    tar -x -C /tools -f /run/harness/disk/tools "$set" && : >"/tools/.$set" || exit 1
done
SCRIPT
cat >/usr/bin/tool <<'SCRIPT'
#!/bin/sh
# tool SET PROGRAM ARGS: a program of a set with the set's own loader and libraries, if it has any.
root=/tools/$1/usr
program=$2
shift 2
for directory in bin sbin lib/e2fsprogs; do
    [ -x "$root/$directory/$program" ] && break
done
for loader in "$root"/lib64/ld-linux-x86-64.so.2 "$root"/lib/ld-linux.so.2; do
    [ -e "$loader" ] && break
done
[ -e "$loader" ] || exec "$root/$directory/$program" "$@"
libraries=$root/lib/x86_64-linux-gnu:$root/lib/i386-linux-gnu:$root/lib
exec "$loader" --library-path "$libraries" "$root/$directory/$program" "$@"
SCRIPT
chmod 755 /usr/bin/harness-tools /usr/bin/tool

mkdir -p /etc/dropbear
dropbearkey -t ed25519 -f /etc/dropbear/key >/dev/null 2>&1 || say "cannot make a host key"

port=
for name in /sys/class/virtio-ports/*/name; do
    [ -e "$name" ] || continue
    if [ "$(cat "$name")" = harness.ssh ]; then
        port=${name%/name}
        port=/dev/${port##*/}
    fi
done
[ -n "$port" ] || say "no channel: this kernel has no virtio console port"

while :; do
    perl /etc/relay.pl "$port" "$began"
    sleep 1
done

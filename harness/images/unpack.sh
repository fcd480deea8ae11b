#!/bin/sh
# unpack.sh FILES DEPTH SPACE: make an image's disk in a guest. Disks: `layout` (a bare tar of an OCI
# layout with plain layers), `scratch` and `out` (empty). On `out` the image comes to lie in /rootfs,
# which may take SPACE KiB meanwhile.
# What goes wrong is told as a last line `harness: STAGE`, with the program's own words before it.
files=$1
depth=$2
space=$3
disk=/run/harness/disk
stage=start
trap 'status=$?; [ $status = 0 ] || echo "harness: $stage" >&2' EXIT
set -e

mkfs() {
    # What today's mkfs.ext4 would add and Linux 3.10 cannot mount is switched off.
    tool build mkfs.ext4 -q -F -m 0 -O ^metadata_csum,^64bit,^orphan_file,^metadata_csum_seed \
        -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$@" >&2
}

stage=mkfs
mkfs -L image -N "$files" "$(readlink -f $disk/out)"
mkfs -O ^has_journal "$(readlink -f $disk/scratch)"
mkdir -p /mnt/out /mnt/scratch
mount -t ext4 -o noatime "$(readlink -f $disk/out)" /mnt/out
mount -t ext4 -o noatime "$(readlink -f $disk/scratch)" /mnt/scratch

# A sparse file of a few bytes of tar may say that it is a terabyte: it gets no more room than the
# layers' own bytes explain. What is spare is taken by a file, which is gone again afterwards.
stage=spare
spare=$(($(df -k /mnt/out | awk 'END {print $4}') - space))
[ "$spare" -le 0 ] || fallocate -l "$((spare << 10))" /mnt/out/spare

stage=layout
mkdir /mnt/scratch/layout
tool build tar -x -C /mnt/scratch/layout -f "$(readlink -f $disk/layout)" >&2

stage=unpack
# Under emulation Go's AVX code costs twice the plain one's time, and so does switching threads.
export GODEBUG=cpu.avx2=off,cpu.avx=off,cpu.bmi2=off,asyncpreemptoff=1 GOMAXPROCS=1 GOGC=400
# Where calls take longer than 20 us, Go's watcher sleeps that long at a time: with slack for its
# timers (prctl(2), PR_SET_TIMERSLACK) it wakes up at ticks, and unpacking takes two thirds.
perl -e 'syscall 157, 29, 20_000_000; exec @ARGV' tool build umoci --log=info \
    raw unpack --image /mnt/scratch/layout:image /mnt/out/rootfs >&2

rm -f /mnt/out/spare

stage=depth
deep=$(find /mnt/out/rootfs -mindepth "$((depth + 1))" -print | head -n 1)
if [ -n "$deep" ]; then
    echo "deeper than $depth: $(echo "$deep" | cut -c 1-200)" >&2
    exit 1
fi

stage=umount
echo "used $(df -k /mnt/out | awk 'END {print $3}') inodes $(df -i /mnt/out | awk 'END {print $3}')"
umount /mnt/scratch
umount /mnt/out

#!/bin/sh
# setup.sh DIRECTORY: set the tracer up, run by init.sh so that a snapshot has it: a buffer takes as
# long to make as ten commands. Prints NAME=VALUE lines of what was done, which arm.sh passes on.
cd "$1" || exit 1

# set_ FILE TEXT: false when the kernel refuses it, without the shell's complaint
set_() { echo "$2" 2>/dev/null >"$1"; }

set_ tracing_on 0
set_ events/enable 0
set_ current_tracer nop
: >trace
# A process's name in a line could be made to look like another line.
set_ options/record-cmd 0 && echo names=off || echo names=on
set_ options/record-tgid 0
# The clock is read for every event; any but the local one may ask a slow device for the time.
# Only events of several processors need one that all of them share.
read -r processors </sys/devices/system/cpu/online
clocks='mono global'
[ "$processors" = 0 ] && clocks="local $clocks"
for clock in $clocks; do
    if set_ trace_clock "$clock"; then
        echo "clock=$clock"
        break
    fi
done
for size in 8192 4096 2048 1408; do
    if set_ buffer_size_kb $size; then
        echo buffer_kb=$size
        break
    fi
done

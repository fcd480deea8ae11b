#!/bin/sh
# arrange.sh: after a bundle's files were put in place, give each its mode (lines "MODE PATH" of
# modes) and make the directories that the image declares (lines of volumes).
here=/run/harness/container
root=$here/rootfs
while read -r mode path; do
    chmod "$mode" "$path"
done <$here/modes
while read -r path; do
    # A link in the image may lead out of it: such a volume stays as the image has it.
    mkdir -p "$root$path" 2>/dev/null
    case $(readlink -f "$root$path") in
        "$root"/*) ;;
        *) echo "the image's $path leads out of it" >&2; exit 1 ;;
    esac
done <$here/volumes

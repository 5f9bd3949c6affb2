#!/bin/sh
# Ends one test machine and removes every trace of it. Idempotent: each step finds its work done already, or does it.
#
#   teardown.sh DIRECTORY CGROUP...
#
# The machine is not shut down in order: its tree is thrown away, so there is nothing to save, and a machine whose
# init hangs must go as well.
set -u
directory=$1
shift

populated() {
    for cgroup; do
        [ -d "$cgroup" ] || continue
        [ -z "$(find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null)" ] || return 0
    done
    return 1
}

tries=0
while populated "$@"; do
    if [ $tries -ge 100 ]; then
        echo "teardown: processes of $directory do not end: $*" >&2
        exit 1
    fi
    for cgroup; do
        if [ -e "$cgroup/cgroup.kill" ]; then
            echo 1 >"$cgroup/cgroup.kill"
        elif [ -d "$cgroup" ]; then
            find "$cgroup" -name cgroup.procs -exec cat {} + 2>/dev/null | xargs -r kill -KILL 2>/dev/null
        fi
    done
    sleep 0.05
    tries=$((tries + 1))
done

for cgroup; do
    [ -d "$cgroup" ] && find "$cgroup" -depth -type d -exec rmdir {} +
done

for mount in "$directory/root" "$directory"; do
    if mountpoint -q "$mount"; then
        # Somebody on the host may stand in the tree; then it goes when they leave.
        umount "$mount" 2>/dev/null || umount --lazy "$mount" || exit 1
    fi
done
rm -rf --one-file-system "$directory"

# Before the commands of a page: a network of their own, in which every port is free, and nothing in /var/lib.
set -Eeuo pipefail
exec 3>&2
trap 'echo "failed: $BASH_COMMAND" >&3' ERR
python3 -c '
import fcntl, socket, struct
UP_AND_RUNNING = 0x49
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", UP_AND_RUNNING))'
mount -t tmpfs tmpfs /var/lib

listening() { grep -c ' 0A ' /proc/net/tcp || true; }
# Before something is started in the background.
starting() { heard=$(listening); }
# Waits until it listens, or has ended well.
settled() {
    local looks=0
    while kill -0 "$1" 2>/dev/null && [ "$(listening)" -le "$heard" ]; do
        looks=$((looks + 1))
        [ "$looks" -lt 1200 ] || { echo "neither listens nor ends" >&3; return 1; }
        sleep 0.05
    done
    [ "$(listening)" -gt "$heard" ] || wait "$1"
}

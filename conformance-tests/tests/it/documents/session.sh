# Before the commands of a page: nothing is in /var/lib, and what they start in the background is waited for.
set -Eeuo pipefail
exec 3>&2
trap 'echo "failed: $BASH_COMMAND" >&3' ERR
mount -t tmpfs tmpfs /var/lib

listening() { grep -c ' 0A ' /proc/net/tcp || true; }
# Before something is started in the background.
starting() { heard=$(listening); }
# Waits until it listens, or has ended well.
settled() {
    local looks=0
    while kill -0 "$1" 2>/dev/null && [ "$(listening)" -le "$heard" ]; do
        looks=$((looks + 1))
        [ "$looks" -lt 4000 ] || { echo "neither listens nor ends" >&3; return 1; }
        sleep 0.05
    done
    [ "$(listening)" -gt "$heard" ] || wait "$1"
}

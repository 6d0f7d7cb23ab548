#!/usr/bin/env bash
# The first five minutes as docs/start.md has them, by themselves, from a clean clone: a tree is seen, and an agent of one's
# own is registered and called through the broker. Where there is a Chromium, the console's picture of the tree is left in
# target/first_five_minutes.png.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p target
said=target/first_five_minutes.txt

show() { printf '\n$ %s\n' "$*"; }
run() { show "$@"; "$@"; }
# Waits until a program in the background has said something.
hears() {
    until grep -q "$1" "$said"; do
        kill -0 "$!" || { cat "$said"; exit 1; }
        sleep 0.2
    done
}

show cargo run --bin bailiwick -- demo --stay
cargo run --bin bailiwick -- demo --stay > "$said" &
demonstration=$!
trap 'kill -INT "$demonstration"' EXIT
hears 'Ctrl-C'
cat "$said"
tree=$(grep -o 'http://[^ ]*/console#/tree/.*' "$said")
# Where the demonstration found its usual place taken, it is elsewhere.
export BAILIWICK_BROKER="${tree%/console*}"

export PATH="$PWD/target/debug:$PATH"
run bailiwick task tree

if chromium --version > /dev/null 2>&1; then
    flags=(--headless=new --disable-gpu "--window-size=1280,900" --virtual-time-budget=5000)
    # Its sandbox does not start as root.
    [ "$(id -u)" -ne 0 ] || flags+=(--no-sandbox)
    shown=$(chromium "${flags[@]}" --screenshot=target/first_five_minutes.png --dump-dom "$tree" 2> /dev/null)
    for agent in editor researcher archive writer publisher; do
        grep -q "$agent" <<< "$shown" || { echo "the console does not show $agent"; exit 1; }
    done
    printf '\nthe console shows it: target/first_five_minutes.png\n'
else
    printf '\nno picture of the console: there is no chromium\n'
fi

# An agent of one's own, in four commands.
run python3 -m venv venv && run venv/bin/pip install -r examples/python/requirements.txt
show venv/bin/python examples/python/specialist.py --port 9101
venv/bin/python examples/python/specialist.py --port 9101 > "$said" &
specialist=$!
trap 'kill "$specialist" || true; kill -INT "$demonstration"' EXIT
hears 'listening on'
run bailiwick agent add mine http://127.0.0.1:9101
run bailiwick send --agent mine --stream 'one two three four five six'

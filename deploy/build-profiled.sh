#!/usr/bin/env bash
# Builds the broker for what it does (profile-guided optimisation): once with counters in it, then a minute and a half of every
# kind of load, and once more with what was counted. Why: docs/decisions/0032-a-profiled-build.md. From anywhere:
#   deploy/build-profiled.sh
# The binary is target/profiled/bailiwick. It takes a quarter of an hour on two cores, and needs the llvm-profdata of the
# compiler's own LLVM: Debian's package llvm-22, say, or `rustup component add llvm-tools`.
set -euo pipefail
cd "$(dirname "$0")/.."

said() { rustc -vV | sed -n "s/^$1: //p"; }
host=$(said host)
llvm=$(said 'LLVM version' | cut -d. -f1)
# The compiler's own if it is there, or one of the same LLVM.
own="$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata"
profdata=$(command -v "$own" || command -v "llvm-profdata-$llvm" || command -v llvm-profdata || true)
if [ -z "$profdata" ] || [[ $("$profdata" --version) != *"LLVM version $llvm."* ]]; then
    echo "llvm-profdata of LLVM $llvm is missing: apt-get install llvm-$llvm, or rustup component add llvm-tools" >&2
    exit 1
fi

place=$PWD/target/profiled
counts=$place/counts

# Flags of the environment or of a configuration do not count here.
build() {
    CARGO_ENCODED_RUSTFLAGS=$1 cargo build --release --locked --package broker --bin bailiwick --target "$host" --target-dir "$2"
}

rm -rf "$counts"
mkdir -p "$counts"
build "-Cprofile-generate=$counts" "$place/counting"
LLVM_PROFILE_FILE="$counts/%m-%p.profraw" cargo run --release --locked --manifest-path benchmarks/Cargo.toml -- \
    hop send latency get-task stream fan-out delegation idle \
    --quick --broker "$place/counting/$host/release/bailiwick" --out "$place/load"
"$profdata" merge --output "$place/bailiwick.profdata" "$counts"/*.profraw
build "-Cprofile-use=$place/bailiwick.profdata" "$place/using"
install "$place/using/$host/release/bailiwick" "$place/bailiwick"
echo "built: $place/bailiwick"

#!/usr/bin/env bash
# Fuzzes every target for a short time, from the corpus in the repository, and fails when one
# crashes, hangs or takes too much memory. Installs cargo-fuzz if it is missing. Stable Rust is
# enough: the sanitizers, which need a nightly one, watch over unsafe code, and there is none here.
#   fuzz/run.sh                    every target, 20 seconds each
#   fuzz/run.sh 600                every target, 10 minutes each
#   fuzz/run.sh 600 cloudwatch     one target (or several)
# What crashed is in fuzz/artifacts. $STANDPIPE_FUZZ_FINDS keeps what was found (a folder for each
# target), to go on from there the next time.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-20}
shift || true

target_dir=${CARGO_TARGET_DIR:-$PWD/target}/fuzz
tools=${CARGO_TARGET_DIR:-$PWD/target}/tools
export PATH="$tools/bin:$PATH"
# Into the build folder, so that the machine stays as it was.
if ! cargo fuzz --version >/dev/null 2>&1; then
    cargo install cargo-fuzz --locked --version 0.13.2 --root "$tools"
fi

if [[ $# -gt 0 ]]; then
    targets=("$@")
else
    mapfile -t targets < <(cargo fuzz list)
fi
[[ ${#targets[@]} -gt 0 ]] || { echo "no targets" >&2; exit 1; }

if [[ -n ${STANDPIPE_FUZZ_FINDS:-} ]]; then
    finds=$STANDPIPE_FUZZ_FINDS
else
    finds=$(mktemp -d)
    trap 'rm -rf "$finds"' EXIT
fi

# One build for all targets.
cargo fuzz build --sanitizer none --target-dir "$target_dir"
for target in "${targets[@]}"; do
    echo "== $target: $seconds s"
    mkdir -p "$finds/$target"
    # What is found goes into the first folder, so the repository's stays as it is.
    cargo fuzz run --sanitizer none --target-dir "$target_dir" "$target" \
        "$finds/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1
done

#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh SRC SECONDS TARGET...: fuzzes each target for SECONDS, two at a time.
#
# Each starts from its committed corpus and from what earlier runs have found
# (build/fuzz/corpus/NAME). One line per target; a target that failed says how
# to see the failure again. The last line is "N passed, N failed".

set -u

src=$1
seconds=$2
shift 2

# A run with fewer inputs than this has not tested anything.
RUNS_MIN=1000

export ASAN_OPTIONS="handle_sigbus=0:detect_leaks=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
unset JOURNAL_STREAM

# What they print is of no use: they are given nonsense.
quiet() {
    case $1 in
    config_file | options | store) echo 3 ;;
    *) echo 0 ;;
    esac
}

# fuzz NAME PROGRAM: runs one target; log and status are left for report.
fuzz() {
    found=build/fuzz/corpus/$1
    seeds=$src/tests/fuzz/corpus/$1
    mkdir -p "$found"
    [ -d "$seeds" ] || seeds=
    timeout -k 10 $((seconds + 60)) "$2" "$found" $seeds \
        -max_total_time="$seconds" -max_len=1024 -timeout=20 \
        -rss_limit_mb=2048 -handle_bus=0 -reload=0 \
        -close_fd_mask="$(quiet "$1")" \
        -artifact_prefix="build/fuzz/$1-" -print_final_stats=1 \
        </dev/null >"build/fuzz/$1.log" 2>&1
    echo $? >"build/fuzz/$1.status"
}

# report NAME PROGRAM
report() {
    log=build/fuzz/$1.log
    status=$(cat "build/fuzz/$1.status")
    runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    if [ "$status" -eq 0 ] && [ "${runs:-0}" -ge "$RUNS_MIN" ]; then
        echo "ok - fuzz $1: $runs inputs in $seconds s, $coverage branches reached"
        passed=$((passed + 1))
        return
    fi
    failed=$((failed + 1))
    echo "not ok - fuzz $1: status $status after ${runs:-?} inputs; the log is $log"
    grep -E 'ERROR|error:|SUMMARY|^    #[0-9] ' "$log" | head -n 20 |
        sed 's/^/    /'
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    [ -z "$input" ] ||
        echo "    to see it again: $2 -handle_bus=0 $input"
}

passed=0
failed=0
while [ $# -gt 0 ]; do
    first=$1
    second=${2:-}
    shift
    [ -z "$second" ] || shift
    fuzz "${first##*/}" "$first" &
    [ -z "$second" ] || fuzz "${second##*/}" "$second"
    wait
    report "${first##*/}" "$first"
    [ -z "$second" ] || report "${second##*/}" "$second"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

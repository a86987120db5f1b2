#!/bin/sh
# SPDX-License-Identifier: MIT
#
# corpus.sh SRC TARGET...: makes the committed corpora anew from what the runs so
# far have found: of each target the inputs that reach the most, and few enough
# to live in the source.

set -eu

src=$1
shift

INPUTS_MAX=40

for target in "$@"; do
    name=${target##*/}
    seeds=$src/tests/fuzz/corpus/$name
    merged=build/fuzz/merged/$name
    rm -rf "$merged"
    mkdir -p "$merged" "$seeds"
    "$target" -set_cover_merge=1 -handle_bus=0 -close_fd_mask=3 -max_len=1024 \
        "$merged" "$seeds" "build/fuzz/corpus/$name" >"build/fuzz/$name.log" 2>&1
    rm -f "$seeds"/*
    # The largest reach the deepest states.
    ls -S "$merged" | head -n "$INPUTS_MAX" | while read -r input; do
        cp "$merged/$input" "$seeds/$(printf %.12s "$input")"
    done
    echo "$name: $(ls "$seeds" | wc -l) inputs," \
        "$(cat "$seeds"/* | wc -c) bytes"
done

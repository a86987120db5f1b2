#!/bin/sh
# SPDX-License-Identifier: MIT
#
# planted.sh SRC PROGRAM...: whether the unit tests would notice. Each patch of
# tests/planted takes one check or one ordering away; it is applied to a copy of
# the tree, what it affects is built, and the unit tests run until one of them
# fails. A patch that no test notices, or that does not apply or build, is a
# failure. The programs are the built unit tests of this directory.
#
# A patch names the tests to begin with: "Caught-by: NAME ...", or NAME:FUNCTION
# for one of its functions. These run on the tree without a patch first: a test
# that fails anyway catches nothing. Where the function does not catch it, all
# functions of that test run, and then all other tests.
#
# One copy more than there are CPUs works at the same time, as some tests wait.
# With PLANTED="NAME ..." only these patches.
# A test that is too slow has neither caught nor missed anything: it runs again,
# alone and with more time. One that is stopped then as well hangs, which it does
# not without the patch.
# The last line is "N passed, N failed".

set -u

src=$(cd "$1" && pwd)
shift
MAKE=${MAKE:-make}
LIMIT=60			# seconds for a test, at most
LIMIT_CLEAN=300			# ... on the tree without a patch
unset MAKEFLAGS MFLAGS MAKELEVEL GNUMAKEFLAGS
export UNIT_TIME_LIMIT=$LIMIT UNIT_TIME_ALONE=0 JOBS=1

top=$(pwd)/build/planted
all=
for program in "$@"; do
    all="$all ${program##*/}"
done

# copy DIR: the tree, and what was built of it: newer than the sources.
copy() {
    rm -rf "$1"
    mkdir -p "$1/build"
    tar -C "$src" --exclude=./build --exclude=./.git -cf - ./src ./include \
        ./tests ./Makefile ./configure.ac ./configure ./config.mk.in |
        tar -C "$1" -xf -
    cp -a build/san build/tests "$1/build"
    # The rules of make itself: these are the newest of all.
    cp config.h "$1" && touch -r build/san/libvirtio-disk.a "$1/config.h"
    touch -d 2001-01-01 "$1/config.h" "$1/configure" "$1/configure.ac" \
        "$1/config.mk.in"
    cp config.mk "$1"
}

# test_names FIRST...: all tests, those named first; one of which a function is
# named also as a whole, after that.
test_names() {
    set -- "$@" $(printf '%s\n' "$@" | sed -n 's/:.*//p')
    echo "$@"
    for name in $all; do
        case " $* " in
        *" $name "*) ;;
        *) echo "$name" ;;
        esac
    done
}

# limit NAME MORE: four times what it took without a patch, and MORE seconds.
limit() {
    awk -v test="$1" -v more="$2" '
        $1 == test { gsub(/[^0-9]/, "", $4); print 4 * $4 + more; found = 1 }
        END { if (!found) print 4 * more }' "$top/clean"
}

# limit_first NAME: while others run.
limit_first() {
    n=$(limit "$1" 15)
    [ "$n" -lt "$LIMIT" ] && echo "$n" || echo "$LIMIT"
}

# passes DIR NAME[:FUNCTION] LOG LIMIT LOCK: runs a test; while others run, or
# (-x) alone. A function that there is not catches nothing.
passes() {
    case $2 in
    *:*) FILTER=${2#*:} ;;
    *) FILTER= ;;
    esac
    export FILTER
    (cd "$1" && UNIT_TIME_LIMIT=$4 flock "$5" "$top/lock" \
        tests/run-unit "build/tests/${2%%:*}") >"$3" 2>&1 ||
        grep -q '^0 passed, 0 failed$' "$3"
}

# fails DIR NAME[:FUNCTION] LOG: builds a test and runs it: 0 if it fails, 2 if it
# does not build, 1 if it passes.
fails() {
    program=${2%%:*}
    (cd "$1" && "$MAKE" "build/tests/$program") >"$3" 2>&1 || return 2
    ! passes "$1" "$2" "$3" "$(limit_first "$program")" -s || return 1
    ! grep -q 'stopped after' "$3" ||
        ! passes "$1" "$2" "$3" "$(limit "$program" 15)" -x
}

# caught_by LOG: the first test function that failed.
caught_by() {
    if grep -q 'stopped after' "$1"; then
        echo ' hangs'
        return
    fi
    sed -n 's/^    | not ok [0-9]* - \([a-z_0-9]*\).*/:\1/p' "$1" | head -n 1
}

# plant DIR PATCH: one line that says what became of it.
plant() {
    begin=$(date +%s)
    name=$(basename "$2" .patch)
    log=$top/$name.log
    file=$(sed -n 's,^+++ b/,,p' "$2" | head -n 1)
    if ! (cd "$1" && patch -p1 -F3 -s --no-backup-if-mismatch) <"$2" \
        >"$log" 2>&1; then
        (cd "$1" && find . -name '*.rej' -exec rm -f {} +)
        cp -p "$src/$file" "$1/$file"
        echo "not ok - $name: does not apply"
        return
    fi
    verdict="not ok - $name: no test notices"
    for test in $(test_names $(sed -n 's/^Caught-by: *//p' "$2")); do
        fails "$1" "$test" "$log"
        case $? in
        0)
            verdict="ok - $name: ${test%%:*}$(caught_by "$log")"
            break
            ;;
        2)
            verdict="not ok - $name: does not build"
            break
            ;;
        esac
    done
    echo "$verdict  ($(($(date +%s) - begin)) s)"
    cp "$src/$file" "$1/$file"
}

# worker DIR RESULTS PATCH...
worker() {
    dir=$1
    results=$2
    shift 2
    for patch in "$@"; do
        plant "$dir" "$patch" | tee -a "$results"
    done
}

mkdir -p "$top"
rm -f "$top"/results.* "$top"/clean* "$top"/*.log
patches=
for name in ${PLANTED:-$(cd "$src/tests/planted" && ls | sed 's/\.patch$//')}; do
    patches="$patches $src/tests/planted/$name.patch"
done

# Without a patch the tests that come first pass.
first=$(sed -n 's/^Caught-by: *//p' $patches | tr ' ' '\n' | sed 's/:.*//' |
    sort -u)
# clean NAME...: runs them so; which fail.
clean() {
    UNIT_TIME_LIMIT=$LIMIT_CLEAN "$src/tests/run-unit" \
        $(printf 'build/tests/%s\n' "$@") >"$top/clean.now" 2>&1 ||
        sed -n 's/^  \([a-z_0-9]*\) .* FAILED .*/\1/p' "$top/clean.now"
    cat "$top/clean.now" >>"$top/clean"
}

bad=$(JOBS='' clean $first)
# One that others have disturbed has another try, alone.
if [ -n "$bad" ] && [ -n "$(clean $bad)" ]; then
    cat "$top/clean"
    echo "not ok - tests fail without a patch"
    echo "0 passed, 1 failed"
    exit 1
fi

# Of one file after another, so that little is built: dealt out by turns.
workers=$(($(nproc) + 1))
# share N: the patches of one worker.
share() {
    grep -H '^+++ b/' $patches | sort -t: -k2 | cut -d: -f1 |
        awk -v n="$1" -v all="$workers" 'NR % all == n % all'
}

copy "$top/1"
for n in $(seq 2 "$workers"); do
    rm -rf "$top/$n"
    cp -a "$top/1" "$top/$n"
done
for n in $(seq "$workers"); do
    worker "$top/$n" "$top/results.$n" $(share "$n") &
done
wait

passed=$(cat "$top"/results.* | grep -c '^ok ')
failed=$(cat "$top"/results.* | grep -c '^not ok ')
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

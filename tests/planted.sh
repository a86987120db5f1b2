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
# for one of its functions. These run on the tree without a patch first, unless
# they have passed since they were built: a test that fails anyway catches
# nothing. Where the function does not catch it, all functions of that test run,
# and then all other tests.
#
# Some copies more than there are CPUs work at the same time, since what a bug
# does to a test is mostly that it waits in vain. What a patch changes is compiled
# without optimization, and afterwards everything that was built is put back as
# it was. With PLANTED="NAME ..." only these patches.
# A test that is too slow has neither caught nor missed anything: it runs again,
# alone and with more time. One that is stopped then as well hangs, which it does
# not without the patch.
# The last line is "N passed, N failed".

set -u

src=$(cd "$1" && pwd)
shift
MAKE=${MAKE:-make}
LIMIT=90			# seconds for a test, at most
LIMIT_CLEAN=300			# ... on the tree without a patch
MORE=45				# more than any test waits in vain
SPARE=3				# copies more than there are CPUs
FLAGS=-O0
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
    cp -a build/san build/obj build/tests "$1/build"
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

# limit NAME: four times what it took without a patch, and MORE seconds.
limit() {
    seconds=$(cat "build/tests/$1.passed" 2>/dev/null)
    echo $((4 * ${seconds:-$MORE} + MORE))
}

# limit_first NAME: while others run.
limit_first() {
    n=$(limit "$1")
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
    (cd "$1" && "$MAKE" CFLAGS=$FLAGS "build/tests/$program") >"$3" 2>&1 ||
        return 2
    ! passes "$1" "$2" "$3" "$(limit_first "$program")" -s || return 1
    ! grep -q 'stopped after' "$3" ||
        ! passes "$1" "$2" "$3" "$(limit "$program")" -x
}

# caught_by LOG: the first test function that failed.
caught_by() {
    if grep -q 'stopped after' "$1"; then
        echo ' hangs'
        return
    fi
    sed -n 's/^    | not ok [0-9]* - \([a-z_0-9]*\).*/:\1/p' "$1" | head -n 1
}

# restore DIR FILE: the source, and what was built since DIR was last whole.
restore() {
    cp -p "$src/$2" "$1/$2"
    (cd "$1" && find build -newer whole -type f) | while read -r made; do
        rm -f "$1/$made"
        [ ! -e "$made" ] || cp -p "$made" "$1/$made"
    done
}

# plant DIR PATCH: one line that says what became of it.
plant() {
    begin=$(date +%s)
    touch "$1/whole"
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
    restore "$1" "$file"
}

# worker DIR RESULTS PATCH...: those of them that no other has begun.
worker() {
    dir=$1
    results=$2
    shift 2
    for patch in "$@"; do
        mkdir "$top/begun/$(basename "$patch")" 2>/dev/null || continue
        plant "$dir" "$patch" | tee -a "$results"
    done
}

mkdir -p "$top"
rm -rf "$top"/results.* "$top"/clean* "$top"/*.log "$top/begun"
mkdir "$top/begun"
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
# to_run NAME...: those that have not passed since they were built.
to_run() {
    for name; do
        [ "build/tests/$name.passed" -nt "build/tests/$name" ] || echo "$name"
    done
}

bad=$(to_run $first)
[ -z "$bad" ] || bad=$(JOBS='' clean $bad)
# One that others have disturbed has another try, alone.
if [ -n "$bad" ] && [ -n "$(clean $bad)" ]; then
    cat "$top/clean"
    echo "not ok - tests fail without a patch"
    echo "0 passed, 1 failed"
    exit 1
fi

workers=$(($(nproc) + SPARE))
copy "$top/1"
for n in $(seq 2 "$workers"); do
    rm -rf "$top/$n"
    cp -a "$top/1" "$top/$n"
done
for n in $(seq "$workers"); do
    worker "$top/$n" "$top/results.$n" $patches &
done
wait

passed=$(cat "$top"/results.* | grep -c '^ok ')
failed=$(cat "$top"/results.* | grep -c '^not ok ')
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

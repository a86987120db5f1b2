# SPDX-License-Identifier: MIT
"""Turns the notes of tests/xen/bench.sh (standard input) into a table."""

import statistics
import sys

LOADS = ["randread-1", "randread-16", "randwrite-1", "randwrite-16",
         "seqread-8"]
TITLES = {"randread-1": "4 KiB random read, depth 1",
          "randread-16": "4 KiB random read, depth 16",
          "randwrite-1": "4 KiB random write, depth 1",
          "randwrite-16": "4 KiB random write, depth 16",
          "seqread-8": "64 KiB sequential read, depth 8"}
TOTALS = ["ioreqs", "notifications", "maps", "pages", "syscalls"]


def fields(text):
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def read_notes(lines):
    """The figures by (side, load), what was counted by load, and success."""
    rounds, counts, good = {}, {}, True
    for line in lines:
        words = line.split(None, 1)
        if words and words[0] == "bench":
            note = fields(words[1])
            rounds.setdefault((note["side"], note["load"]), []).append(note)
        elif words and words[0] == "count":
            head, _, rest = words[1].partition(" before: ")
            before, _, after = rest.partition(" after: ")
            counts[fields(head)["load"]] = fields(before), fields(after)
        else:
            good = good and not line.startswith("not ok")
            print(line, end="", flush=True)
    return rounds, counts, good


def median(notes, key):
    return statistics.median(float(note[key]) for note in notes)


def timing_table(rounds):
    print(f"{'medians':32} {'virtio-disk':>22} {'blkback':>22} {'ratio':>6}")
    print(f"{'':32} {'IOPS   p50 us   p99 us':>22} "
          f"{'IOPS   p50 us   p99 us':>22}")
    for load in LOADS:
        ours, theirs = (rounds.get((side, load), [])
                        for side in ("virtio-disk", "blkback"))
        if not ours or not theirs:
            continue
        columns = [" ".join(f"{median(notes, key):{width}.0f}" for key, width in
                            (("iops", 6), ("p50", 7), ("p99", 7)))
                   for notes in (ours, theirs)]
        ratio = median(ours, "iops") / median(theirs, "iops")
        print(f"{TITLES[load]:32} {columns[0]:>22} {columns[1]:>22} "
              f"{ratio:6.2f}")


def counting_table(rounds, counts):
    print(f"\n{'per I/O of virtio-disk':32} "
          f"{' '.join(f'{name:>13}' for name in TOTALS)}")
    for load in LOADS:
        figures = rounds.get(("counting", load))
        if load not in counts or not figures:
            continue
        before, after = counts[load]
        ops = float(figures[0]["ops"])
        row = []
        for name in TOTALS:
            known = name in before and name in after
            value = (float(after[name]) - float(before[name])) / ops \
                if known else float("nan")
            row.append(f"{value:13.3f}")
        print(f"{TITLES[load]:32} {' '.join(row)}")


def main():
    rounds, counts, good = read_notes(sys.stdin)
    timing_table(rounds)
    counting_table(rounds, counts)
    return 0 if good and rounds else 1


if __name__ == "__main__":
    sys.exit(main())

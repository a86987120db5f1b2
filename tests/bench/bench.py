# SPDX-License-Identifier: MIT
"""bench.py: our vhost-user back end, its peers and the ceiling, in turns.

Run by bench.sh. A cell of the matrix is a store, a load, a depth, a placement
and a kind of client. In each round of a cell every peer and then fio is
measured once, so that neighbours disturb all of them alike; what counts is the
median of the rounds' ratios. System calls are counted in a run of their own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import idle
import peers
import report
from peers import Failure

SPREAD_MAX = 0.25       # of the ceiling, or the cell is not believed
LOAD_MAX = 0.5          # of others, when we begin
CLIENT_CPU, DAEMON_CPU = 0, 1
OURS, QSD, FIO = 'virtio-disk', 'qsd', 'fio'


class Cell(NamedTuple):
    store: str
    load: str
    block: int
    depth: int
    place: str          # split: client and daemon have a CPU each; same: one
    client: str         # sleep or poll

    def __str__(self):
        return '%s %s %dK depth %d, %s, %s' % (
            self.store, self.load, self.block >> 10, self.depth,
            'two CPUs' if self.place == 'split' else 'one CPU',
            'polling' if self.client == 'poll' else 'sleeping')


QUICK = [
    Cell('hot', 'randread', 4096, 32, 'split', 'sleep'),
    Cell('null', 'randread', 4096, 32, 'split', 'poll'),
    Cell('null', 'randread', 4096, 32, 'split', 'sleep'),
    Cell('hot', 'randread', 4096, 1, 'split', 'sleep'),
    Cell('hot', 'randread', 4096, 1, 'same', 'sleep'),
]


def matrix(everything):
    """Random reads everywhere; the other loads at one place, or too."""
    ways = [('split', 'sleep'), ('split', 'poll'), ('same', 'sleep')]
    loads = [('randread', 4096), ('randwrite', 4096), ('mixed', 4096),
             ('seqread', 131072)]
    return [Cell(store, load, block, depth, place, client)
            for store in ('null', 'hot', 'direct')
            for load, block in loads
            for depth in (1, 8, 32, 128)
            for place, client in ways
            if everything or load == 'randread' or
            (depth == 32 and (place, client) == ways[0])]


class Bench:
    def __init__(self, args):
        self.args = args
        self.out = args.out
        self.work = tempfile.mkdtemp(prefix='virtio-disk-bench.')
        self.stores = {}
        self.running = {}
        self.cells = []

    # ---- who is running ----

    def store(self, name):
        if name not in self.stores:
            self.stores[name] = {
                'null': peers.Null,
                'hot': lambda: peers.Hot(self.out),
                'direct': lambda: peers.Direct(
                    os.path.join(self.out, 'tmpfs')),
            }[name]()
        return self.stores[name]

    def start(self, store_name):
        """The daemons of this store, and no others."""
        if self.running.get('store') == store_name:
            return
        self.stop()
        store = self.store(store_name)
        self.running = {'store': store_name, 'peers': []}
        for i, name in enumerate(self.args.peers):
            self.running['peers'].append(peers.PEERS[name](
                store, os.path.join(self.work, '%s%d' % (store_name, i)),
                DAEMON_CPU, os.path.join(self.out, 'peer%d.log' % i)))

    def stop(self):
        for peer in self.running.get('peers', []):
            peer.stop()
        self.running = {}

    def close(self):
        self.stop()
        for store in self.stores.values():
            store.close()
        for name in os.listdir(self.work):
            os.unlink(os.path.join(self.work, name))
        os.rmdir(self.work)

    # ---- one measurement ----

    def load(self, cell, peer, seconds, *more):
        cpu = CLIENT_CPU if cell.place == 'split' else DAEMON_CPU
        text = peers.run(
            os.path.join(self.out, 'client'), peer.socket, 'rw=' + cell.load,
            'bs=%d' % cell.block, 'depth=%d' % cell.depth,
            'poll=%d' % (cell.client == 'poll'), 'cpu=%d' % cpu,
            'daemon=%d' % peer.pid, 'seconds=%g' % seconds,
            'warmup=%g' % self.args.warmup, *more)
        got = {key: float(value) for key, value in
               (item.split('=') for item in text.split())}
        got['per_cpu'] = got['ops'] / max(got['daemon_cpu_ns'], 1) * 1e9
        return got

    def ceiling(self, cell, store):
        """fio on the daemon's CPU: operations per second."""
        batch = min(cell.depth, 32)
        load = {'mixed': ['--rw=randrw', '--rwmixread=70'],
                'seqread': ['--rw=read'], 'seqwrite': ['--rw=write'],
                }.get(cell.load, ['--rw=' + cell.load])
        text = peers.run(
            'fio', '--name=ceiling', '--output-format=json', '--time_based=1',
            '--runtime=%dms' % (self.args.seconds * 1000), '--norandommap=1',
            '--randrepeat=0', '--cpus_allowed=%d' % DAEMON_CPU,
            '--bs=%d' % cell.block, '--iodepth=%d' % cell.depth,
            '--iodepth_batch_submit=%d' % batch,
            '--iodepth_batch_complete_min=1',
            '--iodepth_batch_complete_max=%d' % batch, *load, *store.fio)
        job = json.loads(text[text.index('{'):])['jobs'][0]
        return {'iops': job['read']['iops'] + job['write']['iops']}

    # ---- a cell ----

    def measure(self, cell):
        self.start(cell.store)
        samples = {peer.name: [] for peer in self.running['peers']}
        samples[FIO] = []
        for turn in range(self.args.rounds):
            # A B C, C B A: who comes after whom must not matter.
            order = self.running['peers'][::-1 if turn % 2 else 1]
            for peer in order:
                samples[peer.name].append(
                    self.load(cell, peer, self.args.seconds,
                              'seed=%d' % (turn + 1)))
            samples[FIO].append(self.ceiling(cell, self.store(cell.store)))
        counts = {peer.name: self.load(
            cell, peer, self.args.seconds / 2,
            'tracefs=' + os.path.join(self.out, 'tracefs'))
            for peer in self.running['peers']}
        return self.sum_up(cell, samples, counts)

    def sum_up(self, cell, samples, counts):
        ceiling = [s['iops'] for s in samples[FIO]]
        middle = statistics.median(ceiling)
        result = {
            'cell': cell._asdict(), 'title': str(cell),
            'ceiling': middle,
            'ceiling_spread': (max(ceiling) - min(ceiling)) / middle,
            'peers': {}, 'ratios': {},
        }
        result['noisy'] = result['ceiling_spread'] > SPREAD_MAX
        for name, runs in samples.items():
            if name == FIO:
                continue
            peer = {key: statistics.median(r[key] for r in runs)
                    for key in ('iops', 'per_cpu', 'p50_ns', 'p99_ns',
                                'p999_ns', 'switches_per_io')}
            peer['syscalls_per_io'] = counts[name]['syscalls_per_io']
            peer['calls_per_io'] = counts[name]['calls_per_io']
            # fio's null engine is a gauge of the machine, not a ceiling.
            if cell.store != 'null':
                peer['share'] = peer['iops'] / middle
            peer['runs'] = runs
            result['peers'][name] = peer
            if name != OURS and OURS in samples:
                result['ratios'][name] = ratios(samples[OURS], runs)
        return result

    def run(self, cells):
        for cell in cells:
            result = self.measure(cell)
            self.cells.append(result)
            report.print_cell(result)
            sys.stdout.flush()


def ratios(ours, theirs):
    """Of each round, better is larger; median, smallest, largest."""
    def of(key, inverse=False):
        all_of = [a[key] / b[key] if not inverse else b[key] / a[key]
                  for a, b in zip(ours, theirs)]
        return [statistics.median(all_of), min(all_of), max(all_of)]
    return {'iops': of('iops'), 'per_cpu': of('per_cpu'),
            'p50': of('p50_ns', True)}


def parse():
    p = argparse.ArgumentParser(prog='bench.sh', description=__doc__)
    p.add_argument('--out', required=True, help=argparse.SUPPRESS)
    p.add_argument('--quick', action='store_true',
                   help='what the figures to reach are about: 3 minutes')
    p.add_argument('--all', action='store_true', help='the whole matrix: hours')
    p.add_argument('--rounds', type=int)
    p.add_argument('--seconds', type=float, help='of a measurement')
    p.add_argument('--warmup', type=float, default=0.2)
    p.add_argument('--store', action='append',
                   choices=('null', 'hot', 'direct'))
    p.add_argument('--depth', action='append', type=int)
    p.add_argument('--load', action='append')
    p.add_argument('--peers', default='virtio-disk,qsd,qsd poll=0',
                   help='of %s' % ', '.join(peers.PEERS))
    p.add_argument('--idle', type=int, default=100, metavar='CLIENTS',
                   help='so many idle clients (0: leave that out)')
    p.add_argument('--json', help='where to (build/bench/result.json)')
    p.add_argument('--write-docs', action='store_true',
                   help='write docs/bench.md and docs/bench.svg')
    args = p.parse_args()
    args.rounds = args.rounds or (5 if args.quick else 7)
    args.seconds = args.seconds or (0.6 if args.quick else 1.0)
    args.peers = args.peers.split(',')
    for name in args.peers:
        if name not in peers.PEERS:
            p.error('no peer "%s"' % name)
    if OURS not in args.peers:
        p.error('--peers has to name ' + OURS)
    return args


def chosen(args):
    cells = QUICK if args.quick else matrix(args.all)
    return [c for c in cells
            if (not args.store or c.store in args.store) and
            (not args.depth or c.depth in args.depth) and
            (not args.load or c.load in args.load)]


def main():
    args = parse()
    if os.cpu_count() < 2:
        raise Failure('two CPUs are needed')
    head = {'versions': peers.versions(), 'load': os.getloadavg()[0],
            'cpu': report.cpu_model(), 'when': time.strftime('%Y-%m-%d'),
            'rounds': args.rounds, 'seconds': args.seconds}
    report.print_head(head, LOAD_MAX)
    bench = Bench(args)
    try:
        bench.run(chosen(args))
        bench.stop()
        found = idle.measure(args.out, bench.work, args.idle, args.quick) \
            if args.idle else None
    finally:
        bench.close()
    result = {'head': head, 'cells': bench.cells, 'idle': found}
    result['claims'] = report.claims(result)
    report.print_end(result)
    path = args.json or os.path.join(args.out, 'result.json')
    with open(path, 'w') as f:
        json.dump(result, f, indent=1)
    print('\nall of it: ' + path)
    if args.write_docs and bench.cells:
        report.write_docs(result)
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except (Failure, subprocess.TimeoutExpired) as e:
        print('bench: %s' % e, file=sys.stderr)
        sys.exit(1)

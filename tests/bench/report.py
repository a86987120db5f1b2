# SPDX-License-Identifier: MIT
"""What was found: on the terminal, against the figures to reach, in docs/."""

import os

import svg

OURS, QSD = 'virtio-disk', 'qsd'
DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../docs')


def cpu_model():
    with open('/proc/cpuinfo') as f:
        for line in f:
            if line.startswith('model name'):
                return '%s, %d CPUs' % (line.split(':')[1].strip(),
                                        os.cpu_count())
    return '%s, %d CPUs' % (os.uname().machine, os.cpu_count())


def print_head(head, load_max):
    for name, version in head['versions'].items():
        print('%-12s %s' % (name, version))
    print('%-12s %s' % ('machine', head['cpu']))
    if head['load'] > load_max:
        print('\nOthers use this machine (load average %.1f): do not believe '
              'the times.' % head['load'])


# ---- the table ----

COLUMNS = ('peer', 'IOPS', 'per CPU-s', 'p50', 'p99', 'p99.9 us', 'sysc/IO',
           'irq/IO', 'ctx/IO', 'of fio')


def us(ns):
    return '%.1f' % (ns / 1e3) if ns < 1e5 else '%.0f' % (ns / 1e3)


def kilo(n):
    return '%.1fk' % (n / 1e3) if n < 1e6 else '%.2fM' % (n / 1e6)


def row(name, peer):
    return (name, kilo(peer['iops']), kilo(peer['per_cpu']),
            us(peer['p50_ns']), us(peer['p99_ns']), us(peer['p999_ns']),
            '%.3f' % peer['syscalls_per_io'], '%.3f' % peer['calls_per_io'],
            '%.3f' % peer['switches_per_io'],
            '%.0f %%' % (peer['share'] * 100) if 'share' in peer else '-')


def print_cell(result):
    form = '%-13s' + '%10s' * (len(COLUMNS) - 1)
    print('\n%s%s' % (result['title'], noise(result)))
    print(form % COLUMNS)
    for name, peer in result['peers'].items():
        print(form % row(name, peer))
    for name, ratios in result['ratios'].items():
        print('  against %-11s %s' % (name + ':', ', '.join(
            '%s %.2fx (%.2f-%.2f)' % (what, *ratios[key]) for key, what in (
                ('iops', 'IOPS'), ('per_cpu', 'per CPU-second'),
                ('p50', 'p50')))))


def noise(result):
    if not result['noisy']:
        return ''
    return '   -- NOISY: the ceiling varied by %.0f %%, not to be used' % (
        result['ceiling_spread'] * 100)


# ---- the figures to reach ----

def find(result, store, depth, place, client):
    for cell in result['cells']:
        c = cell['cell']
        if (c['store'], c['load'], c['depth'], c['place'], c['client']) == (
                store, 'randread', depth, place, client):
            return cell
    return None


# What, (store, depth, place, client), how to get it, must, aim, more is better
CLAIMS = [
    ('IOPS per daemon-CPU-second, hot file, depth 32: times QSD',
     ('hot', 32, 'split', 'sleep'),
     lambda c: c['ratios'][QSD]['per_cpu'][0], 3, 4.5, True),
    ('share of fio, hot file, depth 32',
     ('hot', 32, 'split', 'sleep'),
     lambda c: c['peers'][OURS]['share'], 0.55, 0.8, True),
    ('system calls per I/O, hot file, depth 32',
     ('hot', 32, 'split', 'sleep'),
     lambda c: c['peers'][OURS]['syscalls_per_io'], 0.15, 0.07, False),
    ('interrupts per I/O, hot file, depth 32',
     ('hot', 32, 'split', 'sleep'),
     lambda c: c['peers'][OURS]['calls_per_io'], 0.1, 0.04, False),
    ('null store, depth 32, polling client, per CPU-second: times QSD',
     ('null', 32, 'split', 'poll'),
     lambda c: c['ratios'][QSD]['per_cpu'][0], 1.2, 2.5, True),
    ('null store, depth 32, sleeping client, IOPS: times QSD',
     ('null', 32, 'split', 'sleep'),
     lambda c: c['ratios'][QSD]['iops'][0], 1.2, 3.6, True),
    ('p50, hot file, depth 1, two CPUs: times better than QSD',
     ('hot', 1, 'split', 'sleep'),
     lambda c: c['ratios'][QSD]['p50'][0], 1, 2, True),
    ('p50, hot file, depth 1, one CPU, us',
     ('hot', 1, 'same', 'sleep'),
     lambda c: c['peers'][OURS]['p50_ns'] / 1e3, 18, 12, False),
]

IDLE_CLAIMS = [
    ('idle clients: CPU of all daemons, %', 'cpu_percent', 0.5, 0.1),
    ('idle clients: memory each, KiB', 'pss_each', 256, 128),
    ('idle clients: wake-ups', 'wakeups', 0, 0),
]


def verdict(value, must, aim, more):
    if value >= aim if more else value <= aim:
        return 'aim'
    return 'must' if (value >= must if more else value <= must) else 'MISSED'


def claims(result):
    out = []
    for what, where, get, must, aim, more in CLAIMS:
        cell = find(result, *where)
        if not cell or QSD not in cell['ratios']:
            continue
        value = get(cell)
        out.append({'what': what, 'value': value, 'must': must, 'aim': aim,
                    # Counts do not care about neighbours.
                    'reached': 'noisy' if cell['noisy'] and
                    'per I/O' not in what else verdict(value, must, aim, more)})
    for what, key, must, aim in IDLE_CLAIMS if result['idle'] else []:
        value = result['idle'][OURS][key]
        value = value / 1024 if key == 'pss_each' else value
        out.append({'what': what, 'value': value, 'must': must, 'aim': aim,
                    'reached': verdict(value, must, aim, False)})
    return out


def print_end(result):
    for name, idle in (result['idle'] or {}).items():
        print('\n%d idle clients of %s, %d s: %.3f %% CPU, %d wake-ups, each '
              '%.0f KiB (%.0f KiB private)' % (
                  idle['clients'], name, idle['seconds'], idle['cpu_percent'],
                  idle['wakeups'], idle['pss_each'] / 1024,
                  idle['private_each'] / 1024))
    print('\n%-66s %8s %6s %6s  %s' % ('figure', 'found', 'must', 'aim', ''))
    for c in result['claims']:
        print('%-66s %8.3g %6g %6g  %s' % (c['what'], c['value'], c['must'],
                                           c['aim'], c['reached']))


# ---- docs ----

def table(head, rows):
    lines = ['| %s |' % ' | '.join(head),
             '|%s|' % '|'.join(['---'] + ['---:'] * (len(head) - 1))]
    return '\n'.join(lines + ['| %s |' % ' | '.join(r) for r in rows])


def cell_rows(result):
    rows = []
    for cell in result['cells']:
        for name, peer in cell['peers'].items():
            where = cell['title'] + (' (noisy)' if cell['noisy'] else '')
            rows.append((where if name == OURS else '',) + row(name, peer))
    return rows


def ratio_rows(result):
    rows = []
    for cell in result['cells']:
        for name, ratios in cell['ratios'].items():
            rows.append((cell['title'] + (' (noisy)' if cell['noisy'] else ''),
                         name) + tuple('%.2f (%.2f-%.2f)' % tuple(ratios[key])
                                       for key in ('iops', 'per_cpu', 'p50')))
    return rows


def plot(result):
    series = [n for n in result['cells'][0]['peers']]
    panels = []
    for store, client, title in (
            ('null', 'sleep', 'no storage'), ('null', 'poll',
                                              'no storage, polling client'),
            ('hot', 'sleep', 'file in the page cache'),
            ('direct', 'sleep', 'O_DIRECT, fast disk')):
        groups = []
        for depth in (1, 8, 32, 128):
            cell = find(result, store, depth, 'split', client)
            if cell:
                groups.append(('depth %d' % depth, {
                    name: peer['per_cpu']
                    for name, peer in cell['peers'].items()}))
        if groups:
            panels.append((title, groups))
    return svg.chart('4K random reads per second of daemon CPU time', panels,
                     series, '%s; Linux %s; %s' % (
                         result['head']['cpu'],
                         result['head']['versions']['kernel'],
                         result['head']['versions']['qsd']))


def write_docs(result):
    head = result['head']
    os.makedirs(DOCS, exist_ok=True)
    parts = [
        '<!-- SPDX-License-Identifier: MIT -->',
        '<!-- written by tests/bench/bench.sh --write-docs -->',
        '# How fast it is',
        'Our vhost-user back end, qemu-storage-daemon with one iothread and '
        'io_uring (`poll=0`: without its polling), and fio with io_uring, '
        'batches, a registered file and fixed buffers, in turns on the same '
        'store; medians of %d rounds of %g s. %s, Linux %s, %s, %s; %s. '
        'Only ratios within a row mean something on another machine. '
        '`tests/bench/README.md` says how it was measured.' % (
            head['rounds'], head['seconds'], head['cpu'],
            head['versions']['kernel'], head['versions']['qsd'],
            head['versions']['fio'], head['when']),
        '![IOPS per CPU-second](bench.svg)',
        '## Figures to reach',
        table(('figure', 'found', 'must', 'aim', 'reached'),
              [(c['what'], '%.3g' % c['value'], '%g' % c['must'],
                '%g' % c['aim'], c['reached']) for c in result['claims']]),
        '## Against the peers',
        'Times better; median of the rounds, smallest and largest.',
        table(('where', 'peer', 'IOPS', 'IOPS per CPU-second', 'p50'),
              ratio_rows(result)),
        '## All',
        '"per CPU-s" is IOPS per second of the daemon\'s CPU time, its kernel '
        'threads included; times in us; system calls, interrupts (writes to '
        'the eventfd of the ring) and context switches per I/O.',
        table(('where',) + COLUMNS, cell_rows(result)),
    ]
    with open(os.path.join(DOCS, 'bench.md'), 'w') as f:
        f.write('\n\n'.join(parts) + '\n')
    with open(os.path.join(DOCS, 'bench.svg'), 'w') as f:
        f.write(plot(result))
    print('wrote docs/bench.md and docs/bench.svg')

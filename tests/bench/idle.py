# SPDX-License-Identifier: MIT
"""What many connected clients cost that do nothing.

A daemon of ours serves one disk, so there are as many daemons as clients, each
of several processes, all of which count; qemu-storage-daemon serves all of them
in one process. Memory is each process's
proportional share (program text that is mapped many times counts once in all),
without the clients' own memory, which is mapped too.
"""

import os
import re
import subprocess
import time

import peers

SETTLE = 2              # seconds until they are idle
READY_LIMIT = 60
IMAGE_BYTES = 16 << 20


def cpu_ns(pid):
    """The process's CPU clock: see clock_getcpuclockid(3)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def switches(pid):
    total = 0
    for tid in os.listdir('/proc/%d/task' % pid):
        with open('/proc/%d/task/%s/status' % (pid, tid)) as f:
            total += sum(int(n) for n in re.findall(
                r'voluntary_ctxt_switches:\s*(\d+)', f.read()))
    return total


def memory(pid):
    """(proportional, private) bytes, without what memfds are mapped."""
    pss = private = 0
    counts = True
    with open('/proc/%d/smaps' % pid) as f:
        for line in f:
            word = line.split()
            if not word[0].endswith(':'):
                counts = not (len(word) > 5 and word[5].startswith('/memfd:'))
            elif counts and word[0] == 'Pss:':
                pss += int(word[1]) << 10
            elif counts and word[0].startswith('Private_'):
                private += int(word[1]) << 10
    return pss, private


def image(folder, i):
    path = os.path.join(folder, 'idle%d.img' % i)
    with open(path, 'wb') as f:
        f.truncate(IMAGE_BYTES)
    return path


def start_ours(images, sockets, out):
    return [peers.Peer('virtio-disk',
                       [os.environ['PROGRAM'], '--vhost-user', socket,
                        '--disk', 'file=%s,cache=writeback' % path],
                       socket, None, os.path.join(out, 'idle.log'))
            for path, socket in zip(images, sockets)]


def start_qsd(images, sockets, out):
    nodes = [('driver=file,node-name=%%s,filename=%s,aio=io_uring,locking=off'
              % path, socket) for path, socket in zip(images, sockets)]
    return [peers.Peer('qsd', peers.qsd_argv(nodes, None), sockets[-1], None,
                       os.path.join(out, 'idle.log'))]


def watch(daemons, sockets, out, seconds):
    n = len(sockets)
    clients = subprocess.Popen(
        [os.path.join(out, 'client'), '--idle', *sockets],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if clients.stdout.readline() != 'ready\n':
            raise peers.Failure('idle clients: no answer')
        time.sleep(SETTLE)
        pids = [pid for d in daemons for pid in d.pids]
        cpu = sum(map(cpu_ns, pids))
        woken = sum(map(switches, pids))
        time.sleep(seconds)
        cpu = sum(map(cpu_ns, pids)) - cpu
        woken = sum(map(switches, pids)) - woken
        sizes = [memory(pid) for pid in pids]
    finally:
        clients.stdin.close()
        try:
            clients.wait(READY_LIMIT)
        except subprocess.TimeoutExpired:
            clients.kill()
    return {'clients': n, 'seconds': seconds, 'wakeups': woken,
            'cpu_percent': cpu / seconds / 1e7,
            'pss_each': sum(s[0] for s in sizes) / n,
            'private_each': sum(s[1] for s in sizes) / n}


def measure_one(start, out, work, n, seconds):
    images = [image(out, i) for i in range(n)]
    sockets = [os.path.join(work, 'idle%d' % i) for i in range(n)]
    daemons = start(images, sockets, out)
    try:
        for daemon in daemons:
            daemon.wait()
        return watch(daemons, sockets, out, seconds)
    finally:
        for daemon in daemons:
            daemon.process.terminate()
        for daemon in daemons:
            daemon.stop()
        for path in images + sockets:
            if os.path.exists(path):
                os.unlink(path)


def measure(out, work, n, quick):
    seconds = 5 if quick else 10
    return {'virtio-disk': measure_one(start_ours, out, work, n, seconds),
            'qsd': measure_one(start_qsd, out, work, n, seconds)}

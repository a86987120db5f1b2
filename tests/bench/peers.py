# SPDX-License-Identifier: MIT
"""Who serves the disks, and what the disks are kept in.

A store says how each peer opens it. A peer is a daemon with one disk on one
socket; all of them run at the same time, pinned to one CPU, and are idle while
another is measured.
"""

import os
import shutil
import subprocess
import time

START_LIMIT = 10        # seconds for a daemon to listen
STOP_LIMIT = 10
IMAGE_BYTES = 256 << 20


class Failure(Exception):
    """A sentence for the user."""


def run(*argv, limit=120):
    done = subprocess.run(argv, capture_output=True, text=True, timeout=limit)
    if done.returncode:
        raise Failure('%s: %s' % (argv[0], (done.stderr or done.stdout)[-600:]))
    return done.stdout


class Null:
    """No storage: what the protocol itself costs."""
    name = 'null'
    fio = ['--ioengine=null', '--size=1G']

    def ours(self, second=False):
        return 'engine=null,size=1G'

    def qsd(self):
        return 'driver=null-co,node-name=%s,size=1073741824,read-zeroes=off'

    def close(self):
        pass


class Hot:
    """A file of a real file system, all of it in the page cache."""
    name = 'hot'

    def __init__(self, folder):
        self.second = None
        kind = run('stat', '-f', '-c', '%T', folder).strip()
        if kind in ('tmpfs', 'ramfs'):
            raise Failure('%s is on %s, on which io_uring is slow: put the '
                          'tree on a disk' % (folder, kind))
        self.path = os.path.join(folder, 'image')
        make_image(self.path)
        self.fio = ring_options(self.path) + ['--direct=0', '--invalidate=0']

    def ours(self, second=False):
        # Two of ours would not open one image: it is locked.
        if second and not self.second:
            self.second = self.path + '2'
            make_image(self.second)
        return 'file=%s,cache=writeback' % (
            self.second if second else self.path)

    def qsd(self):
        return ('driver=file,node-name=%%s,filename=%s,aio=io_uring,'
                'locking=off' % self.path)

    def close(self):
        for path in filter(None, (self.path, self.second)):
            os.unlink(path)


class Direct:
    """O_DIRECT on a loop device over a file in memory: a very fast disk."""
    name = 'direct'

    def __init__(self, folder):
        image = os.path.join(folder, 'image')
        make_image(image)
        self.path = run('losetup', '--find', '--show', image).strip()
        self.fio = ring_options(self.path) + ['--direct=1']

    def ours(self, second=False):
        if second:
            raise Failure('no second loop device for a baseline')
        return 'file=%s,cache=none' % self.path

    def qsd(self):
        return ('driver=host_device,node-name=%%s,filename=%s,aio=io_uring,'
                'cache.direct=on,locking=off' % self.path)

    def close(self):
        run('losetup', '--detach', self.path)


def make_image(path):
    """Written, so that it has blocks, and read, so that it is cached."""
    chunk = os.urandom(1 << 20)
    with open(path, 'wb') as f:
        for _ in range(IMAGE_BYTES // len(chunk)):
            f.write(chunk)
        f.flush()
        os.fsync(f.fileno())
    with open(path, 'rb') as f:
        while f.read(1 << 20):
            pass


def ring_options(path):
    """fio's fastest way to a file."""
    return ['--ioengine=io_uring', '--registerfiles=1', '--fixedbufs=1',
            '--filename=' + path]


class Peer:
    """One daemon; `argv` begins with the program."""

    def __init__(self, name, argv, socket, cpu, log):
        self.name = name
        self.socket = socket
        with open(log, 'wb') as f:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f,
                preexec_fn=(lambda: os.sched_setaffinity(0, [cpu]))
                if cpu is not None else None)
        self.log = log

    @property
    def pids(self):
        """All of its processes: ours are a monitor and who works for it."""
        found = [self.process.pid]
        for pid in found:
            with open('/proc/%d/task/%d/children' % (pid, pid)) as f:
                found += map(int, f.read().split())
        return found

    @property
    def pid(self):
        """Who serves the disk."""
        for pid in self.pids:
            with open('/proc/%d/comm' % pid) as f:
                if f.read().strip() == 'vdisk-worker':
                    return pid
        return self.process.pid

    def wait(self):
        end = time.monotonic() + START_LIMIT
        while not os.path.exists(self.socket):
            if self.process.poll() is not None or time.monotonic() > end:
                with open(self.log, errors='replace') as f:
                    text = f.read()[-600:]
                self.stop()
                raise Failure('%s does not start: %s' % (self.name, text))
            time.sleep(0.02)
        return self

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def ours(store, socket, cpu, log):
    argv = [os.environ['PROGRAM'], '--vhost-user', socket, '--disk',
            store.ours()]
    return Peer('virtio-disk', argv, socket, cpu, log).wait()


def baseline(store, socket, cpu, log):
    """An earlier build of ours, to see what a change is worth."""
    if not os.environ.get('BASELINE'):
        raise Failure('set BASELINE to the program of that build')
    argv = [os.environ['BASELINE'], '--vhost-user', socket, '--disk',
            store.ours(second=True)]
    return Peer('baseline', argv, socket, cpu, log).wait()


def qsd_argv(nodes, poll_max_ns):
    """`nodes`: (options of the blockdev, socket) of each export."""
    thread = 'iothread,id=t0'
    if poll_max_ns is not None:
        thread += ',poll-max-ns=%d' % poll_max_ns
    argv = ['qemu-storage-daemon', '--object', thread]
    for i, (blockdev, socket) in enumerate(nodes):
        argv += ['--blockdev', blockdev % ('f%d' % i), '--export',
                 'type=vhost-user-blk,id=e%d,node-name=f%d,addr.type=unix,'
                 'addr.path=%s,writable=on,iothread=t0' % (i, i, socket)]
    return argv


def qsd(store, socket, cpu, log, poll_max_ns=None):
    name = 'qsd' if poll_max_ns is None else 'qsd poll=%d' % poll_max_ns
    argv = qsd_argv([(store.qsd(), socket)], poll_max_ns)
    return Peer(name, argv, socket, cpu, log).wait()


# What --peers may name.
PEERS = {
    'virtio-disk': ours,
    'baseline': baseline,
    'qsd': qsd,
    'qsd poll=0': lambda *args: qsd(*args, poll_max_ns=0),
}


def versions():
    """Who was compared, for the report."""
    found = {}
    for name, argv in (('virtio-disk', [os.environ['PROGRAM'], '--version']),
                       ('qsd', ['qemu-storage-daemon', '--version']),
                       ('fio', ['fio', '--version'])):
        if not shutil.which(argv[0]):
            raise Failure('no %s' % argv[0])
        found[name] = run(*argv).splitlines()[0].strip()
    found['kernel'] = os.uname().release
    return found

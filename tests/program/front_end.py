# SPDX-License-Identifier: MIT
"""A small vhost-user front end: one split ring, one request at a time.

front_end.py SOCKET COMMAND...
    read SECTOR         prints the sector's first 16 bytes in hexadecimal
    write SECTOR        writes a sector; prints the status byte
    id                  prints the serial
    break               says that there are more requests than the ring has
    start               hands a write to the device and does not wait for it
    hold SECONDS        goes on being there

$GUEST_MEMORY: a file to be the guest's memory, instead of a memfd.
"""
import array
import mmap
import os
import socket
import struct
import sys
import time

(GET_FEATURES, SET_FEATURES, SET_OWNER, SET_MEM_TABLE, SET_VRING_NUM,
 SET_VRING_ADDR, SET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL) = (
     1, 2, 3, 5, 8, 9, 10, 12, 13)
VERSION_1 = 1 << 32
NEXT, WRITE = 1, 2
READ_BLOCK, WRITE_BLOCK, GET_ID = 0, 1, 8
BASE, MEMORY, SIZE = 0x10000, 1 << 20, 16
DESC, AVAIL, USED, HEADER, DATA, STATUS = (
    0, 0x1000, 0x2000, 0x3000, 0x4000, 0x5000)
TIMEOUT = 20


class FrontEnd:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        file = os.environ.get('GUEST_MEMORY')
        fd = (os.open(file, os.O_RDWR | os.O_CREAT, 0o600) if file else
              os.memfd_create('guest'))
        os.ftruncate(fd, MEMORY)
        self.memory = mmap.mmap(fd, MEMORY)
        self.sent = 0
        self.kick, self.call = os.eventfd(0), os.eventfd(0)
        self.send(GET_FEATURES)
        self.receive()
        self.send(SET_OWNER)
        self.send(SET_FEATURES, struct.pack('<Q', VERSION_1))
        self.send(SET_MEM_TABLE, struct.pack('<IIQQQQ', 1, 0, BASE, MEMORY,
                                             BASE, 0), fd)
        self.send(SET_VRING_NUM, struct.pack('<II', 0, SIZE))
        self.send(SET_VRING_BASE, struct.pack('<II', 0, 0))
        self.send(SET_VRING_ADDR, struct.pack(
            '<IIQQQQ', 0, 0, BASE + DESC, BASE + USED, BASE + AVAIL, 0))
        self.send(SET_VRING_CALL, struct.pack('<Q', 0), self.call)
        self.send(SET_VRING_KICK, struct.pack('<Q', 0), self.kick)

    def send(self, request, body=b'', fd=None):
        rights = [] if fd is None else [
            (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))]
        self.socket.sendmsg(
            [struct.pack('<III', request, 1, len(body)) + body], rights)

    def receive(self):
        size = struct.unpack('<III', self.socket.recv(12, socket.MSG_WAITALL))
        return self.socket.recv(size[2], socket.MSG_WAITALL)

    def start(self, kind, sector, data=None, length=512):
        put = struct.pack_into
        put('<IIQ', self.memory, HEADER, kind, 0, sector)
        self.memory[DATA:DATA + length] = data or bytes(length)
        self.memory[STATUS] = 0xff
        put('<QIHH', self.memory, DESC, BASE + HEADER, 16, NEXT, 1)
        put('<QIHH', self.memory, DESC + 16, BASE + DATA, length,
            NEXT | (0 if data else WRITE), 2)
        put('<QIHH', self.memory, DESC + 32, BASE + STATUS, 1, WRITE, 0)
        put('<H', self.memory, AVAIL + 4 + 2 * (self.sent % SIZE), 0)
        self.sent += 1
        put('<H', self.memory, AVAIL + 2, self.sent)
        os.eventfd_write(self.kick, 1)

    def break_ring(self):
        self.sent += 2 * SIZE
        struct.pack_into('<H', self.memory, AVAIL + 2, self.sent)
        os.eventfd_write(self.kick, 1)

    def finish(self):
        end = time.monotonic() + TIMEOUT
        while struct.unpack_from('<H', self.memory, USED + 2)[0] != self.sent:
            if time.monotonic() > end:
                sys.exit('no answer')
            time.sleep(0.001)
        return self.memory[STATUS]

    def read(self, sector):
        self.start(READ_BLOCK, sector)
        if self.finish():
            sys.exit('read: status %d' % self.memory[STATUS])
        return self.memory[DATA:DATA + 16].hex()

    def write(self, sector):
        self.start(WRITE_BLOCK, sector, b'w' * 512)
        return self.finish()

    def id(self):
        self.start(GET_ID, 0, length=20)
        if self.finish():
            sys.exit('id: status %d' % self.memory[STATUS])
        return self.memory[DATA:DATA + 20].rstrip(b'\0').decode()


def main():
    front_end = FrontEnd(sys.argv[1])
    commands = iter(sys.argv[2:])
    for command in commands:
        if command == 'read':
            print(front_end.read(int(next(commands))))
        elif command == 'write':
            print(front_end.write(int(next(commands))))
        elif command == 'id':
            print(front_end.id())
        elif command == 'start':
            front_end.start(WRITE_BLOCK, 0, b'w' * 512)
        elif command == 'break':
            front_end.break_ring()
        elif command == 'hold':
            time.sleep(float(next(commands)))
        else:
            sys.exit('no command: ' + command)
        sys.stdout.flush()


main()

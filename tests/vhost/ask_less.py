#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
#
# ask_less.py LISTEN SOCKET ENTRIES: stands between a vhost-user front end and
# the back end at SOCKET, and lets the front end ask for an in-flight area of
# queues of ENTRIES, whatever its queues have: as QEMU before 11.1 does it. Says
# on standard output how often it has.

import array
import os
import select
import socket
import struct
import sys

HEADER = struct.Struct('<III')
GET_INFLIGHT_FD, SET_INFLIGHT_FD = 31, 32
QUEUE_SIZE_AT = HEADER.size + 18
FDS = 16


def receive(sock, n):
    """Exactly n bytes with their descriptors; None at the end."""
    data, fds = b'', array.array('i')
    while len(data) < n:
        part, control, _, _ = sock.recvmsg(
            n - len(data), socket.CMSG_SPACE(FDS * fds.itemsize))
        if not part:
            return None, fds
        data += part
        for _, _, bytes_ in control:
            fds.frombytes(bytes_[:len(bytes_) - len(bytes_) % fds.itemsize])
    return data, fds


def pass_message(a, b, entries):
    """One message from a to b: False at the end."""
    head, fds = receive(a, HEADER.size)
    if head is None:
        return False
    request, flags, size = HEADER.unpack(head)
    body, more = receive(a, size) if size else (b'', array.array('i'))
    if body is None:
        return False
    fds += more
    data = bytearray(head + body)
    if not flags & 4 and request in (GET_INFLIGHT_FD, SET_INFLIGHT_FD):
        struct.pack_into('<H', data, QUEUE_SIZE_AT, entries)
        print('asked for', entries, flush=True)
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else []
    b.sendmsg([data], control)
    for fd in fds:
        os.close(fd)
    return True


def serve(front, back, entries):
    other = {front: back, back: front}
    while True:
        for sock in select.select([front, back], [], [])[0]:
            if not pass_message(sock, other[sock], entries):
                return


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
    while True:
        front, _ = listener.accept()
        back = socket.socket(socket.AF_UNIX)
        try:
            back.connect(sys.argv[2])
            serve(front, back, int(sys.argv[3]))
        except OSError:
            pass	# whoever it was comes again
        front.close()
        back.close()


main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""manager.py SOCKET: prints what a service says to its manager there, a line each
(sd_notify(3)), until it is ended."""

import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
    manager.bind(sys.argv[1])
    while True:
        print(manager.recv(4096).decode(), flush=True)

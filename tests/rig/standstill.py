# SPDX-License-Identifier: MIT
"""What can be learnt of a machine that says nothing any more.

dom0 looks around by itself when a scenario fails (tests/xen/look.sh). This is
for when dom0 does not run either: Xen's own console still takes keys, and what
the emulated processors do is known to QEMU. Every wait has a limit, and what
does not answer is passed over.
"""

import re
import socket
import time

# Xen's console takes the keyboard from dom0 after this, pressed three times.
SWITCH = b"\x01\x01\x01"
# Event channels, armed timers, run queues; last the domains, whose lists Xen walks
# without a lock: where a vCPU still runs this may never end.
KEYS = b"earq"
KEY_SECONDS = 2
MONITOR_SECONDS = 3


def ask_monitor(path, command):
    """The answer of QEMU's monitor."""
    text = b""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(MONITOR_SECONDS)
        monitor.connect(str(path))
        for question in b"", command.encode() + b"\n":
            monitor.sendall(question)
            text = b""
            while not text.endswith(b"(qemu) "):
                data = monitor.recv(65536)
                if not data:
                    break
                text += data
    return text.decode(errors="replace").replace("\r", "").split("\n")[1:-1]


def processors(path):
    """Where each emulated processor is."""
    try:
        lines = ask_monitor(path, "info registers -a")
    except OSError as error:
        return [f"QEMU's monitor does not answer: {error}"]
    return [line.strip() for line in lines
            if re.match(r"CPU#|\s*PC=|\s*PSTATE=", line)]


def look(console, monitor):
    """Lines that say where the machine stands."""
    lines = ["--- the emulated processors, twice"]
    for _ in range(2):
        lines += processors(monitor)
        time.sleep(1)
    lines.append("--- what Xen says")
    console.press(SWITCH)
    for key in KEYS:
        console.press(bytes([key]))
        lines += console.lines_for(KEY_SECONDS)
    lines.append("--- end (the same processors at the same places, and no "
                 "answer of Xen: the emulator)")
    return lines

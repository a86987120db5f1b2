#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots Xen in QEMU and runs scenarios in its dom0.

A scenario is a shell script tests/xen/NN-name.sh. All of them run in one boot,
one after the other; what they print is described in tests/xen/main.sh. When a
boot dies or hangs, the running scenario has failed and the rest gets a new one.
Those that say "# init: systemd" get a boot of their own, with that in dom0.
"""

import argparse
import os
import pathlib
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import standstill

RIG = pathlib.Path(__file__).resolve().parent
TOP = RIG.parent.parent
XEN = RIG.parent / "xen"

BOOT_LIMIT = 300    # seconds until dom0 is ready, also on a machine that is busy
SLACK = 90          # seconds beyond a scenario's own limit, for cleaning up
DEFAULT_LIMIT = 120
TAIL = 500          # lines of the console that a failure shows

SILENCE = "nothing happens on the console"

# When a demonstration began, in seconds; it shows times and no test results.
SINCE = float(os.environ.get("VIRTIO_DISK_SINCE") or 0)

MARK = re.compile(r"@@(\w+) ?(.*)")
# Xen's own lines come in the middle of dom0's.
XEN_LINE = re.compile(r"\(XEN\) [^\n]*\n")


def say(text):
    """As in common.sh: with the time since a demonstration began."""
    if SINCE:
        print(f"[{time.time() - SINCE:6.1f} s] {text}", flush=True)
    else:
        print(f"rig: {text}", file=sys.stderr, flush=True)


def show_note(text):
    if SINCE:
        say(text)
    else:
        print(f"    {text}", flush=True)


class Scenario:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.name = self.path.stem
        text = self.path.read_text()
        limit = re.search(r"^# limit: (\d+)", text, re.M)
        self.limit = int(limit.group(1)) if limit else DEFAULT_LIMIT
        self.systemd = bool(re.search(r"^# init: systemd$", text, re.M))
        about = re.search(r"^#\n# (.*)", text, re.M)
        self.about = about.group(1) if about else ""
        self.reason = "was not run"
        self.seconds = 0.0

    def report(self):
        line = f"{self.name} ({self.seconds:.1f} s)"
        if self.reason is None and not SINCE:
            print(f"ok {line}", flush=True)
        elif self.reason is not None:
            print(f"not ok {line}: {self.reason}", flush=True)


class Console:
    """QEMU and the text that its serial line gives."""

    def __init__(self, command, log, stream):
        self.log = log
        self.stream = stream
        self.text = ""
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def line(self, deadline):
        """The next whole line; None at the end, TimeoutError when late."""
        while True:
            self.text = XEN_LINE.sub("", self.text)
            head, newline, rest = self.text.partition("\n")
            if newline:
                self.text = rest
                return head
            left = deadline - time.monotonic()
            if left <= 0 or not self.selector.select(left):
                raise TimeoutError
            if not self.fill():
                return None

    def fill(self):
        data = self.process.stdout.read()
        if not data:
            return False
        self.log.write(data)
        self.log.flush()
        text = data.decode(errors="replace").replace("\r", "")
        self.text += text
        if self.stream:
            sys.stdout.write(text)
            sys.stdout.flush()
        return True

    def press(self, keys):
        """Into the keyboard of the serial line."""
        try:
            self.process.stdin.write(keys)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def lines_for(self, seconds):
        """All lines of that time, those of Xen among them."""
        deadline = time.monotonic() + seconds
        left = seconds
        while left > 0 and self.selector.select(left) and self.fill():
            left = deadline - time.monotonic()
        text, self.text = self.text, ""
        return text.splitlines()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def script(name, *arguments):
    """Runs one of the rig's scripts and returns the path that it prints."""
    result = subprocess.run([RIG / name, *arguments], stdout=subprocess.PIPE,
                            check=False, text=True)
    if result.returncode:
        sys.exit(f"rig: {name} failed")
    return pathlib.Path(result.stdout.strip())


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def pack(folder, archive):
    names = subprocess.run(["find", ".", "-mindepth", "1"], cwd=folder,
                           stdout=subprocess.PIPE, check=True).stdout
    with open(archive, "wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"],
                       cwd=folder, input=names, stdout=out, check=True)


class Image:
    """What is booted: the hypervisor and dom0's initrd."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = pathlib.Path(folder)
        self.monitor = self.folder / "monitor"
        self.xen = script("xen.sh")
        self.base = script("initrd.sh")
        self.tools = script("tools.sh")
        self.daemon = options.daemon
        if not options.no_daemon:
            self.daemon = self.daemon or script("daemon.sh")

    def guest_layer(self):
        top = self.folder / "guest"
        copy(XEN / "guest/init", top / "init")
        for name in "reboot", "poweroff":
            copy(XEN / "guest" / name, top / "usr/sbin" / name)
        for path in XEN.glob("guest/*.sh"):
            copy(path, top / "rig" / path.name)
        for path in self.tools.iterdir():
            copy(path, top / "rig" / path.name)
        pack(top, self.folder / "guest.cpio")

    def dom0_layer(self, scenarios):
        top = self.folder / "dom0"
        copy(XEN / "dom0/init", top / "init")
        copy(XEN / "dom0/block", top / "etc/xen/scripts/block")
        copy(XEN / "dom0/xl.conf", top / "etc/xen/xl.conf")
        for name in "main.sh", "lib.sh", "look.sh", "timeline.sh":
            copy(XEN / name, top / "rig" / name)
        for path in self.tools.iterdir():
            copy(path, top / "rig/tools" / path.name)
        for scenario in scenarios:
            copy(scenario.path, top / "rig" / f"{scenario.name}.sh")
        lines = [f"{s.name} {s.limit}\n" for s in scenarios]
        (top / "rig/list").write_text("".join(lines))
        lines = [f"export {k}='{v}'\n" for k, v in self.options.env]
        (top / "rig/env").write_text("".join(lines))
        if scenarios[0].systemd:
            self.systemd_layer(top)
        elif self.daemon:
            copy(self.daemon, top / "usr/sbin/virtio-disk")
            self.probes(top)
        self.guest_layer()
        copy(self.folder / "guest.cpio", top / "guest/top.cpio")
        pack(top, self.folder / "top.cpio")

    def probes(self, top):
        """What was built with the program, of its objects."""
        for path in (self.daemon.parent / "build/probe").glob("*"):
            copy(path, top / "rig/tools" / path.name)

    def systemd_layer(self, top):
        """The rig's units, and the program and its own as it is installed."""
        for path in XEN.glob("dom0/systemd/*"):
            copy(path, top / "rig/systemd" / path.name)
        if self.daemon:
            shutil.copytree(script("daemon.sh", "installed"), top,
                            symlinks=True, dirs_exist_ok=True)
            copy(self.daemon, top / "usr/local/sbin/virtio-disk")

    def initrd(self, scenarios):
        shutil.rmtree(self.folder / "dom0", ignore_errors=True)
        self.dom0_layer(scenarios)
        layers = [self.base / "dom0.cpio", self.folder / "top.cpio"]
        if scenarios[0].systemd:
            layers.insert(1, self.base / "systemd.cpio")
        path = self.folder / "initrd"
        with open(path, "wb") as out:
            for layer in layers:
                with open(layer, "rb") as part:
                    shutil.copyfileobj(part, out)
        return path

    def command(self, scenarios):
        # The guest-loader devices are what Xen finds as boot modules.
        return ["qemu-system-aarch64", "-machine",
                "virt,virtualization=on,gic-version=2", "-cpu", "cortex-a57",
                "-accel", "tcg,thread=multi", "-smp", "2", "-m", "3072",
                "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
                "-monitor", f"unix:{self.monitor},server=on,wait=off",
                "-kernel", str(self.xen), "-append",
                # Pinned: see pins() in tests/xen/lib.sh.
                "dom0_mem=1536M dom0_vcpus_pin loglvl=all guest_loglvl=all "
                "console=dtuart",
                "-device", "guest-loader,addr=0x49000000,"
                f"kernel={self.base}/vmlinuz,"
                "bootargs=console=hvc0 quiet rdinit=/init",
                "-device", "guest-loader,addr=0x4c000000,"
                f"initrd={self.initrd(scenarios)}"]


class Run:
    """One boot: goes through its scenarios as far as it comes."""

    def __init__(self, scenarios, options):
        self.left = list(scenarios)
        self.options = options
        self.current = None
        self.began = 0.0
        self.tail = []

    def finish(self, reason):
        scenario, self.current = self.current, None
        scenario.reason = reason
        scenario.seconds = time.monotonic() - self.began
        self.left.remove(scenario)
        scenario.report()
        if reason is not None:
            print("\n".join("    " + line for line in self.tail), flush=True)

    def begin(self, name):
        self.current = next(s for s in self.left if s.name == name)
        self.began = time.monotonic()
        self.tail = []

    def mark(self, word, rest):
        """Takes one marked line; returns the seconds that the next may take."""
        if word == "BEGIN":
            self.begin(rest)
            return self.current.limit + SLACK
        if word == "NOTE":
            show_note(rest)
        elif word == "READY":
            say(f"Xen, dom0 and its toolstack are up (Linux {rest})")
        elif word == "PASS":
            self.finish(None)
        elif word == "FAIL":
            self.finish(rest.partition(" ")[2])
        return SLACK

    def follow(self, console):
        """Reads the console to its end; returns what went wrong, or None."""
        deadline = time.monotonic() + BOOT_LIMIT
        while True:
            try:
                line = console.line(deadline)
            except TimeoutError:
                return SILENCE
            if line is None:
                return "the machine switched itself off"
            found = MARK.search(line)
            if not found or found.group(1) == "GUEST":
                self.tail = self.tail[-TAIL:] + [line]
                continue
            if found.group(1) == "DONE":
                return None
            seconds = self.mark(*found.groups())
            if found.group(1) != "NOTE":
                deadline = time.monotonic() + seconds

    def boot(self, command, log, monitor):
        say("booting Xen in an emulated machine")
        console = Console(command, log, self.options.verbose)
        try:
            trouble = self.follow(console)
            if trouble == SILENCE:
                self.tail += standstill.look(console, monitor)
        finally:
            console.close()
        if trouble and not self.current and self.left:
            # It never came to run: the boot is what the tail shows.
            self.current = self.left[0]
            self.began = time.monotonic()
        if self.current:
            self.finish(trouble)


def boots(image, scenarios, options, log):
    """As many boots as it takes to go through these."""
    left = scenarios
    while left:
        run = Run(left, options)
        run.boot(image.command(left), log, image.monitor)
        if len(run.left) == len(left):
            break
        left = run.left


def run_all(scenarios, options):
    options.log_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="virtio-disk-rig.") as folder, \
            open(options.log_dir / "xen-console.log", "wb") as log:
        image = Image(options, folder)
        for systemd in False, True:
            boots(image, [s for s in scenarios if s.systemd == systemd],
                  options, log)
    passed = sum(s.reason is None for s in scenarios)
    if not SINCE:
        print(f"{passed} passed, {len(scenarios) - passed} failed")
    if passed < len(scenarios):
        print(f"the whole console: {options.log_dir}/xen-console.log")
    return 0 if passed == len(scenarios) else 1


def variable(text):
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier() or "'" in value:
        raise argparse.ArgumentTypeError("KEY=VALUE is wanted")
    return key, value


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME",
                        help="run the scenarios whose names contain NAME")
    parser.add_argument("--list", action="store_true",
                        help="list the scenarios and stop")
    parser.add_argument("--script", type=pathlib.Path, metavar="FILE",
                        help="run FILE as the only scenario")
    parser.add_argument("--env", action="append", type=variable, default=[],
                        metavar="KEY=VALUE", help="a variable for scenarios; "
                        "VERBOSE=1 shows the logs of those that pass too")
    parser.add_argument("--limit", type=int, metavar="SECONDS",
                        help="for each scenario, instead of its own limit")
    parser.add_argument("--daemon", type=pathlib.Path, metavar="PATH",
                        help="an arm64 daemon, instead of building it")
    parser.add_argument("--no-daemon", action="store_true",
                        help="boot without one")
    parser.add_argument("--log-dir", type=pathlib.Path,
                        default=TOP / "build/logs")
    parser.add_argument("-v", "--verbose", action="store_true",
                        help="show the console as it comes")
    return parser.parse_args()


def main():
    # QEMU ends with this program, however that ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("rig: terminated"))
    options = parse_options()
    paths = sorted(XEN.glob("[0-9][0-9]-*.sh"))
    if options.script:
        paths = [options.script]
    scenarios = [Scenario(path) for path in paths
                 if options.script or not options.only
                 or any(name in path.stem for name in options.only)]
    for scenario in scenarios:
        scenario.limit = options.limit or scenario.limit
    if not scenarios:
        sys.exit("rig: no scenario of that name")
    if options.list:
        for scenario in scenarios:
            print(f"{scenario.name:24} {scenario.about}")
        return 0
    return run_all(scenarios, options)


if __name__ == "__main__":
    sys.exit(main())

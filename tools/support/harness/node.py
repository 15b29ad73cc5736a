"""Starts a node as a child process and ends it, by process id and never by name."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

READY = re.compile(r"^ready\b.*?\bclient=(\S+):(\d+)", re.M)


class NodeFailed(Exception):
    """A node that did not become ready, or ended when it should not have."""


class Node:
    """One process. Its output goes to files, so that no pipe can hold anybody up."""

    def __init__(self, binary, directory, logs, io="auto", options=()):
        logs.mkdir(parents=True, exist_ok=True)
        number = len(list(logs.glob("*.out")))
        self.output, self.errors = logs / f"{number:04}.out", logs / f"{number:04}.err"
        arguments = ["--data", str(directory), "--listen", "127.0.0.1:0", "--io", io, *options]
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [str(binary), *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                env={**os.environ, "SWIFT_BACKTRACE": "enable=no"},
            )
        self.address = None

    def wait_until_ready(self, timeout_seconds=20.0):
        """The address for clients, from the line that the node prints when it serves."""
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if match := READY.search(self.output.read_text(errors="replace")):
                self.address = (match.group(1).strip("[]"), int(match.group(2)))
                return self.address
            if self._process.poll() is not None:
                raise NodeFailed(f"the node ended with {self._process.returncode} before it was ready\n{self.tail()}")
            time.sleep(0.002)
        self.kill()
        raise NodeFailed(f"the node was not ready within {timeout_seconds:.0f} s\n{self.tail()}")

    def kill(self):
        """SIGKILL, and the end of the process. True if it was alive until then."""
        was_alive = self._process.poll() is None
        self._process.kill()
        self._process.wait(timeout=30)
        return was_alive

    def terminate(self, timeout_seconds=30.0):
        """SIGTERM, and the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=timeout_seconds)

    @property
    def pid(self):
        return self._process.pid

    def tail(self, count=20):
        lines = self.errors.read_text(errors="replace").splitlines()[-count:]
        return "\n".join("    " + line for line in lines)


def program(root, name="cordwood-node", configuration="release"):
    """Builds a program of the package and returns its path."""
    command = ["swift", "build", "--package-path", str(root), "-c", configuration]
    built = subprocess.run([*command, "--product", name], capture_output=True, text=True, timeout=1200)
    if built.returncode:
        raise SystemExit(f"{name} does not build:\n{built.stdout}{built.stderr}")
    shown = subprocess.run([*command, "--show-bin-path"], capture_output=True, text=True, check=True, timeout=60)
    return Path(shown.stdout.strip()) / name

"""What a server is loaded with, and what is taken down of it."""

import resource
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field

PAYLOAD = "x" * 256
KEYS = 100_000


@dataclass(frozen=True)
class Load:
    clients: int
    # Requests that each client has outstanding at a time.
    pipeline: int
    requests: int
    # What Cordwood is to reach, as a share of the best of the others.
    wanted: float

    def __str__(self):
        clients = "1 client" if self.clients == 1 else f"{self.clients} clients"
        return clients if self.pipeline == 1 else f"{clients}, pipeline {self.pipeline}"


@dataclass(frozen=True)
class Figures:
    """One run of one system under one load."""

    per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    # Processor seconds that the loader spent in a second: near 1 it is the loader that is measured.
    loader_cpu: float


@dataclass
class Result:
    """Every run of one system under one load."""

    runs: list = field(default_factory=list)

    def medians(self):
        names = Figures.__dataclass_fields__
        return {name: statistics.median(getattr(run, name) for run in self.runs) for name in names}


class LoaderFailed(SystemExit):
    """A loader that did not do what it was told to."""

    def __init__(self, name, run):
        super().__init__(f"{name} failed with {run.returncode}: {run.stdout[-500:]}{run.stderr[-500:]}")


def measure(system, load, requests):
    """One run. One during which a group changed its leader is measured again, and said to be: loaders end at the first
    error."""
    for _ in range(5):
        try:
            return system.measure(load, requests)
        except LoaderFailed as failure:
            print(f"a run is repeated: {str(failure).strip().splitlines()[-1]}", file=sys.stderr, flush=True)
        time.sleep(2)
        system.settle()
    raise SystemExit(f"{load}: five runs one after the other have failed")


def run_loader(command, timeout_seconds=300):
    """Runs a loader to its end: what it printed, and its processor seconds a second."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout_seconds)
    after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begun
    if run.returncode:
        raise LoaderFailed(command[0], run)
    return run, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / seconds


def free_addresses(count):
    """Addresses of this machine that nobody listens at."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname() for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def eventually(what, attempt, seconds=30):
    """The first answer of `attempt` that is not None. Errors of connections count as none."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if (answer := attempt()) is not None:
                return answer
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.02)


class Processes:
    """Children whose output goes to a file each. They are killed by process id."""

    def __init__(self, folder):
        self._folder = folder
        self._children = []

    def start(self, name, command):
        output = (self._folder / f"{name}.output").open("wb")
        with output:
            child = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._children.append(child)

    def kill(self):
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait(timeout=30)

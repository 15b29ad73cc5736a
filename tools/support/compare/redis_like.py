"""Systems that `redis-benchmark` loads: Redis, a Cordwood node, and a group of three Cordwood nodes."""

import csv

from harness.node import Node
from harness.resp import Connection

from .loads import KEYS, PAYLOAD, Figures, LoaderFailed, Processes, eventually, free_addresses, run_loader


def _ping(address):
    with Connection(address) as connection:
        return connection.call("PING")


class _RedisLike:
    """`address` and `command` are what a kind of it adds."""

    def measure(self, load, requests):
        host, port = self.address
        run, cpu = run_loader([
            "redis-benchmark", "-h", host, "-p", port, "-c", load.clients, "-P", load.pipeline, "-n", requests,
            "-r", KEYS, "--csv", *self.command,
        ])
        rows = [row for row in csv.reader(run.stdout.splitlines()) if len(row) == 8 and row[1] != "rps"]
        if not rows:
            raise LoaderFailed("redis-benchmark", run)
        # test, requests a second, then latencies in ms: mean, least, p50, p95, p99, most
        numbers = [float(number) for number in rows[-1][1:]]
        return Figures(numbers[0], numbers[3], numbers[5], cpu)


class Redis(_RedisLike):
    """Every write synced before it is answered."""

    command = ("SET", "stream:__rand_int__", PAYLOAD)

    def __init__(self, folder):
        self.address, = free_addresses(1)
        settings = {
            "port": self.address[1], "bind": "127.0.0.1", "dir": folder, "appendonly": "yes", "appendfsync": "always",
            "save": "", "auto-aof-rewrite-percentage": 0, "daemonize": "no",
        }
        self._processes = Processes(folder)
        words = [word for key, value in settings.items() for word in (f"--{key}", value)]
        self._processes.start("redis", ["redis-server", *words])
        eventually("Redis answers", lambda: _ping(self.address))

    def settle(self):
        """There is one server, and it is where it was."""

    def kill(self):
        self._processes.kill()


class Cordwood(_RedisLike):
    """Nodes on this machine: one that stands alone, or three that are a group, loaded by way of the leader."""

    command = ("EAPPEND", "stream:__rand_int__", "measured", "PAYLOAD", PAYLOAD)

    def __init__(self, folder, count, binary, io, options):
        names = "abc"[:count]
        self.peers = [f"{host}:{port}" for host, port in free_addresses(count)]
        founders = ",".join(f"{name}={peer}" for name, peer in zip(names, self.peers))
        self._nodes = []
        for name, peer in zip(names, self.peers):
            group = ["--node-name", name, "--peer-listen", peer, "--cluster-founders", founders] if count > 1 else []
            self._nodes.append(Node(binary, folder / name, folder / f"{name}-logs", io, [*group, *options]))
        self.address = [node.wait_until_ready() for node in self._nodes][0]
        self.settle()

    def settle(self):
        """Finds the leader, wherever it is by now."""
        if len(self._nodes) > 1:
            self.address = eventually("the group has a leader", self._leader)

    def _leader(self):
        with Connection(self.address) as connection:
            connection.send([("CLUSTER", "SLOTS")])
            answer = connection.receive()
        if isinstance(answer, Exception):
            return None
        # The range of slots, then the leader, then the others.
        host, port = answer[0][2][:2]
        return host.decode(), port

    def kill(self):
        for node in self._nodes:
            node.kill()

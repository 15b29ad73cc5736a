"""etcd, three members on this machine, loaded by h2load with one gRPC Put over and over."""

import base64
import json
import re
import statistics
import struct
import urllib.error
import urllib.request

from .loads import PAYLOAD, Figures, LoaderFailed, Processes, eventually, free_addresses, run_loader

KEY = b"stream:measured"
# Room for what a run writes: the default of 2 GB would end it.
QUOTA_BYTES = 8 << 30


def _put_body():
    """A PutRequest of key (1) and value (2), framed for gRPC."""

    def field(number, value):
        length = len(value)
        assert length < 1 << 14
        varint = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
        return bytes([number << 3 | 2]) + varint + value

    message = field(1, KEY) + field(2, PAYLOAD.encode())
    return struct.pack(">BI", 0, len(message)) + message


class Etcd:
    def __init__(self, folder):
        self._folder = folder
        self._processes = Processes(folder)
        names = "abc"
        peers = [f"http://{host}:{port}" for host, port in free_addresses(3)]
        clients = self._clients = [f"http://{host}:{port}" for host, port in free_addresses(3)]
        members = ",".join(f"{name}={peer}" for name, peer in zip(names, peers))
        for name, peer, client in zip(names, peers, clients):
            self._processes.start(name, [
                "etcd", "--name", name, "--data-dir", folder / name, "--listen-peer-urls", peer,
                "--initial-advertise-peer-urls", peer, "--listen-client-urls", client,
                "--advertise-client-urls", client, "--initial-cluster", members, "--initial-cluster-state", "new",
                "--log-level", "error", "--quota-backend-bytes", QUOTA_BYTES,
            ])
        (folder / "put").write_bytes(_put_body())
        self.settle()

    def settle(self):
        """Finds the leader, wherever it is by now."""
        self._url = eventually("etcd has a leader", self._leader)

    def measure(self, load, requests):
        before = self._revision()
        log = self._folder / "latencies"
        log.unlink(missing_ok=True)
        run, cpu = run_loader([
            "h2load", "-n", requests, "-c", load.clients, "-m", load.pipeline, "-d", self._folder / "put",
            "-H", "content-type: application/grpc", "-H", "te: trailers", f"--log-file={log}",
            f"{self._url}/etcdserverpb.KV/Put",
        ])
        finished = re.search(r"^finished in [^,]*, ([\d.]+) req/s", run.stdout, re.M)
        # The status of gRPC travels behind the answer, where h2load does not look: the store says what was written.
        if not finished or self._revision() - before != requests:
            raise LoaderFailed("h2load", run)
        # Each line: when it began, the status, how many microseconds it took.
        latencies = [int(line.split("\t")[2]) / 1e3 for line in log.read_text().splitlines()]
        percentiles = statistics.quantiles(latencies, n=100)
        return Figures(float(finished.group(1)), percentiles[49], percentiles[98], cpu)

    def _leader(self):
        for url in self._clients:
            status = self._ask(url, "maintenance/status", {})
            if status.get("leader") and status["leader"] == status["header"]["member_id"]:
                return url
        return None

    def _revision(self):
        answer = self._ask(self._url, "kv/range", {"key": base64.b64encode(KEY).decode()})
        return int(answer["header"]["revision"])

    @staticmethod
    def _ask(url, path, body):
        request = urllib.request.Request(f"{url}/v3/{path}", data=json.dumps(body).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ConnectionError(str(error)) from error

    def kill(self):
        self._processes.kill()

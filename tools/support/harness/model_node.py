#!/usr/bin/env python3
"""The simplest node there could be: one file of writes, one lock, no consensus. It is what the crash harness is tested
against, well behaved or with a fault of choice: `--fault lose` forgets the last write at every start, `--fault early`
answers before it writes, `--fault repeat` ignores event ids, and
now and then drops a connection in place of an answer."""

import argparse
import json
import os
import socketserver
import sys
import threading
import uuid
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.ledger import STREAM_KEY_NAMESPACE  # noqa: E402

PARTITIONS = 32


class Store:
    def __init__(self, directory, fault):
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "writes"
        self.fault, self.lock = fault, threading.RLock()
        self.partitions, self.versions, self.ids, self.held_back = {}, {}, {}, []
        written = path.read_text().splitlines(keepends=True) if path.exists() else []
        complete = [line for line in written if line.endswith("\n")]
        if fault == "lose":
            complete = complete[:-1]
        # In one step: a kill at this moment must find the old contents or the new.
        kept = directory / "writes.kept"
        kept.write_text("".join(complete))
        kept.replace(path)
        self.file = path.open("a")
        for line in complete:
            self.apply(json.loads(line))

    def append(self, events):
        with self.lock:
            known = self.ids.get(events[0]["event_id"])
            if known and self.fault != "repeat":
                return [known]
            self.held_back.append(json.dumps(events) + "\n")
            if self.fault != "early" or len(self.held_back) > 4:
                self.file.write("".join(self.held_back))
                self.file.flush()
                self.held_back = []
            return self.apply(events)

    def apply(self, events):
        applied = []
        for event in events:
            key = uuid.UUID(event["partition_key"])
            partition = (key.int >> 46 & 0xFFFF) % PARTITIONS
            stored = self.partitions.setdefault(partition, [])
            stream = (event["stream_id"], event["partition_key"])
            version = self.versions.get(stream, -1) + 1
            self.versions[stream] = version
            numbers = {"partition_id": partition, "partition_sequence": len(stored), "stream_version": version}
            stored.append({**event, **numbers})
            self.ids[event["event_id"]] = stored[-1]
            applied.append(stored[-1])
        return applied


def options(words):
    return dict(zip(words[::2], words[1::2]))


def new_event(stream, key, words):
    given = options(words)
    key = key or str(uuid.uuid5(STREAM_KEY_NAMESPACE, stream))
    id = given.get("EVENT_ID") or str(uuid.uuid4())
    return {"event_id": id, "partition_key": key, "stream_id": stream, "payload": given["PAYLOAD"]}


def answer(store, name, words):
    with store.lock:
        if name == "HELLO":
            return [b"num_partitions", PARTITIONS]
        if name == "EAPPEND":
            return flat(store.append([new_event(words[0], None, words[2:])])[0])
        if name == "EMAPPEND":
            parts = [words[at : at + 4] for at in range(1, len(words), 4)]
            found = store.append([new_event(part[0], words[0], part[2:]) for part in parts])
            bounds = {"first_partition_sequence": found[0], "last_partition_sequence": found[-1]}
            reply = [word for key, event in bounds.items() for word in (key, event["partition_sequence"])]
            return reply + ["partition_id", found[0]["partition_id"], "events", [flat(event) for event in found]]
        if name in ("EPSCAN", "EPSEQ"):
            events = store.partitions.get(int(words[0]), [])
            return page(events, "partition_sequence", words[1:]) if name == "EPSCAN" else len(events) - 1
        if name == "EGET":
            return flat(store.ids[words[0]])
        key = options(words[3:] if name == "ESCAN" else words[1:])["PARTITION_KEY"]
        stream = (words[0], key)
        events = [event for found in store.partitions.values() for event in found if stream == name_of(event)]
        return page(events, "stream_version", words[1:]) if name == "ESCAN" else len(events) - 1


def name_of(event):
    return event["stream_id"], event["partition_key"]


def page(events, number, words):
    start, count = 0 if words[0] == "-" else int(words[0]), int(options(words[2:])["COUNT"])
    found = [event for event in events if event[number] >= start]
    return ["has_more", int(len(found) > count), "events", [flat(event) for event in found[:count]]]


def flat(event):
    bulk = {"stream_id", "payload"}
    return [word for key, value in event.items() for word in (key, value.encode() if key in bulk else value)]


def rendered(value):
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, str):
        return b"+%b\r\n" % value.encode()
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    return b"*%d\r\n" % len(value) + b"".join(map(rendered, value))


class Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        while header := self.rfile.readline():
            words = []
            for _ in range(int(header[1:])):
                count = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(count + 2)[:-2].decode())
            reply = rendered(answer(self.server.store, words[0], words[1:]))
            if self.server.store.fault == "repeat" and words[0] == "EAPPEND" and hash(reply) % 50 == 0:
                return
            self.wfile.write(reply)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--listen")
    parser.add_argument("--io")
    parser.add_argument("--fault", choices=("none", "lose", "early", "repeat"), default="none")
    arguments = parser.parse_args()
    with Server(("127.0.0.1", 0), Handler) as server:
        server.store = Store(arguments.data, arguments.fault)
        print(f"ready client=127.0.0.1:{server.server_address[1]} pid={os.getpid()}", flush=True)
        server.serve_forever(poll_interval=60)


if __name__ == "__main__":
    main()

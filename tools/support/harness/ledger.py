"""What was sent to a node, what it has acknowledged, and what it must therefore give back.

A write is one event (EAPPEND) or several that stand or fall together (EMAPPEND). Before it is sent it is entered; an
answer settles it:

    open          no answer: stored once or not at all, until the next look decides
    acknowledged  stored at the places that the answer named
    refused       answered with an error that says nothing was done: never stored

`Ledger.check` compares all of this with everything that can be read. Whatever it has seen once must be there, at the
same place, at every later look; an open write that it did not find has been dropped by recovery and must never turn up.
"""

import uuid
from collections import defaultdict
from dataclasses import dataclass, field

STREAM_KEY_NAMESPACE = uuid.UUID("219bd637-e279-53e9-9e2b-eabe5d9120cc")


@dataclass(frozen=True)
class Stream:
    """A stream is named by its id and its partition key; the default key follows from the id."""

    id: str
    key: uuid.UUID

    @staticmethod
    def named(id):
        return Stream(id, uuid.uuid5(STREAM_KEY_NAMESPACE, id))


@dataclass(frozen=True)
class Place:
    """Where an event is stored."""

    partition: int
    sequence: int
    version: int
    event_id: str


@dataclass(frozen=True)
class Stored:
    """An event as the node gives it back."""

    stream: Stream
    place: Place
    payload: bytes


@dataclass(frozen=True)
class Event:
    stream: Stream
    payload: bytes
    event_id: str = None


@dataclass
class Write:
    """`number` orders the writes of one connection; it is part of every payload, so no two payloads are equal."""

    number: int
    connection: int
    events: list
    state: str = "open"
    places: list = field(default_factory=list)
    resent: bool = False

    def acknowledge(self, places):
        self.state, self.places = "acknowledged", places

    def refuse(self):
        self.state = "refused"


def payload(number, position, size):
    """A payload that names its write and fills up to `size` bytes with what can be predicted from the name."""
    name = b"%d.%d " % (number, position)
    return (name + bytes(97 + (number + i) % 26 for i in range(max(0, size - len(name)))))[: max(size, len(name))]


def event_id(stream, milliseconds, randomness):
    """An event id whose partition hash is that of the stream's key: 48 bits of time, version 7, the variant, and the
    hash at bits 61 to 46; `randomness` fills the rest."""
    hash = (stream.key.int >> 46) & 0xFFFF
    high = (milliseconds & (1 << 48) - 1) << 16 | 7 << 12 | randomness >> 46 & 0xFFF
    low = 2 << 62 | hash << 46 | randomness & (1 << 46) - 1
    return str(uuid.UUID(int=high << 64 | low))


class Ledger:
    """The writes to one data directory."""

    def __init__(self):
        self.writes = []
        self._by_payload = {}
        self._seen = {}
        self._dropped = set()

    def enter(self, write):
        self.writes.append(write)
        for event in write.events:
            self._by_payload[event.payload] = (write, event)

    def count(self, state):
        return sum(write.state == state for write in self.writes)

    def open_with_ids(self):
        """Open writes that can be sent again without risk, since their event has an id."""
        return [
            write for write in self.writes
            if write.state == "open" and len(write.events) == 1 and write.events[0].event_id
        ]

    def check(self, partitions):
        """The problems found in `partitions`: all stored events by partition, in the order in which they were read."""
        problems = []
        found = {}
        for partition, stored in sorted(partitions.items()):
            problems += self._gaps(partition, stored)
            for event in stored:
                problem = self._stranger(event) or self._twice(event, found)
                if problem:
                    problems.append(problem)
                found.setdefault(event.payload, event)
        problems += self._version_gaps(partitions)
        for write in self.writes:
            problems += self._judge(write, [found.get(event.payload) for event in write.events])
        problems += self._disorder(found)
        self._remember(found)
        return problems

    def _gaps(self, partition, stored):
        for expected, event in enumerate(stored):
            if event.place.partition != partition:
                return [f"partition {partition} gave an event of partition {event.place.partition}: {event}"]
            if event.place.sequence != expected:
                return [f"partition {partition}: sequence {event.place.sequence} where {expected} is due"]
        return []

    def _version_gaps(self, partitions):
        versions = defaultdict(list)
        for stored in partitions.values():
            for event in stored:
                versions[event.stream].append(event.place.version)
        return [
            f"stream {stream.id}: versions are not gapless and in order: {_first_gap(found)}"
            for stream, found in versions.items()
            if found != list(range(len(found)))
        ]

    def _stranger(self, event):
        known = self._by_payload.get(event.payload)
        if known is None:
            return f"an event that nobody sent: {event}"
        write, sent = known
        if event.stream != sent.stream:
            return f"write {write.number} was sent to {sent.stream.id} and stands in {event.stream.id}"
        if sent.event_id and event.place.event_id != sent.event_id:
            return f"write {write.number} was sent as {sent.event_id} and stands as {event.place.event_id}"
        if write.state == "refused":
            return f"write {write.number} was refused and is stored at {event.place}"
        if event.payload in self._dropped:
            return f"write {write.number} was gone after a restart and has come back at {event.place}"
        return None

    def _twice(self, event, found):
        first = found.get(event.payload)
        return first and f"stored twice: at {first.place} and at {event.place}"

    def _judge(self, write, found):
        problems = []
        if write.state == "acknowledged":
            for event, stored, place in zip(write.events, found, write.places):
                if stored is None:
                    problems.append(f"LOST: write {write.number} to {event.stream.id}, acknowledged at {place}")
                elif stored.place != place:
                    problems.append(f"MOVED: write {write.number}, acknowledged at {place}, stands at {stored.place}")
        elif any(found) and not all(found):
            stored = sum(event is not None for event in found)
            problems.append(f"TORN: write {write.number}: only {stored} of {len(found)} events are stored")
        for event, stored in zip(write.events, found):
            before = self._seen.get(event.payload)
            if before and stored != before:
                now = stored and stored.place
                problems.append(f"VANISHED: write {write.number}, seen at {before.place}, now {now}")
        return problems

    def _disorder(self, found):
        """Writes of one connection to one stream stand in the order in which they were sent. A write that was sent
        again may stand at either of its two times."""
        last, problems = {}, []
        for write in self.writes:
            for event in write.events:
                stored = found.get(event.payload)
                if stored is None or write.resent:
                    continue
                key = (write.connection, event.stream)
                before = last.get(key)
                if before and before[1] > stored.place.version:
                    problems.append(f"ORDER: write {write.number} stands before write {before[0]} in {event.stream.id}")
                last[key] = (write.number, stored.place.version)
        return problems

    def _remember(self, found):
        for write in self.writes:
            if write.state == "refused":
                continue
            for event in write.events:
                if event.payload in found:
                    self._seen[event.payload] = found[event.payload]
                elif write.state == "open" and not event.event_id:
                    self._dropped.add(event.payload)


def _first_gap(versions):
    position = next(i for i, version in enumerate(versions) if version != i)
    return f"{versions[position]} where {position} is due"

"""The event commands as the harness uses them: what to send for a write, and how to read everything back."""

import uuid

from .ledger import Place, Stored, Stream
from .resp import ReplyError, as_map

PAGE = 1000
# Errors that say that nothing was done, so that the write must never turn up.
NOTHING_DONE = {"CLUSTERDOWN", "TRYAGAIN", "NOSPACE", "SHUTDOWN", "LOADING", "FROZEN"}
# Errors that leave the outcome open.
OUTCOME_OPEN = {"TIMEOUT", "WRITEERR"}


class Unexpected(Exception):
    """A reply that no sound node gives to what was asked."""


def command(write):
    """EAPPEND for one event, EMAPPEND for several."""
    if len(write.events) == 1:
        event = write.events[0]
        options = ["EVENT_ID", event.event_id] if event.event_id else []
        return ["EAPPEND", event.stream.id, "crashed", *options, "PAYLOAD", event.payload]
    parts = ["EMAPPEND", write.events[0].stream.key]
    for event in write.events:
        parts += [event.stream.id, "crashed", "PAYLOAD", event.payload]
    return parts


def settle(write, reply):
    """Enters what the node answered."""
    if isinstance(reply, ReplyError):
        if reply.code in NOTHING_DONE:
            write.refuse()
        elif reply.code not in OUTCOME_OPEN:
            raise Unexpected(f"write {write.number}: {reply}")
        return
    answer = as_map(reply)
    if len(write.events) == 1:
        places = [
            Place(answer["partition_id"], answer["partition_sequence"], answer["stream_version"], answer["event_id"])
        ]
    else:
        first = answer["first_partition_sequence"]
        places = [
            Place(answer["partition_id"], first + position, event["stream_version"], event["event_id"])
            for position, event in enumerate(map(as_map, answer["events"]))
        ]
        if len(places) != len(write.events) or answer["last_partition_sequence"] != first + len(places) - 1:
            raise Unexpected(f"write {write.number}: {answer}")
    write.acknowledge(places)


def stored(reply):
    event = as_map(reply)
    stream = Stream(event["stream_id"].decode(), uuid.UUID(event["partition_key"]))
    place = Place(event["partition_id"], event["partition_sequence"], event["stream_version"], event["event_id"])
    return Stored(stream, place, event["payload"])


def scan(connection, *command):
    """All events of an ESCAN or EPSCAN from its start to its end, page by page. The last word of the command is the
    place in an event that the next page starts behind."""
    *words, position = command
    start, events = "-", []
    while True:
        verb, subject, *options = words
        page = as_map(connection.call(verb, subject, start, "+", *options, "COUNT", PAGE))
        found = [stored(event) for event in page["events"]]
        events += found
        if not page["has_more"]:
            return events
        if not found:
            raise Unexpected(f"{words}: more is promised behind {start}, and nothing is given")
        start = getattr(found[-1].place, position) + 1


def everything(connection):
    """All visible events by partition, in the order of the partition's sequence."""
    count = as_map(connection.call("HELLO"))[b"num_partitions"]
    partitions = {}
    for partition in range(count):
        if found := scan(connection, "EPSCAN", partition, "sequence"):
            partitions[partition] = found
    return partitions


def cross_check(connection, partitions, random, samples=6):
    """Asks for some of the same events by the other commands; returns where the answers differ."""
    problems = []
    for partition, events in partitions.items():
        if (last := connection.call("EPSEQ", partition)) != len(events) - 1:
            problems.append(f"EPSEQ {partition} says {last}, EPSCAN has {len(events)} events")
    events = [event for found in partitions.values() for event in found]
    for event in random.sample(events, min(samples, len(events))):
        if (reply := connection.call("EGET", event.place.event_id)) is None or stored(reply) != event:
            problems.append(f"EGET {event.place.event_id} gives {reply}, EPSCAN has {event}")
        of_stream = [other for other in events if other.stream == event.stream]
        key = ["PARTITION_KEY", event.stream.key]
        if scan(connection, "ESCAN", event.stream.id, *key, "version") != of_stream:
            problems.append(f"ESCAN {event.stream.id} differs from EPSCAN")
        if (last := connection.call("ESVER", event.stream.id, *key)) != of_stream[-1].place.version:
            problems.append(f"ESVER {event.stream.id} says {last}, EPSCAN has {of_stream[-1].place.version}")
    return problems

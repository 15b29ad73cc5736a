"""The checker finds what it is there to find: each test fabricates one fault and expects its name."""

import dataclasses
import unittest
import uuid

from harness.ledger import Event, Ledger, Place, Stored, Stream, Write, event_id, payload

LEFT, RIGHT = Stream.named("left"), Stream.named("right")


class History:
    """Three acknowledged writes, one open and one refused, and a store that holds what it should."""

    def __init__(self):
        self.ledger = Ledger()
        self.partitions = {0: [], 1: []}
        self.acknowledged = [self.write(number, LEFT) for number in range(3)]
        self.other = self.write(3, RIGHT)
        for write in [*self.acknowledged, self.other]:
            write.acknowledge([self.store(event).place for event in write.events])
        self.open = self.write(4, LEFT)
        self.refused = self.write(5, LEFT)
        self.refused.refuse()

    def write(self, number, *streams, id=None):
        events = [Event(stream, payload(number, at, 40), id) for at, stream in enumerate(streams)]
        write = Write(number, connection=0, events=events)
        self.ledger.enter(write)
        return write

    def store(self, event):
        partition = 0 if event.stream == LEFT else 1
        stored = self.partitions[partition]
        version = sum(other.stream == event.stream for other in stored)
        place = Place(partition, len(stored), version, event.event_id or str(uuid.uuid4()))
        stored.append(Stored(event.stream, place, event.payload))
        return stored[-1]

    def check(self):
        return self.ledger.check(self.partitions)


class CheckerTests(unittest.TestCase):
    def setUp(self):
        self.history = History()

    def assertFinds(self, words):
        problems = self.history.check()
        self.assertTrue(any(words in problem for problem in problems), f"{words!r} is not in {problems}")

    def test_accepts_a_sound_store(self):
        self.assertEqual(self.history.check(), [])
        self.assertEqual(self.history.check(), [])

    def test_accepts_an_open_write_that_is_stored(self):
        self.history.store(self.history.open.events[0])
        self.assertEqual(self.history.check(), [])

    def test_finds_a_lost_last_write(self):
        self.history.partitions[0].pop()
        self.assertFinds("LOST: write 2")

    def test_finds_a_lost_partition(self):
        self.history.partitions[1].clear()
        self.assertFinds("LOST: write 3")

    def test_finds_a_lost_write_in_the_middle(self):
        del self.history.partitions[0][1]
        self.assertFinds("sequence 2 where 1 is due")
        self.assertFinds("LOST: write 1")

    def test_finds_renumbered_events(self):
        stored = self.history.partitions[0]
        del stored[1]
        stored[1] = dataclasses.replace(stored[1], place=dataclasses.replace(stored[1].place, sequence=1, version=1))
        self.assertFinds("MOVED: write 2")

    def test_finds_a_write_stored_twice(self):
        self.history.store(self.history.acknowledged[0].events[0])
        self.assertFinds("stored twice")

    def test_finds_changed_bytes(self):
        stored = self.history.partitions[0]
        stored[1] = dataclasses.replace(stored[1], payload=stored[1].payload[:-1] + b"!")
        self.assertFinds("nobody sent")
        self.assertFinds("LOST: write 1")

    def test_finds_an_event_in_another_stream(self):
        stored = self.history.partitions[0]
        stored[1] = dataclasses.replace(stored[1], stream=RIGHT)
        self.assertFinds("was sent to left and stands in right")

    def test_finds_another_event_id(self):
        write = self.history.write(6, LEFT, id=str(uuid.uuid4()))
        stored = self.history.store(write.events[0])
        place = dataclasses.replace(stored.place, event_id=str(uuid.uuid4()))
        self.history.partitions[0][-1] = dataclasses.replace(stored, place=place)
        self.assertFinds("write 6 was sent as")

    def test_finds_a_refused_write(self):
        self.history.store(self.history.refused.events[0])
        self.assertFinds("write 5 was refused")

    def test_finds_a_version_gap(self):
        stored = self.history.partitions[1]
        stored[0] = dataclasses.replace(stored[0], place=dataclasses.replace(stored[0].place, version=1))
        self.assertFinds("1 where 0 is due")

    def test_finds_writes_in_the_wrong_order(self):
        late, later = self.history.write(6, RIGHT), self.history.write(7, RIGHT)
        self.history.store(later.events[0])
        self.history.store(late.events[0])
        self.assertFinds("ORDER: write 7 stands before write 6")

    def test_finds_half_a_transaction(self):
        transaction = self.history.write(6, LEFT, RIGHT)
        self.history.store(transaction.events[0])
        self.assertFinds("TORN: write 6")

    def test_finds_a_write_that_vanishes_after_it_was_seen(self):
        self.history.store(self.history.open.events[0])
        self.history.check()
        self.history.partitions[0].pop()
        self.assertFinds("VANISHED: write 4")

    def test_finds_a_write_that_comes_back(self):
        self.history.check()
        self.history.store(self.history.open.events[0])
        self.assertFinds("write 4 was gone after a restart")

    def test_lets_a_write_be_sent_again_by_its_event_id(self):
        write = self.history.write(6, LEFT, id=str(uuid.uuid4()))
        self.assertEqual(self.history.check(), [])
        write.resent = True
        write.acknowledge([self.history.store(write.events[0]).place])
        self.assertEqual(self.history.check(), [])


class NameTests(unittest.TestCase):
    def test_an_event_id_carries_the_partition_hash_of_its_stream(self):
        id = uuid.UUID(event_id(LEFT, 1_700_000_000_000, (1 << 58) - 1))
        self.assertEqual((id.int >> 46) & 0xFFFF, (LEFT.key.int >> 46) & 0xFFFF)
        self.assertEqual(id.version, 7)
        self.assertEqual(id.int >> 80, 1_700_000_000_000)

    def test_payloads_of_any_size_are_distinct(self):
        for size in (1, 8, 200):
            payloads = {payload(number, position, size) for number in range(100) for position in range(3)}
            self.assertEqual(len(payloads), 300)


if __name__ == "__main__":
    unittest.main()

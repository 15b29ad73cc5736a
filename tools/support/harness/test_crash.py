"""The crash harness against a model node: it passes one that keeps its word and finds each way of breaking it."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SUPPORT = Path(__file__).resolve().parents[1]


def crash(fault, rounds, folder, seed=1):
    model = SUPPORT / "harness" / "model_node.py"
    command = [
        sys.executable, SUPPORT.parent / "crash", "--io", "posix", "--rounds", rounds, "--seed", seed,
        "--folder", folder, "--writes", 500, "--binary", model, "--option=--fault", f"--option={fault}",
    ]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


class CrashTests(unittest.TestCase):
    def run_with(self, fault, rounds=12):
        with tempfile.TemporaryDirectory() as folder:
            return crash(fault, rounds, folder)

    def test_passes_a_node_that_keeps_its_word(self):
        result = self.run_with("none", rounds=3)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("posix: 3 rounds in", result.stdout)
        self.assertIn("acknowledged appends all there", result.stdout)

    def test_finds_a_write_that_is_forgotten_at_start(self):
        result = self.run_with("lose")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertRegex(result.stdout, "LOST: write|VANISHED: write")
        self.assertIn("again: tools/crash --io posix --rounds 12 --seed 1", result.stdout)

    def test_finds_an_answer_that_came_before_the_write(self):
        result = self.run_with("early")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("LOST: write", result.stdout)

    def test_finds_an_event_id_that_is_stored_twice(self):
        result = self.run_with("repeat")
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertIn("stored twice", result.stdout)


if __name__ == "__main__":
    unittest.main()

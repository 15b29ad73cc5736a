"""Reads the tree: which files it has, and Swift sources with comments and strings blanked out."""

import os
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TEXT = {".swift", ".py", ".sh", ".md", ".c", ".h", ".modulemap", ".json", ".yml", ".yaml", ".conf", ""}
IGNORED_FOLDERS = {".git", ".build", "data", "__pycache__"}


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


class SourceFile:
    def __init__(self, root, path):
        self.path = path
        self.bytes = (root / path).read_bytes()

    @cached_property
    def text(self):
        return self.bytes.decode("utf-8", errors="replace")

    @cached_property
    def lines(self):
        return self.text.split("\n")[:-1] if self.text.endswith("\n") else self.text.split("\n")

    @cached_property
    def code(self):
        """The text with comments and the contents of strings replaced by spaces; offsets and lines stay."""
        return blanked(self.text)

    @property
    def is_swift(self):
        return self.path.endswith(".swift")

    @property
    def target(self):
        """The folder under Sources or Tests, or `None` elsewhere."""
        parts = self.path.split("/")
        return parts[1] if len(parts) > 2 and parts[0] in ("Sources", "Tests") else None

    @property
    def room(self):
        return self.target if self.path.startswith("Sources/") else None

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1


class Tree:
    """The text files of a checkout: those that git tracks or would track, or all of a folder without git."""

    def __init__(self, root):
        self.root = Path(root).resolve()
        self.paths = sorted(path for path in self._names() if (self.root / path).is_file())
        # Fixtures are data of a test: nobody reads them as prose or code.
        self.files = [
            SourceFile(self.root, path)
            for path in self.paths
            if not path.startswith("Fixtures/") and Path(path).suffix in TEXT and path != "LICENSE"
        ]

    def _names(self):
        if (self.root / ".git").exists():
            listed = subprocess.run(
                ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                cwd=self.root, check=True, capture_output=True, timeout=60,
            )
            return {name for name in listed.stdout.decode().split("\0") if name}
        names = set()
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if name not in IGNORED_FOLDERS]
            names.update(os.path.relpath(os.path.join(folder, name), self.root) for name in files)
        return names

    def swift(self, prefix=""):
        return [file for file in self.files if file.is_swift and file.path.startswith(prefix)]

    def find(self, path):
        return next((file for file in self.files if file.path == path), None)


_START = re.compile(r'//[^\n]*|/\*|(#*)"')


def blanked(text):
    """Swift source with comments and string contents as spaces, newlines kept."""
    pieces, position = [], 0
    while match := _START.search(text, position):
        start = match.start()
        if match.group() == "/*":
            end = _end_of_block_comment(text, start)
        elif match.group(1) is None:
            end = match.end()
        else:
            end = _end_of_string(text, start, len(match.group(1)))
        pieces.append(text[position:start])
        pieces.append(re.sub(r"[^\n]", " ", text[start:end]))
        position = end
    pieces.append(text[position:])
    return "".join(pieces)


def _end_of_block_comment(text, start):
    depth = 0
    for match in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(text)


def _end_of_string(text, start, pounds):
    """The offset behind the string literal at `start`, whose interpolations may hold strings of their own."""
    quote = start + pounds
    multiline = text.startswith('"""', quote)
    delimiter = ('"""' if multiline else '"') + "#" * pounds
    escape = "\\" + "#" * pounds
    position = quote + (3 if multiline else 1)
    while position < len(text):
        if text.startswith(escape + "(", position):
            position = _end_of_interpolation(text, position + len(escape) + 1)
        elif text.startswith(escape, position):
            position += len(escape) + 1
        elif text.startswith(delimiter, position):
            return position + len(delimiter)
        elif text[position] == "\n" and not multiline:
            return position
        else:
            position += 1
    return len(text)


def _end_of_interpolation(text, position):
    depth = 1
    while position < len(text) and depth:
        match = re.compile(r'[()]|(#*)"').search(text, position)
        if match is None:
            return len(text)
        if match.group() == "(":
            depth += 1
        elif match.group() == ")":
            depth -= 1
        else:
            position = _end_of_string(text, match.start(), len(match.group(1)))
            continue
        position = match.end()
    return position

"""The rules. Each takes the tree and yields findings; its doc string is what `tools/tidy --help` says about it."""

import re
import shutil
import subprocess
from pathlib import Path

from . import tables
from .source import Finding

_IMPORT = re.compile(
    r"^[ \t]*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+"
    r"(?:(?:typealias|struct|class|enum|protocol|let|var|func)\s+)?(\w+)",
    re.M,
)
_TARGET = re.compile(
    r"\b(room|program|tests|support|\.target|\.executableTarget|\.testTarget)\(\s*(?:name:\s*)?\"([^\"]+)\""
)


def imports(tree):
    """imports: a room imports only what the table of rooms lets it know, in its sources and in Package.swift"""
    declared = _declared_dependencies(tree)
    for name, (line, dependencies) in declared.items():
        if name in tables.ROOMS:
            for extra in sorted(dependencies - tables.ROOMS[name]):
                yield Finding("Package.swift", line, "imports", f"{name} must not depend on {extra}")
        elif not name.endswith(("Tests", "TestSupport")):
            yield Finding("Package.swift", line, "imports", f"{name} is no room of the table in tools/support/tidy")
    for file in tree.swift("Sources/") + tree.swift("Tests/"):
        for match in _IMPORT.finditer(file.code):
            complaint = _import_complaint(file, match.group(1), declared)
            if complaint:
                yield Finding(file.path, file.line_of(match.start(1)), "imports", complaint)


def _import_complaint(file, module, declared):
    ours = module in tables.ROOMS or module in declared
    if file.room is None:
        _, dependencies = declared.get(file.target, (0, set()))
        undeclared = ours and module not in dependencies
        return f"{file.target} does not declare {module} in Package.swift" if undeclared else None
    if file.room not in tables.ROOMS:
        return f"{file.room} is no room of the table in tools/support/tidy"
    if ours:
        return None if module in tables.ROOMS[file.room] else f"{file.room} must not know {module}"
    allowed = tables.SYSTEM_MODULES_OF_ALL | tables.SYSTEM_MODULES.get(file.room, set())
    if file.room in tables.PROGRAMS:
        allowed = allowed | tables.SYSTEM_MODULES_OF_PROGRAMS
    return None if module in allowed else f"{file.room} must not import {module}"


def _declared_dependencies(tree):
    """Target names of Package.swift with the line and the dependencies of each, read as text: fast, and without the
    build lock that the package manager holds while tests run."""
    manifest = tree.find("Package.swift")
    if manifest is None:
        return {}
    targets = {}
    for match in _TARGET.finditer(manifest.text):
        call = manifest.text[match.end() : _end_of_call(manifest.text, match.end())]
        listed = re.search(r"^\s*,\s*(?:dependencies:\s*)?\[([^\]]*)\]", call)
        names = set(re.findall(r'"([^"]+)"', listed.group(1))) if listed else set()
        targets[match.group(2)] = (manifest.line_of(match.start()), names)
    return targets


def _end_of_call(text, position):
    depth = 1
    while depth and position < len(text):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        position += 1
    return position - 1


def seams(tree):
    """seams: above the seams no unstructured task, clock, randomness, environment or output; no traps anywhere"""
    for file in tree.swift("Sources/"):
        banned = list(tables.EVERYWHERE)
        if file.room not in tables.PROGRAMS | {"CordwoodPlatform", "CordwoodProcesses", "CordwoodCrash"}:
            banned += tables.SENSES
        if file.room not in {"CordwoodPlatform", "CordwoodVirtual"}:
            banned += tables.TASKS
        for pattern, instead in banned:
            for match in re.finditer(pattern, file.code):
                found = " ".join(match.group().split())
                yield Finding(file.path, file.line_of(match.start()), "seams", f"`{found}`: use {instead}")


def format(tree):
    """format: `swift format lint --strict` finds nothing"""
    folders = [name for name in ("Sources", "Tests", "Package.swift", "docs/examples") if (tree.root / name).exists()]
    if not folders or not (tree.root / ".swift-format").exists():
        return
    if shutil.which("swift") is None:
        yield Finding(".swift-format", 1, "format", "swift is not installed, nothing could be checked")
        return
    lint = subprocess.run(
        ["swift", "format", "lint", "--strict", "--parallel", "--recursive", *folders],
        cwd=tree.root, capture_output=True, text=True, timeout=300,
    )
    found = 0
    for line in (lint.stdout + lint.stderr).splitlines():
        if match := re.match(r"(.+?):(\d+):\d+: (?:error|warning): (.*)", line):
            found += 1
            path = match.group(1).removeprefix(str(tree.root) + "/")
            yield Finding(path, int(match.group(2)), "format", match.group(3))
    if lint.returncode and not found:
        yield Finding(".swift-format", 1, "format", f"swift format failed: {lint.stderr.strip()[-300:]}")


def headers(tree):
    """headers: a long source opens with a comment that states its subject; public types are documented"""
    for file in tree.swift("Sources/"):
        steps = tables.HEADERS_OF_ASPECTS if "+" in Path(file.path).name else tables.HEADERS
        needed = next((needed for lines, needed in steps if len(file.lines) > lines), 0)
        written = _opening_comment_lines(file)
        if written < needed:
            message = f"{len(file.lines)} lines open with {written} comment lines, at least {needed} are due"
            yield Finding(file.path, 1, "headers", message)
        for match in re.finditer(
            r"^public (?:final |indirect )?(?:struct|class|enum|protocol|actor|typealias) (\w+)", file.code, re.M
        ):
            line = file.line_of(match.start())
            if not _is_documented(file, line):
                yield Finding(file.path, line, "headers", f"public type {match.group(1)} has no documentation")


def _opening_comment_lines(file):
    """Comment lines before the first line of code that is no import."""
    count = 0
    for line in file.lines:
        text = line.strip()
        if text.startswith("//"):
            count += 1 if text.strip("/ ") else 0
        elif text and not _IMPORT.match(line) and not text.startswith(("#", "@")):
            break
    return count


def _is_documented(file, line):
    position = line - 2
    while position >= 0 and file.lines[position].strip().startswith("@"):
        position -= 1
    return position >= 0 and file.lines[position].strip().startswith("///")


def words(tree):
    """words: seed names are types with a line in docs/glossary.md; one concept has one word"""
    code = {file.path: file.code for file in tree.swift("Sources/")}
    glossary = tree.find("docs/glossary.md")
    for name in tables.SEED_NAMES if glossary is not None else []:
        declaration = re.compile(rf"\b(?:struct|class|enum|protocol|actor|typealias) {name}\b")
        if not any(declaration.search(text) for text in code.values()):
            yield Finding("docs/glossary.md", 1, "words", f"no type is called {name}")
        if f"`{name}`" not in glossary.text:
            yield Finding("docs/glossary.md", 1, "words", f"`{name}` has no line")
    for pattern, word in tables.SYNONYMS:
        declared = re.compile(rf"\b(?:let|var|func|case|struct|class|enum|protocol|actor|typealias)\s+({pattern})\b")
        for path, text in code.items():
            for match in declared.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                yield Finding(path, line, "words", f"`{match.group(1)}`: say {word}")


def hygiene(tree):
    """hygiene: no unfinished work, skipped tests, unsafe flags, machine paths or references out of the tree; lines of
    at most 120 columns, files of at most 700 lines, no stray characters"""
    for file in tree.files:
        yield from _words_of_unfinished_work(file)
        yield from _characters(file)
        limit = tables.MAX_LINES
        if not file.path.endswith(".md") and len(file.lines) > limit and file.path not in tables.LONG_FILES:
            yield Finding(file.path, limit, "hygiene", f"{len(file.lines)} lines, at most {limit}: find the seam")


def _words_of_unfinished_work(file):
    checks = [(tables.MACHINE_PATHS, "a path of one machine"), (tables.FLAGS, "a flag that nothing here may need")]
    if file.path.startswith(("Sources/", "tools/", "Tests/", "docs/", ".ci/")):
        checks.append((tables.UNFINISHED, "unfinished work"))
    if file.path.startswith("Tests/"):
        checks.append((tables.SKIPPED_TESTS, "a test that does not run"))
    if not file.path.startswith(tables.REPLAYS):
        checks.append((tables.OUTSIDE, "a reference out of the tree"))
    for pattern, complaint in checks:
        for match in re.finditer(pattern, file.text, re.I if pattern == tables.UNFINISHED else 0):
            yield Finding(file.path, file.line_of(match.start()), "hygiene", f"{complaint}: {match.group()}")


def _characters(file):
    if not file.bytes:
        return
    if b"\r" in file.bytes or re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", file.bytes):
        yield Finding(file.path, 1, "hygiene", "control characters")
    try:
        file.bytes.decode("utf-8")
    except UnicodeDecodeError as error:
        yield Finding(file.path, 1, "hygiene", f"not UTF-8 at byte {error.start}")
    if not file.bytes.endswith(b"\n"):
        yield Finding(file.path, len(file.lines), "hygiene", "no newline at the end")
    elif file.bytes.endswith(b"\n\n"):
        yield Finding(file.path, len(file.lines), "hygiene", "empty lines at the end")
    for number, line in enumerate(file.lines, 1):
        if line != line.rstrip():
            yield Finding(file.path, number, "hygiene", "space at the end of the line")
        if "\t" in line:
            yield Finding(file.path, number, "hygiene", "a tab")
        if len(line) > tables.MAX_COLUMNS and not _may_be_long(file, line):
            yield Finding(file.path, number, "hygiene", f"{len(line)} columns, at most {tables.MAX_COLUMNS}")


def _may_be_long(file, line):
    """Rows of tables, in Markdown and in comments, and lines that are one long word, such as an address."""
    text = line.strip().removeprefix("///").lstrip() if file.is_swift else line
    return text.startswith("|") and file.path.endswith((".md", ".swift")) or len(line.split()) == 1


def links(tree):
    """links: relative links in Markdown, and pages of docs/ named in sources, lead to what exists, headings included"""
    known = set(tree.paths) | {str(folder) for path in tree.paths for folder in Path(path).parents}
    for file in tree.files:
        if file.path.endswith(".md"):
            yield from _broken_links(tree, file, known)
        elif file.room is not None:
            for match in re.finditer(r"(?<![\w/.])docs/[\w./-]+\.md", file.text):
                if match.group() not in known:
                    yield Finding(file.path, file.line_of(match.start()), "links", f"there is no {match.group()}")


def _broken_links(tree, file, known):
    text = re.sub(r"```.*?```|`[^`\n]*`", lambda code: re.sub(r"[^\n]", " ", code.group()), file.text, flags=re.S)
    for match in re.finditer(r"\]\(([^)\s]+)\)", text):
        target, _, heading = match.group(1).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        line = file.line_of(match.start())
        path = _normal(Path(file.path).parent / target) if target else file.path
        if path not in known:
            yield Finding(file.path, line, "links", f"there is no {target}")
        elif heading and path.endswith(".md") and heading not in _headings(tree.find(path)):
            yield Finding(file.path, line, "links", f"{path} has no heading #{heading}")


def _normal(path):
    parts = []
    for part in path.parts:
        if part == "..":
            parts = parts[:-1] if parts else [".."]
        elif part != ".":
            parts.append(part)
    return "/".join(parts) or "."


def _headings(file):
    titles = re.findall(r"^#+ +(.*?) *$", file.text, re.M) if file else []
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


TESTING = "docs/testing.md"
FAULT_ROWS = 38


def trials(tree):
    """trials: docs/testing.md names tests, commands and tools that exist, and in its table something for each fault"""
    page = tree.find(TESTING)
    if page is None:
        return
    suites = {}
    for file in tree.files:
        if file.is_swift and file.path.startswith("Tests/"):
            for suite in set(re.findall(r"\b(?:struct|extension|enum|class) (\w+Tests)\b", file.code)):
                suites[suite] = suites.get(suite, "") + file.text
    for match in re.finditer(r"`(\w+Tests)(?:\.(\w+))?`((?: \d+,?)*)", page.text):
        suite, test, numbers = match.groups()
        line = page.line_of(match.start())
        if suite not in suites:
            yield Finding(TESTING, line, "trials", f"there is no suite {suite}")
            continue
        if test and not re.search(rf"\bfunc {test}\(", suites[suite]):
            yield Finding(TESTING, line, "trials", f"there is no test {test} in {suite}")
        for number in re.findall(r"\d+", numbers):
            if f'@Test("{number}:' not in suites[suite]:
                yield Finding(TESTING, line, "trials", f"there is no test {number} in {suite}")
    yield from _fault_rows(tree, page)


def _fault_rows(tree, page):
    """The table of faults: all rows there are, each with what shows it."""
    programs = "".join(
        file.text for file in tree.files if re.match(r"Sources/(cordwood-crashtest|CordwoodCrash)/", file.path))
    workloads = "".join(file.text for file in tree.files if file.room is not None)
    seen = []
    for number, line in enumerate(page.lines, 1):
        row = re.match(r"\| (\d+) \| [^|]* \| ([^|]*) \|$", line)
        if not row:
            continue
        seen.append(int(row.group(1)))
        named = re.findall(r"`([^`]+)`", row.group(2))
        if not named:
            yield Finding(TESTING, number, "trials", f"fault {row.group(1)} is shown by nothing")
        for name in named:
            if name.startswith("tools/"):
                found = name.split()[0] in tree.paths
            elif name[0].islower():
                word, _, workload = name.partition(" ")
                found = f'name = "{word}"' in programs or f'("{word}", ' in programs
                if workload.startswith('"'):
                    found = found and workload.rstrip(chr(34)) in workloads
            else:
                continue
            if not found:
                yield Finding(TESTING, number, "trials", f"there is no {name}")
    if seen and seen != list(range(1, FAULT_ROWS + 1)):
        missing = set(range(1, FAULT_ROWS + 1)) - set(seen)
        yield Finding(TESTING, 1, "trials", f"the table of faults lacks {sorted(missing)} or is out of order")


ALL = {rule.__name__: rule for rule in (imports, seams, format, headers, words, hygiene, links, trials)}

"""Holes in a real package, filled in turn and judged by the package's own tests.

The idea of execution on real repositories: RepoCoder (Zhang et al. 2023, arXiv 2303.12570, section 4). A line
counts only if the tests fail without it: what no test looks at says nothing. The work is done on a copy. The tests
run as their author wrote them, in a process of its own with limits on time and memory, without the user's
environment and without sockets: enough against a small model's mistakes, not against somebody's intent.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from completion_server.errors import RequestError
from completion_server.evaluation.fim_infill import Completer, ask, first_text
from completion_server.evaluation.fim_spans import Hole, Span, SpanKind, cut_hole

_MIN_CHARS = 8
_MEMORY_BYTES = 4 << 30
_NOT_CODE = ('"""', "'''", "#", "@", "def ", "async def ", "class ", "import ", "from ", "...")
_IGNORED = shutil.ignore_patterns(".git", "__pycache__", ".venv", "*.pyc", ".tox", "build", "dist")

_PREAMBLE = f"""\
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY_BYTES}, {_MEMORY_BYTES}))
except (ImportError, ValueError):
    pass
import socket
def refuse(*args, **kwargs):
    raise OSError("no network here")
socket.socket.connect = socket.socket.connect_ex = socket.socket.bind = refuse
"""
"""Python runs it at start (``sitecustomize``), in the tests' process and in those it starts."""


@dataclass(frozen=True)
class PackageTask:
    """``test_command``: what is run in the copy, its first word "python" standing for this interpreter."""

    directory: Path
    test_command: Sequence[str]
    num_holes: int = 30
    seed: int = 0
    max_test_s: float = 60.0


@dataclass(frozen=True)
class JudgedHole:
    """One line: where it was, what was written, and whether the tests pass with that."""

    path: str
    line: int
    middle: str
    completion: str
    is_passed: bool


def judge_package(service: Completer, task: PackageTask) -> Iterator[JudgedHole]:
    """Dig up to ``task.num_holes`` holes that the tests notice; the same ones for the same package and seed.

    Raises RequestError: no Python files, or the tests do not pass on the package as it is.
    """
    with _copy_of(task.directory) as copy:
        tests = _Tests(copy, task)
        if not tests.pass_now():
            raise RequestError(
                f"the tests of {task.directory} do not pass as they are: {' '.join(task.test_command)}"
            )
        places = _places(copy, task.seed)
        num_judged = 0
        for path, span in places:
            if num_judged == task.num_holes:
                return
            judged = _judge(service, tests, copy, path, span)
            if judged is not None:
                num_judged += 1
                yield judged


def _judge(service: Completer, tests: _Tests, copy: Path, path: Path, span: Span) -> JudgedHole | None:
    """None where the tests pass without the line."""
    text = path.read_text(encoding="utf-8")
    hole = cut_hole(text, span, uri=path.as_uri(), language_id="python")
    try:
        path.write_text(_filled(hole, "pass"), encoding="utf-8")
        if tests.pass_now():
            return None
        written = first_text(ask(service, hole))
        is_passed = written.strip() == hole.middle.strip()
        if written and not is_passed:
            path.write_text(_filled(hole, written), encoding="utf-8")
            is_passed = tests.pass_now()
        return JudgedHole(str(path.relative_to(copy)), hole.position.line, hole.middle, written, is_passed)
    finally:
        path.write_text(text, encoding="utf-8")


def _filled(hole: Hole, text: str) -> str:
    return hole.document.text_before(hole.position) + text + hole.document.text_after(hole.position)


def _places(copy: Path, seed: int) -> list[tuple[Path, Span]]:
    """Whole lines of the package's own code (no tests) in random order."""
    places: list[tuple[Path, Span]] = []
    for path in sorted(copy.rglob("*.py")):
        names = path.relative_to(copy).parts
        if any(name.startswith(("test", "conftest", "setup", "docs", "example")) for name in names):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        places += [(path, span) for span in _line_spans(text)]
    if not places:
        raise RequestError(f"no Python code to dig holes into under {copy}")
    random.Random(seed).shuffle(places)
    return places


def _line_spans(text: str) -> Iterator[Span]:
    """Indented lines that hold a statement; docstrings are passed over."""
    start, is_docstring = 0, False
    for line in text.splitlines(keepends=True):
        body = line.strip()
        num_quotes = body.count('"""') + body.count("'''")
        is_code = not is_docstring and not num_quotes and not body.startswith(_NOT_CODE)
        if is_code and line[:1] in " \t" and len(body) >= _MIN_CHARS:
            indent = len(line) - len(line.lstrip())
            yield Span(SpanKind.WHOLE_LINE, start + indent, start + len(line.rstrip()))
        if num_quotes % 2:
            is_docstring = not is_docstring
        start += len(line)


@contextmanager
def _copy_of(directory: Path) -> Iterator[Path]:
    if not directory.is_dir():
        raise RequestError(f"{directory} is not a directory")
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary).resolve() / "package"
        shutil.copytree(directory, copy, ignore=_IGNORED, symlinks=True)
        yield copy


class _Tests:
    """The package's tests in its copy."""

    def __init__(self, copy: Path, task: PackageTask) -> None:
        self._copy = copy
        self._max_test_s = task.max_test_s
        first, *rest = task.test_command
        self._command = [sys.executable if first in {"python", "python3"} else first, *rest]
        self._start = copy.parent / "start"
        self._start.mkdir()
        (self._start / "sitecustomize.py").write_text(_PREAMBLE, encoding="utf-8")

    def pass_now(self) -> bool:
        environment = {
            "PYTHONPATH": f"{self._start}:{self._copy}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self._start),
            "PATH": "/usr/bin:/bin",
        }
        try:
            result = subprocess.run(
                self._command,
                cwd=self._copy,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self._max_test_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        except OSError as error:
            raise RequestError(f"{self._command[0]} cannot be run: {error}") from error
        return result.returncode == 0

"""Fills each line of small functions in turn and runs their tests: right is what works, however it is spelled.

The idea of single-line infilling judged by tests: Bavarian et al. 2022 (arXiv 2207.14255). The functions are our
own (``fim_problems``). What a model wrote runs in a process of its own with limits on time, memory and files,
without the user's environment, in an empty directory, without sockets, processes and the calls that delete files:
enough against a small model's mistakes, not against somebody's intent.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from completion_server.evaluation.fim_infill import Completer, ask, first_text
from completion_server.evaluation.fim_spans import Hole, Span, SpanKind, cut_hole

TESTS_MARK = "# tests\n"
_SECONDS = 2
_MEMORY_BYTES = 1 << 30
_MIN_CHARS = 6

_PREAMBLE = f"""\
import sys
try:
    import resource
    for name, limit in (("RLIMIT_CPU", {_SECONDS}), ("RLIMIT_AS", {_MEMORY_BYTES}), ("RLIMIT_NPROC", 0),
                        ("RLIMIT_FSIZE", 0)):
        resource.setrlimit(getattr(resource, name), (limit, limit))
except ImportError:
    pass
for name in ("socket", "_socket", "subprocess", "ctypes", "multiprocessing", "shutil"):
    sys.modules[name] = None
import os
for name in ("fork", "forkpty", "system", "popen", "kill", "execv", "execve", "posix_spawn", "posix_spawnp",
             "remove", "unlink", "rmdir", "rename", "replace", "removedirs"):
    if hasattr(os, name):
        delattr(os, name)
"""


@dataclass(frozen=True)
class Problem:
    """A function, and statements that fail when it is wrong."""

    name: str
    source: str
    tests: str


@dataclass(frozen=True)
class LineTask:
    """One line of a problem is missing."""

    problem: Problem
    hole: Hole


def read_problems() -> list[Problem]:
    """The functions that come with the package, by name."""
    directory = Path(str(files("completion_server.evaluation"))) / "fim_problems"
    problems = []
    for path in sorted(directory.glob("*.txt")):
        source, _, tests = path.read_text(encoding="utf-8").partition(TESTS_MARK)
        problems.append(Problem(path.stem, source.rstrip() + "\n", tests))
    return problems


def line_tasks(problems: Sequence[Problem]) -> list[LineTask]:
    """Every line of each function but its head, its docstring and the trivial ones."""
    tasks = []
    for problem in problems:
        start = 0
        for number, line in enumerate(problem.source.splitlines(keepends=True)):
            body = line.strip()
            is_text = body.startswith(('"""', "def ", "import ", "from ", "class ", "@", "#"))
            if number and len(body) >= _MIN_CHARS and not is_text:
                indent = len(line) - len(line.lstrip())
                span = Span(SpanKind.WHOLE_LINE, start + indent, start + len(line.rstrip()))
                hole = cut_hole(problem.source, span, uri=f"file:///{problem.name}.py", language_id="python")
                tasks.append(LineTask(problem, hole))
            start += len(line)
    return tasks


def pass_lines(service: Completer, tasks: Sequence[LineTask]) -> Iterator[bool]:
    """Whether the tests pass with what ``service`` writes into each hole."""
    for task in tasks:
        text = first_text(ask(service, task.hole))
        position = task.hole.position
        source = task.hole.document.text_before(position) + text + task.hole.document.text_after(position)
        yield bool(text) and passes(source, task.problem.tests)


def passes(source: str, tests: str) -> bool:
    """Run ``source`` and then ``tests`` in a limited process; whether it ended well in time."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            result = subprocess.run(
                [sys.executable, "-I", "-S", "-c", f"{_PREAMBLE}\n{source}\n{tests}"],
                cwd=directory,
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=5 * _SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return result.returncode == 0

"""Makes the file that the latency benchmark types into: real code of a given length, the same on every run.

The text comes from the Python standard library that is installed anyway, so nothing is bundled for it.
"""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

from completion_server.document import Position, split_lines
from completion_server.errors import DocumentError
from completion_server.evaluation.typing_session import TypedText, split_keys

_SOURCES = ("configparser.py", "argparse.py", "tarfile.py", "inspect.py", "typing.py")
_URI = "file:///bench/typed.py"
_FUNCTION = re.compile(r"\s*(?:async )?def ")


def make_typed_text(num_lines: int, num_keys: int, directory: Path | None = None) -> TypedText:
    """A file of ``num_lines`` with a part taken out of its middle, and the keys that type that part again.

    The part begins at the first function after the middle, so that what is typed is what was really there.
    ``directory`` holds the sources; the default is the standard library. Raises DocumentError without them.
    """
    lines = _read_lines(num_lines, directory or Path(sysconfig.get_path("stdlib")))
    start = _first_function(lines, len(lines) // 2)
    rest = "".join(lines[start:])
    keys = split_keys(rest)[:num_keys]
    if len(keys) < num_keys:
        raise DocumentError(f"a file of {num_lines} lines has no {num_keys} key presses after its middle")
    num_chars = sum(map(len, keys))
    # The line that typing ends in is taken out whole: nothing follows the cursor but a line end.
    end = rest.find("\n", num_chars)
    tail = rest[end:] if end >= 0 else "\n"
    return TypedText(_URI, "".join(lines[:start]) + tail, Position(start, 0), keys)


def source_name() -> str:
    """Where the text comes from, for reports."""
    return f"Python standard library: {_SOURCES[0]} ..."


def _read_lines(num_lines: int, directory: Path) -> list[str]:
    lines: list[str] = []
    for name in _SOURCES:
        try:
            text = (directory / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        lines += [line for line in split_lines(text) if line]
        if len(lines) >= num_lines:
            return lines[:num_lines]
    if not lines:
        raise DocumentError(f"no Python sources in {directory} to make the typed file from")
    return (lines * (num_lines // len(lines) + 1))[:num_lines]


def _first_function(lines: list[str], start: int) -> int:
    for number in range(start, len(lines)):
        if _FUNCTION.match(lines[number]):
            return number
    return start

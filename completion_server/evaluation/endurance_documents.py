"""Six documents in different languages for long runs: real text that comes with this package and its libraries."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from completion_server.document import split_lines
from completion_server.errors import DocumentError

_MIN_LINES = 10
_PACKAGE_FILES = (
    ("samples/cart.js", "javascript"),
    ("samples/inventory.py", "python"),
    ("adapters/smollm2-135m-fim/README.md", "markdown"),
    ("training/recipes/default.toml", "toml"),
)
_INSTALLED_FILES = (
    ("stdlib", "argparse.py", "python"),
    ("platlib", "numpy/_core/include/numpy/ndarraytypes.h", "c"),
    ("platlib", "numpy/core/include/numpy/ndarraytypes.h", "c"),
    ("stdlib", "configparser.py", "python"),
)
NUM_DOCUMENTS = 6


@dataclass(frozen=True)
class LongDocument:
    """A document of a long run, before anything is typed into it."""

    uri: str
    language_id: str
    text: str
    lines: tuple[str, ...]


def long_documents() -> tuple[LongDocument, ...]:
    """Six documents. Raises DocumentError when too few files are there."""
    found = list(_texts())[:NUM_DOCUMENTS]
    if len(found) < NUM_DOCUMENTS:
        raise DocumentError(f"only {len(found)} of the {NUM_DOCUMENTS} texts for a long run are installed")
    return tuple(
        LongDocument(f"file:///bench/{number}/{name}", language, text, tuple(split_lines(text)))
        for number, (name, language, text) in enumerate(found)
    )


def _texts() -> Iterator[tuple[str, str, str]]:
    places: list[tuple[Path, str]] = []
    with resources.as_file(resources.files("completion_server")) as package:
        places += [(package / name, language) for name, language in _PACKAGE_FILES]
        places += [
            (Path(sysconfig.get_path(scheme)) / name, language) for scheme, name, language in _INSTALLED_FILES
        ]
        for path, language in places:
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if len(split_lines(text)) >= _MIN_LINES:
                yield path.name, language, text

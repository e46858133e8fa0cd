"""The bundled source files that the demo types: real text, of which the last part is typed by hand.

Only what a user types is here; every suggestion is the model's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from completion_server.document import Position, split_lines

_DIRECTORY = Path(__file__).resolve().parent.parent / "samples"


@dataclass(frozen=True)
class Sample:
    """A file whose text up to ``first_typed_line`` (from 1) is there already; the rest is typed."""

    name: str
    language_id: str
    first_typed_line: int

    @property
    def uri(self) -> str:
        return f"file:///demo/{self.name}"

    def read(self) -> tuple[str, str]:
        """What is in the file at first, and what is then typed at its end."""
        lines = split_lines((_DIRECTORY / self.name).read_text(encoding="utf-8"))
        split = self.first_typed_line - 1
        return "".join(lines[:split]), "".join(lines[split:]).rstrip("\n")

    @property
    def start(self) -> Position:
        """Where typing begins."""
        return Position(self.first_typed_line - 1, 0)


SAMPLES = (
    Sample("inventory.py", "python", 24),
    Sample("temperature.py", "python", 17),
    Sample("cart.js", "javascript", 7),
)

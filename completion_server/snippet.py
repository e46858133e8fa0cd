"""A piece of another file that is shown to the model: what ``context`` finds and ``prompt`` lays out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class SnippetKind(Enum):
    """Why a snippet was chosen; the values are what the trace tells."""

    DEFINITION = "definition"
    RECENT_EDIT = "recent edit"
    SIMILAR = "similar"


@dataclass(frozen=True)
class Snippet:
    """Whole lines of one file, without secrets. ``text`` ends with a line end and is never empty."""

    path: str
    """Relative to the workspace, with forward slashes; a bare name for a document outside of it."""
    language_id: str
    first_line: int
    """Zero-based, as is ``end_line`` (exclusive); of the file, where ``text`` may leave lines out."""
    end_line: int
    kind: SnippetKind
    text: str = field(repr=False)

    @property
    def place(self) -> str:
        """``path:first-last`` with lines counted from one, as users read it."""
        return f"{self.path}:{self.first_line + 1}-{self.end_line}"


@dataclass(frozen=True)
class DocumentPlace:
    """How the document itself is called beside its snippets: its path, and the repository's name."""

    path: str = ""
    repository: str = ""


@dataclass(frozen=True)
class CrossFileContext:
    """What a prompt is given of other files; in the order in which it stands there."""

    snippets: tuple[Snippet, ...] = ()
    place: DocumentPlace = DocumentPlace()

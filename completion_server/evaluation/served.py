"""Holes in held-out files through the whole service as an editor would ask, and what each suggestion was worth.

Everything is asked for as if it appeared by itself, with nothing hidden, so that one run tells what any threshold
of the gate would have shown. One record a hole, without source text; a run that was interrupted goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from completion_server.document import Document, Position
from completion_server.errors import RequestError
from completion_server.evaluation.fim_infill import Completer, Task, ask, first_text
from completion_server.evaluation.fim_score import edit_similarity
from completion_server.evaluation.fim_spans import Hole
from completion_server.gate.features import FEATURE_NAMES
from completion_server.request import Deadline
from completion_server.syntax import count_tree_errors, parser_for

_MIN_LINE_CHARS = 3
_DIGEST_CHARS = 16


class HoleRecord(Struct, frozen=True):
    """What came back for one hole. Shares and flags are of the first item; without one they are all False."""

    number: int
    kind: str
    language: str
    repository: str
    has_text: bool
    features: tuple[float, ...] | None = None
    """In the order of ``gate.features.FEATURE_NAMES``; None where nothing is known of the tokens."""
    score: float | None = None
    """The probability that the gate in force gave it."""
    is_exact: bool = False
    is_right_to_line_end: bool = False
    """The first line that is offered is the line that was there, to its end."""
    adds_parse_error: bool | None = None
    """The file has more syntax errors with it than without; None where there is no grammar."""
    leaves_parse_error: bool | None = None
    """The file has more syntax errors with it than with what was there: harder, since a hole is often an error."""
    repeats_following_line: bool = False
    similarity: float = 0.0
    num_shown_chars: int = 0
    num_generated_tokens: int = 0
    total_ms: float = 0.0
    text_digest: str = ""
    """Tells whether two runs offered the same text; "" without one."""

    @property
    def is_right(self) -> bool:
        """Worth showing: exact, or at least its first line may be accepted as it is."""
        return self.is_exact or self.is_right_to_line_end


def run_holes(
    service: Completer,
    tasks: Sequence[Task],
    records: Path,
    facts: dict[str, Any],
    deadline_ms: float | None = None,
) -> Iterator[HoleRecord]:
    """Ask for each of ``tasks`` from empty caches; yield and append to ``records`` what is not there yet.

    ``facts`` say what the records are of (model, seed, ...) and stand in the first line. Raises RequestError when
    ``records`` holds those of another run.
    """
    done = {record.number: record for record in _open_records(records, facts)}
    with records.open("ab") as stream:
        for number, task in enumerate(tasks):
            record = done.get(number)
            if record is None:
                record = _ask(service, task, number, deadline_ms)
                stream.write(msgspec.json.encode(record) + b"\n")
                stream.flush()
            yield record


def read_records(path: Path) -> tuple[dict[str, Any], list[HoleRecord]]:
    """What a file of records is of, and its whole lines. Raises RequestError."""
    try:
        content = path.read_bytes()
        first, *lines = content[: content.rfind(b"\n") + 1].splitlines()
        facts = msgspec.json.decode(first, type=dict[str, Any])
        return facts, [msgspec.json.decode(line, type=HoleRecord) for line in lines]
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} does not hold records of holes: {error}") from error


def _open_records(path: Path, facts: dict[str, Any]) -> list[HoleRecord]:
    """What an earlier run left; a last line that was cut off is removed, a new file gets its first line."""
    header = msgspec.json.encode(facts)
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(header + b"\n")
        return []
    found, records = read_records(path)
    if found != msgspec.json.decode(header):
        raise RequestError(f"{path} is of another run ({found}); choose another file or remove it")
    if whole != content:
        path.write_bytes(whole)
    return records


def _ask(service: Completer, task: Task, number: int, deadline_ms: float | None) -> HoleRecord:
    completion = ask(service, task.hole, deadline=None if deadline_ms is None else Deadline.after_ms(deadline_ms))
    trace: dict[str, Any] = completion.trace
    text = first_text(completion)
    features = trace.get("gate_features")
    return HoleRecord(
        number,
        task.kind.value,
        task.language,
        task.repository,
        bool(text),
        features=tuple(features[name] for name in FEATURE_NAMES) if text and features else None,
        score=trace.get("gate_score") if text else None,
        num_generated_tokens=trace.get("num_generated_tokens", 0),
        total_ms=trace.get("total_ms", 0.0),
        text_digest=_digest(text) if text else "",
        **(judge_text(text, task.hole, completion.items[0].end) if text else {}),
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]


def judge_text(text: str, hole: Hole, end: Position | None = None) -> dict[str, Any]:
    """What ``text`` in place of ``hole.middle`` is worth, as fields of HoleRecord.

    It replaces what stands up to ``end``, which then counts as part of what was there.
    """
    end = hole.position if end is None else end
    replaced = hole.document.line_suffix(hole.position)[: end.column - hole.position.column]
    offered, wanted = _plain(text), _plain(hole.middle + replaced)
    completed, _ = hole.document.with_replacement(hole.position, end, text)
    original, _ = hole.document.with_replacement(hole.position, hole.position, hole.middle)
    errors = [count_parse_errors(each) for each in (hole.document, original, completed)]
    before, least, after = errors
    return {
        "is_exact": offered.rstrip() == wanted.rstrip(),
        "is_right_to_line_end": _first_line(offered) == _first_line(wanted) != "",
        "adds_parse_error": None if before is None or after is None else after > before,
        "leaves_parse_error": None if least is None or after is None else after > least,
        "repeats_following_line": repeats_following_line(offered, hole.document, hole.position),
        "similarity": round(edit_similarity(offered.rstrip(), wanted.rstrip()), 4),
        "num_shown_chars": len(text),
    }


def count_parse_errors(document: Document) -> int | None:
    """Places that the document's grammar cannot explain; None where there is no grammar."""
    parser = parser_for(document.language_id)
    if parser is None:
        return None
    return count_tree_errors(parser.parse(document.text.encode("utf-8", "surrogatepass")))


def repeats_following_line(text: str, document: Document, position: Position) -> bool:
    """Whether ``text`` ends with the line that follows the cursor's own anyway."""
    following = document.lines[position.line + 1 :]
    wanted = next((line.strip() for line in following if line.strip()), "")
    lines = text.rstrip().split("\n")
    last = lines[-1] if len(lines) > 1 else document.line_prefix(position) + text
    return len(wanted) >= _MIN_LINE_CHARS and (last + document.line_suffix(position)).strip() == wanted


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _first_line(text: str) -> str:
    """``text`` up to the end of its first line with something on it."""
    lines = text.split("\n")
    number = next((number for number, line in enumerate(lines) if line.strip()), None)
    return "" if number is None else "\n".join(lines[: number + 1]).rstrip()

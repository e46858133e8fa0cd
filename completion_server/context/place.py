"""What stands at a cursor: the expression whose member is being written, and the types that its name may have.

Read from the lines themselves, without a tree: the text at a cursor is half an expression in every language, and
what follows only ranks names and never decides what is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from completion_server.context.nearby import names_near, names_seen, parts_of
from completion_server.document import Document, Position

_MAX_HEAD_CHARS = 200
_MAX_JOINED_LINES = 3
_LINES_BEFORE, _LINES_AFTER = 8, 3
_LINES_LOOKED_AT = 2000  # in both directions: the cost must not grow with the file
_MAX_CLASS_HEAD_CHARS = 1_000
_MAX_QUALIFIERS = 4
_MAX_LINES_OF_NAME = 30
_MAX_TYPES = 8
_LINK = r"(?:\?\.|!\.|\.|->|::)"
_STEP = r"[^\W\d]\w*(?:<[\w, ]*>)?(?:\([^()]*\)|\[[^\[\]]*\])?"
_CHAIN_AT_END = re.compile(rf"((?:{_STEP}\s*{_LINK})+)(\w*)$")
_CHAIN = re.compile(rf"(?<![\w.>:])((?:{_STEP}{_LINK})+)(?=\w)")
_STEP_OR_LINK = re.compile(rf"({_STEP})\s*{_LINK}")
_LETTERS_AT_END = re.compile(r"\w+$")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_HERE = "\x01"  # stands for the name: patterns that are made for every name cost more than all the rest
_PART_OF_WORD = re.compile(rf"(?<=\w){_HERE}|{_HERE}(?=\w)")
_AT_NAME = rf"(?<!\w){_HERE}(?!\w)"
_TYPE_PATTERNS = (
    re.compile(rf"{_AT_NAME}[?!]?\s*:\s*([\w.:&*\[\]<>?| ]+)"),  # name: Type
    re.compile(rf"{_AT_NAME}(?:\s*:\s*[^=]+)?\s*:?=\s*(?:await |new |&|\*)*([\w.:]+)\s*[({{]"),  # name = Type(
    re.compile(rf"([\w.:]+)(?:<[^<>]*>)?\s*[*&]*\s+[*&]*{_AT_NAME}\s*[;,=)\[:]"),  # Type name
    re.compile(rf"{_AT_NAME},?\s+[*\[\]]*([\w.]+)\s*(?:[,){{`]|$)"),  # name Type, as Go has it
)
SELF_NAMES = frozenset({"self", "this", "cls", "super", "Self"})
_CLASS_HEAD = re.compile(
    r"^\s*(?:(?:export|default|abstract|public|final|data|pub)\s+)*(?:class|interface)\s+\w+(.*)"
)
_IMPL_HEAD = re.compile(r"^\s*(?:impl(?:<[^>]*>)?\s+(?:[\w:<>, ]+\s+for\s+)?(\w+)|func\s*\(\s*\w+\s+\*?(\w+))")
_NO_TYPES = frozenset({
    "await", "new", "return", "const", "let", "var", "mut", "final", "static", "public", "private", "protected",
    "readonly", "Optional", "List", "Dict", "Set", "Tuple", "Union", "None", "Option", "Vec", "Box", "Arc", "Rc",
    "Result", "String", "str", "int", "string", "number", "boolean", "bool", "void", "any", "Promise", "Array",
    "self", "this", "not", "if", "elif", "else", "while", "for", "in", "is", "and", "or", "func", "fn", "def",
    "ref", "dyn", "impl", "case", "auto", "unsigned", "struct", "extends", "implements", "super", "Partial",
    "type",
})  # fmt: skip


@dataclass(frozen=True)
class Qualifier:
    """What stands before a dot: its steps (``self``, ``_index``), and how near it is (1: at the cursor)."""

    steps: tuple[str, ...]
    weight: float
    link: str = "."
    """What follows the last step: ``.``, ``->`` or ``::``."""

    @property
    def text(self) -> str:
        return ".".join(self.steps)


@dataclass(frozen=True)
class Place:
    """A cursor as retrieval sees it."""

    weights: dict[str, float] = field(repr=False)
    """Names near the cursor, 1 on its line and less further away."""
    parts: dict[str, float] = field(repr=False)
    """The words that those names are made of, the same."""
    seen: frozenset[str] = field(repr=False)
    """Names in the lines that the prompt shows anyway."""
    head: str = field(repr=False)
    """The line before the cursor without ``typed``, the letters of a word that touches it."""
    typed: str
    qualifiers: tuple[Qualifier, ...]
    """The nearest first; that at the cursor has the weight 1."""

    @property
    def is_member(self) -> bool:
        """Whether a member of something is being written."""
        return bool(self.qualifiers) and self.qualifiers[0].weight == 1.0


def look_at(document: Document, position: Position) -> Place:
    """The place at ``position``: reads some 100 lines around it."""
    weights = names_near(document, position)
    parts: dict[str, float] = {}
    for name, weight in weights.items():
        for part in parts_of(name):
            parts[part] = max(parts.get(part, 0.0), weight)
    head = document.line_prefix(position)[-_MAX_HEAD_CHARS:]
    typed = _LETTERS_AT_END.search(head)
    before, letters = (head, "") if typed is None else (head[: typed.start()], typed[0])
    seen = names_seen(document, position)
    return Place(weights, parts, seen, before.lstrip(), letters, tuple(_qualifiers(document, position)))


def _qualifiers(document: Document, position: Position) -> list[Qualifier]:
    head = document.line_prefix(position)[-_MAX_HEAD_CHARS:]
    for number in range(position.line - 1, max(position.line - 1 - _MAX_JOINED_LINES, -1), -1):
        if not head.lstrip().startswith((".", "?.", "->")):
            break
        head = document.lines[number].rstrip()[-_MAX_HEAD_CHARS:] + head.lstrip()
    found: dict[tuple[str, ...], tuple[float, str]] = {}
    at_cursor = _CHAIN_AT_END.search(head)
    if at_cursor is not None:
        found[_steps(at_cursor[1])] = 1.0, at_cursor[1].rstrip()[-2:]
    first, end = max(position.line - _LINES_BEFORE, 0), position.line + _LINES_AFTER + 1
    for number in sorted(range(first, min(end, len(document.lines))), key=lambda each: abs(each - position.line)):
        weight = 0.5 / (1 + abs(number - position.line))
        for match in _CHAIN.finditer(document.lines[number][: 2 * _MAX_HEAD_CHARS]):
            found.setdefault(_steps(match[1]), (weight, match[1][-2:]))
    ranked = [
        Qualifier(steps, weight, end if end in {"::", "->"} else ".")
        for steps, (weight, end) in found.items()
        if steps
    ]
    return ranked[:_MAX_QUALIFIERS]


def _steps(chain: str) -> tuple[str, ...]:
    """``a.b(c).`` -> a, b()."""
    steps = []
    for match in _STEP_OR_LINK.finditer(chain):
        name = _IDENTIFIER.match(match[1])
        if name is not None:
            steps.append(name[0] + ("()" if match[1].endswith(")") else ""))
    return tuple(steps)


def types_of(steps: Sequence[str], document: Document, position: Position) -> list[str]:
    """Names of types (or of functions that make one) that ``steps`` may lead to, the likeliest first."""
    name = steps[-1]
    if name.endswith("()"):
        return [name.removesuffix("()")]
    if name in SELF_NAMES:
        return list(_own_types(document, position))
    lines = document.lines
    first, end = max(position.line - _LINES_LOOKED_AT, 0), min(position.line + _LINES_LOOKED_AT, len(lines))
    numbers = [number for number in range(first, end) if name in lines[number]]
    numbers.sort(key=lambda each: (each > position.line, abs(each - position.line)))
    found: dict[str, None] = {}
    for number in numbers[:_MAX_LINES_OF_NAME]:
        found.update(dict.fromkeys(_types_in(lines[number][: 2 * _MAX_HEAD_CHARS], name)))
        if len(found) >= _MAX_TYPES:
            break
    return list(found)[:_MAX_TYPES]


def _types_in(line: str, name: str) -> Iterator[str]:
    """What ``line`` may say of the type of ``name``."""
    line = _with_single_spaces(line)
    marked = _PART_OF_WORD.sub(name, line.replace(name, _HERE))
    for pattern in _TYPE_PATTERNS:
        for match in pattern.finditer(marked):
            yield from (each for each in _IDENTIFIER.findall(match[1]) if each not in _NO_TYPES)


def _own_types(document: Document, position: Position) -> Iterator[str]:
    """What the class around ``position`` is made from, or the type whose ``impl`` or method it is."""
    indent = len(document.lines[position.line]) - len(document.lines[position.line].lstrip())
    for number in range(position.line, max(position.line - _LINES_LOOKED_AT, -1), -1):
        line = document.lines[number]
        text = _with_single_spaces(line[:_MAX_CLASS_HEAD_CHARS])
        head = _CLASS_HEAD.match(text) or _IMPL_HEAD.match(text)
        if head is not None and (len(line) - len(line.lstrip()) < indent or number == position.line):
            for group in head.groups():
                yield from (each for each in _IDENTIFIER.findall(group or "") if each not in _NO_TYPES)
            return


def _with_single_spaces(line: str) -> str:
    """``line`` without runs of white space: the patterns could divide one in a great many ways."""
    return " ".join(line.split())

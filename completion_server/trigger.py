"""Whether to complete at a place, and how much: nothing, the rest of the line, or a block.

Works on a bounded window of text around the cursor, so that the cost does not grow with the file. The reason goes
to the trace. Rules, first match wins:

1. Asked for by hand: never nothing.
2. The cursor is inside a word (a letter, digit or underscore follows): nothing.
3. Code follows on the line, other than closing brackets, quotes and separators: the rest of the line.
4. Prose (Markdown outside of fences, plain text, commit messages, ...): the rest of the line; nothing before a
   paragraph has begun.
5. Inside a comment or a string: the rest of the line. A colon opens nothing there.
6. The line so far opens a block: a block. So says its end (``:``, ``{``, ``=>``, ``then``, ...), unless the syntax
   tree says that the colon belongs to a dictionary, a lambda, a slice or a type. Not if the block has a body.
   By hand also before the closing bracket of that block.
7. The line is empty and begins the body of a block that the last written line opens, and that has no body: a
   block. By hand also when its first statement has been begun.
8. Otherwise the rest of the line; by hand on an empty line a block.

The decision must not flip from key to key. It needs no memory for that, so all threads find the same: an open
bracket makes a block of what stands on the next lines, not of what follows on its own line; a statement that has
been begun is finished first (a block that was shown before is typed along from memory); and no rule looks at the
letters of a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from completion_server.document import Document, Position, line_body
from completion_server.fences import MARKDOWN_IDS, without_prose
from completion_server.lexicon import CLOSER_OF, lexicon_of, scan
from completion_server.lexicon.table import lexicon_at
from completion_server.request import TriggerKind
from completion_server.syntax import grammar_of, has_error_behind, node_types_at

_ONLY_CLOSERS = re.compile(r"[\s)\]}>\"'`;,:]*")
_OPENS_BLOCK = re.compile(r"(?:[:{]|=>|->|\b(?:then|do|begin|else))\s*$")
_OPENS_LINES = re.compile(r"[(\[]\s*$")
_LAMBDA = re.compile(r"\blambda\b")
_NO_BLOCK_AFTER_COLON = frozenset({"pair", "lambda", "slice", "typed_parameter", "type_annotation", "dictionary"})
_COLON_OPENS = frozenset({"", "python", "yaml", "ruby", "nim"})
_CASE_LABEL = re.compile(r"^\s*(?:case\b.*|default|public|private|protected|\w+):\s*$")
_PROSE = MARKDOWN_IDS | {"plaintext", "text", "gitcommit", "git-commit", "latex", "tex", "restructuredtext"}
_SHELL_CLOSERS = {"then": "fi", "else": "fi", "do": "done"}
_END = {"then": "end", "else": "end", "do": "end"}
CLOSERS_BY_WORD = {
    **dict.fromkeys(("sh", "bash", "shellscript"), _SHELL_CLOSERS),
    **dict.fromkeys(("lua", "ruby", "elixir", "julia"), _END),
}
"""By language: what closes the block that a word at the end of a line opens."""
_MAX_LINES_BACK = 50
_TREE_LINES_BEFORE, _TREE_LINES_AFTER = 40, 2
_MAX_WINDOW_CHARS = 12_000


class CompletionMode(Enum):
    """How much is asked of the model."""

    NONE = "none"
    LINE = "line"
    BLOCK = "block"


@dataclass(frozen=True)
class Trigger:
    """The decision and the rule behind it."""

    mode: CompletionMode
    reason: str
    block_indent: int = 0
    """Columns below which a line is no longer part of the block (BLOCK only)."""
    block_closer: str = ""
    """The bracket or word that closes the block, where the text after the cursor does not (BLOCK only)."""


def decide_trigger(document: Document, position: Position, kind: TriggerKind) -> Trigger:
    """Apply the rules above at ``position``."""
    if (refusal := refuse_at_once(document, position, kind)) is not None:
        return refusal
    document = without_prose(document, position.line)
    before, after = document.line_prefix(position), document.line_suffix(position)
    is_invoked = kind is TriggerKind.INVOKED
    if not _ONLY_CLOSERS.fullmatch(after):
        return Trigger(CompletionMode.LINE, "code_after_cursor")
    if document.language_id in _PROSE:
        return Trigger(CompletionMode.LINE, "prose")
    if text_kind := _kind_of_text(document, position.line, before):
        return Trigger(CompletionMode.LINE, f"inside_{text_kind}")
    return _decide_in_code(document, position, before, after, is_invoked)


def refuse_at_once(document: Document, position: Position, kind: TriggerKind) -> Trigger | None:
    """The decision for nothing, which is made without scanning or parsing; None where more is to be asked."""
    if kind is TriggerKind.INVOKED:
        return None
    before, after = document.line_prefix(position), document.line_suffix(position)
    if after[:1].isalnum() or after[:1] == "_":
        return Trigger(CompletionMode.NONE, "inside_word")
    above = document.lines[position.line - 1] if position.line else ""
    is_begun = before.strip() or above.strip() or not _ONLY_CLOSERS.fullmatch(after)
    if not is_begun and without_prose(document, position.line).language_id in _PROSE:
        return Trigger(CompletionMode.NONE, "prose_not_begun")
    return None


def _decide_in_code(document: Document, position: Position, before: str, after: str, is_invoked: bool) -> Trigger:
    is_open_end = not after.strip() or (is_invoked and _is_pair(before, after))
    if before.strip() and is_open_end and _line_opens(document, position.line, before, _OPENS_BLOCK):
        if _has_body(document, position.line, indent_width(before)):
            return Trigger(CompletionMode.LINE, "block_has_body")
        closer = "" if after.strip() else _missing_closer(document, position.line, before)
        return Trigger(CompletionMode.BLOCK, "line_opens_block", indent_width(before) + 1, closer)
    # A statement that has been begun is finished first: a block at every key of it would cost the whole deadline.
    opener = None if before.strip() and not is_invoked else _last_written_line(document, position.line)
    if opener is not None and opens_block(document, opener):
        indent = indent_width(document.lines[opener])
        if not _has_body(document, position.line, indent):
            closer = _missing_closer(document, position.line, line_body(document.lines[opener]))
            return Trigger(
                CompletionMode.BLOCK, "after_block_opener", indent + 1, closer if not after.strip() else ""
            )
        return Trigger(CompletionMode.LINE, "block_has_body")
    if before.strip():
        return Trigger(CompletionMode.LINE, "inside_line")
    if is_invoked:
        return Trigger(CompletionMode.BLOCK, "invoked_on_empty_line", indent_width(before))
    return Trigger(CompletionMode.LINE, "empty_line")


def _is_pair(before: str, after: str) -> bool:
    """Whether the cursor stands between the two brackets of a pair."""
    return bool(after.strip()) and CLOSER_OF.get(before.rstrip()[-1:]) == after.strip()[0]


def opens_block(document: Document, line: int) -> bool:
    """Whether what follows ``line`` belongs to a block, or to a bracket, that it opens."""
    text = line_body(document.lines[line])
    document = without_prose(document, line)
    if document.language_id in _PROSE or _kind_of_text(document, line, text):
        return False
    return _line_opens(document, line, text, _OPENS_BLOCK) or _OPENS_LINES.search(text) is not None


def _line_opens(document: Document, line: int, text: str, pattern: re.Pattern[str]) -> bool:
    """Whether ``text``, the beginning of ``line``, ends with what opens a block in the document's language."""
    if pattern.search(text) is None:
        return False
    if not text.rstrip().endswith(":"):
        return True
    if document.language_id == "yaml":
        return text.endswith(":")  # after a space comes a value
    if document.language_id not in _COLON_OPENS:
        return _CASE_LABEL.match(text) is not None and document.language_id not in ("json", "jsonc", "css")
    if scan(lexicon_of(document.language_id), text).stack:
        return False  # of a dictionary, a slice or an annotation
    if grammar_of(document.language_id) is None:
        return True
    if _LAMBDA.search(text.rstrip()[:-1].rpartition(":")[2]):
        return False
    window = "".join(document.lines[window_start(document, line, _TREE_LINES_BEFORE) : line]) + text
    types = node_types_at(document.language_id, window, len(window.rstrip()) - 1)
    return not any(node_type in _NO_BLOCK_AFTER_COLON for node_type in types[1:2])


def kind_of_place(document: Document, position: Position) -> str:
    """``comment`` or ``string`` where the cursor is in one, "" in code and prose."""
    document = without_prose(document, position.line)
    if document.language_id in _PROSE:
        return ""
    return _kind_of_text(document, position.line, document.line_prefix(position))


def _kind_of_text(document: Document, line: int, before: str) -> str:
    """``comment`` or ``string`` if the end of ``before`` is in one, "" in code.

    The automaton says so for the text before the cursor; the syntax tree, which sees the text after it too, may
    object (a quote in a regular expression opens no string).
    """
    start = window_start(document, line, _TREE_LINES_BEFORE)
    window = "".join(document.lines[start:line]) + before
    scanner = scan(lexicon_at(document.language_id, window), window)
    if not (kind := scanner.text_kind):
        return ""
    after = document.lines[line][len(before) :] + "".join(document.lines[line + 1 : line + 1 + _TREE_LINES_AFTER])
    types = node_types_at(document.language_id, window + after, max(len(window) - 1, 0))
    is_text = any(word in node_type for node_type in types for word in ("comment", "string", "char", "quote"))
    # A string that nobody has closed yet is an error to the grammar; then the automaton is right.
    if not types or is_text:
        return kind
    begin = scanner.frames[-1].at
    return kind if has_error_behind(document.language_id, window + after, begin) else ""


def code_language(document: Document, position: Position) -> str:
    """The language of what is written at ``position``: of a page that of the script, the tag or the text."""
    lexicon = lexicon_of(document.language_id)
    if lexicon.markup is None or lexicon.brackets:
        return document.language_id
    window = document.text_before(position, window_start(document, position.line, _TREE_LINES_BEFORE))
    scanner = scan(lexicon_at(document.language_id, window), window)
    return (scanner.frames[-1].lexicon if scanner.frames else scanner.lexicon).name


def window_start(document: Document, line: int, num_lines: int) -> int:
    """A line at most ``num_lines`` before ``line`` from which a scanner or a parser finds its way.

    The first of those that are indented least: a function rather than the text of its docstring. What lies
    between has at most ``_MAX_WINDOW_CHARS`` characters.
    """
    earliest, room = line, _MAX_WINDOW_CHARS
    while earliest > max(line - num_lines, 0) and (room := room - len(document.lines[earliest - 1])) >= 0:
        earliest -= 1
    if earliest == 0:
        return 0
    written = [number for number in range(earliest, line) if document.lines[number].strip()]
    return min(written, key=lambda number: indent_width(document.lines[number]), default=earliest)


def _last_written_line(document: Document, line: int) -> int | None:
    for number in range(line - 1, max(line - 1 - _MAX_LINES_BACK, -1), -1):
        if document.lines[number].strip():
            return number
    return None


def _missing_closer(document: Document, line: int, opener: str) -> str:
    """What closes the bracket that ``opener`` ends with, unless a line after ``line`` does, as indented as it."""
    word = opener.split()[-1] if opener.split() else ""
    by_word = CLOSERS_BY_WORD.get(document.language_id, {})
    closer = by_word.get(word, CLOSER_OF.get(word[-1:], ""))
    following = document.lines[line + 1 : line + 1 + _MAX_LINES_BACK]
    written = next((text for text in following if text.strip()), "")
    is_closed = written.lstrip().startswith(closer) and indent_width(written) == indent_width(opener)
    return "" if closer and is_closed else closer


def _has_body(document: Document, line: int, indent: int) -> bool:
    """Whether the next written line after ``line`` is indented more than the block's opener."""
    following = document.lines[line + 1 : line + 1 + _MAX_LINES_BACK]
    body = next((text for text in following if text.strip()), "")
    return bool(body) and indent_width(body) > indent


def indent_width(line: str, tab_width: int = 4) -> int:
    """Columns of leading white space; a tab reaches to the next multiple of ``tab_width``."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(tab_width))

"""Syntax trees of source text in any state, by tree-sitter's error-tolerant parsers (Wagner 1998; Brunsfeld 2018).

One place that knows which grammar an editor's language id stands for. Grammars come with the package, none is
fetched.
"""

from __future__ import annotations

import threading
import time
from functools import lru_cache
from typing import Any

from completion_server.bounded_parse import REPLY_SECONDS, parse_bounded

_GRAMMAR_OF_LANGUAGE_ID = {
    "bash": "bash",
    "c": "c",
    "cpp": "cpp",
    "csharp": "csharp",
    "css": "css",
    "cuda-cpp": "cuda",
    "dart": "dart",
    "elixir": "elixir",
    "go": "go",
    "haskell": "haskell",
    "html": "html",
    "java": "java",
    "javascript": "javascript",
    "javascriptreact": "javascript",
    "json": "json",
    "jsonc": "json",
    "julia": "julia",
    "kotlin": "kotlin",
    "lua": "lua",
    "php": "php",
    "python": "python",
    "r": "r",
    "ruby": "ruby",
    "rust": "rust",
    "scala": "scala",
    "shellscript": "bash",
    "sh": "bash",
    "sql": "sql",
    "swift": "swift",
    "tsx": "tsx",
    "toml": "toml",
    "typescript": "typescript",
    "typescriptreact": "tsx",
    "yaml": "yaml",
    "zig": "zig",
}  # LSP 3.18, "TextDocumentItem", and the file types that Neovim and Emacs send

LANGUAGE_ID_OF_ENDING = {
    "py": "python", "pyi": "python", "ts": "typescript", "mts": "typescript", "cts": "typescript",
    "tsx": "typescriptreact", "js": "javascript", "mjs": "javascript", "cjs": "javascript",
    "jsx": "javascriptreact", "go": "go", "rs": "rust", "java": "java", "c": "c", "h": "cpp", "cc": "cpp",
    "cpp": "cpp", "cxx": "cpp",
    "hh": "cpp", "hpp": "cpp", "hxx": "cpp", "cs": "csharp", "kt": "kotlin", "rb": "ruby", "php": "php",
    "swift": "swift", "scala": "scala", "lua": "lua", "dart": "dart", "sh": "shellscript",
}  # fmt: skip
"""A file's ending, without its dot, in lower case; where C and C++ share one, C++ reads both."""


def grammar_of(language_id: str) -> str | None:
    """The grammar for an editor's language id, None where there is none (prose, unknown languages)."""
    return _GRAMMAR_OF_LANGUAGE_ID.get(language_id)


def parser_for(language_id: str) -> Any:
    """A tree-sitter ``Parser`` for an editor's language id, or None. It is the calling thread's own."""
    return _parser_for(language_id, threading.get_ident())


@lru_cache(maxsize=128)
def _parser_for(language_id: str, _thread: int) -> Any:
    """One per thread: parsers are not for two threads at once."""
    grammar = grammar_of(language_id)
    if grammar is None:
        return None
    try:
        from tree_sitter_language_pack import get_parser
    except ImportError:
        return None
    try:
        return get_parser(grammar)  # type: ignore[arg-type]
    except LookupError:
        return None


_MAX_PARSED_CHARS = 12_000  # about 3 ms
_MAX_COUNTING_SECONDS = 0.06
_MAX_REFUSED = 1_000
_SLOW_SECONDS, _PAUSE_PER_WORK = 0.2, 100
_paused_until: dict[str, float] = {}
"""By language: a parser that could not be stopped in time gets no text like that with every key."""
_refused: set[tuple[str, int]] = set()
"""Languages and hashes of texts that took too long: a place is asked about many times."""


def parse(language_id: str, text: str) -> Any:
    """The tree-sitter ``Tree`` of ``text`` (byte offsets are of its UTF-8 form), None without a grammar.

    Neither more than a window's worth of text is parsed, nor text that takes too long: None as well.
    """
    if grammar_of(language_id) is None or len(text) > _MAX_PARSED_CHARS or (language_id, hash(text)) in _refused:
        return None
    return _parse(language_id, text, threading.get_ident())


@lru_cache(maxsize=2)
def _parse(language_id: str, text: str, _thread: int) -> Any:
    """Remembered, as one decision asks several things of one text."""
    parser = parser_for(language_id)
    if parser is None or time.monotonic() < _paused_until.get(language_id, 0.0):
        return None
    began = time.thread_time()
    tree = parse_bounded(parser, text.encode("utf-8", "replace"), REPLY_SECONDS)
    elapsed = time.thread_time() - began
    if elapsed > _SLOW_SECONDS:
        _paused_until[language_id] = time.monotonic() + elapsed * _PAUSE_PER_WORK
    if tree is None:
        _refuse(language_id, text)
    return tree


def _refuse(language_id: str, text: str) -> None:
    if len(_refused) >= _MAX_REFUSED:
        _refused.clear()
    _refused.add((language_id, hash(text)))


def count_errors(language_id: str, text: str) -> int | None:
    """ERROR and MISSING nodes in the tree of ``text``; None where nothing can be said."""
    tree = parse(language_id, text)
    return None if tree is None else count_tree_errors(tree)


def count_tree_errors(tree: Any) -> int:
    """ERROR and MISSING nodes in ``tree``."""
    return len(_tree_errors(tree))


def _tree_errors(tree: Any) -> list[tuple[int, int]]:
    """Where the ERROR and MISSING nodes of ``tree`` begin and end, in bytes."""
    found, pending = [], [tree.root_node]
    while pending:
        node = pending.pop()
        if node.is_error or node.is_missing:
            found.append((node.start_byte, node.end_byte))
        if node.has_error:
            pending.extend(node.children)
    return found


def has_error_behind(language_id: str, text: str, offset: int) -> bool:
    """Whether an error of the tree of ``text`` reaches behind the character at ``offset``."""
    tree = parse(language_id, text)
    at = len(text[:offset].encode("utf-8", "replace"))
    return tree is not None and any(end > at or begin >= at for begin, end in _tree_errors(tree))


class HoledText:
    """A text with a place in it. Trees with something at that place are made from the tree of the text without it.

    Incremental parsing (Wagner 1998): the first tree costs as much as the text is long, the others their changes.
    """

    def __init__(self, language_id: str, before: str, after: str) -> None:
        """Without a grammar, and for text that is too long or takes too long, all counts are None."""
        self._language_id = language_id
        self._text = before + after
        self._before = before.encode("utf-8", "replace")
        self._after = after.encode("utf-8", "replace")
        self._tree: Any = parse(language_id, self._text)
        self._seconds_left = _MAX_COUNTING_SECONDS
        self._found: dict[tuple[str, int, int], tuple[tuple[int, int], ...] | None] = {}

    @property
    def num_errors(self) -> int | None:
        """ERROR and MISSING nodes in the text as it is."""
        return self.count_with("")

    def count_with(self, middle: str, num_dropped_before: int = 0, num_dropped_after: int = 0) -> int | None:
        """The same with ``middle`` at the place, and without so many characters to both sides of it."""
        if self._tree is None:
            return None
        errors = self._errors(middle, num_dropped_before, num_dropped_after)
        return None if errors is None else len(errors)

    def has_new_below(self, middle: str, num_dropped_after: int = 0) -> bool:
        """Whether with ``middle`` an error begins below the place's line where none begins without."""
        if self._tree is None:
            return False
        num_below = len(self._after) - (self._after.find(b"\n") + 1 or len(self._after))
        old, found = self._errors("", 0, 0), self._errors(middle, 0, num_dropped_after)
        if old is None or found is None:
            return False
        new = [at for at, _ in found if at < num_below]
        return any(not any(begin >= at >= end for begin, end in old) for at in new)

    def _errors(
        self, middle: str, num_dropped_before: int, num_dropped_after: int
    ) -> tuple[tuple[int, int], ...] | None:
        """Where errors begin and end, in bytes from the end of the text; None where parsing took too long."""
        key = middle, num_dropped_before, num_dropped_after
        if key not in self._found:
            self._found[key] = self._find(*key)
        return self._found[key]

    def _find(
        self, middle: str, num_dropped_before: int, num_dropped_after: int
    ) -> tuple[tuple[int, int], ...] | None:
        # In characters, so that a place between two bytes cannot be meant.
        before = self._before.decode()[: -num_dropped_before or None].encode()
        after = self._after.decode()[num_dropped_after:].encode()
        added = middle.encode("utf-8", "replace")
        old_end, new_end = len(self._before) + len(self._after) - len(after), len(before) + len(added)
        old, new = self._before + self._after, before + added + after
        tree = self._tree.copy()
        tree.edit(
            len(before),
            old_end,
            new_end,
            *(_point(*each) for each in ((old, len(before)), (old, old_end), (new, new_end))),
        )
        began = time.thread_time()
        changed = parse_bounded(parser_for(self._language_id), new, min(REPLY_SECONDS, self._seconds_left), tree)
        self._seconds_left -= time.thread_time() - began
        if changed is not None:
            return tuple((len(new) - begin, len(new) - end) for begin, end in _tree_errors(changed))
        self._tree = None  # from here on nothing is known
        _refuse(self._language_id, self._text)
        return None


def _point(text: bytes, offset: int) -> tuple[int, int]:
    """Row and column (bytes) of ``offset``."""
    return text.count(b"\n", 0, offset), offset - (text.rfind(b"\n", 0, offset) + 1)


def node_types_at(language_id: str, text: str, offset: int) -> tuple[str, ...]:
    """Types of the nodes around the character at ``offset`` of ``text``, innermost first; () without a grammar."""
    tree = parse(language_id, text)
    if tree is None:
        return ()
    at = len(text[:offset].encode("utf-8", "replace"))
    # From the root down: to ask a node for its parent takes as long as the way down is deep.
    cursor = tree.walk()
    types = [cursor.node.type]
    while cursor.goto_first_child_for_byte(at) is not None:
        node = cursor.node
        if not node.start_byte <= at < node.end_byte:
            break
        types.append(node.type)
    return tuple(reversed(types))

"""Syntax trees of source text in any state, by tree-sitter's error-tolerant parsers (Wagner 1998; Brunsfeld 2018).

One place that knows which grammar an editor's language id stands for. Grammars come with the package, none is
fetched.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

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


def parse(language_id: str, text: str) -> Any:
    """The tree-sitter ``Tree`` of ``text`` (byte offsets are of its UTF-8 form), None without a grammar.

    More than a window's worth of text is not parsed: None as well.
    """
    if grammar_of(language_id) is None or len(text) > _MAX_PARSED_CHARS:
        return None
    parser = parser_for(language_id)
    return None if parser is None else parser.parse(text.encode("utf-8", "replace"))


def count_errors(language_id: str, text: str) -> int | None:
    """ERROR and MISSING nodes in the tree of ``text``; None where nothing can be said."""
    tree = parse(language_id, text)
    return None if tree is None else count_tree_errors(tree)


def count_tree_errors(tree: Any) -> int:
    """ERROR and MISSING nodes in ``tree``."""
    count, pending = 0, [tree.root_node]
    while pending:
        node = pending.pop()
        if node.is_error or node.is_missing:
            count += 1
        if node.has_error:
            pending.extend(node.children)
    return count


def node_types_at(language_id: str, text: str, offset: int) -> tuple[str, ...]:
    """Types of the nodes around the character at ``offset`` of ``text``, innermost first; () without a grammar."""
    tree = parse(language_id, text)
    if tree is None:
        return ()
    at = len(text[:offset].encode("utf-8", "replace"))
    node = tree.root_node.descendant_for_byte_range(at, at + 1)
    types = []
    while node is not None:
        types.append(node.type)
        node = node.parent
    return tuple(types)

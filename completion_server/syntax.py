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

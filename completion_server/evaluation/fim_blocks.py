"""Blocks of code in a source file: bodies of functions, branches, classes, objects; as character ranges.

By syntax tree where the grammars (tree-sitter-language-pack) are installed and the language has blocks, otherwise
by indentation, which needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from completion_server.syntax import parser_for

_BLOCK_TYPES = frozenset({
    "block", "statement_block", "compound_statement", "class_body", "declaration_list", "field_declaration_list",
    "interface_body", "enum_body", "do_group", "object", "array", "match_block", "switch_body", "constructor_body",
    "block_mapping", "literal_value", "list", "dictionary",
})  # fmt: skip
_WITHOUT_BLOCKS = frozenset({"markdown", "toml"})
_BRACKETS = {"{": "}", "[": "]", "(": ")"}
_MIN_INDENTED_LINES = 1


def find_blocks(text: str, language: str) -> list[tuple[int, int]]:
    """Inner ranges (start, end) of the blocks in ``text``, without brackets and without white space around.

    A range begins at the first character of the block's first line that is not white space.
    """
    parser = None if language in _WITHOUT_BLOCKS else parser_for(language)
    if parser is None:
        return list(_indented_blocks(text))
    found = [_trimmed(text, start, end) for start, end in _syntax_blocks(text, parser)]
    blocks = sorted({span for span in found if span is not None})
    return blocks or list(_indented_blocks(text))


def _syntax_blocks(text: str, parser: Any) -> Iterator[tuple[int, int]]:
    data = text.encode()
    is_ascii = len(data) == len(text)
    cursor = parser.parse(data).walk()
    is_done = False
    while not is_done:
        node = cursor.node
        if node.type in _BLOCK_TYPES and _is_set_apart(node):
            start, end = node.start_byte, node.end_byte
            if not is_ascii:
                start, end = (
                    len(data[:start].decode("utf-8", "replace")),
                    len(data[:end].decode("utf-8", "replace")),
                )
            yield start, end
        if cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                is_done = True
                break


def _is_set_apart(node: Any) -> bool:
    """Over several lines, or on a line of its own below what it belongs to (Python's blocks of one statement)."""
    first, last = node.start_point[0], node.end_point[0]
    return bool(last > first or (node.parent is not None and node.parent.start_point[0] < first))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    if end - start >= 2 and _BRACKETS.get(text[start]) == text[end - 1]:
        start, end = start + 1, end - 1
    inner = text[start:end]
    if not inner.strip():
        return None
    return start + len(inner) - len(inner.lstrip()), start + len(inner.rstrip())


def _indented_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Runs of lines that are indented deeper than the line before them."""
    lines = text.splitlines(keepends=True)
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    indents = [len(line) - len(line.lstrip(" \t")) if line.strip() else None for line in lines]
    for number, indent in enumerate(indents[:-1]):
        if indent is None:
            continue
        last = number
        for following in range(number + 1, len(lines)):
            deeper = indents[following]
            if deeper is None:
                continue
            if deeper <= indent:
                break
            last = following
        if last - number >= _MIN_INDENTED_LINES:
            span = _trimmed(text, offsets[number + 1], offsets[last + 1])
            if span is not None:
                yield span

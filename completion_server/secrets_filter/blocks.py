"""Secrets of several lines: private keys, YAML text under a telling name, the data of a Kubernetes Secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from completion_server.secrets_filter.values import Telling, entropy_bits, is_placeholder, telling_of

_KEY_KIND = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?"
_KEY_BLOCK = re.compile(rf"-----BEGIN {_KEY_KIND}-----(.*?)(?:-----END {_KEY_KIND}-----|\Z)", re.DOTALL)
_KEY_END = re.compile(rf"-----END {_KEY_KIND}-----")
_PUTTY_MAC = re.compile(r"^Private-(?:MAC|Hash):[ \t]*([0-9a-fA-F]+)", re.MULTILINE)
_KEY_LINE = re.compile(r"[ \t]*([A-Za-z0-9+/]{64,76}={0,2})[ \t]*\r?\n?")
"""A line of a key's body alone: a window may begin and end inside of it."""
_MIN_KEY_LINE_BITS = 4.5
_SCALAR = re.compile(r"([ \t]*)(?:- )?[\"']?([A-Za-z_][\w.-]{0,80})[\"']?:[ \t]*[|>][+-]?\d?[ \t]*\r?\n?")
_SECRET_KIND = re.compile(r"^kind:[ \t]*[\"']?Secret[\"']?[ \t]*\r?$", re.MULTILINE)
_DATA = re.compile(r"(?:data|stringData):[ \t]*\r?\n?")
_ENTRY = re.compile(r"[ \t]+[\"']?[\w.-]{1,253}[\"']?:[ \t]*[\"']?")
_SCALAR_ENDS = ("|", ">", "|-", ">-", "|+", ">+")

Span = tuple[int, int]


def block_spans(text: str, lines: Sequence[str]) -> Iterator[Span]:
    """Spans of secrets in ``text``, whose lines are ``lines``."""
    if "PRIVATE KEY" in text:
        yield from (match.span(1) for match in _KEY_BLOCK.finditer(text))
        end = _KEY_END.search(text)
        if end is not None and "-----BEGIN" not in text[: end.start()]:
            yield 0, end.start()
    if "Private-" in text:
        yield from (match.span(1) for match in _PUTTY_MAC.finditer(text))
        yield from _putty_bodies(text)
    if "Secret" in text and _SECRET_KIND.search(text) is not None:
        yield from _kubernetes_data(lines)
    yield from _yaml_scalars(lines)
    offset = 0
    for line in lines:
        if (
            len(line) < 200
            and (match := _KEY_LINE.fullmatch(line))
            and entropy_bits(match[1]) >= _MIN_KEY_LINE_BITS
        ):
            yield offset + match.start(1), offset + match.end(1)
        offset += len(line)


def _yaml_scalars(lines: Sequence[str]) -> Iterator[Span]:
    """The lines of YAML block scalars (``password: |``) under a telling name."""
    offset, indent = 0, None
    for line in lines:
        width = len(line) - len(line.lstrip(" \t"))
        if indent is not None and line.strip():
            if width > indent:
                yield offset + width, offset + len(line.rstrip())
            else:
                indent = None
        if indent is None and line.rstrip().endswith(_SCALAR_ENDS):
            scalar = _SCALAR.fullmatch(line)
            if scalar and telling_of(scalar[2]) in (Telling.PASSWORD, Telling.TOKEN):
                indent = len(scalar[1])
        offset += len(line)


def _kubernetes_data(lines: Sequence[str]) -> Iterator[Span]:
    """Everything below ``data`` and ``stringData``, apart from the names."""
    offset, is_in_data = 0, False
    for line in lines:
        if line.strip() and line[0] not in " \t":
            is_in_data = _DATA.fullmatch(line) is not None
        elif is_in_data and line.strip():
            entry = _ENTRY.match(line)
            begin = len(line) - len(line.lstrip()) if entry is None else entry.end()
            value = line[begin:].rstrip()
            if value and not is_placeholder(value) and value not in _SCALAR_ENDS:
                yield offset + begin, offset + begin + len(value)
        offset += len(line)


def _putty_bodies(text: str) -> Iterator[Span]:
    """The lines of base64 after ``Private-Lines: N``."""
    for match in re.finditer(r"^Private-Lines:[ \t]*\d+[^\n]*\n", text, re.MULTILINE):
        end = text.find("Private-MAC", match.end())
        yield match.end(), end if end >= 0 else len(text)

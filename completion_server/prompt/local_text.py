"""The text at hand, in tokens, for ``engine.local_ngrams``: the document around the cursor, pieces of other files.

Only what the prompt does not show: that the model has read itself, and knows better when to repeat. It costs no
forward pass, so it reaches far. Cut into blocks of lines whose tokens are remembered: few are new with a key.
Values that look like secrets are blotted out, as in prompts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from cachetools import LRUCache

from completion_server.document import Document
from completion_server.model import MAX_MATCH, TEXT_END, LocalText
from completion_server.secrets_filter import redact
from completion_server.snippet import CrossFileContext, SnippetKind

_BLOCK_LINES = 32
_MAX_CHARS = 24_000
"""Of the document, each way from the cursor: about 8,000 tokens."""
_MAX_LINE_CHARS = 2_000  # longer ones are data
_MAX_BLOCKS = 512
_END = np.array([TEXT_END], np.int32).tobytes()


class LocalTexts:
    """Collects texts for one tokenizer."""

    def __init__(self, encode: Callable[[str], list[int]]) -> None:
        self._encode = encode
        self._blocks: LRUCache[tuple[str, bool], bytes] = LRUCache(_MAX_BLOCKS)

    def collect(
        self,
        document: Document,
        prompt_lines: tuple[int, int],
        prefix_ids: Sequence[int],
        context: CrossFileContext | None,
    ) -> LocalText:
        """What is at hand beside a prompt that shows lines from the first up to the second of ``prompt_lines``.

        ``prefix_ids`` are the prompt's tokens before the cursor, ``context`` what it does not show of other files.
        """
        lines, (first, end) = document.lines, prompt_lines
        texts = [self._tokens_of("".join(lines[begin:stop])) for begin, stop in _blocks_before(lines, first)]
        texts += [self._tokens_of("".join(lines[begin:stop])) for begin, stop in _blocks_after(lines, end)]
        if context is not None:
            texts += [
                self._tokens_of(snippet.text, is_sketch=snippet.kind is SnippetKind.DEFINITION)
                for snippet in context.snippets
            ]
        return LocalText(tuple(prefix_ids[-MAX_MATCH:]), _END.join([*texts, b""]))

    def _tokens_of(self, text: str, *, is_sketch: bool = False) -> bytes:
        known = self._blocks.get((text, is_sketch))
        if known is None:
            shown = redact(text)
            pieces = _pieces_of_sketch(shown) if is_sketch else [shown]
            tokens = [np.array(self._encode(piece), np.int32).tobytes() for piece in pieces]
            known = self._blocks[text, is_sketch] = _END.join(tokens)
        return known


def _pieces_of_sketch(text: str) -> list[str]:
    """What of a sketch stands in its file as well.

    Its heads lack what opens their bodies, long lines are cut and short ones share a line: what ends a line there,
    or stands between two names, is made up.
    """
    pieces: list[str] = []
    for line in text.splitlines():
        end = line[-1:]
        pieces += re.split(f"{end}(?= )", line[:-1]) if end in (",", ";") else [line.removesuffix("…")]
    return [piece for piece in pieces if piece.strip()]


def _blocks_before(lines: Sequence[str], end: int) -> Iterator[tuple[int, int]]:
    """Pieces of the lines before ``end``, nearest first; they begin at multiples of the block's size."""
    num_chars = 0
    while end > 0 and num_chars < _MAX_CHARS:
        begin = (end - 1) // _BLOCK_LINES * _BLOCK_LINES
        num_chars += _num_chars(lines, begin, end)
        if num_chars <= _MAX_CHARS:
            yield begin, end
        end = begin


def _blocks_after(lines: Sequence[str], begin: int) -> Iterator[tuple[int, int]]:
    """Pieces of the lines from ``begin``, nearest first; counted from the end, which typing does not move."""
    num_chars = 0
    while begin < len(lines) and num_chars < _MAX_CHARS:
        end = len(lines) - (len(lines) - begin - 1) // _BLOCK_LINES * _BLOCK_LINES
        num_chars += _num_chars(lines, begin, end)
        if num_chars <= _MAX_CHARS:
            yield begin, end
        begin = end


def _num_chars(lines: Sequence[str], begin: int, end: int) -> int:
    """Characters of these lines; more than any limit where one of them is very long."""
    sizes = [len(line) for line in lines[begin:end]]
    return _MAX_CHARS + 1 if max(sizes, default=0) > _MAX_LINE_CHARS else sum(sizes)

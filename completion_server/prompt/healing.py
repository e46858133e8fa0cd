"""Token healing, the text half: how far to back up from the cursor, and which tokens may follow.

A prompt that ends inside what the tokenizer would make one token ("\\n" of "\\n    ", "comple" of "completion") is
a text the model has never seen. So the last word, run of white space or run of punctuation is taken off the
prompt, and the first generated token must spell it again. The tensor half is ``engine.healing``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from completion_server.model import Healing, HealingStep

_LAST_RUN = re.compile(r"(?:[^\w\r\n]?\w+|\s+|[ \t]?[^\w\s]+)\Z")
_MAX_RUN_CHARS = 64
_MAX_PATH_TOKENS = 8
_PROBE = "x"  # stands for the text to come: white space is cut into tokens by what follows it


class HealingTokenizer(Protocol):
    """What healing needs of a tokenizer."""

    def encode(self, text: str) -> list[int]: ...

    def token_bytes(self, token_id: int) -> bytes: ...

    def tokens_extending(self, prefix: bytes) -> Sequence[int]:
        """Ids of the ordinary tokens that start with ``prefix`` and are longer."""
        ...


@dataclass(frozen=True)
class HealedPrefix:
    """``token_ids`` to keep in the prompt, the bytes taken off, and the plan for them (None: nothing was)."""

    token_ids: list[int]
    removed: bytes
    healing: Healing | None


def heal_prefix(prefix: str, token_ids: list[int], tokenizer: HealingTokenizer) -> HealedPrefix:
    """Back up from the end of ``prefix`` (whose tokens are ``token_ids``) to a safe token boundary."""
    run = last_run(prefix)
    if not run or not token_ids:
        return HealedPrefix(token_ids, b"", None)
    run_bytes = len(run.encode("utf-8", "surrogatepass"))
    num_kept, removed = _back_up(token_ids, run_bytes, tokenizer)
    path = _spell(removed, token_ids[num_kept:], tokenizer)
    # A long run of rare text is not going to be one token: its head stays in the prompt.
    head = path[: max(len(path) - _MAX_PATH_TOKENS, 0)]
    path = path[len(head) :]
    removed = removed[_num_bytes(head, tokenizer) :]
    plan = _plan(removed, path, tokenizer)
    if plan is None:
        return HealedPrefix(token_ids, b"", None)
    return HealedPrefix(token_ids[:num_kept] + head, removed, plan)


def last_run(prefix: str) -> str:
    """What stands at the end of ``prefix`` and could become one token with the text to come."""
    run = _LAST_RUN.search(prefix[-_MAX_RUN_CHARS:])
    return "" if run is None else run.group()


def _num_bytes(token_ids: list[int], tokenizer: HealingTokenizer) -> int:
    return sum(len(tokenizer.token_bytes(token_id)) for token_id in token_ids)


def _back_up(token_ids: list[int], num_bytes: int, tokenizer: HealingTokenizer) -> tuple[int, bytes]:
    """Tokens to keep so that at least the last ``num_bytes`` are gone and no character is cut in two."""
    removed = b""
    index = len(token_ids)
    while index > 0 and (len(removed) < num_bytes or _starts_inside_character(removed)):
        index -= 1
        removed = tokenizer.token_bytes(token_ids[index]) + removed
    return index, removed


def _starts_inside_character(data: bytes) -> bool:
    return bool(data) and data[0] & 0xC0 == 0x80


def _spell(removed: bytes, own_token_ids: list[int], tokenizer: HealingTokenizer) -> list[int]:
    """The likeliest tokens for ``removed`` once more text follows; they may stop a little short of its end."""
    text = removed.decode("utf-8", "replace")
    if not text[-1:].isspace():
        return own_token_ids
    path: list[int] = []
    length = 0
    for token_id in tokenizer.encode(text + _PROBE):
        length += len(tokenizer.token_bytes(token_id))
        if length > len(removed):
            break
        path.append(token_id)
    return path


def _plan(removed: bytes, path: list[int], tokenizer: HealingTokenizer) -> Healing | None:
    """A step for every place of ``path`` that some token can leave; None when there is no such place."""
    steps: list[HealingStep] = []
    remaining = removed
    for num_path_tokens, token_id in enumerate([*path, None]):
        allowed = tokenizer.tokens_extending(remaining) if remaining else None
        if allowed is None or len(allowed):
            steps.append(HealingStep(num_path_tokens, remaining, allowed))
        if token_id is not None:
            remaining = remaining[len(tokenizer.token_bytes(token_id)) :]
    return Healing(tuple(path), tuple(steps)) if steps else None

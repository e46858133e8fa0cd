"""A tokenizer of 256 bytes and a few longer tokens, enough to make token boundaries matter."""

from __future__ import annotations

from collections.abc import Sequence

_LONGER = (
    b"\n    ",
    b"\n   ",
    b"    ",
    b" re",
    b" return",
    b" retry",
    b"def",
    b" self",
    b"()",
    b"):",
    b"foo",
    b"for",
)
END = 256 + len(_LONGER)
VOCAB_SIZE = END + 8


class ByteTokenizer:
    """Longest match first, so the tokens of a text depend on what follows, as with a real tokenizer."""

    vocab_size = VOCAB_SIZE
    special_token_ids = frozenset(range(END, VOCAB_SIZE))

    def __init__(self) -> None:
        self._bytes = [bytes([value]) for value in range(256)] + list(_LONGER)

    def encode(self, text: str) -> list[int]:
        data = text.encode("utf-8", "surrogatepass")
        token_ids, index = [], 0
        while index < len(data):
            best = max(
                (i for i in range(256, END) if data.startswith(self._bytes[i], index)),
                key=lambda i: len(self._bytes[i]),
                default=data[index],
            )
            token_ids.append(best)
            index += len(self._bytes[best])
        return token_ids

    def token_bytes(self, token_id: int) -> bytes:
        return self._bytes[token_id] if token_id < END else b""

    def tokens_extending(self, prefix: bytes) -> Sequence[int]:
        return [i for i, token in enumerate(self._bytes) if token.startswith(prefix) and len(token) > len(prefix)]


class ByteDetokenizer:
    """Text of byte tokens, without the first ``num_skipped`` bytes."""

    def __init__(self, tokenizer: ByteTokenizer, num_skipped: int = 0) -> None:
        self._tokenizer = tokenizer
        self._num_skipped = num_skipped
        self._data = b""

    def add_token(self, token_id: int) -> None:
        self._data += self._tokenizer.token_bytes(token_id)

    @property
    def text(self) -> str:
        return self._data[self._num_skipped :].decode("utf-8", "ignore")

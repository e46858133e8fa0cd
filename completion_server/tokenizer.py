"""Text to token ids and back, byte for byte; knows nothing of prompts or models.

Wraps ``tokenizers.Tokenizer``. Three promises that the library does not make: the text of a user never becomes a
control token, whatever it spells; a fragment of text gets no leading space that it does not have; and the bytes
of the tokens are the bytes of the text, without which healing at the cursor could not count.
"""

from __future__ import annotations

import codecs
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tokenizers

from completion_server.errors import ModelFormatError, UnsupportedModelError

_SPACE = "▁"
_BYTE_PIECE = re.compile(r"<0x([0-9A-F]{2})>")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PROBE = "\n  def naïve_ﬁ(x):\r\n\t\treturn [x, '  é', \"日本 🎉\"]  # ① A\u0301\n\n"
_MAX_VOCAB_SIZE = 4 << 20
_UTF8_BYTES = frozenset(range(0xF5)) - {0xC0, 0xC1}

# Spellings that only control tokens have. Some families flag theirs as text (Qwen's <|fim_prefix|>), so the flag
# alone cannot be trusted; tags such as <table> and runs of white space are text that Gemma and others list.
_CONTROL = re.compile(
    r"<[|｜].*[|｜]>"
    rf"|{_SPACE}?</?[A-Za-z][A-Za-z0-9]*(?:[_-][A-Za-z0-9]+)+>"
    rf"|{_SPACE}?<(?:PRE|SUF|MID|EOT|PAD|REPO)>"
    r"|</?(?:bos|eos|pad|unk|mask|think|filename|reponame)>|<unused\d+>"
    r"|\[/?[A-Z]{3,}(?:_[A-Z]+)*\]|\[control_\d+\]|\[@BOS@\]"
)
# A stricter shape for plain vocabulary, where a merge may have made almost anything.
_CONTROL_IN_VOCABULARY = re.compile(
    rf"<[|｜].+[|｜]>|<fim[_-](?:prefix|suffix|middle|pad)>|{_SPACE}<(?:PRE|SUF|MID|EOT)>"
    r"|\[(?:PREFIX|SUFFIX|MIDDLE)\]"
)
_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "cls_token", "sep_token", "mask_token")


class Tokenizer:
    """Immutable; one per model, shared by everything."""

    def __init__(self, definition: dict[str, Any], config: Mapping[str, Any], origin: str) -> None:
        """``definition``: content of tokenizer.json (edited here); ``config``: that of tokenizer_config.json."""
        model, added = _checked_parts(definition, origin)
        named = {name: text for name in _NAMED_TOKENS if (text := _token_text(config.get(name))) is not None}
        control = {*named.values(), *filter(None, map(_token_text, config.get("additional_special_tokens") or ()))}
        _edit_definition(definition, control)
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(msgspec.json.encode(definition).decode())
        except Exception as error:  # the library raises nothing more specific
            raise ModelFormatError(f"{origin} is not a tokenizer that can be read: {error}") from error
        self._tokenizer.encode_special_tokens = True
        for token in added:  # the library counts them itself, and its count is what encode gives
            token["id"] = self._tokenizer.token_to_id(token["content"])
        self._spellings, self._ids = _spellings(model["vocab"], added, origin)
        self._is_byte_level = _has_component(definition, "ByteLevel")
        self._added_ids = frozenset(token["id"] for token in added)
        self.special_token_ids = _special_ids(self._ids, added, control)
        self.bos_token_id = self._ids.get(named.get("bos_token", ""))
        self.eos_token_id = self._ids.get(named.get("eos_token", ""))
        self.add_bos = self._wants_bos(config.get("add_bos_token"))
        self._unspellable, self._space_ids = self._byte_tokens(model, origin)
        if self.decode_bytes(self.encode(_PROBE)) != self._spellable(_PROBE).encode():
            raise UnsupportedModelError(
                f"{origin}: this tokenizer changes text, so completions would not fit; use another model"
            )

    @classmethod
    def from_directory(cls, directory: Path) -> Tokenizer:
        """Load ``tokenizer.json`` and what ``tokenizer_config.json`` says about it.

        Raises ModelFormatError when files are missing or damaged, UnsupportedModelError for a tokenizer that does
        not keep text as it is.
        """
        path = directory / "tokenizer.json"
        if not path.is_file():
            raise ModelFormatError(
                f"{directory} has no tokenizer.json; open it once with transformers' "
                "AutoTokenizer.from_pretrained and save it there with save_pretrained, or choose a model that has "
                "the file"
            )
        config: dict[str, Any] = {}
        for name in ("special_tokens_map.json", "tokenizer_config.json"):
            if (directory / name).is_file():
                config.update(_read_json(directory / name))
        return cls(_read_json(path), config, str(path))

    @classmethod
    def from_json(cls, text: str | bytes, config: Mapping[str, Any] | None = None) -> Tokenizer:
        """The same from the text of a ``tokenizer.json``; ``config`` as in ``tokenizer_config.json``."""
        return cls(_decode_json(text, "tokenizer.json"), config or {}, "tokenizer.json")

    @property
    def vocab_size(self) -> int:
        """Highest token id plus one; a model may have more rows than that."""
        return len(self._spellings)

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text``, a fragment: no bos, no added space, control tokens spelled out as text.

        The bytes of the tokens are those of ``text``, except for half surrogate pairs (taken as U+FFFD) and for
        characters that the vocabulary has no bytes for (one question mark per byte).
        """
        token_ids = self._encode(self._spellable(text))
        if self.special_token_ids.isdisjoint(token_ids):
            return token_ids
        return [part for token_id in token_ids for part in self._respell(token_id)]

    def token_id(self, spelling: str) -> int | None:
        """The id of the one token spelled exactly so in the vocabulary, or None."""
        return self._ids.get(spelling)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token stands for; a control token gives its spelling, an unused id nothing."""
        return self._table[token_id] if 0 <= token_id < len(self._table) else b""

    def decode_bytes(self, token_ids: Iterable[int]) -> bytes:
        """The bytes of all tokens; control tokens are spelled out."""
        return b"".join(map(self.token_bytes, token_ids))

    def decode(self, token_ids: Iterable[int]) -> str:
        """``decode_bytes`` as text; what is not UTF-8 becomes U+FFFD."""
        return self.decode_bytes(token_ids).decode("utf-8", "replace")

    def tokens_starting_with(self, prefix: bytes) -> Sequence[int]:
        """Ids of the text tokens whose bytes start with ``prefix``, in the order of their bytes."""
        spelled, token_ids = self._sorted_tokens
        return token_ids[bisect_left(spelled, prefix) : _end_of_prefix(spelled, prefix)]

    def tokens_extending(self, prefix: bytes) -> Sequence[int]:
        """The same without the tokens that are just ``prefix``."""
        spelled, token_ids = self._sorted_tokens
        return token_ids[bisect_right(spelled, prefix) : _end_of_prefix(spelled, prefix)]

    @cached_property
    def _table(self) -> list[bytes]:
        """Token id -> bytes."""
        if self._is_byte_level:
            table = _byte_level_bytes(self._spellings)
            for token_id in self._added_ids:
                table[token_id] = self._spellings[token_id].encode()
            return table
        return [_piece_bytes(piece) for piece in self._spellings]

    @cached_property
    def _sorted_tokens(self) -> tuple[list[bytes], array[int]]:
        """Bytes and ids of all text tokens, sorted by bytes: those with one prefix are neighbours.

        The ids are an array of int64, whose slices torch reads without going through Python integers.
        """
        table = self._table
        candidates = [i for i in range(len(table)) if table[i] and i not in self.special_token_ids]
        candidates.sort(key=table.__getitem__)
        return [table[i] for i in candidates], array("q", candidates)

    def _encode(self, text: str) -> list[int]:
        if self._is_byte_level or _SPACE not in text:
            return self._ids_of(text)
        # SentencePiece would take this character for a space; its three bytes say what it is.
        token_ids: list[int] = []
        for index, part in enumerate(text.split(_SPACE)):
            token_ids += self._space_ids if index else ()
            token_ids += self._ids_of(part)
        return token_ids

    def _ids_of(self, text: str) -> list[int]:
        # Other ways to encode let no other thread run meanwhile.
        return list(self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids)

    def _respell(self, token_id: int) -> Sequence[int]:
        """Text may reach a control token through the merges; no half of its spelling is one."""
        text = self.token_bytes(token_id).decode()
        if token_id not in self.special_token_ids or len(text) < 2:
            return (token_id,)
        half = len(text) // 2
        return self.encode(text[:half]) + self.encode(text[half:])

    def _spellable(self, text: str) -> str:
        try:
            data = text.encode()
        except UnicodeEncodeError:
            text = _SURROGATE.sub("\ufffd", text)
            data = text.encode()
        if self._unspellable.isdisjoint(data):
            return text
        # As long in bytes as before: the library would drop the character and shift all that follows.
        return "".join(
            char if self._unspellable.isdisjoint(char.encode()) else "?" * len(char.encode()) for char in text
        )

    def _byte_tokens(self, model: Mapping[str, Any], origin: str) -> tuple[frozenset[int], list[int]]:
        """Bytes that no token can spell, and the tokens that spell the character for a space byte by byte."""
        if self._is_byte_level:
            alphabet = _byte_alphabet()
            return frozenset(byte for byte in _UTF8_BYTES if alphabet[byte] not in self._ids), []
        byte_ids = [self._ids.get(f"<0x{byte:02X}>") for byte in range(256)]
        if not model.get("byte_fallback") or any(byte_ids[byte] is None for byte in _UTF8_BYTES):
            raise UnsupportedModelError(
                f"{origin}: this tokenizer cannot spell every text (it has no tokens for bytes); use another model"
            )
        return frozenset(), [token_id for byte in _SPACE.encode() if (token_id := byte_ids[byte]) is not None]

    def _wants_bos(self, stated: object) -> bool:
        if self.bos_token_id is None:
            return False
        if isinstance(stated, bool):
            return stated
        return self._tokenizer.encode("", add_special_tokens=True).ids[:1] == [self.bos_token_id]


class StreamingDetokenizer:
    """Token ids to text as they come. Control tokens give no text; half a character waits for its other half."""

    def __init__(self, tokenizer: Tokenizer, num_skipped_bytes: int = 0) -> None:
        """``num_skipped_bytes``: how much of the beginning is known to the reader already (healing)."""
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._num_to_skip = num_skipped_bytes
        self.text = ""
        self.last_segment = ""

    def add_token(self, token_id: int) -> str:
        """Take one more token; returns the text that it completes, also kept as ``last_segment``."""
        data = b""
        if token_id not in self._tokenizer.special_token_ids:
            data = self._tokenizer.token_bytes(token_id)
        skipped = min(self._num_to_skip, len(data))
        self._num_to_skip -= skipped
        self.last_segment = self._decoder.decode(data[skipped:])
        self.text += self.last_segment
        return self.last_segment

    def finalize(self) -> str:
        """The whole text; bytes of a character that never became whole are dropped."""
        self._decoder.reset()
        self.last_segment = ""
        return self.text


def _decode_json(text: str | bytes, origin: str) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelFormatError(f"{origin} is not valid JSON ({error}); fetch the model again") from error
    if not isinstance(content, dict):
        raise ModelFormatError(f"{origin} does not hold a JSON object; fetch the model again")
    return content


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return _decode_json(path.read_bytes(), str(path))
    except OSError as error:
        raise ModelFormatError(f"{path} cannot be read: {error.strerror or error}") from error


def _token_text(value: object) -> str | None:
    """A token named in a configuration file: a string, or an object with the string in it."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) and text else None


def _checked_parts(definition: Mapping[str, Any], origin: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Model and added tokens of a tokenizer.json, or ModelFormatError."""
    model, added = definition.get("model"), definition.get("added_tokens") or []
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict | list):
        raise ModelFormatError(f"{origin} has no vocabulary; fetch the model again")
    if not all(isinstance(t, dict) and isinstance(t.get("id"), int) and _token_text(t) for t in added):
        raise ModelFormatError(f"{origin} has damaged added tokens; fetch the model again")
    return model, added


def _edit_definition(definition: dict[str, Any], control: Collection[str]) -> None:
    """Take out whatever changes the text, and flag control tokens as such."""
    definition["truncation"] = definition["padding"] = definition["decoder"] = None
    if "dropout" in definition["model"]:
        definition["model"]["dropout"] = None
    definition["normalizer"] = _keep_spelling_normalizers(definition.get("normalizer"))
    _drop_leading_space(definition.get("pre_tokenizer"))
    for token in definition.get("added_tokens") or []:
        # With encode_special_tokens, flagged tokens are not looked for in text. lstrip and rstrip eat white space.
        token["special"] = _is_control(token, control)
        token["lstrip"] = token["rstrip"] = token["normalized"] = False


def _is_control(token: Mapping[str, Any], control: Collection[str]) -> bool:
    text = token["content"]
    if len(text) < 2 or text.isspace():
        return False
    return bool(token.get("special")) or text in control or _CONTROL.fullmatch(text) is not None


def _special_ids(
    ids: Mapping[str, int], added: Iterable[Mapping[str, Any]], control: Iterable[str]
) -> frozenset[int]:
    special = {token["id"] for token in added if token["special"]}
    special.update(ids[text] for text in control if text in ids and len(text) > 1)
    for text, token_id in ids.items():
        if text[0] in "<[▁" and len(text) > 4 and _CONTROL_IN_VOCABULARY.fullmatch(text):
            special.add(token_id)
    return frozenset(special)


def _keep_spelling_normalizers(normalizer: Any) -> Any:
    """Only what writes a space as SentencePiece does, or bytes as letters.

    Unicode normalization (Qwen's NFC) and the like would make tokens whose bytes are not those of the document;
    Prepend puts a space before a fragment that has none.
    """
    if not isinstance(normalizer, dict):
        return None
    if normalizer.get("type") == "Sequence":
        kept = [part for each in normalizer.get("normalizers") or () if (part := _keep_spelling_normalizers(each))]
        return {"type": "Sequence", "normalizers": kept} if kept else None
    is_space = normalizer.get("pattern") == {"String": " "} and normalizer.get("content") == _SPACE
    return normalizer if is_space or normalizer.get("type") == "ByteLevel" else None


def _drop_leading_space(pre_tokenizer: Any) -> None:
    if not isinstance(pre_tokenizer, dict):
        return
    for part in pre_tokenizer.get("pretokenizers") or ():
        _drop_leading_space(part)
    if pre_tokenizer.get("type") == "Metaspace":
        pre_tokenizer.pop("add_prefix_space", None)
        pre_tokenizer["prepend_scheme"] = "never"
    elif pre_tokenizer.get("type") == "ByteLevel":
        pre_tokenizer["add_prefix_space"] = False


def _has_component(definition: Mapping[str, Any], kind: str) -> bool:
    """Whether text is prepared by a component of this type."""

    def is_in(part: Any) -> bool:
        if not isinstance(part, dict):
            return False
        nested = [*(part.get("pretokenizers") or ()), *(part.get("normalizers") or ())]
        return part.get("type") == kind or any(map(is_in, nested))

    return is_in(definition.get("pre_tokenizer")) or is_in(definition.get("normalizer"))


def _spellings(vocab: Any, added: Iterable[Mapping[str, Any]], origin: str) -> tuple[list[str], dict[str, int]]:
    """Token id -> spelling ("" for an unused id), and the way back."""
    pairs = vocab if isinstance(vocab, dict) else {piece[0]: index for index, piece in enumerate(vocab)}
    ids: dict[str, int] = {text: token_id for text, token_id in pairs.items() if text}
    ids.update((token["content"], token["id"]) for token in added)
    size = max(ids.values(), default=-1) + 1
    if size > _MAX_VOCAB_SIZE:
        raise ModelFormatError(f"{origin} has a token with the id {size - 1}; fetch the model again")
    spellings = [""] * size
    for text, token_id in ids.items():
        spellings[token_id] = text
    return spellings, ids


def _byte_alphabet() -> list[str]:
    """The letter that stands for each byte in byte-level BPE (GPT-2): itself where it can be printed."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _byte_level_bytes(spellings: Sequence[str]) -> list[bytes]:
    """Bytes of byte-level tokens; all letters at once, because a vocabulary holds a million of them."""
    letters = np.full(0x200, 256, dtype=np.uint16)  # 256: no byte
    for byte, letter in enumerate(_byte_alphabet()):
        letters[ord(letter)] = byte
    codes = np.frombuffer("".join(spellings).encode("utf-32-le"), dtype="<u4")
    values = letters[np.minimum(codes, len(letters) - 1)]
    data = values.astype(np.uint8).tobytes()
    ends = list(accumulate(map(len, spellings), initial=0))
    table = [data[start:end] for start, end in pairwise(ends)]
    for position in np.flatnonzero(values > 255).tolist():
        index = bisect_right(ends, position) - 1
        table[index] = spellings[index].encode()
    return table


def _piece_bytes(piece: str) -> bytes:
    if piece.startswith("<0x") and (match := _BYTE_PIECE.fullmatch(piece)):
        return bytes.fromhex(match.group(1))
    return piece.replace(_SPACE, " ").encode()


def _end_of_prefix(spelled: list[bytes], prefix: bytes) -> int:
    """Where the entries that start with ``prefix`` end."""
    head = prefix.rstrip(b"\xff")
    return bisect_left(spelled, head[:-1] + bytes([head[-1] + 1])) if head else len(spelled)

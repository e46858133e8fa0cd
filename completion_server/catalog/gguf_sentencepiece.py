"""The SentencePiece half of GGUF tokenizers: pieces with scores, and bytes for what no piece covers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers

from completion_server.catalog.gguf_file import GgufFile
from completion_server.errors import ModelFormatError, UnsupportedModelError

_SPACE = "▁"
_NORMAL = 1
_MAX_PIECE_CHARACTERS = 256


def build_sentencepiece(gguf: GgufFile, tokens: Sequence[str], kinds: Sequence[int]) -> Tokenizer:
    """A BPE tokenizer that merges like SentencePiece: always the pair whose piece has the highest score.

    Raises ModelFormatError where the scores do not determine the merges, UnsupportedModelError where text is
    changed before it is split.
    """
    if gguf.flag("tokenizer.ggml.remove_extra_whitespaces", False):
        raise UnsupportedModelError(f"{gguf.path}: a tokenizer that drops spaces is of no use for code")
    pieces = _scored_pieces(gguf, tokens, kinds)
    _check_coverage(gguf, tokens, pieces)
    merges = sorted(_possible_merges(pieces), key=lambda pair: -pieces[pair[0] + pair[1]])
    unknown = tokens[gguf.integer("tokenizer.ggml.unknown_token_id", 0) % len(tokens)]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: index for index, token in enumerate(tokens)},
            merges=merges,
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    add_prefix = gguf.flag("tokenizer.ggml.add_space_prefix", True)
    spaces = normalizers.Replace(" ", _SPACE)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(_SPACE), spaces] if add_prefix else [spaces])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(_SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            *([decoders.Strip(" ", 1, 0)] if add_prefix else []),
        ]
    )
    return tokenizer


def _scored_pieces(gguf: GgufFile, tokens: Sequence[str], kinds: Sequence[int]) -> dict[str, float]:
    scores = gguf.metadata.get("tokenizer.ggml.scores")
    if not isinstance(scores, np.ndarray) or scores.shape != (len(tokens),) or scores.dtype.kind != "f":
        raise ModelFormatError(f"{gguf.path}: tokenizer.ggml.scores is missing or does not match the tokens")
    if not np.isfinite(scores).all():
        raise ModelFormatError(f"{gguf.path}: tokenizer.ggml.scores holds values that are not numbers")
    values = scores.tolist()
    pieces = {tokens[index]: float(values[index]) for index, kind in enumerate(kinds) if kind == _NORMAL}
    merged = [score for piece, score in pieces.items() if len(piece) > 1]
    if len(set(merged)) != len(merged):
        raise ModelFormatError(
            f"{gguf.path}: tokens share a score, so the order of merges is lost; use its safetensors version"
        )
    return pieces


def _check_coverage(gguf: GgufFile, tokens: Sequence[str], pieces: Mapping[str, float]) -> None:
    vocab = set(tokens)
    if any(f"<0x{byte:02X}>" not in vocab for byte in range(256)):
        raise UnsupportedModelError(f"{gguf.path}: its tokenizer has no tokens for single bytes")
    # SentencePiece would still build such a piece from a letter that is no token; our merges could not.
    characters = {character for piece in pieces for character in piece}
    if characters - pieces.keys():
        raise ModelFormatError(f"{gguf.path}: its tokenizer has tokens whose letters are no tokens")


def _possible_merges(pieces: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    for piece in pieces:
        if len(piece) > _MAX_PIECE_CHARACTERS:
            continue
        for split in range(1, len(piece)):
            if piece[:split] in pieces and piece[split:] in pieces:
                yield piece[:split], piece[split:]

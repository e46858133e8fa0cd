"""Builds a ``tokenizers`` tokenizer from the metadata of a GGUF file.

The file names its pre-tokenizer instead of describing it. The names here are those whose rule is certain; any
other is refused, because a wrong split gives a tokenizer that works and quietly makes the model worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from completion_server.catalog.gguf_file import GgufFile
from completion_server.catalog.gguf_sentencepiece import build_sentencepiece
from completion_server.errors import ModelFormatError, UnsupportedModelError

_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4

_GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2_SPLIT = _LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
_TEKKEN_SPLIT = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CJK_SPLIT = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"


@dataclass(frozen=True)
class _PreTokenizer:
    """``splits`` are applied one after the other, each to the pieces that the one before left."""

    splits: tuple[str, ...]
    ignore_merges: bool = False
    """A piece that is a token as a whole is taken as it is, whatever its merges say."""
    add_bos: bool = False
    """What to do where the file does not say."""


_GPT2 = _PreTokenizer((_GPT2_SPLIT,))
_SINGLE_DIGITS = _PreTokenizer((r"\p{N}", _GPT2_SPLIT))
_LLAMA3 = _PreTokenizer((_LLAMA3_SPLIT,), ignore_merges=True, add_bos=True)
_QWEN2 = _PreTokenizer((_QWEN2_SPLIT,))

_PRE_TOKENIZERS: Mapping[str, _PreTokenizer] = {
    "default": _PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", _GPT2_SPLIT, r"\p{N}+", r"[0-9][0-9][0-9]")),
    "gpt-2": _GPT2,
    "mellum": _GPT2,
    "smollm": _SINGLE_DIGITS,
    "starcoder": _SINGLE_DIGITS,
    "refact": _SINGLE_DIGITS,
    "codeshell": _SINGLE_DIGITS,
    "command-r": _SINGLE_DIGITS,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "stablelm2": _QWEN2,
    "deepseek-coder": _PreTokenizer((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CJK_SPLIT, r"\p{N}")),
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama-bpe": _LLAMA3,
    "tekken": _PreTokenizer((_TEKKEN_SPLIT,), ignore_merges=True, add_bos=True),
}

SUPPORTED_PRE_TOKENIZERS = tuple(sorted(_PRE_TOKENIZERS))

_FIM_KEYS = {
    "prefix": ("fim_pre_token_id", "prefix_token_id"),
    "suffix": ("fim_suf_token_id", "suffix_token_id"),
    "middle": ("fim_mid_token_id", "middle_token_id"),
    "pad": ("fim_pad_token_id",),
    "repo": ("fim_rep_token_id",),
    "file": ("fim_sep_token_id",),
}
_END_OF_TEXT = ("<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "<EOT>")
"""Control tokens that end a text whichever of them the file calls EOS."""


@dataclass(frozen=True)
class GgufTokenizer:
    """``config`` is the content of tokenizer_config.json; ``end_token_ids`` begins with the EOS token."""

    tokenizer: Tokenizer
    config: dict[str, Any]
    bos_token_id: int | None
    eos_token_id: int | None
    pad_token_id: int | None
    end_token_ids: tuple[int, ...]
    fim_token_ids: Mapping[str, int]


def read_tokenizer(gguf: GgufFile, vocab_size: int) -> GgufTokenizer:
    """The tokenizer of ``gguf``, for a model with ``vocab_size`` embedding rows.

    Raises ModelFormatError when its metadata is damaged, and UnsupportedModelError for a pre-tokenizer that is not
    known here or a tokenizer of another kind than byte-level BPE or SentencePiece BPE.
    """
    tokens = _read_tokens(gguf, vocab_size)
    kinds = _read_kinds(gguf, len(tokens))
    kind = gguf.string("tokenizer.ggml.model")
    if kind == "gpt2":
        pre_tokenizer = _pre_tokenizer(gguf)
        tokenizer, add_bos = _build_byte_level(gguf, tokens, pre_tokenizer), pre_tokenizer.add_bos
    elif kind == "llama":
        tokenizer, add_bos = build_sentencepiece(gguf, tokens, kinds), True
    else:
        raise UnsupportedModelError(f"{gguf.path}: tokenizers of the kind {kind!r} cannot be converted")
    _add_special_tokens(tokenizer, tokens, kinds)
    bos, eos = (_token_id(gguf, tokens, f"{role}_token_id") for role in ("bos", "eos"))
    if bos is not None and gguf.flag("tokenizer.ggml.add_bos_token", add_bos):
        # In a template "$" and ":" mean something else.
        label = "bos" if set("$:") & set(tokens[bos]) else tokens[bos]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[label, "$A"], pair=[label, "$A", label, "$B"], special_tokens=[(label, bos)]
        )
    return GgufTokenizer(
        tokenizer=tokenizer,
        config=_tokenizer_config(gguf, tokens),
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=_token_id(gguf, tokens, "padding_token_id"),
        end_token_ids=_end_token_ids(gguf, tokens, kinds, eos),
        fim_token_ids=_fim_token_ids(gguf, tokens),
    )


def _read_tokens(gguf: GgufFile, vocab_size: int) -> list[str]:
    tokens = [token or f"[EMPTY_{index}]" for index, token in enumerate(gguf.strings("tokenizer.ggml.tokens"))]
    if not tokens or len(tokens) > vocab_size:
        raise ModelFormatError(f"{gguf.path}: {len(tokens)} tokens for a model that knows {vocab_size}")
    if len(set(tokens)) != len(tokens):
        raise ModelFormatError(f"{gguf.path}: two tokens are spelled the same, so text has no single tokenization")
    return tokens


def _read_kinds(gguf: GgufFile, num_tokens: int) -> list[int]:
    kinds = gguf.metadata.get("tokenizer.ggml.token_type")
    if kinds is None:
        return [_NORMAL] * num_tokens
    if not isinstance(kinds, np.ndarray) or kinds.shape != (num_tokens,) or kinds.dtype.kind not in "iu":
        raise ModelFormatError(f"{gguf.path}: tokenizer.ggml.token_type does not match the tokens")
    return [int(kind) for kind in kinds.tolist()]


def _pre_tokenizer(gguf: GgufFile) -> _PreTokenizer:
    if "tokenizer.ggml.pre" not in gguf.metadata:
        raise ModelFormatError(
            f"{gguf.path}: it does not say how text is split into tokens (tokenizer.ggml.pre), as files made "
            "before May 2024 do; get a newer conversion of the model"
        )
    name = gguf.string("tokenizer.ggml.pre")
    if name not in _PRE_TOKENIZERS:
        raise UnsupportedModelError(
            f"{gguf.path}: its pre-tokenizer {name!r} is not known (known: "
            f"{', '.join(SUPPORTED_PRE_TOKENIZERS)}); use the model's safetensors version instead"
        )
    return _PRE_TOKENIZERS[name]


def _build_byte_level(gguf: GgufFile, tokens: Sequence[str], pre_tokenizer: _PreTokenizer) -> Tokenizer:
    vocab = {token: index for index, token in enumerate(tokens)}
    merges: list[tuple[str, str]] = []
    for merge in gguf.strings("tokenizer.ggml.merges"):
        # The first character belongs to the left part even if it is a space.
        split = merge.find(" ", 1)
        pair = (merge[:split], merge[split + 1 :])
        if split < 0 or any(part not in vocab for part in (*pair, pair[0] + pair[1])):
            raise ModelFormatError(f"{gguf.path}: the merge {merge!r} does not join two tokens into one")
        merges.append(pair)
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=pre_tokenizer.ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.Split(Regex(split), behavior="isolated") for split in pre_tokenizer.splits),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _add_special_tokens(tokenizer: Tokenizer, tokens: Sequence[str], kinds: Sequence[int]) -> None:
    def of_kind(*wanted: int) -> list[str]:
        return [token for token, kind in zip(tokens, kinds, strict=True) if kind in wanted]

    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in of_kind(_CONTROL, _UNKNOWN)]
    )
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in of_kind(_USER_DEFINED)])


def _token_id(gguf: GgufFile, tokens: Sequence[str], key: str) -> int | None:
    full_key = f"tokenizer.ggml.{key}"
    if full_key not in gguf.metadata:
        return None
    value = gguf.integer(full_key)
    if not 0 <= value < len(tokens):
        raise ModelFormatError(f"{gguf.path}: {full_key} is {value}, which is no token")
    return value


def _end_token_ids(
    gguf: GgufFile, tokens: Sequence[str], kinds: Sequence[int], eos: int | None
) -> tuple[int, ...]:
    candidates = [eos, _token_id(gguf, tokens, "eot_token_id")]
    ids = {tokens[index]: index for index, kind in enumerate(kinds) if kind == _CONTROL}
    candidates.extend(ids.get(token) for token in _END_OF_TEXT)
    return tuple(dict.fromkeys(candidate for candidate in candidates if candidate is not None))


def _fim_token_ids(gguf: GgufFile, tokens: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for role, keys in _FIM_KEYS.items():
        for key in keys:
            token_id = _token_id(gguf, tokens, key)
            if token_id is not None:
                found.setdefault(role, token_id)
    return found


def _tokenizer_config(gguf: GgufFile, tokens: Sequence[str]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": gguf.integer(f"{gguf.string('general.architecture')}.context_length"),
    }
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        token_id = _token_id(gguf, tokens, f"{key}_token_id")
        if token_id is not None:
            config[f"{name}_token"] = tokens[token_id]
    return config

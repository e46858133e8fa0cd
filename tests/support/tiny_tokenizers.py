"""Tokenizers of a few hundred tokens with the real control tokens of each model family, flags included.

Trained in the process on a few lines, so that merges exist; saved as the ``tokenizer.json`` that the family ships.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from completion_server.tokenizer import Tokenizer

CORPUS = [
    "def add(first, second):\n    return first + second\n",
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n",
    "for index in range(10):\n    print(index, 'text', \"more text\")\n\n\n",
    "<|fim_prefix|> <fim_suffix> <PRE> <SUF> [SUFFIX] [PREFIX] <|endoftext|> </s> <s>\n",
    "# naïve café — 日本語のコメント 🎉\n",
]
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

QWEN_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|vision_pad|>")
QWEN_TEXT_FLAGGED = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<think>",
    "</think>",
)
_BIGCODE_REST = (
    "<gh_stars>",
    "<issue_start>",
    "<issue_comment>",
    "<issue_closed>",
    "<jupyter_start>",
    "<jupyter_text>",
    "<jupyter_code>",
    "<jupyter_output>",
    "<empty_output>",
    "<commit_before>",
    "<commit_msg>",
    "<commit_after>",
)
_FIM_UNDERSCORE = ("<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>")
_FIM_BARS = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>")
STARCODER2_SPECIAL = ("<|endoftext|>", *_FIM_UNDERSCORE, "<repo_name>", "<file_sep>", *_BIGCODE_REST)
STARCODER_SPECIAL = ("<|endoftext|>", *_FIM_UNDERSCORE, "<filename>", *_BIGCODE_REST, "<reponame>")
GRANITE_3_SPECIAL = (
    "<|end_of_text|>",
    *STARCODER_SPECIAL[1:],
    "<|start_of_role|>",
    "<|end_of_role|>",
    "<|tool_call|>",
)
GRANITE_4_SPECIAL = (
    "<|pad|>",
    "<|end_of_text|>",
    *_FIM_BARS,
    "<|filename|>",
    "<|reponame|>",
    "<|start_of_role|>",
    "<|end_of_role|>",
    "<|unk|>",
)
MELLUM_SPECIAL = (*STARCODER_SPECIAL, "<system>", "</system>", "<assistant>", "</assistant>", "<user>", "</user>")
SANTACODER_SPECIAL = ("<|endoftext|>", "<fim-prefix>", "<fim-middle>", "<fim-suffix>", "<fim-pad>")
SMOLLM2_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<repo_name>",
    "<reponame>",
    "<file_sep>",
    "<filename>",
    *_BIGCODE_REST[:9],
    "<jupyter_script>",
)
SPM_SPECIAL = ("<|endoftext|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_end|>", "<file_sep>", "<repo_name>")


def _added(token_id: int, content: str, special: bool, **flags: bool) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": token_id, "content": content, **plain, **flags, "special": special}


def append_tokens(
    definition: dict[str, Any], contents: Sequence[str], special: bool, **flags: bool
) -> dict[str, Any]:
    """``definition`` with more added tokens; those that are not in the vocabulary get ids after it."""
    vocab = definition["model"]["vocab"]
    ids = {*vocab.values(), *(token["id"] for token in definition["added_tokens"])}
    for content in contents:
        token_id = vocab.get(content, max(ids) + 1)
        ids.add(token_id)
        definition["added_tokens"].append(_added(token_id, content, special, **flags))
    return definition


@cache
def _byte_level_text(special: tuple[str, ...], split: str) -> str:
    library = LibraryTokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=420 + len(special),
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(CORPUS * 3, trainer)
    definition: dict[str, Any] = json.loads(library.to_str())
    if split:
        regex = {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
        definition["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [regex, byte_level]}
    return json.dumps(definition)


def byte_level(special: tuple[str, ...] = (), split: str = "") -> dict[str, Any]:
    """GPT-2 style: ``special`` come first in the vocabulary, as BigCode has them."""
    definition: dict[str, Any] = json.loads(_byte_level_text(special, split))
    return definition


@cache
def _sentencepiece_text(special: tuple[str, ...], style: str) -> str:
    byte_pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    library = LibraryTokenizer(models.BPE(unk_token=special[0], fuse_unk=True, byte_fallback=True))
    library.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(
        vocab_size=430 + len(special), special_tokens=[*special, *byte_pieces], show_progress=False
    )
    library.train_from_iterator([line.replace("🎉", "").replace("—", "") for line in CORPUS * 3], trainer)
    if style == "metaspace":
        library.normalizer = None
        library.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    elif style == "prepend":
        library.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    library.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    definition: dict[str, Any] = json.loads(library.to_str())
    definition["added_tokens"] = [token for token in definition["added_tokens"] if token["content"] in special]
    return json.dumps(definition)


def sentencepiece(special: tuple[str, ...] = ("<unk>", "<s>", "</s>"), style: str = "prepend") -> dict[str, Any]:
    """Llama style, the first of ``special`` being the unknown token.

    ``style``: "prepend" and "metaspace" put a space before the text, "replace" (Gemma) does not.
    """
    definition: dict[str, Any] = json.loads(_sentencepiece_text(special, style))
    return definition


def _build(definition: dict[str, Any], **config: Any) -> Tokenizer:
    return Tokenizer.from_json(json.dumps(definition), config)


def qwen_definition() -> dict[str, Any]:
    definition = append_tokens(byte_level(split=QWEN_SPLIT), QWEN_SPECIAL, special=True)
    definition["normalizer"] = {"type": "NFC"}
    return append_tokens(definition, QWEN_TEXT_FLAGGED, special=False)


def qwen() -> Tokenizer:
    return _build(qwen_definition(), bos_token=None, eos_token="<|endoftext|>", add_bos_token=False)


def starcoder2() -> Tokenizer:
    return _build(byte_level(STARCODER2_SPECIAL), bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def starcoder() -> Tokenizer:
    return _build(byte_level(STARCODER_SPECIAL), bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def granite_3() -> Tokenizer:
    return _build(byte_level(GRANITE_3_SPECIAL), bos_token="<|end_of_text|>", eos_token="<|end_of_text|>")


def granite_4() -> Tokenizer:
    definition = append_tokens(byte_level(), GRANITE_4_SPECIAL, special=True)
    return _build(definition, bos_token="<|end_of_text|>", eos_token="<|end_of_text|>", add_bos_token=False)


def mellum() -> Tokenizer:
    return _build(byte_level(MELLUM_SPECIAL), bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def santacoder() -> Tokenizer:
    return _build(append_tokens(byte_level(), SANTACODER_SPECIAL, special=True), eos_token="<|endoftext|>")


def deepseek_coder() -> Tokenizer:
    definition = append_tokens(byte_level(split=QWEN_SPLIT), ("õ", "÷", "Á"), special=False, normalized=True)
    append_tokens(definition, ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"), special=True, normalized=True)
    fim = ("<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>")
    append_tokens(definition, (*fim, "<pad>", "<|User|>", "<|Assistant|>"), special=False, normalized=True)
    append_tokens(definition, ("<|EOT|>",), special=True, normalized=True)
    bos, eos = ({"__type": "AddedToken", "content": f"<｜{name}▁of▁sentence｜>"} for name in ("begin", "end"))
    return _build(definition, bos_token=bos, eos_token=eos, add_bos_token=True)


def codellama() -> Tokenizer:
    definition = append_tokens(sentencepiece(), ("▁<SUF>", "▁<PRE>", "▁<MID>", "▁<EOT>"), special=True)
    return _build(definition, bos_token="<s>", eos_token="</s>", add_bos_token=True)


def codegemma() -> Tokenizer:
    first = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "[@BOS@]", "<unused0>", "<unused1>")
    fim = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_separator|>")
    definition = sentencepiece((*first, *fim, "<start_of_turn>", "<end_of_turn>"), "replace")
    definition["model"]["unk_token"] = "<unk>"
    for token in definition["added_tokens"][6:]:
        token["special"] = False
    append_tokens(definition, ("\n\n", "\n\n\n", "▁▁▁▁▁▁", "\t\t", "<table>", "</h1>", "<b>"), special=False)
    definition["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<bos>": {"id": "<bos>", "ids": [2], "tokens": ["<bos>"]}},
    }
    return _build(definition, bos_token="<bos>", eos_token="<eos>")


def codestral() -> Tokenizer:
    control = ("[INST]", "[/INST]", "[TOOL_CALLS]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[control_8]")
    definition = sentencepiece(("<unk>", "<s>", "</s>", *control), "metaspace")
    return _build(definition, bos_token="<s>", eos_token="</s>", add_bos_token=True)


def smollm2() -> Tokenizer:
    """As shipped: no fill-in-the-middle tokens, reserved ones to spare."""
    return _build(byte_level(SMOLLM2_SPECIAL), bos_token="<|im_start|>", eos_token="<|im_end|>")


def spm() -> Tokenizer:
    return _build(byte_level(SPM_SPECIAL), eos_token="<|endoftext|>")


FAMILIES: dict[str, Callable[[], Tokenizer]] = {
    "qwen-coder": qwen,
    "starcoder2": starcoder2,
    "santacoder": santacoder,
    "deepseek-coder": deepseek_coder,
    "codellama": codellama,
    "codegemma": codegemma,
    "codestral": codestral,
    "granite-3": granite_3,
    "granite-4": granite_4,
    "mellum": mellum,
    "spm": spm,
    "prefix-only": smollm2,
}
"""Name of the format -> a tokenizer of a family that it is made for."""

"""What a GGUF file says of itself, as far as this project understands it: tokenizer, FIM tokens, sizes.

llama.cpp knows more kinds of files than the reader and the tokenizer here. What is not understood is left out,
with a note for the user; whether the file is any good, llama.cpp says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gguf import LlamaFileType

from completion_server.catalog.gguf_file import GgufFile, read_gguf
from completion_server.catalog.gguf_tokenizer import read_tokenizer
from completion_server.errors import ModelError
from completion_server.prompt.fim_table import FimFormat, PromptOrder
from completion_server.tokenizer import Tokenizer

_KIND_PREFIXES = ("MOSTLY_", "ALL_")


@dataclass(frozen=True)
class GgufFacts:
    """``tokenizer`` is None where the file's cannot be built here; ``notes`` say why."""

    num_bytes: int = 0
    architecture: str = ""
    dtype: str = ""
    max_context: int | None = None
    tokenizer: Tokenizer | None = None
    fim_format: FimFormat | None = None
    """Made of the file's own FIM token ids; for files of a family that is not known here."""
    notes: tuple[str, ...] = ()


def read_facts(path: Path) -> GgufFacts:
    """Read the header of the existing file ``path``. What is wrong with its content, llama.cpp will tell."""
    num_bytes = path.stat().st_size
    try:
        gguf = read_gguf(path)
        architecture = gguf.string("general.architecture", "")
        max_context = gguf.integer(f"{architecture}.context_length", 0) or None
        facts = GgufFacts(num_bytes, architecture, _dtype(gguf), max_context)
    except ModelError as error:
        return GgufFacts(num_bytes, notes=(f"prompts are sent as text: {error}",))
    try:
        embedding = gguf.tensors.get("token_embd.weight")
        built = read_tokenizer(gguf, embedding.shape[0] if embedding is not None and embedding.shape else 0)
        tokenizer = Tokenizer.from_json(built.tokenizer.to_str(), built.config)
    except ModelError as error:
        return replace(facts, notes=(f"prompts are sent as text: {error}",))
    return replace(facts, tokenizer=tokenizer, fim_format=_stated_format(tokenizer, built.fim_token_ids))


def _dtype(gguf: GgufFile) -> str:
    """How most matrices are stored, by the file's own word: "q8_0"."""
    try:
        name = LlamaFileType(gguf.integer("general.file_type")).name
    except (ModelError, ValueError):
        return ""
    for prefix in _KIND_PREFIXES:
        name = name.removeprefix(prefix)
    return name.lower()


def _stated_format(tokenizer: Tokenizer, fim_token_ids: Mapping[str, int]) -> FimFormat | None:
    """The order that llama.cpp's own ``/infill`` writes: prefix, suffix, middle."""
    spelled = {
        role: tokenizer.decode([token_id])
        for role, token_id in fim_token_ids.items()
        if token_id in tokenizer.special_token_ids
    }
    if not {"prefix", "suffix", "middle"} <= spelled.keys():
        return None
    return FimFormat(
        name="gguf",
        families="files that name their own fill-in-the-middle tokens",
        source="tokenizer.ggml.fim_*_token_id of the file",
        prefix_token=spelled["prefix"],
        suffix_token=spelled["suffix"],
        middle_token=spelled["middle"],
        stop_tokens=tuple(spelled[role] for role in ("pad", "repo", "file") if role in spelled),
        psm=("prefix_token", "prefix", "suffix_token", "suffix", "middle_token"),
        trained_orders=(PromptOrder.PSM,),
    )

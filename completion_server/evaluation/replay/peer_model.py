"""One set of weights for all sides: a GGUF file for llama.cpp, and sentinels for models that have none.

A model that never learned to fill in the middle can still be timed at it: three of its reserved tokens are taken
for the sentinels on both sides. What it writes then says nothing about models that did learn it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from completion_server.errors import ModelFormatError
from completion_server.prompt.fim import PREFIX_ONLY, detect_fim_format, fim_token_ids
from completion_server.tokenizer import Tokenizer

FIM_FORMAT = "starcoder2"
_SENTINELS = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
_RESERVED = ("<jupyter_start>", "<jupyter_text>", "<jupyter_code>")
_PRE_TOKENIZERS = {"llama": "smollm", "qwen2": "qwen2"}
_NORMAL, _CONTROL = 1, 3
WeightType = Literal["q8_0", "f16", "f32"]
_LAYER_TENSORS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_TENSORS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


@dataclass(frozen=True)
class PeerModel:
    """``directory`` is for our server, ``gguf`` for llama.cpp; the weights are the same."""

    directory: Path
    fim_format: str
    """For ``model.fimFormat``: "auto" where the model has its own."""
    has_borrowed_sentinels: bool = False


def with_sentinels(directory: Path, model_type: str | None, work: Path) -> PeerModel:
    """``directory``, or a copy under ``work`` in which reserved tokens are the sentinels.

    Weights are linked, not copied. Raises ModelFormatError for a model that has no reserved tokens to take.
    """
    tokenizer = Tokenizer.from_directory(directory)
    if detect_fim_format(tokenizer, None, model_type).format is not PREFIX_ONLY:
        return PeerModel(directory, "auto")
    missing = [token for token in _RESERVED if tokenizer.token_id(token) is None]
    if missing:
        raise ModelFormatError(
            f"{directory.name} has neither fill-in-the-middle tokens nor {missing[0]} to take for one"
        )
    copy = work / f"{directory.name}-sentinels"
    copy.mkdir(parents=True, exist_ok=True)
    renamed = dict(zip(_RESERVED, _SENTINELS, strict=True))
    for path in directory.iterdir():
        target = copy / path.name
        if path.suffix == ".safetensors":
            _link(path, target)
        elif path.suffix == ".json" and path.name != "completion-server.json":
            text = path.read_text(encoding="utf-8")
            _write(target, _renamed(text, renamed) if path.name == "tokenizer.json" else text)
    return PeerModel(copy, FIM_FORMAT, has_borrowed_sentinels=True)


def _renamed(tokenizer: str, names: Mapping[str, str]) -> str:
    definition = json.loads(tokenizer)
    for token in definition["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    vocab = definition["model"]["vocab"]
    definition["model"]["vocab"] = {names.get(token, token): token_id for token, token_id in vocab.items()}
    return json.dumps(definition, ensure_ascii=False)


def _write(target: Path, text: str) -> None:
    """What is there already stays as old as it is, and with it the GGUF file that was made of it."""
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        target.write_text(text, encoding="utf-8")


def _link(source: Path, target: Path) -> None:
    if target.exists():
        if target.samefile(source):
            return
        target.unlink()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def ensure_gguf(
    directory: Path, work: Path, weight_type: WeightType = "q8_0", *, lends_prefix: bool = True
) -> Path:
    """The weights of ``directory`` with the tokenizer and its sentinels, made once.

    For byte-level BPE models of the Llama and Qwen2 families; ModelFormatError for others. ``lends_prefix``: a
    format without a prefix token is given a reserved one, so that ``/infill`` can be timed.
    """
    target = work / f"{directory.name}.{'' if lends_prefix else 'own.'}{weight_type}.gguf"
    parts = [directory / "config.json", directory / "tokenizer.json", *directory.glob("*.safetensors")]
    if not target.exists() or target.stat().st_mtime < max(part.stat().st_mtime for part in parts):
        work.mkdir(parents=True, exist_ok=True)
        staging = target.with_suffix(".incomplete")
        write_gguf(directory, staging, weight_type, lends_prefix=lends_prefix)
        staging.replace(target)
    return target


def write_gguf(
    directory: Path, target: Path, weight_type: WeightType = "q8_0", *, lends_prefix: bool = True
) -> None:
    """Write ``directory`` as a GGUF file; norms and biases stay float32 in any ``weight_type``."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    model_type = config.get("model_type")
    if model_type not in _PRE_TOKENIZERS:
        known = ", ".join(_PRE_TOKENIZERS)
        raise ModelFormatError(f"no GGUF file can be made of a model of type {model_type!r} (known: {known})")
    gguf = import_module("gguf")
    writer = gguf.GGUFWriter(target, model_type)
    _add_shape(writer, config, directory.name)
    _add_tokenizer(writer, directory, config, lends_prefix=lends_prefix)
    writer.add_file_type(
        gguf.LlamaFileType[f"{'ALL' if weight_type == 'f32' else 'MOSTLY'}_{weight_type.upper()}"]
    )
    quantized = gguf.GGMLQuantizationType[weight_type.upper()]
    for name, values in _tensors(directory, config):
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values, quantized), raw_dtype=quantized)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: Any, config: Mapping[str, Any], name: str) -> None:
    num_heads = config["num_attention_heads"]
    rope = config.get("rope_parameters") or {}
    writer.add_name(name)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(num_heads)
    writer.add_head_count_kv(config.get("num_key_value_heads", num_heads))
    writer.add_rope_dimension_count(config.get("head_dim") or config["hidden_size"] // num_heads)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(writer: Any, directory: Path, config: Mapping[str, Any], *, lends_prefix: bool) -> None:
    definition = json.loads((directory / "tokenizer.json").read_text(encoding="utf-8"))
    if definition["model"].get("type") != "BPE":
        raise ModelFormatError(f"{directory.name}: only byte-level BPE tokenizers are written to GGUF")
    spellings = {token_id: token for token, token_id in definition["model"]["vocab"].items()}
    control = {token["id"]: token["content"] for token in definition["added_tokens"]}
    spellings |= control
    token_ids = range(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_PRE_TOKENIZERS[config["model_type"]])
    writer.add_token_list([spellings.get(token_id, f"[UNUSED_{token_id}]") for token_id in token_ids])
    writer.add_token_types([_CONTROL if token_id in control else _NORMAL for token_id in token_ids])
    merges = definition["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    for add, key in ((writer.add_bos_token_id, "bos_token_id"), (writer.add_eos_token_id, "eos_token_id")):
        value = config.get(key)
        if value is not None:
            add(value[0] if isinstance(value, list) else value)
    _add_sentinels(
        writer, Tokenizer.from_directory(directory), config.get("model_type"), lends_prefix=lends_prefix
    )


def _add_sentinels(writer: Any, tokenizer: Tokenizer, model_type: str | None, *, lends_prefix: bool) -> None:
    """Where the model has a format of its own, or borrowed one; without any, ``/infill`` is refused."""
    found = detect_fim_format(tokenizer, None, model_type).format
    if found is PREFIX_ONLY and all(tokenizer.token_id(token) is not None for token in _SENTINELS):
        found = detect_fim_format(tokenizer, FIM_FORMAT, model_type).format
    tokens = fim_token_ids(found, tokenizer)
    if tokens.end is not None:
        writer.add_eot_token_id(tokens.end)  # llama.cpp goes on after tokens that the file does not call an end
    roles = (("prefix", "pre"), ("suffix", "suf"), ("middle", "mid"))
    for role, short in roles:
        token_id = getattr(tokens, role)
        if token_id is None and tokens.middle is not None and lends_prefix:
            # A format of two sentinels, as our adapters have: llama.cpp wants three. Any other costs the same.
            reserved = (tokenizer.token_id(name) for name in _RESERVED)
            token_id = next((each for each in reserved if each is not None), None)
        if token_id is not None:
            writer.add_uint32(f"tokenizer.ggml.fim_{short}_token_id", token_id)


def _tensors(directory: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """All weights as float32 under GGUF's names, one after the other."""
    safetensors = import_module("safetensors")
    num_heads = config["num_attention_heads"]
    rope_heads = {"attn_q": num_heads, "attn_k": config.get("num_key_value_heads", num_heads)}
    is_interleaved = config["model_type"] == "llama"
    for path in sorted(directory.glob("*.safetensors")):
        with safetensors.safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                target = gguf_name(name)
                if target is None:
                    continue
                values = file.get_tensor(name).float().numpy()
                heads = rope_heads.get(target.split(".")[-2]) if is_interleaved else None
                yield target, values if heads is None else _interleaved(values, heads)


def gguf_name(name: str) -> str | None:
    """GGUF's name of a weight; None for what llama.cpp does not read."""
    stem, _, kind = name.rpartition(".")
    if stem in _TENSORS:
        return f"{_TENSORS[stem]}.{kind}"
    head, _, rest = stem.removeprefix("model.layers.").partition(".")
    short = _LAYER_TENSORS.get(rest)
    return f"blk.{head}.{short}.{kind}" if head.isdigit() and short is not None else None


def _interleaved(values: Any, num_heads: int) -> Any:
    """llama.cpp rotates neighbouring rows of a head, transformers row i with row i + head_dim/2."""
    halves = values.reshape(num_heads, 2, -1, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)

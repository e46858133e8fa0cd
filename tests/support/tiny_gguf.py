"""A GGUF file of 1 MB for llama.cpp's server, whose model writes what a test can foretell.

A Llama with fill-in-the-middle tokens whose layers add nothing: the token after X depends on X alone. Letters go
through the alphabet to the end of the line, and after any other token comes ``a``. Byte-level vocabulary: one
token per byte.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

SPECIAL = (
    "<|endoftext|>",
    "<fim_prefix>",
    "<fim_suffix>",
    "<fim_middle>",
    "<fim_pad>",
    "<repo_name>",
    "<file_sep>",
)
_FIM_KEYS = ("fim_pre", "fim_suf", "fim_mid", "fim_pad", "fim_rep", "fim_sep")
_NUM_HEADS = 8
_NUM_FEED_FORWARD = 32
_NUM_CONTEXT = 8192
_NORMAL, _CONTROL = 1, 3


def alphabet_after(char: str, length: int) -> str:
    """What the model writes after ``char``."""
    text = ""
    for _ in range(length):
        char = "\n" if char == "z" else chr(ord(char) + 1) if "a" <= char < "z" else "a"
        text += char
    return text


def write_alphabet_gguf(path: Path, *, has_fim: bool = True, ends_after: str = "") -> Path:
    """Write the model to ``path``. Without ``has_fim``, its control tokens are no sentinels.

    After the letter ``ends_after`` comes ``<fim_middle>``, at which llama.cpp does not stop by itself.
    """
    letters = byte_letters()
    # llama.cpp finds sentinels by their spelling, too.
    special = SPECIAL if has_fim else (SPECIAL[0], *(f"<|reserved_{index}|>" for index in range(len(SPECIAL) - 1)))
    tokens = [*letters, letters[ord(" ")] * 2, *special]
    num_vocab = len(tokens)
    first_special = num_vocab - len(SPECIAL)
    width = _width(num_vocab)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("alphabet")
    writer.add_context_length(_NUM_CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_NUM_FEED_FORWARD)
    writer.add_head_count(_NUM_HEADS)
    writer.add_head_count_kv(_NUM_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // _NUM_HEADS)
    writer.add_vocab_size(num_vocab)
    writer.add_file_type(0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([_NORMAL] * first_special + [_CONTROL] * len(SPECIAL))
    writer.add_token_merges([f"{letters[ord(' ')]} {letters[ord(' ')]}"])
    writer.add_bos_token_id(first_special)
    writer.add_eos_token_id(first_special)
    writer.add_add_bos_token(False)
    for index, key in enumerate(_FIM_KEYS if has_fim else ()):
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", first_special + 1 + index)
    tensors = _tensors(num_vocab, width)
    if ends_after:
        output = tensors["output.weight"]
        output[:, ord(ends_after)] = 0.0
        output[first_special + SPECIAL.index("<fim_middle>"), ord(ends_after)] = 1.0
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _width(num_vocab: int) -> int:
    """A place for each token; heads turn by pairs."""
    return -(-num_vocab // (2 * _NUM_HEADS)) * 2 * _NUM_HEADS


def _tensors(num_vocab: int, width: int) -> dict[str, np.ndarray]:
    embedding = np.zeros((num_vocab, width), np.float32)
    embedding[np.arange(num_vocab), np.arange(num_vocab)] = 1.0
    output = np.zeros((num_vocab, width), np.float32)
    for token_id in range(num_vocab):
        char = chr(token_id) if token_id < 256 else " "
        output[ord(alphabet_after(char, 1)), token_id] = 1.0
    ones = np.ones(width, np.float32)
    tensors = {"token_embd.weight": embedding, "output.weight": output, "output_norm.weight": ones}
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        tensors[f"blk.0.{name}.weight"] = np.zeros((width, width), np.float16)
    for name in ("ffn_gate", "ffn_up"):
        tensors[f"blk.0.{name}.weight"] = np.zeros((_NUM_FEED_FORWARD, width), np.float32)
    tensors["blk.0.ffn_down.weight"] = np.zeros((width, _NUM_FEED_FORWARD), np.float32)
    tensors["blk.0.attn_norm.weight"] = tensors["blk.0.ffn_norm.weight"] = ones
    return tensors


def byte_letters() -> list[str]:
    """The letter that stands for each byte in byte-level BPE (GPT-2)."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def write_tokenizer(directory: Path) -> Path:
    """The same vocabulary as a ``tokenizer.json`` in ``directory``."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = byte_letters()
    space = letters[ord(" ")]
    vocab = {letter: index for index, letter in enumerate([*letters, space * 2])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[(space, space)]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.save(str(directory / "tokenizer.json"))
    return directory


def write_alphabet_directory(directory: Path) -> Path:
    """The same model as a directory that transformers and vLLM load."""
    import json

    from safetensors.numpy import save_file

    num_vocab = 256 + 1 + len(SPECIAL)
    width = _width(num_vocab)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": num_vocab,
        "hidden_size": width,
        "intermediate_size": _NUM_FEED_FORWARD,
        "num_hidden_layers": 1,
        "num_attention_heads": _NUM_HEADS,
        "num_key_value_heads": _NUM_HEADS,
        "max_position_embeddings": _NUM_CONTEXT,
        "rms_norm_eps": 1e-5,
        "eos_token_id": 257,
        "bos_token_id": 257,
        "torch_dtype": "float32",
        "tie_word_embeddings": False,
    }
    names = {
        "token_embd": "model.embed_tokens",
        "output": "lm_head",
        "output_norm": "model.norm",
        "blk.0.attn_q": "model.layers.0.self_attn.q_proj",
        "blk.0.attn_k": "model.layers.0.self_attn.k_proj",
        "blk.0.attn_v": "model.layers.0.self_attn.v_proj",
        "blk.0.attn_output": "model.layers.0.self_attn.o_proj",
        "blk.0.ffn_gate": "model.layers.0.mlp.gate_proj",
        "blk.0.ffn_up": "model.layers.0.mlp.up_proj",
        "blk.0.ffn_down": "model.layers.0.mlp.down_proj",
        "blk.0.attn_norm": "model.layers.0.input_layernorm",
        "blk.0.ffn_norm": "model.layers.0.post_attention_layernorm",
    }
    tensors = {
        f"{names[name.removesuffix('.weight')]}.weight": tensor.astype(np.float32)
        for name, tensor in _tensors(num_vocab, width).items()
    }
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config))
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": SPECIAL[0],
        "bos_token": SPECIAL[0],
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    return write_tokenizer(directory)

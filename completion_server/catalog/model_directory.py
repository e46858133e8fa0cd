"""Whether a directory holds a model that may be loaded: config, tokenizer and whole weights, no pickles."""

from __future__ import annotations

import json
import re
from pathlib import Path

from completion_server.errors import ModelFormatError

_PICKLE_SUFFIXES = {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
_TOKENIZER_NAMES = {"tokenizer.json", "tokenizer.model", "vocab.json"}
_SHARD = re.compile(r"-\d+-of-\d+\.safetensors$")
_INDEX_NAME = "model.safetensors.index.json"


def check_model_directory(directory: Path) -> None:
    """Raises ModelFormatError, with the fix, for a directory that cannot or must not be loaded."""
    files = {path.name for path in directory.iterdir() if path.is_file()}
    ggufs = sorted(name for name in files if name.endswith(".gguf"))
    if "config.json" not in files:
        hint = f"; to use its GGUF file, name {directory / ggufs[0]}" if ggufs else ""
        raise ModelFormatError(f"{directory} is not a model: it has no config.json{hint}")
    if not any(name.endswith(".safetensors") for name in files):
        pickles = sorted(name for name in files if Path(name).suffix in _PICKLE_SUFFIXES)
        if pickles:
            raise ModelFormatError(
                f"{directory} has only pickled weights ({pickles[0]}), which can run any code when they are "
                "loaded; convert them to safetensors (model.save_pretrained(...) in transformers does)"
            )
        raise ModelFormatError(f"{directory} is not a whole model: it has no .safetensors weights")
    if not files & _TOKENIZER_NAMES:
        raise ModelFormatError(f"{directory} is not a whole model: it has no tokenizer.json")
    if _INDEX_NAME not in files and any(_SHARD.search(name) for name in files):
        raise ModelFormatError(f"{directory} is not a whole model: {_INDEX_NAME} is missing")
    missing = sorted(_shard_names(directory) - files)
    if missing:
        raise ModelFormatError(f"{directory} is not a whole model: {missing[0]} is missing")


def _shard_names(directory: Path) -> set[str]:
    try:
        index = json.loads((directory / _INDEX_NAME).read_text(encoding="utf-8"))
        return {str(name) for name in index["weight_map"].values()}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise ModelFormatError(f"{directory / _INDEX_NAME} cannot be read: {error}") from error

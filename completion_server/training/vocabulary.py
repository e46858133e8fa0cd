"""A tokenizer whose reserved tokens get a new meaning: the same ids, other spellings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from completion_server.catalog.adapter import respell_tokens
from completion_server.errors import ModelFormatError
from completion_server.training.error import TrainingError

_NAMES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def respell_tokenizer(source: Path, target: Path, spellings: Mapping[str, str]) -> None:
    """Copy the tokenizer files of the model directory ``source`` into ``target`` (created), renaming tokens.

    ``spellings``: present spelling -> new one. Raises TrainingError for a token that is not there or a new
    spelling that is.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in _NAMES[1:]:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    try:
        definition = json.loads((source / _NAMES[0]).read_text(encoding="utf-8"))
        respell_tokens(definition, spellings)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise TrainingError(f"the tokenizer in {source} cannot be read: {error}") from error
    except ModelFormatError as error:
        raise TrainingError(f"{source}: {error}") from error
    text = json.dumps(definition, ensure_ascii=False)
    (target / _NAMES[0]).write_text(text, encoding="utf-8")

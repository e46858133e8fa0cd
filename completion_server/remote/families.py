"""Which fill-in-the-middle format a model speaks, by its name: all that is known where there is no tokenizer."""

from __future__ import annotations

import re

from completion_server.prompt.fim import FimDetection, fim_format_names
from completion_server.prompt.fim_table import FIM_FORMATS, PREFIX_ONLY, FimFormat

_BY_NAME = (
    (r"qwen.*coder", "qwen-coder"),
    (r"codegemma", "codegemma"),
    (r"deepseek.*coder", "deepseek-coder"),
    (r"code-?llama", "codellama"),
    (r"codestral", "codestral"),
    (r"mellum", "mellum"),
    (r"santacoder", "santacoder"),
    (r"granite-?code", "starcoder2"),
    (r"granite-?3", "granite-3"),
    (r"granite-?4", "granite-4"),
    (r"star-?coder|stable-?code", "starcoder2"),
)


def format_by_name(model: str, override: str = "auto") -> FimDetection:
    """The format of the model called ``model`` (a Hub id, a file name, an Ollama tag, ...).

    ``override`` is the setting; a name that does not exist falls back to the model's name with a warning.
    """
    if override != "auto":
        named = _format_named(override)
        if named is not None:
            return FimDetection(named)
        known = ", ".join(fim_format_names())
        found = format_by_name(model)
        return FimDetection(found.format, f"there is no fill-in-the-middle format {override!r} (known: {known})")
    wanted = next((name for pattern, name in _BY_NAME if re.search(pattern, model.lower())), None)
    found_format = None if wanted is None else _format_named(wanted)
    if found_format is not None:
        return FimDetection(found_format)
    return FimDetection(
        PREFIX_ONLY,
        f"completions will not use the text after the cursor: the format of {model or 'the model'!r} is not known"
        " by its name; set remote.fimFormat or remote.tokenizer",
    )


def _format_named(name: str) -> FimFormat | None:
    return next((each for each in FIM_FORMATS if name == each.name or name in each.aliases), None)

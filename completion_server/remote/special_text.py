"""Text of a user that spells a control token, where a server would take it for one.

An API that takes prompts as text parses them for control tokens, and text cannot be marked as text there. So the
prompt is made of the lines around the cursor up to the first that spells one; where the cursor's own line does,
nothing is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from completion_server.prompt.fim_table import FIM_FORMATS, FimFormat
from completion_server.tokenizer import Tokenizer

_SHAPES = (
    r"<[|｜][^|｜\s<>]{1,48}[|｜]>",
    r"</?(?:s|bos|eos|pad|unk|mask|think|tool_call)>",
    r"<(?:start|end)_of_\w{1,24}>|<unused\d{1,4}>",
    r"<(?:filename|reponame|gh_stars|(?:repo|file|issue|jupyter|commit|empty)_\w{1,24})>",
    r"\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|MIDDLE)\]",
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_LINE_ENDS = "\r\n"


class SpecialText:
    """Finds spellings of control tokens: of all known families, and of ``tokenizer`` if there is one."""

    def __init__(self, tokenizer: Tokenizer | None = None) -> None:
        spelled = {token for each in FIM_FORMATS for token in format_spellings(each)}
        if tokenizer is not None:
            own = (tokenizer.decode([token_id]) for token_id in tokenizer.special_token_ids)
            spelled.update(text for text in own if len(text) > 2)
        # The character for a space may be written as one.
        spelled |= {text.lstrip("▁ ") for text in spelled}
        literals = sorted(map(re.escape, spelled), key=len, reverse=True)
        self._pattern = re.compile("|".join((*literals, *_SHAPES)))

    def is_in(self, text: str) -> bool:
        return self._pattern.search(text) is not None

    def after_last(self, prefix: str) -> str | None:
        """The whole lines of ``prefix`` after the last spelling; None when that is on the last line."""
        ends = [found.end() for found in self._pattern.finditer(prefix)]
        if not ends:
            return prefix
        line_end = _LINE_END.search(prefix, ends[-1])
        return None if line_end is None else prefix[line_end.end() :]

    def before_first(self, suffix: str) -> str | None:
        """The whole lines of ``suffix`` before the first spelling; None when that is on the first line."""
        first = self._pattern.search(suffix)
        if first is None:
            return suffix
        start = max(suffix.rfind(char, 0, first.start()) for char in _LINE_ENDS)
        return None if start < 0 else suffix[: start + 1]


def format_spellings(fim_format: FimFormat) -> list[str]:
    """All control tokens of a format, those that end a middle first."""
    tokens: Iterable[str | None] = (
        fim_format.end_token,
        *fim_format.file_separator_tokens,
        *fim_format.stop_tokens,
        *fim_format.sentinel_tokens,
        *fim_format.repo_tokens,
        *fim_format.prompt_start_tokens,
    )
    return list(dict.fromkeys(token for token in tokens if token))

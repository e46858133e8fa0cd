"""A prompt that fits the time that is left, for a place that the prefix cache does not know."""

from __future__ import annotations

from msgspec.structs import replace

from completion_server.config import Settings

_SIZES = (32, 48, 64, 96, 128)
"""Few sizes, in tokens: the prefix cache serves the next key only at the same one."""


def short_prompt_tokens(num_missing: int, num_within: float) -> int | None:
    """How long a short prompt may be where ``num_missing`` tokens are to be read and ``num_within`` can be.

    None where all are read in time, or where a short prompt would be no shorter than what is missing.
    """
    if num_missing <= num_within:
        return None
    size = max((size for size in _SIZES if size <= num_within), default=_SIZES[0])
    return size if size < num_missing else None


def with_short_prompt(settings: Settings, max_tokens: int) -> Settings:
    """Only what stands next to the cursor: for a place that the prefix cache does not know, when time is short."""
    context = replace(
        settings.context,
        max_prompt_tokens=min(max_tokens, settings.context.max_prompt_tokens),
        max_suffix_tokens=min(max_tokens // 4, settings.context.max_suffix_tokens),
    )
    return replace(settings, context=context)

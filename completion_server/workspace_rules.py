"""Which settings a workspace's file may make at once, which after the user agreed, and which never.

Owns one table with every setting in it. A repository may have been written by anybody, so what loads files, takes
memory or processor time needs the user's word, and what says where text is sent is not read at all. Decides, and
reads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from completion_server.settings_types import Settings


class Rule(Enum):
    """What a workspace's file may do with one setting."""

    FREE = "applies at once"
    UP_TO_DEFAULT = "applies at once up to the default, above it after the user agreed"
    NOT_ON = "applies at once, but 'on' only after the user agreed"
    NOT_DEBUG = "applies at once, but 'debug' only after the user agreed"
    AGREED = "applies after the user agreed"
    NEVER = "is never read from a workspace"


RULES: Mapping[str, Rule] = {
    "enabled": Rule.FREE,
    "disabled_languages": Rule.FREE,
    "disabled_contexts": Rule.FREE,
    "log_level": Rule.NOT_DEBUG,
    "trust_workspace": Rule.NEVER,
    "model.name": Rule.AGREED,
    "model.engine": Rule.AGREED,
    "model.device": Rule.AGREED,
    "model.dtype": Rule.AGREED,
    "model.num_threads": Rule.AGREED,
    "model.offline": Rule.FREE,
    "model.cache_dir": Rule.AGREED,
    "model.fim_format": Rule.AGREED,
    "model.prompt_order": Rule.AGREED,
    "model.shared": Rule.AGREED,
    "model.shared_idle_minutes": Rule.AGREED,
    "remote.url": Rule.NEVER,
    "remote.dialect": Rule.NEVER,
    "remote.model": Rule.NEVER,
    "remote.tokenizer": Rule.NEVER,
    "remote.fim_format": Rule.NEVER,
    "latency.automatic_timeout_ms": Rule.UP_TO_DEFAULT,
    "latency.invoked_timeout_ms": Rule.UP_TO_DEFAULT,
    "latency.max_debounce_ms": Rule.FREE,
    "latency.prefill_chunk_ms": Rule.AGREED,
    "generation.automatic_max_tokens": Rule.UP_TO_DEFAULT,
    "generation.invoked_max_tokens": Rule.UP_TO_DEFAULT,
    "generation.invoked_max_items": Rule.UP_TO_DEFAULT,
    "generation.temperature": Rule.FREE,
    "generation.top_k": Rule.FREE,
    "generation.top_p": Rule.FREE,
    "generation.look_ahead": Rule.FREE,
    "generation.max_cpu_percent": Rule.UP_TO_DEFAULT,
    "generation.seed": Rule.FREE,
    "generation.suggestions": Rule.FREE,
    "generation.on_battery": Rule.FREE,
    "context.max_prompt_tokens": Rule.UP_TO_DEFAULT,
    "context.max_suffix_tokens": Rule.UP_TO_DEFAULT,
    "context.cross_file": Rule.NOT_ON,
    "context.local_ngrams": Rule.NOT_ON,
    "context.max_snippet_tokens": Rule.UP_TO_DEFAULT,
    "cache.prefix_cache_mb": Rule.AGREED,
    "cache.completion_cache_entries": Rule.AGREED,
    "log.acceptance": Rule.FREE,
    "log.traces": Rule.FREE,
    "log.otlp_endpoint": Rule.NEVER,
}
"""Every setting, by its dotted name. A setting that is missing here counts as NEVER."""


def applies_at_once(dotted: str, value: object) -> bool:
    """Whether a workspace may give the setting ``dotted`` the checked ``value`` without asking."""
    rule = RULES.get(dotted, Rule.NEVER)
    if rule is Rule.UP_TO_DEFAULT:
        default = default_of(dotted)
        return isinstance(value, int | float) and isinstance(default, int | float) and value <= default
    if rule is Rule.NOT_ON:
        return value != "on"
    if rule is Rule.NOT_DEBUG:
        return value != "debug"
    return rule is Rule.FREE


def default_of(dotted: str) -> object:
    """The default of the setting ``dotted``."""
    value: object = Settings()
    for name in dotted.split("."):
        value = getattr(value, name)
    return value

"""What a workspace's file may set at once, after the user agreed, and never."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from completion_server.config import (
    WORKSPACE_FILE_NAME,
    LoadedSettings,
    Settings,
    environment_variable_names,
    load_settings,
)
from completion_server.settings_schema import settings_as_dict
from completion_server.workspace_file import WorkspaceFile
from completion_server.workspace_rules import RULES, Rule, applies_at_once, default_of

NAMES = sorted(environment_variable_names().values())
OTHER_VALUES: dict[str, Any] = {
    "log_level": "debug",
    "model.engine": "native",
    "model.device": "cpu",
    "model.dtype": "float32",
    "model.prompt_order": "spm",
    "remote.dialect": "ollama",
    "context.cross_file": "on",
    "context.local_ngrams": "on",
    "generation.suggestions": "eager",
    "generation.on_battery": "quiet",
    "disabled_languages": ["python"],
    "disabled_contexts": ["comment"],
    "generation.seed": 7,
    "generation.max_cpu_percent": 100,
    "generation.temperature": 1.5,
    "generation.top_p": 0.5,
    "generation.invoked_max_items": 3,
}
"""A value that is not the default, or as far from it as there is, where it is not made from the default."""


def another_value(dotted: str) -> Any:
    default = default_of(dotted)
    if dotted in OTHER_VALUES:
        return OTHER_VALUES[dotted]
    if isinstance(default, bool):
        return not default
    return default + 1 if isinstance(default, int) else f"{default}-other"


def options_of(dotted: str, value: Any) -> dict[str, Any]:
    options = value
    for name in reversed(dotted.split(".")):
        options = {name: options}
    return dict(options)


def load(dotted: str, value: Any, editor: Any = None, *, agreed: bool | None = None) -> LoadedSettings:
    file = WorkspaceFile(Path("/work"), "digest", options_of(dotted, value), agreed=agreed)
    return load_settings(file, editor, {})


def get(settings: Settings, dotted: str) -> Any:
    value: Any = settings
    for name in dotted.split("."):
        value = getattr(value, name)
    return list(value) if isinstance(value, tuple) else value


def test_every_setting_has_a_rule_and_no_rule_is_left_over() -> None:
    assert sorted(RULES) == NAMES


def test_what_has_no_rule_is_never_read() -> None:
    assert not applies_at_once("model.something_new", 1)
    assert RULES.get("model.something_new", Rule.NEVER) is Rule.NEVER


def test_the_harmless_settings_are_these() -> None:
    """Written out here again: a new one must be thought about twice."""
    assert {name for name, rule in RULES.items() if rule is Rule.FREE} == {
        "enabled",
        "disabled_languages",
        "disabled_contexts",
        "generation.on_battery",
        "model.offline",
        "latency.max_debounce_ms",
        "generation.temperature",
        "generation.top_k",
        "generation.top_p",
        "generation.look_ahead",
        "generation.seed",
        "generation.suggestions",
        "log.acceptance",
        "log.traces",
    }


@pytest.mark.parametrize("dotted", [name for name in NAMES if name.split(".")[0] in {"remote", "trust_workspace"}])
@pytest.mark.parametrize("agreed", [None, False, True])
def test_addresses_and_trust_are_never_read(dotted: str, agreed: bool | None) -> None:
    loaded = load(dotted, another_value(dotted), agreed=agreed)
    assert loaded.settings == Settings()
    assert loaded.withheld == ()
    assert len(loaded.warnings) == 1


@pytest.mark.parametrize("dotted", [name for name in NAMES if RULES.get(name) is not Rule.NEVER])
def test_a_setting_applies_at_once_or_after_the_user_agreed(dotted: str) -> None:
    value = another_value(dotted)
    at_once, refused = load(dotted, value), load(dotted, value, agreed=False)
    agreed = load(dotted, value, agreed=True)
    assert get(agreed.settings, dotted) == value
    assert (agreed.withheld, agreed.warnings, at_once.warnings) == ((), (), ())
    is_default = value == default_of(dotted)
    if RULES[dotted] is Rule.FREE or is_default:
        assert at_once.settings == refused.settings == agreed.settings
        assert at_once.withheld == ()
    else:
        assert at_once.settings == refused.settings == Settings()
        (shown,) = at_once.withheld
        assert repr(value) in shown
        name, _, _ = shown.partition(" = ")
        assert name in _dotted_names(settings_as_dict(Settings()))


def _dotted_names(values: dict[str, Any], path: str = "") -> set[str]:
    names: set[str] = set()
    for key, value in values.items():
        names |= _dotted_names(value, f"{path}{key}.") if isinstance(value, dict) else {path + key}
    return names


@pytest.mark.parametrize("dotted", [name for name in NAMES if RULES.get(name) is Rule.UP_TO_DEFAULT])
def test_an_amount_below_the_default_applies_at_once(dotted: str) -> None:
    default = default_of(dotted)
    assert isinstance(default, int)
    loaded = load(dotted, default - 1)
    assert get(loaded.settings, dotted) == default - 1
    assert loaded.withheld == ()


@pytest.mark.parametrize(
    ("dotted", "value"),
    [("context.cross_file", "off"), ("context.local_ngrams", "off"), ("log_level", "off"), ("log_level", "error")],
)
def test_switching_off_applies_at_once(dotted: str, value: str) -> None:
    assert get(load(dotted, value).settings, dotted) == value


def test_what_the_editor_sets_anyway_is_not_asked_for() -> None:
    loaded = load("model.name", "theirs", {"model": {"name": "mine"}})
    assert (loaded.settings.model.name, loaded.withheld) == ("mine", ())


def test_the_environment_can_turn_the_file_off() -> None:
    file = WorkspaceFile(Path("/work"), "digest", {"enabled": False}, problem="a problem")
    loaded = load_settings(file, None, {"COMPLETION_SERVER_TRUST_WORKSPACE": "false"})
    assert (loaded.settings.enabled, loaded.warnings) == (True, ())


def test_both_spellings_are_withheld() -> None:
    for name in ("cache_dir", "cacheDir"):
        assert load(f"model.{name}", "/evil").withheld == ("model.cacheDir = '/evil'",)


def test_a_value_that_is_withheld_is_shown_short_and_on_one_line() -> None:
    for value in ("x" * 5000, "a\nb", "a\x1b[2Jb", "a\u202eb"):
        (shown,) = load("model.name", value).withheld
        assert len(shown) < 100
        assert shown.isprintable()


@pytest.mark.parametrize(
    "options",
    [
        {f"unknown{number}": 1 for number in range(20_000)},
        {"k" * 60_000: 1},
        {"line\nbreak": 1},
        {"model": {f"unknown{number}": 1 for number in range(20_000)}},
        {"generation": {"topK": 1 << 200_000}},
        {"generation": {"seed": 1 << 200_000}},
        {"generation": {"temperature": 1 << 200_000}},
        {"generation": {"seed": -1}},
        {"generation": {"seed": 10**30, "topK": 10**30}},
        {"enabled": "x" * 60_000},
        {"disabledLanguages": [[["python"]]]},
        {"model": {"name": float("nan")}},
    ],
    ids=range(12),
)
def test_odd_options_end_in_a_few_short_warnings(options: dict[str, Any]) -> None:
    for loaded in (
        load_settings(WorkspaceFile(Path("/work"), "digest", options, agreed=True), None, {}),
        load_settings(None, options, {}),
    ):
        assert loaded.settings == Settings()
        assert 1 <= len(loaded.warnings) <= 21
        assert all(len(warning) < 300 and warning.isprintable() for warning in loaded.warnings)


def test_all_that_is_agreed_to_can_be_sent_to_another_process() -> None:
    options = {"generation": {"seed": 4_294_967_295, "topK": 1_000_000}}
    file = WorkspaceFile(Path("/work"), "digest", options, agreed=True)
    assert msgspec.msgpack.encode(load_settings(file, None, {}).settings)


def test_deep_values_are_reported() -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    (warning,) = load_settings(None, {"enabled": deep, WORKSPACE_FILE_NAME: None}, {}).warnings[:1]
    assert len(warning) < 300

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.config import (
    WORKSPACE_FILE_NAME,
    LoadedSettings,
    ModelSettings,
    Settings,
    environment_variable_names,
    limit_thread_spinning,
    load_settings,
    remote_api_key,
)
from completion_server.settings_schema import settings_as_dict, settings_schema
from completion_server.workspace_file import read_workspace_file

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)
VALIDATOR = jsonschema.Draft202012Validator(settings_schema())
names = sorted(set(environment_variable_names().values()))


def write(folder: Path, text: str) -> Path:
    (folder / WORKSPACE_FILE_NAME).write_text(text, encoding="utf-8")
    return folder


def load_file(folder: Path, editor: Any = None, environ: Any = None, *, agreed: bool = False) -> LoadedSettings:
    file = dataclasses.replace(read_workspace_file(folder), agreed=agreed)
    return load_settings(file, editor, environ)


def get(settings: Settings, dotted: str) -> Any:
    value: Any = settings
    for name in dotted.split("."):
        value = getattr(value, name)
    return value


def test_defaults_without_any_source() -> None:
    loaded = load_settings(None, None, {})
    assert loaded.settings == Settings()
    assert loaded.warnings == ()


def test_precedence_lowest_first(tmp_path: Path) -> None:
    write(tmp_path, '[generation]\ntemperature = 0.1\ntop_k = 1\nseed = 1\n[model]\nname = "file"\n')
    editor = {"generation": {"temperature": 0.2, "topK": 2}}
    environ = {"COMPLETION_SERVER_GENERATION_TEMPERATURE": "0.3"}
    settings = load_file(tmp_path, editor, environ, agreed=True).settings
    generation = settings.generation
    assert (generation.temperature, generation.top_k, generation.seed) == (0.3, 2, 1)
    assert settings.model.name == "file"


def test_both_spellings_of_a_key() -> None:
    for key in ("automaticTimeoutMs", "automatic_timeout_ms"):
        assert load_settings(None, {"latency": {key: 77}}, {}).settings.latency.automatic_timeout_ms == 77


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"generation": {"temperature": 3}}, "generation.temperature"),
        ({"generation": {"temperature": "hot"}}, "generation.temperature"),
        ({"generation": {"invokedMaxItems": 4}}, "generation.invokedMaxItems"),
        ({"generation": 3}, "generation must be an object"),
        ({"model": {"device": "tpu"}}, "model.device"),
        ({"model": {"name": ""}}, "model.name"),
        ({"enabled": "yes"}, "enabled"),
        ({"disabledLanguages": "python"}, "disabledLanguages"),
        ({"disabledLanguages": [1]}, "disabledLanguages"),
        ({"modle": {}}, "did you mean model"),
        ({"latency": {"automaticTimeout": 5}}, "did you mean automaticTimeoutMs"),
        ({3: 4}, "unknown setting 3"),
        ({"model": None}, ""),
        ([], "must be an object"),
        ("text", "must be an object"),
    ],
)
def test_a_bad_value_falls_back_and_is_named(options: Any, word: str) -> None:
    loaded = load_settings(None, options, {})
    assert loaded.settings == Settings()
    if word:
        (warning,) = loaded.warnings
        assert word in warning
        assert warning.startswith("editor settings: ")
    else:
        assert loaded.warnings == ()


def test_good_values_beside_a_bad_one_count() -> None:
    loaded = load_settings(None, {"generation": {"topP": 0, "topK": 5}, "model": {"name": "mine"}}, {})
    assert (loaded.settings.generation.top_k, loaded.settings.model.name) == (5, "mine")
    assert len(loaded.warnings) == 1


def test_a_long_bad_value_is_cut_in_the_warning() -> None:
    (warning,) = load_settings(None, {"enabled": "x" * 1000}, {}).warnings
    assert len(warning) < 250


@pytest.mark.parametrize("text", ["[model\n", "x = ", "\x00", '[model]\nname = "a"\nname = "b"\n'])
def test_a_broken_workspace_file_is_ignored_as_a_whole(tmp_path: Path, text: str) -> None:
    loaded = load_file(write(tmp_path, text), {"model": {"name": "mine"}}, {})
    assert loaded.settings.model.name == "mine"
    (warning,) = loaded.warnings
    assert f"{WORKSPACE_FILE_NAME} is ignored" in warning


def test_a_workspace_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / WORKSPACE_FILE_NAME).write_bytes(b'[model]\nname = "\xff"\n')
    assert len(load_file(tmp_path, None, {}).warnings) == 1


def test_a_folder_or_nothing_in_place_of_the_workspace_file(tmp_path: Path) -> None:
    assert load_file(tmp_path, None, {}).warnings == ()
    assert load_file(tmp_path / "nowhere", None, {}).warnings == ()
    (tmp_path / WORKSPACE_FILE_NAME).mkdir()
    assert len(load_file(tmp_path, None, {}).warnings) == 1


def test_an_untrusted_workspace_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, 'trust_workspace = true\n[model]\nname = "file"\n')
    loaded = load_file(tmp_path, {"trustWorkspace": False}, {})
    assert loaded.settings.model == ModelSettings()
    assert not loaded.settings.trust_workspace


def test_environment() -> None:
    environ = {
        "COMPLETION_SERVER_ENABLED": "false",
        "COMPLETION_SERVER_DISABLED_LANGUAGES": "markdown,,text",
        "COMPLETION_SERVER_GENERATION_SEED": "7",
        "COMPLETION_SERVER_MODEL_NUM_THREADS": "many",
        "COMPLETION_SERVER_UNKNOWN": "x",
    }
    loaded = load_settings(None, None, environ)
    assert not loaded.settings.enabled
    assert loaded.settings.disabled_languages == ("markdown", "text")
    assert loaded.settings.generation.seed == 7
    (warning,) = loaded.warnings
    assert warning.startswith("environment: model.num_threads = 'many' is ignored")


@pytest.mark.parametrize(("value", "offline"), [("1", True), ("on", True), ("0", False), ("", False)])
def test_offline_of_the_hub_is_honoured(value: str, offline: bool) -> None:
    assert load_settings(None, None, {"HF_HUB_OFFLINE": value}).settings.model.offline is offline


def test_our_own_variable_wins_over_the_hubs() -> None:
    environ = {"HF_HUB_OFFLINE": "1", "COMPLETION_SERVER_MODEL_OFFLINE": "false"}
    assert not load_settings(None, None, environ).settings.model.offline


def test_every_setting_has_its_own_variable() -> None:
    variables = environment_variable_names()
    assert len(variables) == len(names)
    for variable, dotted in variables.items():
        default = get(Settings(), dotted)
        text = ",".join(default) if isinstance(default, tuple) else str(default)
        if default is not None:
            loaded = load_settings(None, None, {variable: text})
            assert (get(loaded.settings, dotted), loaded.warnings) == (default, ())


def test_the_schema_is_valid_and_accepts_the_defaults() -> None:
    schema = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(settings_as_dict(Settings()))
    validator.validate({})
    for options in ({"unknown": 1}, {"model": {"device": "tpu"}}, {"generation": {"temperature": 9}}):
        assert not validator.is_valid(options)


def test_the_schema_tells_every_default_and_description() -> None:
    schema = settings_schema()
    defaults = settings_as_dict(Settings())
    for name, entry in schema["properties"].items():
        group = schema["$defs"].get(entry.get("$ref", "").rpartition("/")[2]) or _inlined(schema, entry)
        if group is None:
            assert entry["default"] == defaults[name]
            assert entry["description"].endswith(".")
            continue
        for inner, inner_entry in group["properties"].items():
            assert inner_entry["default"] == defaults[name][inner], f"{name}.{inner}"
            assert inner_entry["description"].endswith("."), f"{name}.{inner}"


def _inlined(schema: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any] | None:
    for option in entry.get("allOf", []) + entry.get("anyOf", []):
        if "$ref" in option:
            found: dict[str, Any] = schema["$defs"][option["$ref"].rpartition("/")[2]]
            return found
    return None


def test_settings_as_sent_come_back() -> None:
    settings = Settings(model=ModelSettings(name="mine", num_threads=3), disabled_languages=("a", "b"))
    loaded = load_settings(None, settings_as_dict(settings), {})
    assert (loaded.settings, loaded.warnings) == (settings, ())


@given(json_values)
def test_no_options_raise(options: Any) -> None:
    loaded = load_settings(None, options, {})
    msgspec.convert(settings_as_dict(loaded.settings), Settings)


@given(st.sampled_from(names), json_values)
def test_any_value_is_taken_or_reported(dotted: str, value: Any) -> None:
    options: Any = value
    for name in reversed(dotted.split(".")):
        options = {name: options}
    loaded = load_settings(None, options, {})
    taken = msgspec.json.decode(msgspec.json.encode(get(loaded.settings, dotted))) == value
    assert taken or len(loaded.warnings) == 1
    VALIDATOR.validate(settings_as_dict(loaded.settings))


@given(st.dictionaries(st.sampled_from(sorted(environment_variable_names())), st.text(max_size=8)))
def test_no_environment_raises(environ: dict[str, str]) -> None:
    VALIDATOR.validate(settings_as_dict(load_settings(None, None, environ).settings))


@pytest.mark.parametrize("own", [{"GOMP_SPINCOUNT": "9"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_thread_spinning_is_limited_unless_the_user_says_how(own: dict[str, str]) -> None:
    environ: dict[str, str] = {}
    limit_thread_spinning(environ)
    assert int(environ["GOMP_SPINCOUNT"]) < 1000
    environ = dict(own)
    limit_thread_spinning(environ)
    assert environ == own


@pytest.mark.parametrize("line", ['url = "http://evil"', 'dialect = "ollama"', 'tokenizer = "x"', "nonsense = 1"])
def test_a_workspace_cannot_say_where_text_is_sent(tmp_path: Path, line: str) -> None:
    loaded = load_file(write(tmp_path, f"[remote]\n{line}\n[generation]\nseed = 1\n"), None, {})
    assert loaded.settings.remote == Settings().remote
    assert loaded.settings.generation.seed == 1
    (warning,) = loaded.warnings
    assert "remote" in warning
    assert "evil" not in warning


def test_a_workspace_cannot_say_it_in_other_ways(tmp_path: Path) -> None:
    for text in ('remote.url = "http://evil"', 'remote = {url = "http://evil"}', 'remote = "http://evil"'):
        assert load_file(write(tmp_path, text + "\n"), None, {}).settings == Settings()


def test_the_editor_and_the_environment_name_the_model_server(tmp_path: Path) -> None:
    write(tmp_path, '[remote]\nurl = "http://evil"\n')
    loaded = load_file(tmp_path, {"remote": {"url": "http://mine", "fimFormat": "qwen"}}, {})
    assert (loaded.settings.remote.url, loaded.settings.remote.fim_format) == ("http://mine", "qwen")
    loaded = load_file(tmp_path, None, {"COMPLETION_SERVER_REMOTE_URL": "http://mine"})
    assert loaded.settings.remote.url == "http://mine"
    assert loaded.settings.source_name == "the model server"


def test_the_key_is_no_setting() -> None:
    environ = {"COMPLETION_SERVER_REMOTE_API_KEY": " secret "}
    assert remote_api_key("http://mine", {**environ, "COMPLETION_SERVER_REMOTE_URL": "http://mine/"}) == "secret"
    assert remote_api_key("", {"COMPLETION_SERVER_REMOTE_API_KEY": "  "}) is None
    loaded = load_settings(None, {"remote": {"apiKey": "secret"}}, environ)
    assert "secret" not in str(settings_as_dict(loaded.settings))
    assert "secret" not in str(loaded.warnings)
    assert "COMPLETION_SERVER_REMOTE_API_KEY" not in environment_variable_names()

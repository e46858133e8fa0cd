"""Installing is atomic: interrupted, killed or concurrent, a model is whole or it is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from completion_server.catalog.manifest import MANIFEST_NAME, Manifest
from completion_server.catalog.store import ModelStore, default_cache_dir, directory_name
from completion_server.errors import ModelError, ModelNotFoundError

# Builds after a line on stdin, so that the test decides what happens meanwhile.
_INSTALLER = """
import sys
from pathlib import Path
from completion_server.catalog.manifest import Manifest
from completion_server.catalog.store import ModelStore

def build(directory):
    (directory / "weights").write_bytes(b"half")
    print("building", flush=True)
    sys.stdin.readline()
    (directory / "weights").write_bytes(b"whole weights")
    return Manifest(name="m", source={"kind": "gguf-file", "path": "somewhere"})

def progress(stage, done, total):
    print(stage, flush=True)

model = ModelStore(Path(sys.argv[1])).install("m", build, progress)
print("installed", (model.path / "weights").read_text(), flush=True)
"""


def _manifest(name: str = "m") -> Manifest:
    return Manifest(name=name, source={"kind": "gguf-file", "path": "somewhere"}, licence="MIT")


def _build(directory: Path) -> Manifest:
    (directory / "weights").write_bytes(b"whole weights")
    return _manifest()


def _start_installer(cache_dir: Path) -> tuple[subprocess.Popen[str], IO[str], IO[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _INSTALLER, str(cache_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    return process, process.stdin, process.stdout


def _leftovers(cache_dir: Path) -> list[str]:
    return [path.name for path in (cache_dir / "incomplete").iterdir()]


def test_an_installed_model_is_found_listed_and_removed(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    assert store.list_installed() == []
    model = store.install("m", _build)
    assert (model.path / "weights").read_bytes() == b"whole weights"
    assert model.num_bytes == len(b"whole weights")
    assert store.list_installed() == [model]
    assert store.remove("m") == model.num_bytes
    assert store.find("m") is None
    assert _leftovers(tmp_path) == []
    with pytest.raises(ModelNotFoundError):
        store.remove("m")


def test_reading_creates_nothing(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "none")
    assert store.find("m") is None
    assert store.list_installed() == []
    assert not (tmp_path / "none").exists()


def test_an_installed_model_is_not_built_again_unless_outdated(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    builds: list[Path] = []

    def counted_build(directory: Path) -> Manifest:
        builds.append(directory)
        return _build(directory)

    store.install("m", counted_build)
    store.install("m", counted_build)
    assert len(builds) == 1
    store.install("m", counted_build, is_current=lambda _: len(builds) > 1)
    assert len(builds) == 2
    assert _leftovers(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ModelError])
def test_a_failed_build_leaves_nothing_and_keeps_the_old_model(tmp_path: Path, error: type[BaseException]) -> None:
    store = ModelStore(tmp_path)
    store.install("m", _build)

    def failing_build(directory: Path) -> Manifest:
        (directory / "weights").write_bytes(b"half")
        raise error

    with pytest.raises(error):
        store.install("m", failing_build, is_current=lambda _: False)
    assert _leftovers(tmp_path) == []
    model = store.find("m")
    assert model is not None
    assert (model.path / "weights").read_bytes() == b"whole weights"


def test_a_missing_or_short_file_is_not_installed(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    model = store.install("m", _build)
    (model.path / "weights").write_bytes(b"short")
    assert store.find("m") is None
    assert (store.install("m", _build).path / "weights").read_bytes() == b"whole weights"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 99, "name": "m"}', '{"schema_version": 1}'])
def test_a_manifest_of_another_kind_is_not_installed(tmp_path: Path, text: str) -> None:
    store = ModelStore(tmp_path)
    model = store.install("m", _build)
    (model.path / MANIFEST_NAME).write_text(text, encoding="utf-8")
    assert store.list_installed() == []


def test_two_processes_build_once(tmp_path: Path) -> None:
    first, first_in, first_out = _start_installer(tmp_path)
    with first:
        assert first_out.readline() == "building\n"
        second, second_in, second_out = _start_installer(tmp_path)
        with second:
            assert second_out.readline().startswith("waiting for another process")
            assert ModelStore(tmp_path).list_installed() == []
            first_in.write("go\n")
            first_in.flush()
            assert first_out.readline() == "installed whole weights\n"
            assert second_out.readline() == "installed whole weights\n"
            second_in.close()
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_killed_installation_looks_like_none_and_is_cleaned_up(tmp_path: Path) -> None:
    process, _, output = _start_installer(tmp_path)
    with process:
        assert output.readline() == "building\n"
        process.kill()
    store = ModelStore(tmp_path)
    assert store.list_installed() == []
    assert _leftovers(tmp_path) == ["m"]
    # Whatever is installed next clears it, unless someone is still at work there.
    running, running_in, running_out = _start_installer(tmp_path / "busy")
    with running:
        assert running_out.readline() == "building\n"
        ModelStore(tmp_path / "busy").install("other", lambda directory: _named_build(directory, "other"))
        assert _leftovers(tmp_path / "busy") == ["m"]
        running_in.write("go\n")
        running_in.flush()
        assert running_out.readline() == "installed whole weights\n"
    store.install("other", lambda directory: _named_build(directory, "other"))
    assert _leftovers(tmp_path) == []


def _named_build(directory: Path, name: str) -> Manifest:
    (directory / "weights").write_bytes(b"w")
    return _manifest(name)


def test_an_unwritable_directory_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory", encoding="utf-8")
    with pytest.raises(ModelError, match=r"model\.cacheDir"):
        ModelStore(tmp_path / "file").install("m", _build)


@pytest.mark.parametrize("name", ["org/model", "../../etc", "..", "a b", "/abs", "con:1"])
def test_names_never_leave_the_models_directory(name: str) -> None:
    safe = directory_name(name)
    assert safe
    assert Path(safe).name == safe
    assert safe not in {".", ".."}


def test_default_cache_dir_is_the_users() -> None:
    assert default_cache_dir().is_absolute()
    assert "completion-server" in str(default_cache_dir())


def test_a_variant_has_a_folder_of_its_own_and_takes_over_the_one_without(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    old = store.install("m", _build)
    store.adopt("m", "a1", lambda _manifest: False)
    assert store.find("m", "a1") is None
    store.adopt("m", "a1", lambda _manifest: True)
    assert store.find("m") is None
    new = store.find("m", "a1")
    assert new is not None
    assert (new.path / "weights").read_bytes() == b"whole weights"
    assert new.path != old.path
    store.install("m", _build, variant="b2")
    assert [model.variant for model in store.list_installed()] == ["a1", "b2"]
    store.remove("m")
    assert store.list_installed() == []


def test_variants_that_were_not_used_for_a_month_are_removed(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    for variant in ("old", "used", "ours"):
        model = store.install("m", _build, variant=variant)
        os.utime(model.path / MANIFEST_NAME, (0, 0))
        if variant != "old":
            store.note_use(model)
    store.install("other", lambda directory: _named_build(directory, "other"), variant="old")
    store.remove_unused_variants("m", "ours")
    assert [(model.name, model.variant) for model in store.list_installed()] == [
        ("m", "ours"), ("m", "used"), ("other", "old"),
    ]  # fmt: skip


def test_a_changed_file_is_damaged_and_an_untouched_one_is_not_read(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    model = store.install("m", _build)
    weights = model.path / "weights"
    assert store.find_damaged(model) is None
    status = weights.stat()
    weights.write_bytes(b"whole weighty")
    assert store.find_damaged(model) == weights
    weights.write_bytes(b"whole weights")
    assert store.find_damaged(model) is None, "the same content again"
    weights.write_bytes(b"whole weighty")
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))

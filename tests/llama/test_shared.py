"""What llama.cpp runs is not shared between windows: each has a child of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from completion_server import bootstrap
from completion_server.backends.tuning import Tuning, write_tuning
from completion_server.config import ModelSettings, Settings
from completion_server.errors import UnsupportedModelError
from completion_server.llama import build


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of services that were built in this process."""
    settings: list[Settings] = []
    monkeypatch.setattr(bootstrap, "build_service", lambda given, _progress: settings.append(given))
    monkeypatch.setattr(build, "is_installed", lambda: True)
    return settings


def refusing(error: Exception) -> Callable[..., Any]:
    def fail(*_arguments: object) -> None:
        raise error

    return fail


def silent(_message: str, _fraction: float | None) -> None: ...


@pytest.mark.parametrize("engine", ["llama", "auto"])
def test_a_model_for_llama_is_never_shared(
    engine: Literal["llama", "auto"], built: list[Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap.SharedServiceBuilder, "_build", refusing(AssertionError("shared")))
    path = tmp_path / "x.gguf"
    write_tuning(Tuning(engine="llama"), path, tmp_path)
    model = ModelSettings(name=str(path), engine=engine, shared=True, cache_dir=str(tmp_path))
    settings = Settings(model=model)
    bootstrap.SharedServiceBuilder()(settings, silent)
    assert built == [settings]


@pytest.mark.parametrize(("name", "is_replaced"), [("x.gguf", True), ("x", False)])
def test_what_the_shared_engine_cannot_convert_llama_runs(
    name: str, is_replaced: bool, built: list[Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    error = UnsupportedModelError("no such architecture")
    monkeypatch.setattr(bootstrap.SharedServiceBuilder, "_build", refusing(error))
    settings = Settings(model=ModelSettings(name=str(tmp_path / name), shared=True))
    if is_replaced:
        bootstrap.SharedServiceBuilder()(settings, silent)
        assert built == [settings]
    else:
        with pytest.raises(UnsupportedModelError):
            bootstrap.SharedServiceBuilder()(settings, silent)
        assert built == []

"""An engine that keeps ending: how often it is started, and what the window hears meanwhile."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from completion_server.config import Settings
from completion_server.errors import ModelError, SharedEngineDownError, SharedEngineError
from completion_server.shared import engine as shared_engine
from completion_server.shared.address import EngineAddress, EngineFile
from completion_server.shared.engine import SharedEngine
from completion_server.shared.visit import stop_engine
from tests.support.engines import generate, make_prompt
from tests.support.shared_engines import HANG_GUARD_SECONDS, engine_in_thread

PROMPT = make_prompt("def foo")


class Doomed:
    """Stands for starting an engine that ends at once; counts."""

    def __init__(self) -> None:
        self.num_starts = 0

    def __call__(self, address: EngineAddress, settings: Settings, stop: threading.Event) -> object:
        self.num_starts += 1
        own, other = socket.socketpair()
        other.close()
        return own, EngineFile(1, "", 0, "doomed")


@pytest.fixture
def doomed(monkeypatch: pytest.MonkeyPatch) -> Doomed:
    monkeypatch.setattr(shared_engine, "_FIRST_PAUSE", 0.0)
    return Doomed()


def test_an_engine_that_ends_while_it_loads_is_a_model_error_in_the_end(
    tmp_path: Path, doomed: Doomed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_engine, "connect_or_start", doomed)
    engine = SharedEngine(EngineAddress(tmp_path, "x"), Settings())
    with pytest.raises(ModelError, match="ended while it loaded"):
        engine.connect(lambda _message, _fraction: None)
    assert doomed.num_starts == 4
    engine.close()


def test_a_window_stops_starting_an_engine_that_keeps_ending_and_tries_again_later(
    tmp_path: Path, doomed: Doomed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_in_thread(tmp_path) as address:
        engine = SharedEngine(address, Settings())
        engine.connect(lambda _message, _fraction: None)
        assert generate(engine, PROMPT).generations  # type: ignore[arg-type]
        real = shared_engine.connect_or_start
        monkeypatch.setattr(shared_engine, "connect_or_start", doomed)
        stop_engine(address)
        wait_for_problem(engine, "times within a minute")
        assert doomed.num_starts == 4
        for _ in range(20):
            with pytest.raises(SharedEngineError, match="times within a minute"):
                generate(engine, PROMPT)  # type: ignore[arg-type]
        assert doomed.num_starts == 4
    with engine_in_thread(tmp_path):
        monkeypatch.setattr(shared_engine, "connect_or_start", real)
        monkeypatch.setattr(shared_engine, "_FORGIVEN_SECONDS", -1.0)  # as if the minute were over
        wait_for_problem(engine, "")
        assert generate(engine, PROMPT).generations  # type: ignore[arg-type]
        engine.close()


def test_a_status_taken_before_does_not_show_a_dead_process(tmp_path: Path) -> None:
    """The language server keeps the last status until there is work again."""
    with engine_in_thread(tmp_path) as address:
        engine = SharedEngine(address, Settings())
        assert engine.status()["shared_engine"]["pid"] is None  # type: ignore[index]
        engine.connect(lambda _message, _fraction: None)
        taken = dict(engine.status())
        assert taken["shared_engine"]["pid"] == os.getpid()  # type: ignore[index]
        engine.close()
    pause = threading.Event()
    for _ in range(HANG_GUARD_SECONDS * 100):
        if taken["shared_engine"]["pid"] is None:  # type: ignore[index]
            break
        pause.wait(0.01)
    assert taken["shared_engine"]["problem"]  # type: ignore[index]
    assert taken["shared_engine"]["num_losses"] == 1  # type: ignore[index]


@pytest.mark.parametrize(
    "error", [ModelError("no weights"), SharedEngineError("no fork"), OSError("x"), ValueError()]
)
def test_a_restart_that_fails_is_told_from_one_that_is_under_way(
    tmp_path: Path, doomed: Doomed, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_arguments: object) -> object:
        raise error

    with engine_in_thread(tmp_path) as address:
        engine = SharedEngine(address, Settings())
        engine.connect(lambda _message, _fraction: None)
        monkeypatch.setattr(shared_engine, "connect_or_start", fail)
        stop_engine(address)
        wait_for_problem(engine, f"does not come back: {error}")
        with pytest.raises(SharedEngineDownError):
            generate(engine, PROMPT)  # type: ignore[arg-type]
        assert engine.status()["shared_engine"]["pid"] is None  # type: ignore[index]
        engine.close()


def wait_for_problem(engine: SharedEngine, wanted: str) -> None:
    """Ask until the status says ``wanted`` (empty: nothing is wrong)."""
    pause = threading.Event()
    for _ in range(HANG_GUARD_SECONDS * 100):
        problem = engine.status()["shared_engine"]["problem"]  # type: ignore[index]
        if problem == wanted or (wanted and wanted in problem):
            return
        try:
            generate(engine, PROMPT)  # type: ignore[arg-type]
        except SharedEngineError:
            pause.wait(0.01)
    raise AssertionError(engine.status())

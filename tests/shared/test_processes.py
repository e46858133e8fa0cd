"""Real windows and a real engine: language servers over stdio that start it, share it, lose it and get it back."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from completion_server.config import ModelSettings
from completion_server.errors import SharedEngineError
from completion_server.shared.address import EngineAddress, address_of
from completion_server.shared.visit import stop_engine, visit
from tests.support.raw_client import RawClient
from tests.support.shared_engines import HANG_GUARD_SECONDS, engine_processes, make_model_directory

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="stops processes with signals")

SERVE = (sys.executable, "-m", "completion_server", "serve")
TEXT = (
    "def add(first, second):\n    return first + second\n\n\nclass Point:\n    def move(self, x):\n        self."
)
CURSOR = (6, 13)
OTHER_URI = "file:///work/other.py"


class Machine:
    """One user: a runtime directory, a model, and the windows that are opened."""

    def __init__(self, directory: Path, model: Path, stack: ExitStack) -> None:
        """``directory`` has to be short: the path of a socket is."""
        self.home = directory
        self.run_directory = directory / "run" / "completion-server"
        self.model = model
        self._stack = stack
        (directory / "run").mkdir(mode=0o700)

    @property
    def address(self) -> EngineAddress:
        settings = ModelSettings(
            name=str(self.model), cache_dir=str(self.home / "cache"), num_threads=1, dtype="int8"
        )
        return address_of(settings, self.run_directory)

    def open_window(self, **options: Any) -> RawClient:
        """A language server that is initialized; its model may still be loading."""
        environment = {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.home / "run"),
            "COMPLETION_SERVER_MODEL_NAME": str(self.model),
            "COMPLETION_SERVER_MODEL_CACHE_DIR": str(self.home / "cache"),
            "COMPLETION_SERVER_MODEL_NUM_THREADS": "1",
            "COMPLETION_SERVER_MODEL_DTYPE": "int8",
            "COMPLETION_SERVER_MODEL_SHARED": "true",
        }
        client = self._stack.enter_context(RawClient(*SERVE, env=environment))
        client.initialize(
            options={"latency": {"automaticTimeoutMs": 30_000, "invokedTimeoutMs": 30_000}, **options}
        )
        return client

    def engines(self) -> list[psutil.Process]:
        return engine_processes(self.run_directory)

    def end(self) -> None:
        with suppress(SharedEngineError):
            stop_engine(self.address)
        processes = self.engines()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, HANG_GUARD_SECONDS)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_directory(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def machine(model: Path) -> Iterator[Machine]:
    with ExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory(prefix="cs"))
        machine = Machine(Path(directory), model, stack)
        stack.callback(machine.end)
        yield machine


def ready(client: RawClient) -> dict[str, Any]:
    status = client.status(wait=True)
    assert status["state"] == "ready", (status, client.stderr)
    return status


def explained(client: RawClient, request: Any) -> dict[str, Any]:
    """The trace of a request that has been answered; an answer is never an error."""
    assert "error" not in client.reply(request)
    return client.command("explain")


def until_connected(client: RawClient) -> None:
    """Return when the window has its engine (again); the model's status is refreshed by work only."""
    give_up_at = time.monotonic() + HANG_GUARD_SECONDS
    while client.status()["model"]["shared_engine"]["problem"]:
        assert time.monotonic() < give_up_at, client.stderr
        client.command("clearCaches")


def ask_new_text(client: RawClient, word: str, uri: str = OTHER_URI) -> Any:
    """Ask at the end of a text that no cache knows."""
    client.open(f"{TEXT}{word}", uri=uri)
    return client.ask(CURSOR[0], CURSOR[1] + len(word), uri=uri)


def test_two_windows_share_one_engine(machine: Machine) -> None:
    first, second = machine.open_window(), machine.open_window()  # both start an engine, at once
    statuses = [ready(client) for client in (first, second)]
    (engine,) = machine.engines()
    assert {status["model"]["shared_engine"]["pid"] for status in statuses} == {engine.pid}
    assert statuses[0]["model"]["backend"] == "int8" or "onnx" in statuses[0]["model"]["backend"]
    for client in (first, second):
        client.open(TEXT)
        trace = explained(client, client.ask(*CURSOR))
        assert trace["num_generated_tokens"] > 0, trace
    assert visit(machine.address)["num_windows"] == 2
    assert first.leave() == second.leave() == 0
    assert machine.engines() == [engine], "the engine outlives its windows"


def test_a_window_does_not_load_what_computes(machine: Machine) -> None:
    client = machine.open_window()
    ready(client)
    maps = {Path(each.path).name for each in psutil.Process(client.process.pid).memory_maps()}
    assert not [name for name in maps if "onnxruntime" in name or "libtorch" in name]
    (engine,) = machine.engines()
    assert [each.path for each in engine.memory_maps() if "onnxruntime" in each.path]


def test_an_engine_killed_during_a_request(machine: Machine) -> None:
    first, second = machine.open_window(), machine.open_window()
    for client in (first, second):
        ready(client)
    (engine,) = machine.engines()
    engine.send_signal(signal.SIGSTOP)  # so that the requests are surely under way
    requests = [
        (client, ask_new_text(client, "x", uri)) for client, uri in ((first, OTHER_URI), (second, OTHER_URI))
    ]
    for client, _request in requests:
        client.wait_until_running(OTHER_URI)
    engine.send_signal(signal.SIGKILL)
    for client, request in requests:
        trace = explained(client, request)
        assert trace["finish_reason"] == "error" or "shared engine" in trace["reason"], trace
    for client, _request in requests:
        until_connected(client)
        trace = explained(client, ask_new_text(client, "xy", "file:///work/third.py"))
        assert trace["num_generated_tokens"] > 0, trace
    (again,) = machine.engines()
    assert again.pid != engine.pid


def damage(path: Path) -> None:
    """Other content, of which the name, size and time say nothing."""
    info = path.stat()
    path.write_bytes(b"x" * info.st_size)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "reason"), [(damage, "tokenizer.json"), (Path.unlink, "have changed"), (Path.touch, "have changed")]
)
def test_a_restart_that_fails_is_in_the_status_and_shown_once(
    machine: Machine, change: Callable[[Path], None], reason: str
) -> None:
    client = machine.open_window()
    ready(client)
    (engine,) = machine.engines()
    tokenizer = machine.model / "tokenizer.json"
    content = tokenizer.read_bytes()
    change(tokenizer)
    try:
        engine.kill()
        give_up_at = time.monotonic() + HANG_GUARD_SECONDS
        while reason not in (shared := client.status()["model"]["shared_engine"])["problem"]:
            assert time.monotonic() < give_up_at, (shared, client.stderr)
        assert shared["pid"] is None
        for number in range(3):
            trace = explained(client, ask_new_text(client, "x", f"file:///work/{number}.py"))
            assert trace["finish_reason"] == "error", trace
        client.sync()
        told = [each["params"]["message"] for each in client.notifications if "showMessage" in each["method"]]
        assert len([each for each in told if reason in each]) == 1, told
    finally:
        tokenizer.write_bytes(content)


def test_an_engine_that_hangs_costs_no_reply(machine: Machine) -> None:
    client = machine.open_window(latency={"automaticTimeoutMs": 100})
    ready(client)
    (engine,) = machine.engines()
    engine.send_signal(signal.SIGSTOP)
    assert client.items(ask_new_text(client, "x")) == []
    engine.send_signal(signal.SIGCONT)
    until_connected(client)
    assert "error" not in client.reply(ask_new_text(client, "xy", "file:///work/third.py"))
    assert client.leave() == 0


def test_an_engine_that_was_stopped_is_started_by_the_next_request(machine: Machine) -> None:
    client = machine.open_window()
    ready(client)
    (engine,) = machine.engines()
    stop_engine(machine.address)
    assert psutil.wait_procs([engine], HANG_GUARD_SECONDS)[1] == []
    assert client.items(ask_new_text(client, "x")) == []
    until_connected(client)
    trace = explained(client, ask_new_text(client, "xy", "file:///work/third.py"))
    assert trace["num_generated_tokens"] > 0


def test_a_model_that_cannot_be_loaded_says_so_to_the_window(machine: Machine) -> None:
    (machine.model / "tokenizer.json").rename(machine.model / "away.json")
    try:
        status = machine.open_window().status(wait=True)
    finally:
        (machine.model / "away.json").rename(machine.model / "tokenizer.json")
    assert status["state"] == "error"
    assert "tokenizer.json" in status["message"]


def test_without_a_safe_directory_the_model_is_loaded_in_the_window(machine: Machine) -> None:
    machine.run_directory.mkdir(mode=0o755)
    machine.run_directory.chmod(0o755)
    client = machine.open_window()
    status = ready(client)
    assert "shared_engine" not in status["model"]
    assert machine.engines() == []
    client.open(TEXT)
    assert explained(client, client.ask(*CURSOR))["num_generated_tokens"] > 0


def test_no_shared_keeps_the_model_in_the_window(machine: Machine) -> None:
    command = (*SERVE, "--no-shared", "--model", str(machine.model))
    environment = {
        **os.environ,
        "XDG_RUNTIME_DIR": str(machine.home / "run"),
        "COMPLETION_SERVER_MODEL_NUM_THREADS": "1",
    }
    with RawClient(*command, env=environment) as client:
        client.initialize(options={"model": {"cacheDir": str(machine.home / "cache"), "shared": True}})
        assert "shared_engine" not in ready(client)["model"]
    assert machine.engines() == []


def test_files_are_the_users_alone(machine: Machine) -> None:
    ready(machine.open_window())
    assert machine.run_directory.stat().st_mode & 0o777 == 0o700
    modes = {path.suffix: path.stat().st_mode & 0o777 for path in machine.run_directory.iterdir()}
    assert modes == {".sock": 0o600, ".json": 0o600, ".log": 0o600, ".lock": 0o600}

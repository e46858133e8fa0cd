"""Two real editors at once on one shared engine with the model in the box: memory, completions, its death.

``-s`` prints the figures that docs/shared-engine.md has.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from completion_server.errors import SharedEngineError
from completion_server.shared.address import running_addresses
from completion_server.shared.visit import stop_engine
from tests.editors.shared_windows import Conversation, Window, open_window
from tests.support.shared_engines import engine_processes

pytestmark = [
    pytest.mark.default_model,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        sys.platform != "linux", reason="reads a process' memory by file; stops processes with signals"
    ),
]

# Neither the machine's speed nor the model's doubts are tested.
SETTINGS = {"latency": {"automaticTimeoutMs": 30_000}, "generation": {"suggestions": "eager"}}
TEXT = '''\
import json


def read_config(path):
    """Read a JSON file and return its content."""
    with open(path) as file:
        return json.load(file)
'''
HANG_GUARD_SECONDS = 90.0
MEBIBYTE = 1 << 20
MOST_WITHOUT_WEIGHTS = 20 * MEBIBYTE
"""No file of this size that a window could map but weights; the smallest form of the model has 135 MB."""


@dataclass(frozen=True)
class Opened:
    """One of the windows."""

    kind: str
    window: Window
    conversation: Conversation


@dataclass(frozen=True)
class Machine:
    """One user's two windows."""

    windows: tuple[Opened, Opened]
    run_directory: Path
    load_seconds: float
    """From the start of the engine's process to its model being there, the first time."""

    def engine(self) -> psutil.Process:
        (engine,) = engine_processes(self.run_directory)
        return engine


@pytest.fixture(scope="module", params=["vscode", "neovim"])
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Neovim, and beside it VS Code or a second Neovim."""
    with ExitStack() as stack:
        runtime = Path(stack.enter_context(TemporaryDirectory(prefix="cs")))  # short, as a socket's path has to be
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        patch.setenv("COMPLETION_SERVER_MODEL_SHARED", "true")
        run_directory = runtime / "completion-server"
        stack.callback(end_engines, run_directory)
        homes = tmp_path_factory.mktemp("windows")
        opened = []
        load_seconds = 0.0
        for number, kind in enumerate(("neovim", request.param)):
            entered = stack.enter_context(open_window(kind, homes / str(number), TEXT, SETTINGS))
            opened.append(Opened(kind, *entered))
            if number == 0:
                (engine,) = engine_processes(run_directory)
                load_seconds = time.time() - engine.create_time()
        yield Machine((opened[0], opened[1]), run_directory, load_seconds)


def end_engines(run_directory: Path) -> None:
    for address in running_addresses(run_directory):
        with suppress(SharedEngineError):
            stop_engine(address)
    processes = engine_processes(run_directory)
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, HANG_GUARD_SECONDS)


def until(what: str, condition: Callable[[], object]) -> None:
    end = time.monotonic() + HANG_GUARD_SECONDS
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)  # between two looks


def mapped_weights(process: psutil.Process) -> int:
    """Bytes of the largest mapped file that is no program."""
    maps = process.memory_maps(grouped=True)
    return max((each.rss for each in maps if each.path.endswith((".safetensors", ".gguf", ".bin"))), default=0)


def type_until_text(machine: Machine, lines: tuple[str, str], since: float) -> tuple[float, float]:
    """Type a line in each window, key by key, until both have had text; seconds from ``since`` (wall clock)."""
    keys = zip(*lines, strict=True)
    found: dict[int, float] = {}
    end = time.monotonic() + HANG_GUARD_SECONDS
    while len(found) < len(machine.windows):
        pressed = next(keys, None)
        assert pressed is not None or time.monotonic() < end, "no text"
        for number, opened in enumerate(machine.windows):
            if pressed is not None:
                opened.window.type(pressed[number])
            at = opened.conversation.first_text_after(since * 1000)
            if at is not None:
                found.setdefault(number, at / 1000 - since)
        time.sleep(0.25)  # a slow typist
    return found[0], found[1]


def type_until_all_wait(machine: Machine, line: str) -> list[set[Any]]:
    """Type ``line`` in each window until a request of each is under way at once: their ids.

    One key is not enough: it may be answered from what is known, or its request be cancelled by the next key's.
    """
    keys = [iter(line) for _ in machine.windows]
    end = time.monotonic() + HANG_GUARD_SECONDS
    while True:
        open_ids = [opened.conversation.open_ids() for opened in machine.windows]
        if all(open_ids):
            return open_ids
        assert time.monotonic() < end, f"never: requests under way in both windows, now {open_ids}"
        for opened, ids, rest in zip(machine.windows, open_ids, keys, strict=True):
            if not ids and (key := next(rest, None)) is not None:
                opened.window.type(key)
        time.sleep(0.1)  # a typist


def report(what: str) -> None:
    sys.stdout.write(f"{what}\n")


def test_both_get_completions_from_one_model(machine: Machine) -> None:
    lines = ("def write_config(path, config):", "for name, value in read_config(path).items():")
    for opened, line in zip(machine.windows, lines, strict=True):
        opened.window.new_line()
        opened.window.type(line)
        opened.window.new_line()
        opened.window.type("    ")
        until(f"ghost text in {opened.kind}", lambda opened=opened: opened.window.ghost().strip())
    engine = machine.engine()
    servers = [opened.conversation.server() for opened in machine.windows]
    for name, process in (("engine", engine), *zip([each.kind for each in machine.windows], servers, strict=True)):
        memory = process.memory_full_info()
        figures = (f"{field} {getattr(memory, field) / 1e6:.0f}" for field in ("rss", "pss", "uss"))
        weights = mapped_weights(process) / 1e6
        report(f"{name}: MB {', '.join(figures)}; of these mapped from the weights' file {weights:.0f}")
    for server in servers:
        assert not [each.path for each in server.memory_maps() if "onnxruntime" in each.path]
        assert mapped_weights(server) < MOST_WITHOUT_WEIGHTS
        assert server.memory_full_info().uss < engine.memory_full_info().uss / 2
    assert [each.path for each in engine.memory_maps() if "onnxruntime" in each.path]


def test_an_engine_that_is_killed_costs_no_reply_and_comes_back(machine: Machine) -> None:
    engine = machine.engine()
    engine.send_signal(signal.SIGSTOP)  # so that the requests are surely under way
    for opened in machine.windows:
        opened.window.new_line()
    open_ids = type_until_all_wait(machine, "total = number_of_names(")
    killed_at = time.time()
    engine.send_signal(signal.SIGKILL)
    for opened, ids in zip(machine.windows, open_ids, strict=True):
        conversation = opened.conversation
        until(f"all replies in {opened.kind}", lambda conversation=conversation: not conversation.open_ids())
        replies = [message for message in conversation.answered() if message["id"] in ids]
        assert len(replies) == len(ids)
        assert all("error" not in reply or reply["error"] in (-32800, -32801) for reply in replies), replies
        last_ms = max(reply["at"] for reply in replies) - killed_at * 1000
        report(f"{opened.kind}: {len(ids)} requests under way, all answered {last_ms:.0f} ms after the kill")
    for opened in machine.windows:
        opened.window.new_line()
    lines = ("for name in sorted(read_config(path)):  # ", "while number < len(list_of_names) and not done: ")
    shortest = min(map(len, lines))
    back = type_until_text(machine, (lines[0][:shortest], lines[1][:shortest]), killed_at)
    again = machine.engine()
    assert again.pid != engine.pid
    report(
        f"first start to the model being there {machine.load_seconds:.1f} s; after the kill: the next process"
        f" {again.create_time() - killed_at:.1f} s, text again "
        + ", ".join(f"{opened.kind} {s:.1f} s" for opened, s in zip(machine.windows, back, strict=True))
    )
    assert max(back) < 3 * machine.load_seconds + 2, "it takes more than to load the model"
    for opened in machine.windows:
        until(f"all replies in {opened.kind}", lambda opened=opened: not opened.conversation.open_ids())

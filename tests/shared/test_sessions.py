"""Windows that come and go, seen through real sockets: progress, urgency, idleness, and who is turned away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from completion_server.config import CacheSettings, Settings
from completion_server.engine.engine import Engine
from completion_server.engine_host.host import HostedModel, Progress
from completion_server.engine_host.process import EngineOptions, run_engine
from completion_server.errors import ModelFormatError, SharedEngineError
from completion_server.model import SamplingParams
from completion_server.request import CancellationToken, Deadline, FinishReason
from completion_server.shared import engine as shared_engine
from completion_server.shared.address import EngineAddress, EngineFile, check_private
from completion_server.shared.connection import Connection
from completion_server.shared.engine import SharedEngine
from completion_server.shared.start import LISTENING, OCCUPIED
from completion_server.shared.visit import stop_engine, visit
from tests.support.engines import CountingModel, generate, make_engine, make_prompt, shared_model
from tests.support.shared_engines import HANG_GUARD_SECONDS, engine_in_thread, hosted

TEXT = "def foo(self):\n    return self.foo()\n"


def silent(_message: str, _fraction: float | None) -> None: ...


def connect(address: EngineAddress, settings: Settings | None = None) -> SharedEngine:
    engine = SharedEngine(address, settings or Settings())
    engine.connect(silent)
    return engine


def wait_until_queued(address: EngineAddress) -> None:
    """Return when a request waits for the one that runs; each look is a round trip that fails by itself."""
    while visit(address)["num_waiting"] == 0:
        pass


class Gate:
    """A model whose forward passes stop at a gate once it is closed."""

    def __init__(self) -> None:
        self.model = CountingModel(shared_model("native:llama"))
        self.reached = threading.Event()
        self.open = threading.Event()

    def load(self, _settings: Settings, _progress: Progress) -> HostedModel:
        return hosted(make_engine(model=self.model))

    def close(self) -> None:
        self.model.on_forward = self._stop

    def _stop(self) -> None:
        self.reached.set()
        assert self.open.wait(HANG_GUARD_SECONDS)


def test_progress_of_loading_reaches_every_window_that_waits(tmp_path: Path) -> None:
    seen = [threading.Event(), threading.Event()]

    def load(_settings: Settings, progress: Progress) -> HostedModel:
        progress("half", 0.5)
        for each in seen:
            assert each.wait(HANG_GUARD_SECONDS)
        return hosted(make_engine())

    def watch(number: int) -> Callable[[str, float | None], None]:
        return lambda message, fraction: ((message, fraction) == ("half", 0.5) and seen[number].set()) or None

    with engine_in_thread(tmp_path, load) as address, ThreadPoolExecutor() as pool:
        engines = [SharedEngine(address, Settings()) for _ in seen]
        readies = list(pool.map(lambda number: engines[number].connect(watch(number)), range(2)))
        assert readies[0] == readies[1]
        for engine in engines:
            engine.close()


def test_what_is_wrong_with_the_model_reaches_the_window(tmp_path: Path) -> None:
    may_fail = threading.Event()

    def load(_settings: Settings, _progress: Progress) -> HostedModel:
        assert may_fail.wait(HANG_GUARD_SECONDS)
        raise ModelFormatError("files of a kind that is refused")

    with engine_in_thread(tmp_path, load) as address:
        engine = SharedEngine(address, Settings())
        with pytest.raises(ModelFormatError, match="of a kind"):
            engine.connect(lambda _message, _fraction: may_fail.set())


def test_a_request_pauses_the_idle_work_of_another_window(tmp_path: Path) -> None:
    gate = Gate()
    with engine_in_thread(tmp_path, gate.load) as address, ThreadPoolExecutor() as pool:
        idle, typing = connect(address), connect(address)
        gate.close()
        prompt = make_prompt(TEXT * 6)
        read = pool.submit(idle.prefill, prompt, Deadline.never(), CancellationToken())
        assert gate.reached.wait(HANG_GUARD_SECONDS)
        asked = pool.submit(
            typing.generate,
            make_prompt("for retry in "),
            SamplingParams(max_new_tokens=4),
            [],
            Deadline.after_ms(60_000),
            CancellationToken(),
        )
        wait_until_queued(address)
        gate.open.set()
        assert asked.result(HANG_GUARD_SECONDS).generations
        assert read.result(HANG_GUARD_SECONDS) > 100
        sizes = gate.model.chunk_sizes
        assert 1 in sizes[1:-1], "tokens were written"
        assert sizes[-1] > 1, "and reading went on after that"
        idle.close()
        typing.close()


def test_a_windows_newer_request_takes_the_place_of_its_older_one(tmp_path: Path) -> None:
    gate = Gate()
    with engine_in_thread(tmp_path, gate.load) as address, ThreadPoolExecutor() as pool:
        engine = connect(address)
        gate.close()
        older = pool.submit(generate, engine, make_prompt(TEXT * 8))  # type: ignore[arg-type]
        assert gate.reached.wait(HANG_GUARD_SECONDS)
        newer = pool.submit(generate, engine, make_prompt("for "))  # type: ignore[arg-type]
        wait_until_queued(address)
        gate.model.on_forward = lambda: None
        gate.open.set()
        assert older.result(HANG_GUARD_SECONDS).finish_reason is FinishReason.CANCELLED
        assert newer.result(HANG_GUARD_SECONDS).generations
        engine.close()


def test_a_cancel_is_acted_on_after_the_pass_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_engine, "_CANCEL_MS", 1000.0 * HANG_GUARD_SECONDS)  # the gate takes its time
    gate = Gate()
    with engine_in_thread(tmp_path, gate.load) as address, ThreadPoolExecutor() as pool:
        engine = connect(address)
        gate.close()
        token, sampling = CancellationToken(), SamplingParams()
        prompt = make_prompt(TEXT * 8)
        work = pool.submit(engine.generate, prompt, sampling, [], Deadline.never(), token)
        assert gate.reached.wait(HANG_GUARD_SECONDS)
        num_passes = len(gate.model.chunk_sizes)
        sent = threading.Event()
        real = Connection.send
        monkeypatch.setattr(Connection, "send", lambda self, message: (real(self, message), sent.set())[0])
        token.cancel()
        assert sent.wait(HANG_GUARD_SECONDS)
        engine.num_missing_tokens(prompt)  # read after the cancel, and answered while the model is busy
        gate.model.on_forward = lambda: None
        gate.open.set()
        assert work.result(HANG_GUARD_SECONDS).finish_reason is FinishReason.CANCELLED
        assert len(gate.model.chunk_sizes) == num_passes + 1
        engine.close()


def test_a_window_that_leaves_cancels_its_work(tmp_path: Path) -> None:
    gate = Gate()
    with engine_in_thread(tmp_path, gate.load) as address, ThreadPoolExecutor() as pool:
        engine, other = connect(address), connect(address)
        gate.close()
        work = pool.submit(generate, engine, make_prompt(TEXT * 8))  # type: ignore[arg-type]
        assert gate.reached.wait(HANG_GUARD_SECONDS)
        num_passes = len(gate.model.chunk_sizes)
        engine.close()
        with pytest.raises(SharedEngineError):
            work.result(HANG_GUARD_SECONDS)
        while visit(address)["num_windows"] != 1:
            pass
        gate.model.on_forward = lambda: None
        gate.open.set()
        other.clear()  # done after what was cancelled
        assert len(gate.model.chunk_sizes) == num_passes + 1
        other.close()


def test_how_much_is_missing_is_told_while_the_model_is_busy(tmp_path: Path) -> None:
    gate = Gate()
    with engine_in_thread(tmp_path, gate.load) as address, ThreadPoolExecutor() as pool:
        busy, asking = connect(address), connect(address)
        prompt = make_prompt(TEXT)
        asking.prefill(prompt, Deadline.never(), CancellationToken())
        gate.close()
        work = pool.submit(generate, busy, make_prompt("x = foo\n" * 8))  # type: ignore[arg-type]
        assert gate.reached.wait(HANG_GUARD_SECONDS)
        assert asking.num_missing_tokens(prompt) == 0
        gate.open.set()
        work.result(HANG_GUARD_SECONDS)
        busy.close()
        asking.close()


def test_the_engine_leaves_when_the_last_window_is_gone_for_long_enough(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    address = EngineAddress(tmp_path, "0" * 16)
    listening = threading.Event()
    options = EngineOptions(idle_seconds=0.2)
    with ThreadPoolExecutor() as pool:
        served = pool.submit(run_engine, Settings(), address, options, lambda _said: listening.set(), Gate().load)
        assert listening.wait(HANG_GUARD_SECONDS)
        engine = connect(address)
        for _ in range(3):
            assert generate(engine, make_prompt(TEXT)).generations  # type: ignore[arg-type]
        assert not served.done()
        engine.close()
        assert served.result(HANG_GUARD_SECONDS) == 0
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_a_second_engine_for_the_same_address_leaves_at_once(tmp_path: Path) -> None:
    said: list[str] = []
    with engine_in_thread(tmp_path, said=said) as address:
        assert run_engine(Settings(), address, EngineOptions(), said.append) == 0
        assert said == [LISTENING, OCCUPIED]
        assert visit(address)["num_windows"] == 0, "a visitor is no window"


def test_the_largest_cache_that_any_window_wants_is_kept(tmp_path: Path) -> None:
    engines: list[Engine] = []

    def load(_settings: Settings, _progress: Progress) -> HostedModel:
        engines.append(make_engine())
        return hosted(engines[0])

    with engine_in_thread(tmp_path, load) as address:
        small, large = (connect(address, Settings(cache=CacheSettings(prefix_cache_mb=mb))) for mb in (1, 9))
        large.clear()
        assert engines[0].prefix_cache.max_bytes == 9 << 20
        small.apply_settings(Settings(cache=CacheSettings(prefix_cache_mb=20)))
        small.clear()
        assert engines[0].prefix_cache.max_bytes == 20 << 20
        small.close()
        large.close()


def test_nobody_gets_in_without_the_token(tmp_path: Path) -> None:
    with engine_in_thread(tmp_path) as address:
        file = address.read_file()
        address.write_file(EngineFile(file.pid, "wrong", file.port, file.model))
        with pytest.raises(SharedEngineError):
            visit(address)
        address.write_file(file)
        assert visit(address)["pid"] == file.pid


def test_a_client_that_says_nonsense_harms_nobody(tmp_path: Path) -> None:
    with engine_in_thread(tmp_path) as address:
        engine = connect(address)
        for data in (b"\xff" * 40, b"\0\0\0\x02hi", b"", b"\0\0"):
            connection, _ = address.connect(HANG_GUARD_SECONDS)
            with connection:
                connection.sendall(data)
        assert generate(engine, make_prompt(TEXT)).generations  # type: ignore[arg-type]
        engine.close()


def test_directories_that_others_can_open_are_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(SharedEngineError, match="chmod 700"):
        check_private(tmp_path)
    link = tmp_path.with_name(tmp_path.name + "-link")
    tmp_path.chmod(0o700)
    link.symlink_to(tmp_path)
    with pytest.raises(SharedEngineError):
        check_private(link)
    with pytest.raises(SharedEngineError):
        stop_engine(EngineAddress(tmp_path, "nobody"))

"""The engine over a child: answers, deaths and how it comes back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from completion_server.config import ModelSettings, Settings
from completion_server.engine.engine import GenerationResult
from completion_server.errors import ModelError
from completion_server.llama.build import build_llama
from completion_server.llama.engine import LlamaEngine
from completion_server.llama.process import LlamaProcess
from completion_server.model import SamplingParams
from completion_server.remote.breaker import CircuitBreaker
from completion_server.remote.connection import Connection
from completion_server.remote.dialect import Question
from completion_server.remote.dialects import DIALECTS
from completion_server.remote.prompt import RemotePrompt, RemotePromptBuilder
from completion_server.request import CancellationToken, Deadline, FinishReason
from tests.support.marked import parse_marked
from tests.support.tiny_gguf import alphabet_after, write_alphabet_gguf

GUARD_MS = 60_000
SETTINGS = Settings(model=ModelSettings(engine="llama", num_threads=1))


def settings_for(path: Path) -> Settings:
    return Settings(model=ModelSettings(name=str(path), engine="llama", num_threads=1))


class Running:
    """An engine with its prompts."""

    def __init__(self, path: Path) -> None:
        pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
        self.settings = settings_for(path)
        self.engine, self.prompts = build_llama(self.settings, lambda _message, _fraction: None)

    def prompt(self, marked: str) -> RemotePrompt:
        return self.prompts.build(*parse_marked(marked), self.settings, 16)

    def ask(self, marked: str) -> GenerationResult:
        sampling = SamplingParams(max_new_tokens=16)
        return ask(self.engine, self.prompt(marked), sampling)

    def process(self) -> LlamaProcess:
        assert self.engine._process is not None
        return self.engine._process

    def kill(self) -> None:
        inner = self.process()._process
        inner.send_signal(signal.SIGTERM)
        inner.wait()


def ask(engine: LlamaEngine, prompt: RemotePrompt, sampling: SamplingParams) -> GenerationResult:
    return engine.generate(prompt, sampling, [], Deadline.after_ms(GUARD_MS), CancellationToken())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(write_alphabet_gguf(tmp_path / "alphabet.gguf"))
    yield running
    running.engine.close()


def reason(result: GenerationResult) -> str:
    return result.stats.reason  # type: ignore[attr-defined, no-any-return]


def test_prompts_are_token_ids_with_the_files_sentinels_and_the_word_is_spelled_again(running: Running) -> None:
    prompt = running.prompt("value = complˇ\nother = 1\n")
    assert prompt.token_ids[0] == 258  # <fim_prefix>
    assert prompt.start == " compl"
    for marked, last in (("value = complˇ\nother = 1\n", "l"), ("é = 'naïveˇ'\n", "e"), ("ˇ", " ")):
        (generation,) = running.ask(marked).generations
        assert generation.text == alphabet_after(last, 16)


def test_status_tells_what_runs(running: Running) -> None:
    status = running.engine.status()
    assert status["backend"] == "llama.cpp"
    assert (status["model_type"], status["num_threads"], status["process"]) == ("llama", 1, "running")
    assert (status["fim_format"], status["max_context"]) == ("starcoder2", 2048)
    assert status["warnings"] == []
    assert str(running.process().api_key) not in str(status)


def test_a_death_gives_an_empty_answer_and_the_next_process_answers(running: Running) -> None:
    first = running.process()
    prompt = running.prompt("x = ˇ\n")
    running.kill()
    result = ask(running.engine, prompt, SamplingParams(max_new_tokens=16))
    assert result.generations == ()
    assert result.finish_reason in (FinishReason.SKIPPED, FinishReason.ERROR)
    assert "ended" in reason(result)
    second = running.process()
    assert second is not first
    assert second.address(GUARD_MS / 1000)
    assert running.engine.status()["num_starts"] == 2
    while running.engine.current_plan() is None:  # until the probe has come back
        pass
    (generation,) = running.ask("x = ˇ\n").generations
    assert generation.text == alphabet_after(" ", 16)


def test_an_engine_that_was_closed_stays_so(running: Running) -> None:
    running.engine.close()
    assert running.engine.status()["pid"] is None
    assert running.engine.current_plan() is None
    assert "was ended" in reason(running.ask("x = ˇ\n"))


def test_progress_is_asked_for_and_is_no_text(running: Running) -> None:
    """With it the answer begins while the prompt is read; one that has not begun is given up late."""
    dialect = DIALECTS["llama-completion"]
    question = Question(running.prompt("x = ˇ\n"), SamplingParams(), "")
    assert dialect.body(question)["return_progress"] is True
    progress = {"total": 9, "cache": 2, "processed": 5, "time_ms": 1}
    (piece,) = dialect.pieces({"content": "", "stop": False, "prompt_progress": progress})
    assert piece.prompt_read == (2, 3)
    (piece,) = dialect.pieces({"content": "", "stop": False, "prompt_progress": {"cache": "x"}})
    assert piece.prompt_read == (0, 0)
    assert dialect.pieces({"content": "a", "stop": False})[0].prompt_read is None


def test_typing_on_costs_a_few_tokens_and_explain_can_say_so(running: Running) -> None:
    head, tail = "y = 1\n" * 60, "ˇ\nz = 2\n"
    first = running.ask(head + "x = " + tail).stats
    assert (first.num_cached_tokens, first.num_prefilled_tokens) == (0, first.num_prompt_tokens)
    assert first.num_generated_tokens == 17  # and the space that was cut off
    second = running.ask(head + "x = 1 + " + tail).stats
    assert second.num_cached_tokens + second.num_prefilled_tokens == second.num_prompt_tokens
    assert second.num_cached_tokens > 6 * 60
    assert 0 < second.num_prefilled_tokens < 32


class DyingProcess:
    """Dies as soon as it is looked at."""

    pid = 1
    api_key = ""

    def address(self, wait_seconds: float = 0.0) -> str | None:
        raise ModelError("llama.cpp: no more memory")

    def stop(self) -> None:
        pass


def test_restarts_back_off_and_say_why() -> None:
    now = [0.0]
    started_at: list[float] = []

    def launch() -> LlamaProcess:
        started_at.append(now[0])
        return DyingProcess()  # type: ignore[return-value]

    def connect(process: LlamaProcess, url: str) -> Connection:
        raise AssertionError("there is nobody to connect to")

    engine = LlamaEngine(launch, connect, {}, CircuitBreaker(max_failures=2, clock=lambda: now[0]))
    with pytest.raises(ModelError, match="no more memory"):
        engine.start(1.0)
    prompts = RemotePromptBuilder(engine.current_plan, None)
    for _ in range(400):
        now[0] += 0.1
        prompt = prompts.build(*parse_marked("x = ˇ\n"), SETTINGS, 16)
        result = ask(engine, prompt, SamplingParams())
        assert result.generations == ()
        assert "no more memory" in reason(result)
    gaps = [round(later - earlier) for earlier, later in pairwise(started_at[3:])]
    assert len(started_at) < 12
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 8
    assert "next attempt" in str(engine.status()["process"])

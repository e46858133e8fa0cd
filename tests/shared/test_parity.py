"""The shared engine is the engine: same text, tokens, log-probabilities and counts as in one process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from completion_server.config import CacheSettings, LatencySettings, Settings
from completion_server.engine.engine import Engine, GenerationResult
from completion_server.engine.lookup import Lookup
from completion_server.engine.stopping import BlankLine, Dedent, LineEnd, MaxLines, Repetition, SuffixReached
from completion_server.errors import ModelError
from completion_server.model import SamplingParams
from completion_server.request import CancellationToken, Deadline, FinishReason
from completion_server.shared.engine import SharedEngine
from tests.support.engines import generate, make_engine, make_prompt
from tests.support.shared_engines import engine_in_thread, hosted

RULES = [LineEnd(), Dedent(4), BlankLine(), MaxLines(3), SuffixReached("return x"), Repetition()]
SETTINGS = Settings(cache=CacheSettings(prefix_cache_mb=64), latency=LatencySettings(prefill_chunk_ms=0))
TEXT = "def foo(self):\n    return self.foo()\n\nfor retry in foo:\n    re"


def settled_engine() -> Engine:
    """An engine whose chunks have got their size: chunks of other sizes change the last bits of logits."""
    engine = make_engine()
    engine.prefill(make_prompt("x" * 200), Deadline.never(), CancellationToken())
    engine.clear()
    return engine


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedEngine]:
    directory = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        # Whether a guess is tried depends on the clock, and a longer pass changes the last bits of logits.
        patch.setattr(Lookup, "propose", lambda _lookup, _limit: ())
        yield from connected(directory)


def connected(directory: Path) -> Iterator[SharedEngine]:
    with engine_in_thread(directory, lambda _settings, _progress: hosted(settled_engine())) as address:
        engine = SharedEngine(address, SETTINGS)
        engine.connect(lambda _message, _fraction: None)
        yield engine
        engine.close()


def comparable(result: GenerationResult) -> GenerationResult:
    """Without what clocks say."""
    return dataclasses.replace(
        result, stats=dataclasses.replace(result.stats, longest_pass_ms=0.0, prefill_ms=0.0)
    )


@settings(max_examples=40)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, len(TEXT)),
            st.booleans(),
            st.sampled_from([[], RULES, RULES[:1]]),
            st.integers(1, 3),
            st.sampled_from([SamplingParams(max_new_tokens=9), SamplingParams(1.0, 5, 0.9, 3, 7)]),
            st.sampled_from(["", "()", " = foo"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_results_equal_those_in_one_process(shared: SharedEngine, steps: list) -> None:  # type: ignore[type-arg]
    own = settled_engine()
    shared.clear()
    for length, is_healed, rules, num_alternatives, sampling, draft in steps:
        prompt = make_prompt(TEXT[:length], is_healed=is_healed, draft=draft)
        assert shared.num_missing_tokens(prompt) == own.num_missing_tokens(prompt)
        expected = generate(own, prompt, sampling, rules, num_alternatives)
        found = generate(shared, prompt, sampling, rules, num_alternatives)  # type: ignore[arg-type]
        assert comparable(found) == comparable(expected)


def test_prefill_is_seen_by_the_next_request(shared: SharedEngine) -> None:
    shared.clear()
    prompt = make_prompt(TEXT)
    num_missing = shared.num_missing_tokens(prompt)
    assert num_missing > 20
    assert shared.prefill(prompt, Deadline.never(), CancellationToken()) == num_missing
    assert shared.num_missing_tokens(prompt) == 0
    assert generate(shared, prompt).stats.num_cached_tokens > 20  # type: ignore[arg-type]


def test_a_cancelled_and_a_late_request_end_as_in_one_process(shared: SharedEngine) -> None:
    token = CancellationToken()
    token.cancel()
    prompt, sampling = make_prompt(TEXT), SamplingParams()
    assert shared.generate(prompt, sampling, [], Deadline.never(), token).finish_reason is FinishReason.CANCELLED
    late = shared.generate(prompt, sampling, [], Deadline.after_ms(-5), CancellationToken())
    assert (late.finish_reason, late.generations) == (FinishReason.DEADLINE, ())


def test_bad_input_is_refused_and_harms_nothing(shared: SharedEngine) -> None:
    with pytest.raises(ModelError, match="do not fit a context"):
        generate(shared, make_prompt("x" * 4000))  # type: ignore[arg-type]

    class OwnRule:
        name = "own"

        def find_cut(self, text: str) -> int | None:
            return None

    with pytest.raises(Exception, match="OwnRule cannot be sent"):
        generate(shared, make_prompt(TEXT), None, [OwnRule()])  # type: ignore[arg-type]
    assert generate(shared, make_prompt(TEXT)).generations  # type: ignore[arg-type]


def test_speed_and_status_are_known_without_asking(shared: SharedEngine) -> None:
    generate(shared, make_prompt(TEXT))  # type: ignore[arg-type]
    assert shared.num_tokens_within(10.0) > 0
    status = shared.status()
    assert status["prefix_cache_sequences"]
    assert status["shared_engine"]["problem"] == ""  # type: ignore[index]
    assert shared.cpu_seconds > 0


def test_without_unix_sockets_a_port_and_the_token_do(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 30)
    with engine_in_thread(directory) as address:
        assert not address.has_unix_socket
        assert address.read_file().port
        engine = SharedEngine(address, Settings())
        engine.connect(lambda _message, _fraction: None)
        expected = comparable(generate(make_engine(), make_prompt(TEXT)))
        assert comparable(generate(engine, make_prompt(TEXT))) == expected  # type: ignore[arg-type]
        engine.close()

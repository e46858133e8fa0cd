"""Model servers of others, with the model in the box: its own format, its own text, and the end of computing.

Opt-in, as in ``test_other_servers``. llama-cpp-python is given the weights in F16, the others in float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from completion_server.backends.loading import load_model
from completion_server.bootstrap import resolve
from completion_server.config import ModelSettings, Settings
from completion_server.engine.stopping import LineEnd
from completion_server.evaluation.replay.peer_model import write_gguf
from completion_server.remote.prompt import RemotePrompt
from completion_server.request import CancellationToken, FinishReason
from tests.support.other_servers import LLAMA_CPP_PYTHON, SERVER_KINDS, OtherServer, started_server
from tests.support.remote_calls import Remote, connected

pytestmark = [pytest.mark.remote_servers, pytest.mark.default_model, pytest.mark.timeout(900)]

_ENDLESS = (
    "def check(s):\n" + "    if s.isspace():\n        return False\n" * 4 + "    ifˇ\n"
)  # it goes on like that
_PLACES = (
    "def add(a, b):\n    return aˇ\n\n\ndef sub(a, b):\n    return a - b\n",
    "values = [3, 1, 2]\nlargest = max(ˇ\nprint(largest)\n",
    "class Point:\n    def __init__(self, x, y):\n        self.x =ˇ\n        self.y = y\n",
    "for i in range(ˇ):\n    print(i)\n",
    "try:\n    value = int(text)\nexceptˇ\n    value = 0\n",
    "if __name__ ==ˇ:\n    main()\n",
)
_NUM_NEW = 12

Greedy = Callable[[Sequence[int], int], list[int]]


@dataclass(frozen=True)
class Served:
    """A server with the model, a connection to it, and the model here in float32."""

    server: OtherServer
    remote: Remote
    tokenizer: Tokenizer
    greedy: Greedy

    def expected(self, prompt: RemotePrompt, num_new: int) -> tuple[str, bool]:
        """What the model writes after ``prompt``, and whether it ends there by itself."""
        token_ids = list(prompt.token_ids) or self.tokenizer.encode(prompt.text).ids
        ends = {self.tokenizer.token_to_id(token) for token in ("<|fim_end|>", "<|endoftext|>", "<|im_end|>")}
        written = self.greedy(token_ids, num_new)
        end = next((index for index, token_id in enumerate(written) if token_id in ends), None)
        return self.tokenizer.decode(written[:end]), end is not None


def silent(_message: str, _fraction: float | None) -> None: ...


@pytest.fixture(scope="module")
def directory() -> Path:
    return resolve(Settings(), silent).path


@pytest.fixture(scope="module")
def greedy(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Greedy:
    settings = ModelSettings(device="cpu", dtype="float32", num_threads=1)
    model = load_model(directory, settings, tmp_path_factory.mktemp("cache"), silent).model

    def write(token_ids: Sequence[int], num_new: int) -> list[int]:
        kv_cache = model.new_kv_cache()
        written = [int(model.forward(list(token_ids), kv_cache, 1)[-1].argmax())]
        while len(written) < num_new:
            written.append(int(model.forward(written[-1:], kv_cache, 1)[-1].argmax()))
        return written

    return write


@pytest.fixture(scope="module", params=SERVER_KINDS, ids=lambda kind: kind.name)
def served(
    request: pytest.FixtureRequest, directory: Path, greedy: Greedy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    gguf = folder / "default.f16.gguf"
    if "{gguf}" in request.param.command and request.param.python():
        write_gguf(directory, gguf, "f16", lends_prefix=False)
    paths = {"directory": directory, "gguf": gguf}
    with (
        started_server(request.param, paths, folder) as server,
        connected(server.url, **server.kind.remote_options(str(directory), "spm")) as remote,
    ):
        tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        yield Served(server, remote, tokenizer, greedy)


def test_the_probe_finds_dialect_and_format(served: Served) -> None:
    status = served.remote.engine.status()
    assert (status["dialect"], status["fim_format"]) == (served.server.kind.dialect, "spm")
    assert status["warnings"] == []
    if served.server.kind is LLAMA_CPP_PYTHON:
        assert status["server"] == "llama-cpp-python"  # and is told not to penalize repetition


def test_the_text_is_the_models_own(served: Served) -> None:
    """From the same prompt the same text as here, to the end of the line; sums in another order may tip a tie."""
    num_same = 0
    for place in _PLACES:
        prompt = served.remote.prompt(place, _NUM_NEW)
        whole, _ = served.expected(prompt, _NUM_NEW + 2)
        result = served.remote.ask(place, rules=[LineEnd()], max_new_tokens=_NUM_NEW)
        if not whole.startswith(prompt.start):
            num_same += not result.generations
            continue
        wanted = whole[len(prompt.start) :].partition("\n")[0]
        num_same += bool(result.generations) and result.generations[0].text.startswith(wanted)
    assert num_same >= len(_PLACES) - 1


def test_the_models_own_end_ends_the_answer(served: Served) -> None:
    """By its id or, where prompts are text, by the stop strings that are sent along."""
    ended = 0
    for place in _PLACES[:2]:
        prompt = served.remote.prompt(place, _NUM_NEW)
        whole, is_end = served.expected(prompt, _NUM_NEW)
        assert is_end
        (generation,) = served.remote.ask(place, max_new_tokens=_NUM_NEW).generations
        wanted = whole[len(prompt.start) :]
        assert generation.text.startswith(wanted)
        ended += generation.text == wanted and generation.finish_reason is FinishReason.STOP
    assert ended == len(_PLACES[:2])


def test_the_answer_comes_piece_by_piece(served: Served) -> None:
    seen: list[float] = []

    class Watching(LineEnd):
        def find_cut(self, text: str) -> int | None:
            seen.append(time.monotonic())
            return None

    result = served.remote.ask(_ENDLESS, rules=[Watching()], max_new_tokens=40)
    ended = time.monotonic()
    assert result.finish_reason is FinishReason.LENGTH, "the place is no endless one any more"
    assert len(seen) >= 20
    assert seen[len(seen) // 2] - seen[0] > (ended - seen[0]) / 10, "all of it came at once"


@pytest.mark.parametrize("how", ["cancel", "stop rule"])
def test_the_server_stops_computing(served: Served, how: str) -> None:
    """By its processor time: what is left of the answer would take it many times longer."""
    num_tokens, num_seen = 600, 5
    began, token = time.monotonic(), CancellationToken()
    seen: list[str] = []

    class Giving(LineEnd):
        def find_cut(self, text: str) -> int | None:
            seen.append(text)
            if len(seen) == num_seen and how == "cancel":
                token.cancel()
            return 1 if len(seen) >= num_seen and how == "stop rule" else None

    cpu_before = served.server.cpu_seconds()
    result = served.remote.ask(_ENDLESS, rules=[Giving()], cancellation=token, max_new_tokens=num_tokens)
    assert result.finish_reason is (FinishReason.CANCELLED if how == "cancel" else FinishReason.STOP)
    per_token = (served.server.cpu_seconds() - cpu_before) / num_seen
    assert per_token > 0
    most = max(10.0, time.monotonic() - began)
    cpu_before = served.server.cpu_seconds()
    assert served.server.seconds_until_idle(most) < most
    spent = served.server.cpu_seconds() - cpu_before
    assert spent < 3.0, f"{spent:.1f} s computed after the end; all of it would be {per_token * num_tokens:.0f} s"

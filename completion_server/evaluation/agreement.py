"""Whether llama.cpp writes, on a GGUF file, what another model writes after the same tokens.

Both are greedy and both spell the word at the cursor again, llama.cpp under its grammar. Differences are those of
the weights, of the order of sums, and of a tie here and there.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from completion_server.config import Settings
from completion_server.document import Document, Position
from completion_server.errors import DocumentError, ModelError
from completion_server.llama.build import build_llama
from completion_server.llama.engine import LlamaEngine
from completion_server.model import CausalLM, Logits, SamplingParams
from completion_server.remote.dialect import Question
from completion_server.remote.prompt import RemotePrompt
from completion_server.request import CancellationToken, Deadline
from completion_server.tokenizer import Tokenizer

_SOURCES = (
    "argparse.py",
    "tarfile.py",
    "inspect.py",
    "typing.py",
    "ast.py",
    "configparser.py",
    "textwrap.py",
    "csv.py",
)
_NUM_LINES = 14  # of code around the cursor: enough to tell, and cheap
_SKIPPED_SHARE = 0.2  # of a file: licence, imports, long docstrings
_MIN_LINE_CHARS = 12


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Tokens are those of the model that is compared with."""

    num_prompts: int
    num_same_texts: int
    mean_common_tokens: float
    """Before the first difference, of ``mean_tokens`` written."""
    mean_tokens: float
    num_positions: int
    num_same_next: int
    """Positions at which the next token is the same, given the same tokens before."""

    @property
    def same_texts(self) -> float:
        return self.num_same_texts / self.num_prompts

    @property
    def same_next(self) -> float:
        """NaN where nothing but what was forced has been written."""
        return self.num_same_next / self.num_positions if self.num_positions else math.nan


def measure_agreement(
    settings: Settings, model: CausalLM, tokenizer: Tokenizer, num_prompts: int, num_new: int
) -> Agreement:
    """The GGUF file of ``settings`` against ``model``, ``num_new`` tokens at each of ``num_prompts`` places.

    The places are in the Python standard library that is installed. Raises ModelError, DocumentError.
    """
    engine, prompts = build_llama(settings, lambda _message, _fraction: None)
    try:
        runs = []
        for document, position in read_places(num_prompts):
            prompt = prompts.build(document, position, settings, num_new)
            runs.append(_compare(engine, model, tokenizer, prompt, num_new))
    finally:
        engine.close()
    return Agreement(
        len(runs),
        sum(run.is_same_text for run in runs),
        sum(run.num_common for run in runs) / len(runs),
        sum(run.num_tokens for run in runs) / len(runs),
        sum(run.num_positions for run in runs),
        sum(run.num_same_next for run in runs),
    )


def read_places(number: int) -> Iterator[tuple[Document, Position]]:
    """Places behind the first word of a line of code, spread over the sources, in a few lines of their text."""
    library = Path(sysconfig.get_path("stdlib"))
    per_file = -(-number // len(_SOURCES))
    for index in range(number):
        name = _SOURCES[index % len(_SOURCES)]
        try:
            lines = (library / name).read_text(encoding="utf-8").split("\n")
        except OSError as error:
            raise DocumentError(f"no Python source to measure on: {error}") from error
        share = _SKIPPED_SHARE + (1 - 2 * _SKIPPED_SHARE) * (index // len(_SOURCES)) / per_file
        first = int(len(lines) * share)
        row = next(row for row in range(first, len(lines)) if _is_code(lines[row]))
        window = lines[max(row - _NUM_LINES, 0) : row + _NUM_LINES // 2]
        line = lines[row]
        column = len(line) - len(line.lstrip()) + len(line.split()[0])
        number_in_window = min(row, _NUM_LINES)
        window[number_in_window] = line[:column]
        yield (
            Document.from_text("\n".join(window), uri=f"file:///{name}", language_id="python"),
            Position(number_in_window, column),
        )


def _is_code(line: str) -> bool:
    return (
        len(line.strip()) >= _MIN_LINE_CHARS and len(line.split()) > 1 and not line.lstrip().startswith(("#", '"'))
    )


@dataclasses.dataclass(frozen=True)
class _Run:
    is_same_text: bool
    num_common: int
    num_tokens: int
    num_same_next: int
    num_positions: int


def _compare(
    engine: LlamaEngine, model: CausalLM, tokenizer: Tokenizer, prompt: RemotePrompt, num_new: int
) -> _Run:
    sampling = SamplingParams(max_new_tokens=num_new)
    whole = write_greedily(model, tokenizer, prompt, Question(prompt, sampling, "").max_tokens)
    written = list(itertools.takewhile(lambda token_id: _is_text(tokenizer, token_id), whole))
    heads = [tokenizer.decode_bytes(written[:count]) for count in range(len(written) + 1)]
    text = (prompt.start + _ask(engine, prompt, sampling)).encode()
    num_same = num_positions = 0
    for count, token_id in enumerate(written):
        if len(heads[count]) >= len(prompt.start.encode()):  # what comes before is forced
            so_far = dataclasses.replace(prompt, token_ids=(*prompt.token_ids, *written[:count]), start="")
            answer = _ask(engine, so_far, SamplingParams(max_new_tokens=1))
            num_same += answer.encode() == tokenizer.token_bytes(token_id)
            num_positions += 1
    num_common = sum(text.startswith(head) for head in heads[1:])
    is_same = text == heads[-1] or (len(written) < len(whole) and text.startswith(heads[-1]))
    return _Run(is_same, num_common, len(written), num_same, num_positions)


def _is_text(tokenizer: Tokenizer, token_id: int) -> bool:
    """Whether an answer as text can tell this token: no control token, and whole characters."""
    try:
        return token_id not in tokenizer.special_token_ids and bool(tokenizer.token_bytes(token_id).decode())
    except UnicodeDecodeError:
        return False


def _ask(engine: LlamaEngine, prompt: RemotePrompt, sampling: SamplingParams) -> str:
    result = engine.generate(prompt, sampling, [], Deadline.never(), CancellationToken())
    if not result.generations:
        raise ModelError(f"llama.cpp gave no answer: {getattr(result.stats, 'reason', result.finish_reason)}")
    return result.generations[0].text


def write_greedily(model: CausalLM, tokenizer: Tokenizer, prompt: RemotePrompt, num_tokens: int) -> list[int]:
    """Up to ``num_tokens`` ids after ``prompt``, the first of them spelling ``prompt.start``; no stop token."""
    kv_cache = model.new_kv_cache()
    logits = model.forward(list(prompt.token_ids), kv_cache, 1)[-1]
    written: list[int] = []
    rest = prompt.start.encode()
    while True:
        token_id = _best_spelling(logits, tokenizer, rest)
        if token_id in prompt.stop_token_ids:
            return written
        written.append(token_id)
        rest = rest[len(tokenizer.token_bytes(token_id)) :]
        if len(written) == num_tokens:
            return written
        logits = model.forward([token_id], kv_cache, 1)[-1]


def _best_spelling(logits: Logits, tokenizer: Tokenizer, rest: bytes) -> int:
    """The most probable token that begins with ``rest`` or is a part of its beginning."""
    if not rest:
        return int(logits.argmax())
    allowed: Sequence[int] = [
        *tokenizer.tokens_starting_with(rest),
        *(
            token_id
            for length in range(1, len(rest))
            for token_id in tokenizer.tokens_starting_with(rest[:length])
            if tokenizer.token_bytes(token_id) == rest[:length]
        ),
    ]
    return max(allowed, key=lambda token_id: float(logits[token_id]))

"""The quality gate of every speed-up: a model as it is served against the same weights in float32, on fixed code.

Two figures: the negative log-likelihood of the text, and how often both models find the same token most probable.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from completion_server.backends.loading import load_model
from completion_server.config import ModelSettings
from completion_server.engine.sampling import log_sum_exp
from completion_server.errors import DocumentError
from completion_server.model import CausalLM, Logits
from completion_server.tokenizer import Tokenizer

MIN_AGREEMENT = 0.97
MAX_NLL_CHANGE = 0.01  # of the NLL in float32
_SOURCES = (
    "configparser.py", "argparse.py", "tarfile.py", "inspect.py", "typing.py",
    "ast.py", "textwrap.py", "shlex.py", "heapq.py", "csv.py",
)  # fmt: skip
_NUM_SKIPPED = 500  # tokens at the start of a file: licence and imports
_WINDOW = 512

Progress = Callable[[str, "float | None"], None]


@dataclass(frozen=True)
class Quality:
    """``agreement`` of the most probable token with float32 (0 to 1); NLL in nats per token."""

    num_tokens: int
    dtype: str
    agreement: float
    nll: float
    float32_nll: float

    @property
    def nll_change(self) -> float:
        """As a share of the NLL in float32; negative is better than float32."""
        return self.nll / self.float32_nll - 1

    @property
    def passes(self) -> bool:
        return self.agreement >= MIN_AGREEMENT and abs(self.nll_change) <= MAX_NLL_CHANGE


def measure_quality(
    directory: Path, settings: ModelSettings, cache_dir: Path, progress: Progress, num_windows: int = len(_SOURCES)
) -> Quality:
    """Compare the model in ``directory`` as ``settings`` load it with float32 on ``num_windows`` pieces of code.

    The code is from the Python standard library that is installed. Raises ModelError, DocumentError.
    """
    windows = list(_read_windows(Tokenizer.from_directory(directory), num_windows))
    served = load_model(directory, settings, cache_dir, progress)
    exact_settings = ModelSettings(name=settings.name, device="cpu", dtype="float32")
    exact = load_model(directory, exact_settings, cache_dir, progress)
    num_same = num_tokens = num_scored = 0
    nll = exact_nll = 0.0
    for number, window in enumerate(windows):
        progress("measuring", number / len(windows))
        served_logits, exact_logits = _logits(served.model, window), _logits(exact.model, window)
        num_same += int((served_logits.argmax(-1) == exact_logits.argmax(-1)).sum())
        num_tokens += len(window)
        num_scored += len(window) - 1
        nll += _nll(served_logits, window)
        exact_nll += _nll(exact_logits, window)
    return Quality(num_tokens, served.dtype, num_same / num_tokens, nll / num_scored, exact_nll / num_scored)


def _read_windows(tokenizer: Tokenizer, num_windows: int) -> Iterator[list[int]]:
    library = Path(sysconfig.get_path("stdlib"))
    for name in _SOURCES[:num_windows]:
        try:
            text = (library / name).read_text(encoding="utf-8")
        except OSError as error:
            raise DocumentError(f"no Python source to measure on: {error}") from error
        yield tokenizer.encode(text)[_NUM_SKIPPED : _NUM_SKIPPED + _WINDOW]


def _logits(model: CausalLM, window: list[int]) -> Logits:
    return model.forward(window, model.new_kv_cache(), len(window)).astype(np.float64)


def _nll(logits: Logits, window: list[int]) -> float:
    """Summed over the tokens of ``window`` but the first."""
    before, after = logits[:-1], np.array(window[1:])
    return float((log_sum_exp(before) - before[np.arange(len(after)), after]).sum())

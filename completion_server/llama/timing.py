"""How fast llama.cpp computes a file on this machine, by its own clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from completion_server.errors import ModelError
from completion_server.llama.child import LlamaOptions
from completion_server.llama.process import LlamaProcess

_NUM_PROMPT = 256
_NUM_NEW = 20
_NUM_CONTEXT = 512
_NUM_KNOWN_TOKENS = 199  # every vocabulary has more; which tokens are read makes no difference
_LOAD_SECONDS = 600.0
_ANSWER_SECONDS = 120.0


@dataclass(frozen=True)
class LlamaSpeed:
    """Of one prompt and one answer, the second of two."""

    prefill_tokens_per_s: float
    decode_ms: float
    """Per token."""


def measure_llama(path: Path, num_threads: int) -> LlamaSpeed:
    """Start a server with ``path``, time it, end it. Raises ModelError with llama.cpp's words."""
    options = LlamaOptions(
        str(path.resolve()), num_threads, _NUM_CONTEXT, num_batch=_NUM_PROMPT, cache_mib=0, may_spin=False
    )
    process = LlamaProcess(options)
    try:
        address = process.address(_LOAD_SECONDS)
        if address is None:
            raise ModelError(f"llama.cpp did not load {path.name} within {_LOAD_SECONDS:.0f} s")
        headers = {"Authorization": f"Bearer {process.api_key}"}
        with httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=_ANSWER_SECONDS) as client:
            _ask(client)
            timings = _ask(client)
        return LlamaSpeed(
            round(float(timings["prompt_per_second"]), 1), round(float(timings["predicted_per_token_ms"]), 2)
        )
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"llama.cpp could not be timed: {error!r}") from error
    finally:
        process.stop()


def _ask(client: httpx.Client) -> Mapping[str, Any]:
    body = {
        "prompt": [1 + 7 * index % _NUM_KNOWN_TOKENS for index in range(_NUM_PROMPT)],
        "n_predict": _NUM_NEW,
        "ignore_eos": True,
        "cache_prompt": False,
        "temperature": 0.0,
    }
    timings: Mapping[str, Any] = client.post("/completion", json=body).raise_for_status().json()["timings"]
    return timings

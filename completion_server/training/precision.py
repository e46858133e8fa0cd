"""Which type a run computes in: measured, because hardware support does not say which is faster.

On one CPU with AVX512-BF16 a product in bfloat16 takes 0.4 of the time in float32, on another 1.9 times as long.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from completion_server.backends.torch_loading import choose_dtype

_ROWS, _IN, _OUT = 512, 576, 1536
_NUM_TRIES = 5


def training_dtype(wanted: str, device: torch.device, run_file: Path | None = None) -> torch.dtype:
    """The type named ``wanted``; for ``auto`` that of the run described in ``run_file``, else the faster one.

    A run keeps its type, or a resumed one would not equal one that was never interrupted. float16 is never chosen:
    its gradients would need scaling.
    """
    if wanted != "auto":
        return choose_dtype(wanted, device)
    if run_file is not None and run_file.is_file():
        kept = json.loads(run_file.read_text(encoding="utf-8")).get("dtype")
        return choose_dtype(kept or "auto", device)
    if device.type == "mps":
        return torch.float32
    dtype = choose_dtype("auto", device)
    if device.type != "cpu" or dtype is torch.float32:
        return dtype
    return min((torch.float32, dtype), key=product_seconds)


def product_seconds(dtype: torch.dtype) -> float:
    """How long one matrix product of a training step's kind takes on the CPU; the fastest of a few."""
    rows, weight = torch.ones(_ROWS, _IN, dtype=dtype), torch.ones(_OUT, _IN, dtype=dtype)
    fastest = float("inf")
    for _ in range(_NUM_TRIES):
        began = time.perf_counter()
        F.linear(rows, weight)
        fastest = min(fastest, time.perf_counter() - began)
    return fastest

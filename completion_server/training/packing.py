"""Examples of any length side by side in one row of tokens: no padding, nothing is computed for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from completion_server.training.fim_transform import Example


@dataclass(frozen=True)
class PackedBatch:
    """Examples one after the other, T tokens in all. Attention stays inside each."""

    token_ids: torch.Tensor
    """(T,) int64."""
    positions: torch.Tensor
    """(T,) int64, counted from each example's start."""
    lengths: tuple[int, ...]
    loss_rows: torch.Tensor
    """(N,) int64: the tokens after which something is to be predicted, those with a weight of 0 left out."""
    target_ids: torch.Tensor
    """(N,) int64: what is to be predicted after each of ``loss_rows``."""
    weights: torch.Tensor
    """(N,) float32."""
    is_middle: torch.Tensor
    """(N,) bool: whether the target belongs to a middle or is the token of its end."""

    @property
    def num_tokens(self) -> int:
        return int(self.token_ids.shape[0])

    def to(self, device: torch.device) -> PackedBatch:
        return PackedBatch(
            self.token_ids.to(device),
            self.positions.to(device),
            self.lengths,
            self.loss_rows.to(device),
            self.target_ids.to(device),
            self.weights.to(device),
            self.is_middle.to(device),
        )


def pack(examples: Sequence[Example]) -> PackedBatch:
    """One batch of ``examples``, in their order."""
    token_ids: list[int] = []
    positions: list[int] = []
    rows: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    is_middle: list[bool] = []
    for example in examples:
        start = len(token_ids)
        token_ids += example.token_ids
        positions += range(len(example.token_ids))
        for index in range(1, len(example.token_ids)):
            if example.weights[index]:
                rows.append(start + index - 1)
                targets.append(example.token_ids[index])
                weights.append(example.weights[index])
                is_middle.append(index >= example.middle_start)
    return PackedBatch(
        torch.tensor(token_ids),
        torch.tensor(positions),
        tuple(len(example.token_ids) for example in examples),
        torch.tensor(rows, dtype=torch.long),
        torch.tensor(targets, dtype=torch.long),
        torch.tensor(weights, dtype=torch.float32),
        torch.tensor(is_middle, dtype=torch.bool),
    )


def split_by_tokens(examples: Sequence[Example], max_tokens: int) -> list[list[Example]]:
    """``examples`` in their order, in runs of at most ``max_tokens`` tokens (a longer example stands alone)."""
    runs: list[list[Example]] = []
    num_tokens = 0
    for example in examples:
        if not runs or num_tokens + len(example.token_ids) > max_tokens:
            runs.append([])
            num_tokens = 0
        runs[-1].append(example)
        num_tokens += len(example.token_ids)
    return runs

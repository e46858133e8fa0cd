"""How surprised a model is, in nats per token: by the middles of holes in its own format, and by plain text.

The second says whether learning to fill in the middle cost anything from left to right.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from completion_server.backends.loading import read_config
from completion_server.backends.native_config import NativeConfig
from completion_server.backends.torch_loading import choose_device
from completion_server.evaluation.fim_infill import Task
from completion_server.evaluation.held_out import SourceFile
from completion_server.prompt.budget import prefix_window, suffix_window
from completion_server.prompt.fim import FimFormat, choose_order, detect_fim_format, fim_token_ids, layout
from completion_server.tokenizer import Tokenizer
from completion_server.training.adapt import read_weights
from completion_server.training.decoder import Decoder, LoraSettings
from completion_server.training.fim_transform import Example, tokenize_together
from completion_server.training.packing import pack, split_by_tokens

_PREFIX_TOKENS, _SUFFIX_TOKENS, _PLAIN_TOKENS = 384, 192, 256
_BATCH_TOKENS = 2048


@dataclass(frozen=True)
class Likelihood:
    """Mean negative log-likelihoods, in nats per token. The middle's end is not counted."""

    middle_nll: float
    plain_nll: float


def measure_likelihood(
    directory: Path, tasks: Sequence[Task], files: Sequence[SourceFile], seed: int = 0
) -> Likelihood:
    """For the model in ``directory``: the middles of ``tasks``, and as many pieces of ``files``."""
    tokenizer = Tokenizer.from_directory(directory)
    fim_format = detect_fim_format(tokenizer).format
    device = choose_device("auto")
    config = NativeConfig.from_dict(read_config(directory))
    decoder = Decoder(config, read_weights(directory), LoraSettings(rank=0), torch.float32).to(device)
    middles = [_middle_example(task, tokenizer, fim_format) for task in tasks]
    plain = list(islice(_plain_examples(files, tokenizer, random.Random(seed)), len(tasks)))
    return Likelihood(_mean_nll(decoder, middles), _mean_nll(decoder, plain))


def _middle_example(task: Task, tokenizer: Tokenizer, fim_format: FimFormat) -> Example:
    """Where the prompt ends with the prefix, the middle begins with the token that the cursor is in."""
    hole, tokens = task.hole, fim_token_ids(fim_format, tokenizer)
    prefix = prefix_window(hole.document, hole.position, _PREFIX_TOKENS, tokenizer.encode)
    num_suffix = _SUFFIX_TOKENS if fim_format.orders else 0
    suffix = suffix_window(hole.document, hole.position, num_suffix, tokenizer.encode)
    order = choose_order(fim_format)
    prefix_ids, middle_ids = prefix.token_ids, tokenizer.encode(hole.middle)
    if layout(fim_format, order, [0], [0], tokens).ends_with_prefix:
        prefix_ids, middle_ids = tokenize_together(tokenizer, prefix.text, hole.middle)
    fim = layout(fim_format, order, prefix_ids, suffix.token_ids, tokens)
    weights = (0.0,) * len(fim.token_ids) + (1.0,) * len(middle_ids)
    return Example((*fim.token_ids, *middle_ids), (0.0, *weights[1:]), len(fim.token_ids))


def _plain_examples(files: Sequence[SourceFile], tokenizer: Tokenizer, rng: random.Random) -> Iterator[Example]:
    while True:
        text = rng.choice(files).text
        start = text.rfind("\n", 0, rng.randrange(len(text))) + 1
        token_ids = tokenizer.encode(text[start : start + 5 * _PLAIN_TOKENS])[:_PLAIN_TOKENS]
        if len(token_ids) > 1:
            yield Example(tuple(token_ids), (0.0, *[1.0] * (len(token_ids) - 1)), len(token_ids))


@torch.no_grad()
def _mean_nll(decoder: Decoder, examples: Sequence[Example]) -> float:
    device = decoder.embedding.device
    total, count = 0.0, 0
    for run in split_by_tokens([each for each in examples if any(each.weights)], _BATCH_TOKENS):
        _, nll = decoder(pack(run).to(device))
        total += float(nll.sum())
        count += nll.numel()
    return total / max(count, 1)

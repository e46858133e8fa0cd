"""Token healing, the half with numbers: where to leave the path that spells the removed text.

The text half (how far to back up, which tokens may follow) is ``prompt.healing``. The idea is Guidance's "token
healing"; here one forward pass scores every way of spelling what was removed, instead of one pass per token.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from completion_server.engine.sampling import as_ids, log_sum_exp
from completion_server.model import Healing, HealingStep, Logits

_NOTHING_REMOVED = Healing((), (HealingStep(0, b"", None),))


@dataclass(frozen=True)
class HealedStart:
    """Where generation starts: ``step`` of the path, with the logits (V,) there."""

    step: HealingStep
    logits: Logits


def healing_or_none(healing: Healing | None) -> Healing:
    """``healing``, or the plan that removes nothing and allows everything."""
    return _NOTHING_REMOVED if healing is None else healing


def choose_start(logits: Logits, healing: Healing) -> HealedStart:
    """The most probable step of ``healing``.

    ``logits`` (P+1, V) come after the prompt and after each of the P path tokens. A step's probability is that of
    the path up to it times the mass of the tokens allowed there: so a token that runs past the cursor competes
    fairly with ending a token exactly at the cursor.
    """
    exact = logits.astype(np.float64)
    logprobs = exact - log_sum_exp(exact)[:, np.newaxis]
    path_logprob = 0.0
    path_logprobs = [path_logprob]
    for index, token_id in enumerate(healing.path_token_ids):
        path_logprob += float(logprobs[index, token_id])
        path_logprobs.append(path_logprob)
    best_step, best_score = healing.steps[-1], float("-inf")
    for step in healing.steps:
        score = path_logprobs[step.num_path_tokens]
        if step.allowed_token_ids is not None:
            allowed = as_ids(step.allowed_token_ids)
            score += float(log_sum_exp(logprobs[step.num_path_tokens, allowed]))
        if score > best_score:
            best_step, best_score = step, score
    return HealedStart(best_step, logits[best_step.num_path_tokens])

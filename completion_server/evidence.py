"""How sure the model was of a text: the log-probability of each token and where in the text it ends.

Numbers only; goes with a suggestion through the caches, so that what is left of it while it is typed along can be
judged anew.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """One generation: ``logprobs[i]`` (nats) is of the token that ends after ``ends[i]`` characters."""

    ends: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    num_healed_chars: int = 0
    """Characters before the cursor that the first tokens spell again (token healing)."""
    is_cut_short: bool = False
    """The clock or the length ended it, no stop rule."""
    is_block: bool = False
    """It was asked for as a block, not as the rest of a line."""

    def within(self, num_chars: int) -> Evidence:
        """Of the first ``num_chars`` characters: every token that begins before their end."""
        starts = (0, *self.ends)
        count = sum(start < num_chars for start in starts[: len(self.ends)])
        return dataclasses.replace(self, ends=self.ends[:count], logprobs=self.logprobs[:count])

    def after(self, num_chars: int) -> Evidence:
        """Of what is left when the first ``num_chars`` characters are typed: every token that ends behind them."""
        kept = [index for index, end in enumerate(self.ends) if end > num_chars]
        return dataclasses.replace(
            self,
            ends=tuple(self.ends[index] - num_chars for index in kept),
            logprobs=tuple(self.logprobs[index] for index in kept),
            num_healed_chars=0 if num_chars else self.num_healed_chars,
        )


NO_EVIDENCE = Evidence()

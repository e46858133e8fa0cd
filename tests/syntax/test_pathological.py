"""No stage takes long, whatever it is given.

One text in some hundred; ``python -m tests.syntax.pathological`` tries all.
"""

from __future__ import annotations

import pytest

from tests.syntax.pathological import LANGUAGES, time_all

_MAX_SECONDS = 1.5  # of processor time; the faults took 4 to 30 s


@pytest.mark.parametrize("number", range(6))
def test_no_stage_takes_long(number: int) -> None:
    slow = [each for each in time_all(LANGUAGES[number::6], every=331) if each[0] > _MAX_SECONDS]
    assert slow == []

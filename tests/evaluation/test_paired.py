"""Two runs over the same holes: counts, the exact test, and what is no pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from completion_server.errors import RequestError
from completion_server.evaluation.fim_infill import make_tasks
from completion_server.evaluation.paired import compare_with, count_pairs, describe_engine, mcnemar_p
from completion_server.evaluation.served import HoleRecord, run_holes
from tests.evaluation.test_served import FILES, make_service
from tests.gate.test_show_or_hide import GuessingEngine

FACTS = {"model": "m", "split": "held-out", "seed": 1, "num_per_kind": 2, "corpus": "c"}


def made(rights: str, digests: str) -> list[HoleRecord]:
    return [
        HoleRecord(number, "block", "python", "r", True, is_exact=right == "1", text_digest=digest)
        for number, (right, digest) in enumerate(zip(rights, digests, strict=True))
    ]


def test_pairs_are_counted() -> None:
    counts = count_pairs(made("11010", "aabbc"), made("10100", "axbbd"))
    assert (counts.num_holes, counts.num_both_right, counts.num_only_here, counts.num_only_there) == (5, 1, 2, 1)
    assert counts.num_same_text == 3
    assert counts.p_value == 1.0


@pytest.mark.parametrize(
    ("here", "there", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (9, 1, 22 / 1024), (1, 9, 22 / 1024)]
)
def test_the_exact_mcnemar_test(here: int, there: int, p: float) -> None:
    assert mcnemar_p(here, there) == pytest.approx(p)


@given(st.integers(0, 60), st.integers(0, 60))
def test_p_is_a_probability_and_does_not_care_who_is_here(here: int, there: int) -> None:
    assert 0 < mcnemar_p(here, there) == mcnemar_p(there, here) <= 1
    assert mcnemar_p(here + there, 0) <= mcnemar_p(here, there)


def write_run(path: Path, text: str, **facts: Any) -> list[HoleRecord]:
    service, _ = make_service(GuessingEngine(text, logprobs=(-0.5,) * len(text)))
    return list(run_holes(service, make_tasks(FILES, 2, 1), path, {**FACTS, **facts}))


def test_records_of_another_engine_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "there.jsonl"
    write_run(path, "height", backend="llama.cpp", dtype="q8_0")
    here = write_run(tmp_path / "here.jsonl", "width")
    name, counts = compare_with(path, {**FACTS, "backend": "native"}, here)
    assert name == "llama.cpp q8_0"
    assert counts.num_holes == len(here) > 2
    assert counts.num_same_text < len(here)
    _, same = compare_with(tmp_path / "here.jsonl", FACTS, here)
    assert same.num_same_text == len(here)


def test_what_is_of_other_holes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "there.jsonl"
    here = write_run(tmp_path / "here.jsonl", "width")
    with pytest.raises(RequestError, match="does not hold records"):
        compare_with(path, FACTS, here)
    write_run(path, "width")
    with pytest.raises(RequestError, match="another seed"):
        compare_with(path, {**FACTS, "seed": 2}, here)
    with pytest.raises(RequestError, match=r"not of the same holes$"):
        compare_with(path, FACTS, here[1:])


def test_what_computed_is_named() -> None:
    assert describe_engine({"model": "m"}) == "m"
    assert describe_engine({"model": "m", "backend": "remote", "dialect": "openai-text"}) == "remote openai-text"

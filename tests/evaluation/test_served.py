"""Holes through the service: what a record says, resuming, the command over a service whose engine is a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from completion_server.cli import evaluate_served_command
from completion_server.cli.app import app
from completion_server.config import GenerationSettings, Settings
from completion_server.errors import RequestError
from completion_server.evaluation.fim_infill import make_tasks
from completion_server.evaluation.fim_spans import Hole
from completion_server.evaluation.held_out import SourceFile, split_path, write_files
from completion_server.evaluation.served import judge_text, run_holes
from completion_server.gate.calibration import read_calibration
from tests.gate.test_show_or_hide import GuessingEngine
from tests.service.test_service import make_service
from tests.support.marked import parse_marked

SOURCE = "def area(width, height):\n    total = width * height\n    return total\n"
FILES = [
    SourceFile(f"repo{number}", f"src/f{number}.py", "python", SOURCE.replace("area", f"area_{number}"))
    for number in range(8)
]


def judged(marked: str, middle: str, text: str) -> dict[str, object]:
    document, position = parse_marked(marked)
    return judge_text(text, Hole(document, position, middle))


def test_right_is_exact_or_right_to_the_end_of_the_line() -> None:
    marked = "def f(x):\n    ˇ\n    print(x)\n"
    exact = judged(marked, "x = 1\n    y = 2", "x = 1\n    y = 2")
    assert (exact["is_exact"], exact["is_right_to_line_end"]) == (True, True)
    first = judged(marked, "x = 1\n    y = 2", "x = 1\n    z = 2")
    assert (first["is_exact"], first["is_right_to_line_end"]) == (False, True)
    longer = judged(marked, "x = 1", "x = 10")
    assert (longer["is_exact"], longer["is_right_to_line_end"]) == (False, False)
    below = judged("def f(x):ˇ\n    print(x)\n", "\n    x = 1", "\n    x = 1\n    y()")
    assert below["is_right_to_line_end"]
    assert judged("a = ˇ\r\n", "b +\r\nc", "b +\r\nc")["is_exact"]


@pytest.mark.parametrize(
    ("marked", "text", "adds", "leaves"),
    [
        ("x = ˇ\n", "f(1)", False, False),
        ("x = ˇ\n", "f(1", False, True),  # the hole was an error already
        ("x = f(ˇ\n", "1)", False, False),
        ("x = (ˇ)\n", "1", False, False),
        ("x = (ˇ)\n", "1))", True, True),
    ],
)
def test_parse_errors_are_counted_against_the_hole_and_the_original(
    marked: str, text: str, adds: bool, leaves: bool
) -> None:
    middle = "2)" if marked.startswith("x = f(") else "2"
    result = judged(marked, middle, text)
    assert (result["adds_parse_error"], result["leaves_parse_error"]) == (adds, leaves)


def test_without_a_grammar_nothing_is_said_of_syntax() -> None:
    document, position = parse_marked("x = ˇ\n", language_id="plaintext")
    assert judge_text("(", Hole(document, position, "1"))["adds_parse_error"] is None


def test_repeating_the_following_line_is_seen() -> None:
    marked = "a()\nˇ\nreturn total\n"
    assert judged(marked, "b()", "b()\nreturn total")["repeats_following_line"]
    assert judged(marked, "b()", "return total")["repeats_following_line"]
    assert not judged(marked, "b()", "return total + 1")["repeats_following_line"]


def make_run(path: Path, engine: GuessingEngine):  # type: ignore[no-untyped-def]
    service, _ = make_service(engine, Settings(generation=GenerationSettings(suggestions="eager")))
    return run_holes(service, make_tasks(FILES, 4, 1), path, {"model": "m", "seed": 1})


def test_a_run_goes_on_where_it_ended_and_keeps_no_text(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.jsonl"
    engine = GuessingEngine("height", logprobs=(-0.5,) * 6)
    run = make_run(path, engine)
    first = [next(run) for _ in range(3)]
    run.close()
    with path.open("ab") as stream:
        stream.write(b'{"number": 3, "kind": "rest')
    again = GuessingEngine("height", logprobs=(-0.5,) * 6)
    records = list(make_run(path, again))
    assert records[:3] == first
    assert again.num_calls == len(records) - 3 > 0
    assert [record.number for record in records] == list(range(len(records)))
    assert len(path.read_text().splitlines()) == 1 + len(records)
    assert "height" not in path.read_text()
    assert list(make_run(path, GuessingEngine())) == records


def test_records_of_another_run_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    service, _ = make_service(GuessingEngine("x", logprobs=(-1.0,)))
    list(run_holes(service, make_tasks(FILES, 1, 1), path, {"seed": 1}))
    with pytest.raises(RequestError, match="another run"):
        list(run_holes(service, [], path, {"seed": 2}))
    path.write_text("nonsense\n")
    with pytest.raises(RequestError, match="does not hold"):
        list(run_holes(service, [], path, {"seed": 1}))


class SometimesRight(GuessingEngine):
    """Right and sure at every other call."""

    def generate(self, *arguments, **named):  # type: ignore[no-untyped-def]
        is_right = self.num_calls % 2 == 0
        self.texts = ["total = width * height" if is_right else "wrong"]
        self.logprobs = (-0.1 if is_right else -2.0,) * len(self.texts[0])
        return super().generate(*arguments, **named)


def test_the_command_writes_figures_a_calibration_and_a_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(split_path(tmp_path, "held-out"), FILES)
    monkeypatch.setattr(
        evaluate_served_command,
        "build_service",
        lambda settings, _progress: make_service(SometimesRight(), settings)[0],
    )
    fit, plot, out = tmp_path / "new" / "gate.json", tmp_path / "curve.svg", tmp_path / "out.json"
    arguments = ["evaluate", "--served", "--corpus", tmp_path, "--holes", "40", "--records", tmp_path / "r.jsonl"]
    arguments += ["--fit-gate", fit, "--plot", plot, "--out", out]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    value = json.loads(result.stdout.splitlines()[-1])
    assert value == json.loads(out.read_text())
    levels = {row["suggestions"]: row for row in value["levels"]}
    assert levels["eager"]["coverage"] == 1.0
    assert levels["balanced"]["coverage"] < 1.0
    assert levels["balanced"]["precision"] > levels["eager"]["precision"] > 0
    assert read_calibration(fit).metadata["num_suggestions"] == value["levels"][0]["num_shown"]
    assert plot.read_text().startswith("<?xml")
    assert value["latency_ms"]["p50"] <= value["latency_ms"]["p95"]
    assert value["against"] == []
    other = ["evaluate", "--served", "--corpus", tmp_path, "--holes", "40", "--records", tmp_path / "other.jsonl"]
    other += ["--against", tmp_path / "r.jsonl"]
    result = CliRunner().invoke(app, [str(argument) for argument in other])
    assert result.exit_code == 0, result.output
    (pair,) = json.loads(result.stdout.splitlines()[-1])["against"]
    assert (pair["records"], pair["num_holes"]) == (
        "r.jsonl",
        len((tmp_path / "r.jsonl").read_text().splitlines()) - 1,
    )
    assert pair["num_same_text"] == pair["num_holes"] > pair["num_both_right"] > 0
    assert pair["p_value"] == 1.0

"""``evaluate`` with other files: workspaces, and the same holes without and with snippets (``--context``)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from completion_server.cli import evaluate_command
from completion_server.cli.option import CommonOptions
from completion_server.evaluation.held_out import SourceFile, split_path, write_files
from completion_server.request import Completion, CompletionRequest
from completion_server.service import CompletionService


def test_both_rows_are_of_the_same_holes(tiny_model: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    files = [SourceFile("r", "p/util.py", "python", "def area(width, height):\n    return width * height\n")]
    for number in range(3):
        text = f"from p.util import area\n\n\ndef size_{number}(value):\n    total = area(value, {number}) + 1\n"
        files.append(SourceFile("r", f"p/m{number}.py", "python", text))
    write_files(split_path(corpus, "held-out"), files)
    task = evaluate_command.EvaluationTask(corpus, num_per_kind=1, runs_tests=False, num_cross_file=2)
    evaluate_command.run([CommonOptions(str(tiny_model))], task, out=tmp_path / "scores.json", as_json=True)
    rows = json.loads((tmp_path / "scores.json").read_text())
    found = {row["kind"]: row["num_holes"] for row in rows if row["kind"].startswith("cross-file")}
    assert found == {"cross-file, context off": 2, "cross-file, context on": 2}


def test_a_hole_is_asked_for_in_its_workspace_unless_alone(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_files(
        split_path(corpus, "held-out"), [SourceFile("r", "p/a.py", "python", "value = 1\nother = 2\n" * 9)]
    )
    roots: list[str | None] = []
    complete = CompletionService.complete

    def note_root(service: CompletionService, request: CompletionRequest) -> Completion:
        roots.append(request.workspace.root_uri)
        return complete(service, request)

    monkeypatch.setattr(CompletionService, "complete", note_root)
    for is_alone in (True, False):
        task = evaluate_command.EvaluationTask(corpus, num_per_kind=1, runs_tests=False, is_alone=is_alone)
        evaluate_command.run([CommonOptions(str(tiny_model))], task, as_json=True)
        assert json.loads(capsys.readouterr().out)["has_workspace"] is not is_alone
    half = len(roots) // 2
    assert half
    assert set(roots[:half]) == {None}
    assert all(root is not None and root.startswith("file:") for root in roots[half:])

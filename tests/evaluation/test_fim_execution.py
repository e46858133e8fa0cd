"""Functions with a line missing: the true line passes, a wrong or hostile one does not."""

from __future__ import annotations

import pytest

from completion_server.document import Position
from completion_server.evaluation.fim_execution import line_tasks, pass_lines, passes, read_problems
from completion_server.request import Completion, CompletionItem, CompletionRequest, FinishReason


class Known:
    """Answers every request with what ``answers`` has for its document and position."""

    def __init__(self, answers: dict[tuple[str, Position], str]) -> None:
        self._answers = answers

    def complete(self, request: CompletionRequest) -> Completion:
        text = self._answers.get((request.document.text, request.position), "")
        if not text:
            return Completion.empty(FinishReason.STOP)
        return Completion((CompletionItem(text, request.position, request.position),), FinishReason.STOP)

    def clear_caches(self) -> None: ...


def test_every_function_passes_as_it_is() -> None:
    problems = read_problems()
    assert len(problems) >= 15
    assert [problem.name for problem in problems if not passes(problem.source, problem.tests)] == []


def test_a_hole_is_a_line_and_the_true_line_passes() -> None:
    tasks = line_tasks(read_problems()[:3])
    assert len(tasks) > 15
    answers = {(task.hole.document.text, task.hole.position): task.hole.middle for task in tasks}
    assert all("\n" not in task.hole.middle for task in tasks)
    assert all(pass_lines(Known(answers), tasks))


def test_no_line_can_be_left_out_or_wrong() -> None:
    tasks = line_tasks(read_problems()[:2])
    assert not any(pass_lines(Known({}), tasks))
    wrong = {(task.hole.document.text, task.hole.position): "nothing()" for task in tasks}
    assert not any(pass_lines(Known(wrong), tasks))


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass",
        "x = 'a' * (4 << 30)",
        "with open('left', 'w') as file: file.write('x' * 100)",
        "import os; os.remove('x')",
        "import socket",
        "import subprocess",
        "import os; os.fork()",
        "raise SystemExit(3)",
        "syntax error",
    ],
)
def test_what_must_not_be_done_fails(source: str) -> None:
    assert not passes(source, "")
    assert passes("x = 1", "assert x == 1")
